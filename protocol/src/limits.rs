//! The bounds that both ends keep, each with its reason.

/// A message's text, in bytes of UTF-8. A long pasted log fits; a book does not.
pub const MESSAGE_BYTES: usize = 256 * 1024;
/// A title, in characters: what a list can show twice over.
pub const TITLE_CHARS: usize = 255;
/// An e-mail address, in bytes (RFC 5321 §4.5.3.1.3 allows a path of 256 with its brackets).
pub const EMAIL_BYTES: usize = 254;
/// A password's characters: the floor stops guessing, the ceiling bounds the hash's input.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 12..=256;
/// A person's display name, in characters.
pub const NAME_CHARS: usize = 255;
/// Passkeys of one user: one for each computer, phone and key that somebody carries.
pub const PASSKEYS: usize = 10;
/// What its owner calls a passkey, in characters.
pub const PASSKEY_NAME_CHARS: usize = 64;
/// Mutations in one batch, and its bytes: one round trip that still fits a slow link.
pub const BATCH_OPS: usize = 50;
/// Bytes of one batch's request body. One message of full size, escaped at its worst, fits.
pub const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Any other request body.
pub const BODY_BYTES: usize = 64 * 1024;
/// Changes in one sync page.
pub const SYNC_PAGE: usize = 500;
/// Behind by more than this, a fresh start is cheaper than catching up.
pub const SYNC_TOO_FAR: i64 = 20_000;
/// Sessions in one list page.
pub const SESSION_PAGE: usize = 200;
/// Messages that one check of a cache may be about, all its sessions together: what is read of them fits in a few megabytes.
pub const VERIFY_MESSAGES: i64 = 20_000;
/// Messages in one history page.
pub const MESSAGE_PAGE: usize = 100;
/// Messages in one answer about many sessions: about a megabyte of ordinary talk, which a slow link bears.
pub const HISTORIES_MESSAGES: usize = 2_000;
/// One frame from a client, in bytes.
pub const FRAME_BYTES: usize = 256 * 1024;
/// One frame from a client of the small protocol, in bytes: one message of full size, escaped at its worst, fits, and a
/// message that is somewhat too long is refused in words.
pub const SESSION_FRAME_BYTES: usize = 2 * 1024 * 1024;
/// The small protocol's history, in bytes of JSON; the newest message comes even where it is longer alone.
pub const HISTORY_BYTES: usize = 1024 * 1024;
/// The first frame, before a browser's socket has proved who it is, or the header in its place, in bytes.
pub const HELLO_BYTES: usize = 4 * 1024;
/// A change page pushed over a socket instead of pulled, in bytes.
pub const PUSH_BYTES: usize = 16 * 1024;
/// A frame of more bytes goes packed to a client that takes such; less would gain little.
pub const PACK_BYTES: usize = 1024;
/// Frames a second from one client.
pub const FRAMES_PER_SECOND: u32 = 50;
/// Runs one socket may watch.
pub const ATTACHED_RUNS: usize = 64;
/// Runs that one device may watch by server-sent events: browsers hold six connections to a host, and some must be left.
pub const STREAMED_RUNS: usize = 4;
/// A link handed to the desktop app, in bytes; one that brings a prompt may be as long as that makes it.
pub const DEEP_LINK_BYTES: usize = 2 * 1024;
/// A prompt that a link brings, in characters: what somebody can read through before they send it.
pub const LINKED_PROMPT_CHARS: usize = 5000;
