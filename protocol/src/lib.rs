//! What crosses a process border: ids, routes, frames, problems, and the pure rules over them.
//!
//! Used by the server, the client, the page and the tests, so that both ends of a wire read one type.
//! **Invariant:** no I/O, no clock, no chance of its own beyond fresh ids; builds for the host and for wasm32.

pub mod auth;
pub mod frame;
pub mod ids;
pub mod ipc;
pub mod limits;
pub mod mutation;
pub mod oauth;
#[cfg(feature = "openapi")]
mod openapi;
pub mod problem;
pub mod routes;
pub mod run;
pub mod search;
pub mod session_socket;
pub mod sync;
pub mod view;

pub use ids::{DeviceId, MessageId, MutationId, RunId, SessionId, UserId};
pub use problem::{Code, Problem};

/// Milliseconds since 1970-01-01T00:00:00Z. Shown to people only: no order and no conflict is decided by it.
pub type UnixMillis = i64;
