//! Every crate keeps the workspace's rules: its lints, its edition, its licence.

use crate::tree::{self, Source};

fn faults(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.text.contains("[package]")) {
        let lints = source.text.split("[lints]").nth(1).unwrap_or_default();
        let own = lints.split("\n[").next().unwrap_or_default();
        if !own.lines().any(|line| line.trim() == "workspace = true") {
            faults.push(format!("{}: does not inherit the workspace's lints", source.path));
        }
        for key in ["edition", "rust-version", "license"] {
            if !source.text.contains(&format!("{key}.workspace = true")) {
                faults.push(format!("{}: has a {key} of its own", source.path));
            }
        }
    }
    faults
}

#[test]
fn every_crate_inherits_the_workspaces_rules() {
    let manifests: Vec<Source> = tree::files(&["toml"])
        .into_iter()
        .filter(|source| source.path.ends_with("Cargo.toml"))
        .collect();
    tree::assert_none("manifests", &faults(&manifests));
}

#[test]
fn a_crate_of_its_own_mind_is_seen() {
    let bad = Source::sample(
        "x/Cargo.toml",
        "[package]\nedition = \"2021\"\n[lints]\nrust = {}\n",
    );
    assert_eq!(faults(&[bad]).len(), 4);
}
