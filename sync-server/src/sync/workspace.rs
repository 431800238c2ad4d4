//! A session's folder: `<root>/<user>/<session>`, for the service's own eyes only. Its path is made of ids, never of text.

use protocol::{SessionId, UserId};
use std::io;
use std::path::{Path, PathBuf};

pub fn path(root: &Path, user: UserId, session: SessionId) -> PathBuf {
    all_of(root, user).join(session.to_string())
}

/// Makes it, mode 0700, with what is missing above it. One that is there already is fine: the request was repeated.
pub async fn make(path: PathBuf) -> io::Result<()> {
    let made = tokio::task::spawn_blocking(move || {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    });
    made.await.map_err(io::Error::other)?
}

/// Removes it with all that is in it; one that is gone already is fine.
pub async fn remove(path: PathBuf) {
    match tokio::fs::remove_dir_all(&path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), error = %error, "a deleted session's folder stays behind");
        }
        _ => {}
    }
}

/// Where all folders of a user lie.
pub fn all_of(root: &Path, user: UserId) -> PathBuf {
    root.join(user.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[tokio::test]
    async fn a_workspace_is_for_its_owner_alone_and_may_be_made_twice() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = std::env::temp_dir().join(SessionId::fresh().to_string());
        let path = path(&root, UserId::fresh(), SessionId::fresh());
        make(path.clone()).await.unwrap();
        make(path.clone()).await.unwrap();
        for folder in [path.as_path(), path.parent().unwrap()] {
            let mode = std::fs::metadata(folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
        }
        remove(path.clone()).await;
        remove(path.clone()).await;
        assert!(!path.exists());
        std::fs::remove_dir_all(root).unwrap();
    }
}
