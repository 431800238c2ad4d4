//! The files of the project as the rules read them: every path is relative to the root and written with `/`.

use harness::root;
use std::path::Path;

/// One file's path and text.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn sample(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The file's name without folder and ending.
    pub fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.split('.').next().unwrap_or(name)
    }
}

/// Folders that hold what was made, not what was written.
const MADE: &[&str] = &["target", "node_modules", "dist", ".git", "gen", ".sqlx"];

/// Every file with one of these endings.
pub fn files(endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root(), endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no {endings:?} under {}", root().display());
    found
}

pub fn rust() -> Vec<Source> {
    files(&["rs"])
}

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("reading {}: {error}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !MADE.contains(&name.as_str()) {
                collect(&path, endings, found);
            }
            continue;
        }
        if !endings.iter().any(|ending| name.ends_with(&format!(".{ending}"))) {
            continue;
        }
        let relative = path.strip_prefix(root()).unwrap_or(&path);
        found.push(Source {
            path: relative.to_string_lossy().replace('\\', "/"),
            text: std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("reading {}: {error}", path.display())),
        });
    }
}

/// Fails with one fault a line.
pub fn assert_none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}\n  {}", faults.join("\n  "));
}
