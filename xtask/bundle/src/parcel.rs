//! The folder that is shipped: files named by their content, compressed beside themselves, and nothing left from before.

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Beside what it describes: the digest of everything the folder was made from.
const STAMP: &str = ".inputs";

#[derive(Debug)]
pub struct Parcel {
    root: PathBuf,
    app: PathBuf,
    beside: Beside,
    kept: BTreeSet<PathBuf>,
}

/// What lies compressed beside each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Soon there.
    Small,
    /// As small as it goes, which takes some ten times as long.
    Smallest,
    /// For the app, which compresses what it carries.
    Nothing,
}

impl Parcel {
    pub fn open(root: &Path, beside: Beside) -> anyhow::Result<Self> {
        let app = root.join("app");
        fs::create_dir_all(&app).with_context(|| format!("making {}", app.display()))?;
        Ok(Self {
            root: root.to_owned(),
            app,
            beside,
            kept: BTreeSet::new(),
        })
    }

    /// Whether the folder was already made from these inputs.
    pub fn is_from(&self, inputs: &str) -> bool {
        fs::read_to_string(self.root.join(STAMP)).is_ok_and(|stamp| stamp == inputs)
            && self.app.join("manifest.json").is_file()
            && self.root.join("index.html").is_file()
    }

    /// Adds a file and returns its name, `stem-<hash>ending`.
    pub fn add(&mut self, stem: &str, ending: &str, content: &[u8]) -> anyhow::Result<String> {
        let hash: String = digest(&[content]).chars().take(16).collect();
        let name = format!("{stem}-{hash}{ending}");
        self.add_as(&name, content)?;
        Ok(name)
    }

    pub fn add_as(&mut self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.app.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        self.write(path.clone(), content)?;
        let quality = match self.beside {
            Beside::Nothing => return Ok(()),
            Beside::Small => 9,
            Beside::Smallest => 11,
        };
        self.write(beside(&path, "gz"), &gzip(content)?)?;
        self.write(beside(&path, "br"), &brotli(content, quality)?)
    }

    /// Where browsers look for a site's icon by themselves.
    pub fn icon(&mut self, icon: &[u8]) -> anyhow::Result<()> {
        self.write(self.root.join("favicon.ico"), icon)
    }

    pub fn index(&mut self, html: &str) -> anyhow::Result<()> {
        self.write(self.root.join("index.html"), html.as_bytes())
    }

    /// Bytes of a file as most browsers get it.
    pub fn compressed_size(&self, name: &str) -> anyhow::Result<Option<u64>> {
        if self.beside == Beside::Nothing {
            return Ok(None);
        }
        Ok(Some(fs::metadata(beside(&self.app.join(name), "br"))?.len()))
    }

    /// Takes away what earlier builds left, and only then says that the folder is whole.
    pub fn close(self, inputs: &str) -> anyhow::Result<()> {
        sweep(&self.app, &self.kept)?;
        fs::write(self.root.join(STAMP), inputs).context("noting what the page was made from")
    }

    fn write(&mut self, path: PathBuf, content: &[u8]) -> anyhow::Result<()> {
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        self.kept.insert(path);
        Ok(())
    }
}

/// SHA-256 over the parts and their lengths, in hexadecimal.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn beside(path: &Path, kind: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(kind);
    PathBuf::from(name)
}

fn gzip(content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish().context("compressing with gzip")
}

fn brotli(content: &[u8], quality: i32) -> anyhow::Result<Vec<u8>> {
    let mut compressed = Vec::new();
    // Its distances are coded as a font's, a binary whose parts are as long apart: 0.6 % less of the program.
    let settings = brotli::enc::BrotliEncoderParams {
        quality,
        mode: brotli::enc::backward_references::BrotliEncoderMode::BROTLI_MODE_FONT,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &*content, &mut compressed, &settings).context("compressing with brotli")?;
    Ok(compressed)
}

fn sweep(folder: &Path, kept: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sweep(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(&path).with_context(|| format!("taking away {}", path.display()))?;
        }
    }
    Ok(())
}
