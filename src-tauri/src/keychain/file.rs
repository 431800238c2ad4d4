//! Secrets in files of our own, for computers without a keychain: sealed with a key that lies beside them. This keeps
//! them out of careless searches and backups of single files; whoever reads the whole folder reads them.
//!
//! **Invariant:** every file is the owner's alone from the moment it exists.

use crate::error::{Error, Result};
use crate::folder::{read_if_there, write_private};
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use std::io::ErrorKind;
use std::path::Path;

/// XChaCha20's nonce: long enough to be drawn by chance.
const NONCE: usize = 24;

pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(sealed) = read_if_there(path)? else {
        return Ok(None);
    };
    let Some(key) = read_if_there(&path.with_file_name("key"))? else {
        return Ok(None);
    };
    let key = <[u8; 32]>::try_from(key).map_err(|_other_length| Error::Unreadable)?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(Error::Unreadable)?;
    XChaCha20Poly1305::new(&Key::from(key))
        .decrypt(&XNonce::from(*nonce), sealed)
        .map(Some)
        .map_err(|_unauthentic| Error::Unreadable)
}

pub fn write(path: &Path, secret: &[u8]) -> Result<()> {
    let key = key(&path.with_file_name("key"))?;
    let nonce: [u8; NONCE] = rand::random();
    let mut sealed = nonce.to_vec();
    let body = XChaCha20Poly1305::new(&Key::from(key))
        .encrypt(&XNonce::from(nonce), secret)
        .map_err(|_too_long| Error::Unreadable)?;
    sealed.extend(body);
    write_private(path, &sealed)
}

pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::folder(error)),
        _ => Ok(()),
    }
}

fn key(path: &Path) -> Result<[u8; 32]> {
    if let Some(key) = read_if_there(path)? {
        return key.try_into().map_err(|_other_length| Error::Unreadable);
    }
    let key: [u8; 32] = rand::random();
    write_private(path, &key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_back_and_is_not_in_the_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("secrets").join("tokens");
        write(&path, b"a very secret secret").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"a very secret secret");
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"secret"));
    }

    #[test]
    fn a_changed_file_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("tokens");
        write(&path, b"secret").unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(read(&path), Err(Error::Unreadable)));
    }

    #[cfg(unix)]
    #[test]
    fn folder_and_files_are_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("secrets");
        write(&folder.join("tokens"), b"secret").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(
            (mode(&folder.join("tokens")), mode(&folder.join("key"))),
            (0o600, 0o600)
        );
    }
}
