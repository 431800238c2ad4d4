//! An archive being written: a zip on disk, by a thread of its own, a few pieces in memory at most.

use anyhow::{Context as _, bail};
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Pieces that wait for the disk. A page of messages is one.
const WAITING: usize = 4;

enum Piece {
    /// What follows is this file's.
    File(String),
    Text(Vec<u8>),
    /// A file from under a folder, and from nowhere else.
    Copy {
        name: String,
        root: PathBuf,
        path: PathBuf,
    },
}

#[derive(Debug)]
pub struct Archive {
    pieces: mpsc::Sender<Piece>,
    writing: JoinHandle<anyhow::Result<u64>>,
}

impl Archive {
    pub fn begin(path: PathBuf) -> Self {
        let (pieces, waiting) = mpsc::channel(WAITING);
        let writing = tokio::task::spawn_blocking(move || write(&path, waiting));
        Self { pieces, writing }
    }

    pub async fn file(&self, name: impl Into<String>) -> anyhow::Result<()> {
        self.put(Piece::File(name.into())).await
    }

    pub async fn text(&self, text: impl Into<Vec<u8>>) -> anyhow::Result<()> {
        self.put(Piece::Text(text.into())).await
    }

    /// One that is gone, or is no plain file under `root`, is left out.
    pub async fn copy(&self, name: String, root: PathBuf, path: PathBuf) -> anyhow::Result<()> {
        self.put(Piece::Copy { name, root, path }).await
    }

    async fn put(&self, piece: Piece) -> anyhow::Result<()> {
        // why the thread has ended is told by `finish`
        self.pieces.send(piece).await.ok().context("the archive is shut")
    }

    /// Bytes of the whole, once it is on disk.
    pub async fn finish(self) -> anyhow::Result<u64> {
        drop(self.pieces);
        self.writing.await.context("writing an archive")?
    }
}

fn write(path: &Path, mut waiting: mpsc::Receiver<Piece>) -> anyhow::Result<u64> {
    let mut zip = ZipWriter::new(BufWriter::new(create(path)?));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        // nobody knows beforehand how much a session holds
        .large_file(true);
    while let Some(piece) = waiting.blocking_recv() {
        match piece {
            Piece::File(name) => zip.start_file(name, options).context("beginning a file")?,
            Piece::Text(text) => zip.write_all(&text).context("writing an archive")?,
            Piece::Copy { name, root, path } => {
                if let Some(file) = open_inside(&root, &path) {
                    zip.start_file(name, options).context("beginning a file")?;
                    copy(file, &mut zip)?;
                }
            }
        }
    }
    let file = zip.finish().context("ending an archive")?;
    let file = file.into_inner().context("writing an archive")?;
    file.sync_all().context("writing an archive")?;
    Ok(file.metadata().context("measuring an archive")?.len())
}

fn create(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .with_context(|| format!("making {}", path.display()))
}

fn copy(mut file: File, zip: &mut impl std::io::Write) -> anyhow::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        // one that cannot be read to its end is kept as far as it goes
        let count = file.read(&mut bytes).unwrap_or(0);
        let Some(read) = bytes.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(());
        };
        if zip.write_all(read).is_err() {
            bail!("writing an archive");
        }
    }
}

/// A workspace belongs to an agent, which may put links into it, and change them while we look. So the file is opened
/// first, and then has to be the very one that lies under the root.
fn open_inside(root: &Path, path: &Path) -> Option<File> {
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path).ok()?;
    let (root, found) = (root.canonicalize().ok()?, path.canonicalize().ok()?);
    let (opened, lies) = (file.metadata().ok()?, found.symlink_metadata().ok()?);
    (opened.is_file() && found.starts_with(&root) && is_same(&opened, &lies)).then_some(file)
}

#[cfg(unix)]
fn is_same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    one.len() == other.len() && one.created().ok() == other.created().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(uuid::Uuid::now_v7().to_string());
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[tokio::test]
    async fn what_is_put_in_reads_back() {
        let folder = folder();
        let path = folder.join("a.zip");
        std::fs::write(folder.join("notes.txt"), "kept").unwrap();
        let archive = Archive::begin(path.clone());
        archive.file("one/text.md").await.unwrap();
        for piece in ["Some ", "text"] {
            archive.text(piece).await.unwrap();
        }
        archive
            .copy(
                "one/notes.txt".to_owned(),
                folder.clone(),
                folder.join("notes.txt"),
            )
            .await
            .unwrap();
        let bytes = archive.finish().await.unwrap();
        assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
        let mut zip = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        for (name, wanted) in [("one/text.md", "Some text"), ("one/notes.txt", "kept")] {
            let mut text = String::new();
            zip.by_name(name).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, wanted);
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_out_of_the_folder_is_not_followed() {
        let (folder, outside) = (folder(), folder());
        std::fs::write(outside.join("secret"), "s").unwrap();
        std::fs::write(folder.join("own"), "o").unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), folder.join("link")).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("dir")).unwrap();
        assert!(open_inside(&folder, &folder.join("own")).is_some());
        assert!(open_inside(&folder, &folder.join("link")).is_none());
        assert!(open_inside(&folder, &folder.join("dir/secret")).is_none());
        for made in [folder, outside] {
            std::fs::remove_dir_all(made).unwrap();
        }
    }
}
