//! Every crate keeps the workspace's rules: its lints, its edition, its licence; every example in its documents is run; what it
//! includes is its own; and it uses only the crates below it.

use crate::tree::{self, Source};
use std::path::Path;

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

/// Reading a crate for examples takes seconds of each run. A crate that has none says so, and is held to it.
fn untried(manifests: &[Source], code: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for manifest in manifests
        .iter()
        .filter(|manifest| manifest.text.contains("doctest = false"))
    {
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        let own = code.iter().filter(|source| source.path.starts_with(folder));
        let is_example = |line: &str| {
            let line = line.trim_start();
            (line.starts_with("///") || line.starts_with("//!")) && line.contains("```")
        };
        faults.extend(
            own.filter(|source| source.text.lines().any(is_example))
                .map(|source| format!("{}: its example is never run, see {}", source.path, manifest.path)),
        );
    }
    faults
}

/// What lies outside a crate is noted by its whole path when it is compiled, and compiled anew in every clone.
fn strangers(manifests: &[Source], code: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in code {
        let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
        let own = manifests
            .iter()
            .filter_map(|manifest| manifest.path.strip_suffix("Cargo.toml"))
            .filter(|own| source.path.starts_with(own))
            .map(|own| Path::new(own).components().count())
            .max();
        let depth = folder.components().count() - own.unwrap_or_default();
        let included = ["include_str!(", "include_bytes!(", "include!("]
            .iter()
            .flat_map(|name| source.text.split(name).skip(1))
            .filter_map(|rest| rest.split('"').nth(1))
            .filter(|file| file.matches("../").count() > depth);
        faults.extend(
            included.map(|file| format!("{}: includes {file}, which is not its crate's", source.path)),
        );
    }
    faults
}

/// Which of our crates each may use, from the ground up; what only its tests use is not looked at.
const MAY_USE: &[(&str, &[&str])] = &[
    ("migrations", &[]),
    ("protocol", &[]),
    ("sync-client", &["migrations", "protocol"]),
    ("ui", &["protocol", "sync-client"]),
    ("sync-server", &["migrations", "protocol", "ui"]),
    ("src-tauri", &["protocol", "sync-client", "ui"]),
    ("tests", &["mailbox", "protocol", "sync-client"]),
    ("tests/empty", &[]),
    ("tests/mailbox", &[]),
    ("xtask", &[]),
    ("xtask/bundle", &[]),
];

fn arrows(manifests: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    let local = [
        "bundle",
        "desktop",
        "empty",
        "mailbox",
        "migrations",
        "protocol",
        "sync-client",
        "sync-server",
        "tests",
        "ui",
        "xtask",
    ];
    for manifest in manifests
        .iter()
        .filter(|manifest| manifest.text.contains("[package]"))
    {
        let folder = manifest.path.trim_end_matches("Cargo.toml").trim_end_matches('/');
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == folder) else {
            faults.push(format!("{folder}: whom may it use?"));
            continue;
        };
        let mut is_looked_at = false;
        for line in manifest.text.lines() {
            if line.starts_with('[') {
                is_looked_at = line.ends_with("dependencies]") && !line.contains("dev-");
                continue;
            }
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if is_looked_at && local.contains(&name) && !allowed.contains(&name) {
                faults.push(format!("{folder}: uses {name}"));
            }
        }
    }
    faults
}

#[test]
fn crates_use_only_what_stands_below_them() {
    // made up by a tool of its own, outside the workspace
    let own: Vec<Source> = manifests()
        .into_iter()
        .filter(|manifest| !manifest.path.starts_with("tests/fuzz"))
        .collect();
    tree::assert_none("arrows between crates", &arrows(&own));
}

#[test]
fn an_arrow_that_points_up_is_seen() {
    let up = "[package]\n[dependencies]\nsync-server.workspace = true\nserde.workspace = true\n[dev-dependencies]\nui = {}\n";
    assert_eq!(
        arrows(&[Source::sample("protocol/Cargo.toml", up)]),
        ["protocol: uses sync-server"]
    );
    assert_eq!(arrows(&[Source::sample("new/Cargo.toml", up)]).len(), 1);
}

fn manifests() -> Vec<Source> {
    tree::files(&["toml"])
        .into_iter()
        .filter(|source| source.path.ends_with("Cargo.toml"))
        .collect()
}

#[test]
fn every_example_in_the_documents_is_run() {
    tree::assert_none("examples", &untried(&manifests(), &tree::files(&["rs"])));
}

#[test]
fn an_example_that_is_never_run_is_seen() {
    let manifest = [Source::sample("x/Cargo.toml", "[lib]\ndoctest = false\n")];
    let example = |path| {
        [Source::sample(
            path,
            "    /// ```\n    /// assert!(true);\n    /// ```\n",
        )]
    };
    assert_eq!(untried(&manifest, &example("x/src/lib.rs")).len(), 1);
    assert_eq!(untried(&manifest, &example("y/src/lib.rs")).len(), 0);
}

#[test]
fn what_a_crate_includes_is_its_own() {
    tree::assert_none("includes", &strangers(&manifests(), &tree::files(&["rs"])));
}

#[test]
fn a_file_of_another_crate_is_seen() {
    let manifest = [Source::sample("x/Cargo.toml", "")];
    // in two parts, so that this file includes nothing
    let includes = |file: &str| format!("const A: &str = include_{}(\"{file}\");\n", "str!");
    let code = includes("../../y/a.sql") + &includes("../b.css");
    assert_eq!(
        strangers(&manifest, &[Source::sample("x/src/lib.rs", &code)]).len(),
        1
    );
    assert_eq!(
        strangers(&manifest, &[Source::sample("x/src/z/z.rs", &code)]).len(),
        0
    );
}

#[test]
fn every_crate_inherits_the_workspaces_rules() {
    tree::assert_none("manifests", &faults(&manifests()));
}

#[test]
fn a_crate_of_its_own_mind_is_seen() {
    let bad = Source::sample(
        "x/Cargo.toml",
        "[package]\nedition = \"2021\"\n[lints]\nrust = {}\n",
    );
    assert_eq!(faults(&[bad]).len(), 4);
}

#[test]
fn the_servers_arithmetic_is_checked_in_release_builds() {
    let root = std::fs::read_to_string(harness::root().join("Cargo.toml")).expect("the manifest");
    let profile = root.split("[profile.release.package.sync-server]").nth(1);
    let own = profile
        .and_then(|rest| rest.split("\n[").next())
        .unwrap_or_default();
    assert!(own.lines().any(|line| line == "overflow-checks = true"), "{own}");
}
