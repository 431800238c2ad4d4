//! The interface: one Yew app for the browser and the desktop's window, and the same pages drawn on the server.

pub mod backend;
