//! The device's credential in a file: what a keychain is to the app. Written whole or not at all.

use protocol::{Code, Problem};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use sync_client::credentials::{Credential, CredentialStore};

#[derive(Debug)]
pub struct InFile(PathBuf);

impl InFile {
    pub fn beside(folder: &Path) -> Self {
        Self(folder.with_extension("credential"))
    }

    fn write(&self, credential: &Credential) -> io::Result<()> {
        let coming = self.0.with_extension("coming");
        let mut file = File::create(&coming)?;
        file.write_all(&serde_json::to_vec(credential)?)?;
        file.sync_all()?;
        fs::rename(coming, &self.0)
    }
}

fn unavailable(_error: io::Error) -> Problem {
    Problem::new(Code::KeychainUnavailable)
}

impl CredentialStore for InFile {
    fn load(&self) -> Result<Option<Credential>, Problem> {
        match fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| unavailable(error.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn save(&self, credential: &Credential) -> Result<(), Problem> {
        self.write(credential).map_err(unavailable)
    }

    fn clear(&self) -> Result<(), Problem> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(unavailable(error)),
            _ => Ok(()),
        }
    }
}
