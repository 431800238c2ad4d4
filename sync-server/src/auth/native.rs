//! The native app's way in and its tokens: a small OAuth 2.1 authorization server with one public client.

pub(super) mod access;
pub(super) mod authorize;
pub(super) mod grants;
mod oauth_codes;
pub(super) mod refresh;

pub use oauth_codes::{purge as purge_codes, void_all as void_codes};
