//! The archives' files: which is whose, and which nobody wants any more.

use super::{Rights, exports};
use crate::error::Result;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Each try writes a file of its own, so that a worker that comes back late spoils nothing.
pub fn path(folder: &Path, id: Uuid, attempt: i16) -> PathBuf {
    folder.join(format!("{id}-{attempt}.zip"))
}

fn read(name: &str) -> Option<(Uuid, i16)> {
    let (id, attempt) = name.strip_suffix(".zip")?.rsplit_once('-')?;
    Some((Uuid::parse_str(id).ok()?, attempt.parse().ok()?))
}

/// Makes the folder, for the service's own eyes only.
pub async fn make_folder(folder: PathBuf) -> io::Result<()> {
    let made = tokio::task::spawn_blocking(move || {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)
    });
    made.await.map_err(io::Error::other)?
}

/// Removes every file that no row speaks of: those whose day is over, of tries that ended, and of people who are gone.
pub async fn sweep(rights: &Rights) -> Result<()> {
    exports::purge(&rights.pool).await?;
    let folder = rights.folder();
    let mut entries = match tokio::fs::read_dir(&folder).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(anyhow::Error::new)?,
    };
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(anyhow::Error::new)? {
        found.extend(entry.file_name().to_str().and_then(read));
    }
    let ids: Vec<Uuid> = found.iter().map(|(id, _)| *id).collect();
    let wanted = exports::wanted(&rights.pool, &ids).await?;
    for (id, attempt) in found {
        if !wanted.contains(&(id, attempt)) {
            remove(&path(&folder, id, attempt)).await;
        }
    }
    Ok(())
}

/// One that is gone already is fine.
pub async fn remove(path: &Path) {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), error = %error, "an archive stays behind");
        }
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_whose_it_is_and_others_say_nothing() {
        let id = Uuid::now_v7();
        let path = path(Path::new("f"), id, 3);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap();
        assert_eq!(read(name), Some((id, 3)));
        for other in ["", ".zip", "notes.txt", "x-1.zip", &format!("{id}.zip")] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
