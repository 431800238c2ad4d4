//! What can go wrong with a file, as far as it is acted on.

use protocol::{Code, Problem};
use rusqlite::ErrorCode;

#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    #[error("the disk is full")]
    Full,
    #[error("the file is from a newer build")]
    Newer,
    /// The file is no database, or a damaged one.
    #[error("the file cannot be used: {0}")]
    Damaged(String),
    /// A file is sealed, and nobody has its key at the moment.
    #[error("the file is sealed, and its key is not there")]
    Locked,
    #[error("the store is closed")]
    Closed,
    #[error("a file could not be opened or moved")]
    File(#[from] std::io::Error),
    #[error("the database refused")]
    Sql(#[source] rusqlite::Error),
}

/// `SQLITE_IOERR_WRITE` and `SQLITE_IOERR_SHMSIZE`: what a full disk says where it does not say `SQLITE_FULL`.
const FULL_IN_OTHER_WORDS: [i32; 2] = [778, 4874];

impl StoreFault {
    /// Whether a file's companions may just not find room; SQLite says "cannot open" of a companion too.
    pub fn is_want_of_room(&self) -> bool {
        match self {
            Self::Full => true,
            Self::Sql(error) => error.sqlite_error_code() == Some(ErrorCode::CannotOpen),
            Self::Newer | Self::Damaged(_) | Self::Locked | Self::Closed | Self::File(_) => false,
        }
    }
}

impl From<rusqlite::Error> for StoreFault {
    fn from(error: rusqlite::Error) -> Self {
        let Some(inner) = error.sqlite_error() else {
            return Self::Sql(error);
        };
        if inner.code == ErrorCode::DiskFull || FULL_IN_OTHER_WORDS.contains(&inner.extended_code) {
            return Self::Full;
        }
        if matches!(inner.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) {
            return Self::Damaged(error.to_string());
        }
        Self::Sql(error)
    }
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Full => Self::new(Code::DiskFull),
            StoreFault::File(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Self::new(Code::DiskFull)
            }
            StoreFault::Newer => Self::new(Code::Conflict).detail(
                "What is kept on this computer was written by a newer version of the app. Please update the app; \
                 nothing is lost.",
            ),
            StoreFault::Locked => Self::new(Code::KeychainUnavailable).detail(
                "What is kept on this computer is sealed, and its key is not there at the moment. Nothing is lost. \
                 Unlock the keychain, if that has it, and start the app again.",
            ),
            StoreFault::Damaged(_) | StoreFault::Closed | StoreFault::File(_) | StoreFault::Sql(_) => {
                tracing::error!(error = ?fault, "the local store failed");
                Self::new(Code::Internal)
                    .detail("This computer could not read or save its copy. Please try again.")
            }
        }
    }
}
