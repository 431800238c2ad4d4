//! The small parts that every room is built of.

pub mod accounts;
pub mod announce;
pub mod consent;
pub mod copy;
pub mod flash;
pub mod form;
pub mod found;
pub mod icon;
pub mod keys;
pub mod link;
pub mod menu;
pub mod problem;
pub mod qr;
pub mod shortcuts;
pub mod splitter;
pub mod time;

pub use accounts::Accounts;
pub use consent::Consent;
pub use form::PostForm;
pub use icon::{Sign, icon};
pub use link::{Link, outward};
pub use problem::problem_line;
pub use qr::qr;
pub use splitter::Splitter;
pub use time::when;
