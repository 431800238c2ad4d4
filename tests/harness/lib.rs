//! The words that tests are written in.

pub mod mailbox;
