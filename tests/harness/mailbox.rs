//! Where the letters of a test arrive: a real SMTP listener in the test's own process.

pub use ::mailbox::{Letter, Mailbox};

/// A code as letters and pages write it: `7KM2-QX9T`.
pub fn written(code: &str) -> String {
    let (first, second) = code.split_at(4);
    format!("{first}-{second}")
}

/// Path and query of a link in a letter.
pub fn path_of(link: &str) -> String {
    let link = url::Url::parse(link).unwrap_or_else(|error| panic!("{link} is no URL: {error}"));
    format!("{}?{}", link.path(), link.query().unwrap_or_default())
}
