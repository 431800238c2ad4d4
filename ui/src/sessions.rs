//! The room where sessions are: the list beside, the conversation in the middle, the composer below.

pub mod acts;
pub mod composer;
pub mod connection;
pub mod conversation;
pub mod find;
pub mod frame;
pub mod header;
pub mod home;
pub mod list;
pub mod markdown;
pub mod message;
mod mounted;
pub mod row;
pub mod scroll;
pub mod search;
