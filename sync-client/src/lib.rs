//! The local half of CompyMac without a window: what a device knows, what it has written, and how both meet the server.
//!
//! `engine`, `lanes`, `outbox`, `replica`, `search`, `tails`, `view` and `tab` are pure and build for wasm32; [`tab::Tab`] is a
//! whole device in memory, for a browser's page and for models in tests. With the feature `native`,
//! `driver::Device` is a whole device on disk, usable without any window.
//! **Invariant:** the pure modules take time and chance as arguments and know neither store, HTTP nor socket.

#[cfg(feature = "native")]
mod clock;
#[cfg(feature = "native")]
pub mod credentials;
#[cfg(feature = "native")]
pub mod driver;
pub mod engine;
#[cfg(feature = "native")]
mod http;
pub mod lanes;
pub mod order;
pub mod outbox;
#[cfg(feature = "packed")]
pub mod packed;
#[cfg(feature = "native")]
pub mod proof;
pub mod ranges;
pub mod replica;
pub mod search;
#[cfg(feature = "native")]
mod socket;
#[cfg(feature = "native")]
mod store;
pub mod tab;
pub mod tails;
#[cfg(feature = "native")]
mod tokens;
pub mod view;
#[cfg(feature = "native")]
pub mod work;

#[cfg(feature = "native")]
pub use driver::Device;
#[cfg(feature = "native")]
pub use http::install_crypto;
