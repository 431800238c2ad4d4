//! The licences of what is built in: every text that the parts bring along, once, with the names of those parts.
//!
//! Which licences may be among them is not decided here but in `deny.toml`.

use super::Packer;
use super::parts::{PARTS, Part};
use crate::place::cargo_home;
use anyhow::{Context as _, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// How the names of such files begin.
const NAMES: [&str; 6] = [
    "license",
    "licence",
    "copying",
    "notice",
    "copyright",
    "unlicense",
];

/// For parts that name a licence and bring no text of it; the first that a part names. Files of the repository.
const STANDARD: [(&str, &str); 3] = [
    ("Apache-2.0", "LICENSE-APACHE"),
    ("MIT", "xtask/licences/MIT.txt"),
    ("BSD-3-Clause", "xtask/licences/BSD-3-Clause.txt"),
];

const HEAD: &str = "CompyMac is built with the work of others. These are the licences that they give it under, and who gave it.\n";

/// A crate of somebody else's.
struct Crate {
    name: String,
    version: String,
    /// As it names them (SPDX).
    licences: String,
}

pub fn texts(packer: &Packer<'_>) -> anyhow::Result<String> {
    let mut by_text: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for part in &PARTS {
        for one in crates(packer, part)? {
            for text in one.texts(&packer.place.root)? {
                let name = format!("{} {}", one.name, one.version);
                by_text.entry(text).or_default().insert(name);
            }
        }
    }
    let mut sorted: Vec<_> = by_text.into_iter().map(|(text, names)| (names, text)).collect();
    sorted.sort();
    let mut all = HEAD.to_owned();
    for (names, text) in sorted {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let _ = write!(all, "\n{}\n{names}\n\n{text}\n", "=".repeat(80));
    }
    Ok(all)
}

/// What is linked into a part; not what only builds it.
fn crates(packer: &Packer<'_>, part: &Part) -> anyhow::Result<Vec<Crate>> {
    let words = [
        "tree",
        "--locked",
        "--package",
        part.package,
        "--features",
        part.features,
        "--target",
        part.target,
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
    ];
    let said = packer
        .cargo(&words)
        .output()
        .context("asking cargo for the parts")?;
    ensure!(
        said.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&said.stderr)
    );
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    // Our own lie in a folder, which their line names.
    let foreign = text
        .lines()
        .filter(|line| !line.contains("(/") && !line.is_empty());
    foreign
        .map(|line| {
            let (package, licences) = line
                .split_once('|')
                .context("cargo tree: a line without a licence")?;
            let (name, version) = package
                .split_once(" v")
                .context("cargo tree: a line without a version")?;
            Ok(Crate {
                name: name.to_owned(),
                version: version.split(' ').next().unwrap_or(version).to_owned(),
                licences: licences.trim_end_matches(" (*)").to_owned(),
            })
        })
        .collect()
}

impl Crate {
    fn texts(&self, root: &Path) -> anyhow::Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.folder()?)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .to_lowercase();
            if path.is_file() && NAMES.iter().any(|begin| name.starts_with(begin)) {
                files.push((name, path));
            }
        }
        // Where there is a choice, it is the one that asks least.
        let is_chosen = |name: &str| !name.contains("apache");
        if self.licences.contains(" OR ") && files.iter().any(|(name, _)| name.contains("mit")) {
            files.retain(|(name, _)| is_chosen(name));
        }
        files.sort();
        let mut texts = Vec::new();
        for (_, path) in files {
            let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            texts.push(tidy(&String::from_utf8_lossy(&text)));
        }
        if texts.is_empty() {
            texts.push(self.standard(root)?);
        }
        Ok(texts)
    }

    fn standard(&self, root: &Path) -> anyhow::Result<String> {
        let found = STANDARD.iter().find(|(name, _)| self.licences.contains(name));
        let Some((_, file)) = found else {
            bail!(
                "{} {} brings no text of its licence ({})",
                self.name,
                self.version,
                self.licences
            )
        };
        let text = fs::read_to_string(root.join(file)).with_context(|| format!("reading {file}"))?;
        Ok(tidy(&text))
    }

    /// Where cargo unpacked it.
    fn folder(&self) -> anyhow::Result<PathBuf> {
        let sources = cargo_home()?.join("registry/src");
        let name = format!("{}-{}", self.name, self.version);
        for registry in fs::read_dir(&sources).with_context(|| format!("reading {}", sources.display()))? {
            let folder = registry?.path().join(&name);
            if folder.is_dir() {
                return Ok(folder);
            }
        }
        bail!("{name} is not below {}", sources.display())
    }
}

/// The same text is one text, however its lines end.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}
