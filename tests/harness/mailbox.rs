//! Where the letters of a test arrive: a real SMTP listener in the test's own process.

pub use ::mailbox::{Letter, Mailbox};
