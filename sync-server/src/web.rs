//! What a browser sees: pages drawn on the server, the forms on them, the built app's files, and the operator's addresses.
//!
//! **Invariant:** no rule about identity or sync is decided here; a form calls the same function as its JSON twin, and comes in by
//! `sent`, which looks whether another site sent it.

pub mod assets;
pub mod device_code;
pub mod docs;
pub mod door;
pub mod forgotten;
pub mod forms;
pub mod headers;
pub mod leaving;
pub mod letter;
pub mod letters;
pub mod newcomer;
pub mod operations;
pub mod pages;
pub mod passkeys;
pub mod rights;
pub mod second_step;
pub mod security;
pub mod sent;
