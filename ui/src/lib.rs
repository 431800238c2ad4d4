//! The interface: one Yew app for the browser and the desktop's window, and the same pages drawn where no script runs.
//!
//! In the page, `start` is the way in (feature `hydration`); on the server and in the desktop's core, [`page`] is (feature `ssr`).

pub mod app;
pub mod auth;
pub mod backend;
pub mod controls;
#[cfg(feature = "ssr")]
pub mod page;
pub mod sessions;
pub mod settings;
#[cfg(feature = "hydration")]
pub mod start;
pub mod state;
