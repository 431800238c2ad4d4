//! Devices in memory against a model server, with crashes, restores, and a network that loses, doubles and reorders.
//!
//! Each run is a script of what people do and what befalls requests, frames, devices and the server; a law of
//! `laws` that does not hold ends it. A failing script is printed, to be kept in `found`; `ablation` has fixed seeds, and
//! `by_name` a script for each law.
//!
//! With the feature `model` the same scripts are played on a [`Real`] server.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a model ends where it is wrong, and names the arms it means"
)]
#![cfg_attr(
    not(test),
    expect(dead_code, reason = "its own tests want more than others do")
)]

#[cfg(test)]
mod ablation;
#[cfg(test)]
mod by_name;
mod device;
#[cfg(test)]
mod found;
mod laws;
mod network;
#[cfg(test)]
mod properties;
mod real;
mod rules;
mod script;
mod server;
mod world;

pub use device::Body;
pub use laws::Broken;
pub use real::Real;
pub use script::{Script, seeded};
pub use world::World;
