//! What can go wrong in the shell, and the sentence a person gets for it.

use protocol::{Code, Problem};
use std::io;

/// What a desktop without a tray means for whoever wants one.
const NO_TRAY: &str = "This desktop shows no tray, so closing the window ends the app as before. Some desktops have one as an extension.";

/// Whoever had one may have it back; what signs them in is still in it.
const KEYCHAIN_GONE: &str = "Your keychain is not there any more, or stays locked. Start or unlock it and try again: what it kept is still in \
     it. Or choose how to keep you signed in without it.";

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Problem(#[from] Problem),
    #[error("there is no place for secrets yet")]
    NoKeychain,
    #[error("the keychain that was in use is not there any more")]
    KeychainGone,
    #[error("the keychain does not keep what it is given")]
    Forgetful,
    #[error("using the keychain: {0}")]
    Keychain(#[from] keyring::Error),
    #[error("the kept secret cannot be read; it was changed or its key is gone")]
    Unreadable,
    #[error("writing settings: {0}")]
    Settings(#[source] serde_json::Error),
    #[error("using the data folder: {0}")]
    Folder(#[source] io::Error),
    #[error("writing the file: {0}")]
    Export(#[source] io::Error),
    #[error("printing: {0}")]
    Print(String),
    #[cfg(target_os = "linux")]
    #[error("the tray: {0}")]
    Tray(#[from] zbus::Error),
    #[error("there is no tray")]
    NoTray,
    #[cfg(not(target_os = "linux"))]
    #[error("copying: {0}")]
    Clipboard(#[from] arboard::Error),
    #[cfg(not(target_os = "linux"))]
    #[error("starting with the desktop: {0}")]
    Autostart(#[from] auto_launch::Error),
    #[error("listening for the browser: {0}")]
    Door(#[source] io::Error),
    #[error("the window: {0}")]
    Window(#[from] tauri::Error),
    #[error("opening outside: {0}")]
    Opener(#[from] tauri_plugin_opener::Error),
    #[error("a background task ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    pub fn settings(error: serde_json::Error) -> Self {
        Self::Settings(error)
    }

    pub fn folder(error: io::Error) -> Self {
        Self::Folder(error)
    }
}

/// The log gets the cause, the person a sentence.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let problem = match &error {
            Error::Problem(problem) => return problem.clone(),
            Error::NoKeychain | Error::Forgetful | Error::Keychain(_) => Self::new(Code::KeychainUnavailable),
            Error::KeychainGone => Self::new(Code::KeychainUnavailable).detail(KEYCHAIN_GONE),
            Error::Unreadable => Self::new(Code::SignInRequired),
            Error::Folder(cause) | Error::Export(cause) if cause.kind() == io::ErrorKind::StorageFull => {
                Self::new(Code::DiskFull)
            }
            Error::Folder(_) => Self::new(Code::Internal).detail(
                "CompyMac cannot write to its folder on this computer. Please check its permissions.",
            ),
            Error::Export(_) => Self::new(Code::Internal)
                .detail("The file could not be written there. Please choose another folder."),
            #[cfg(not(target_os = "linux"))]
            Error::Clipboard(_) | Error::Autostart(_) => {
                Self::new(Code::Internal).detail("This computer did not allow that. Please try again.")
            }
            Error::Print(_) => Self::new(Code::Internal).detail(
                "The session could not be printed. Please export it as a web page and print that from your browser.",
            ),
            #[cfg(target_os = "linux")]
            Error::Tray(_) => Self::new(Code::Unavailable).detail(NO_TRAY),
            Error::NoTray => Self::new(Code::Unavailable).detail(NO_TRAY),
            Error::Opener(_) => Self::new(Code::Internal)
                .detail("Your browser could not be opened. Please copy the link and open it yourself."),
            Error::Settings(_) | Error::Door(_) | Error::Window(_) | Error::Task(_) => {
                Self::new(Code::Internal).detail("Something went wrong in the app. Please try again.")
            }
        };
        tracing::warn!(%error, code = %problem.code, "a command failed");
        problem
    }
}
