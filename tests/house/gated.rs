//! No claim lies where the suite does not build: a module behind a feature that it builds nothing with holds no test.

use crate::tree::{self, Source};

/// Features that only a page or a package is built with.
const NEVER: &[&str] = &["hydration"];

/// The modules that a file declares behind one of these, as the beginnings of their files' paths.
fn gated(source: &Source) -> Vec<String> {
    let path = source.path.strip_suffix("/lib.rs");
    let folder = path.unwrap_or_else(|| source.path.trim_end_matches(".rs"));
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let modules = lines.windows(2).filter_map(|pair| {
        let [gate, module] = pair else { return None };
        let is_gated = NEVER
            .iter()
            .any(|feature| *gate == format!("#[cfg(feature = \"{feature}\")]"));
        let name = module
            .trim_start_matches("pub ")
            .strip_prefix("mod ")?
            .strip_suffix(';')?;
        is_gated.then(|| format!("{folder}/{name}"))
    });
    modules.collect()
}

fn faults(sources: &[Source]) -> Vec<String> {
    let gated: Vec<String> = sources.iter().flat_map(gated).collect();
    let is_in = |path: &str, module: &String| {
        path.strip_prefix(module.as_str())
            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    sources
        .iter()
        .filter(|source| gated.iter().any(|module| is_in(&source.path, module)))
        .filter(|source| source.text.contains("#[test]") || source.text.contains("#[tokio::test"))
        .map(|source| format!("{}: its tests are in no build of the suite", source.path))
        .collect()
}

#[test]
fn every_test_is_in_a_build_of_the_suite() {
    let sources = tree::rust();
    assert!(
        sources.iter().any(|source| !gated(source).is_empty()),
        "some module is behind a feature"
    );
    tree::assert_none("tests that never run", &faults(&sources));
}

#[test]
fn a_test_that_never_runs_is_seen() {
    let room = Source::sample(
        "ui/src/backend.rs",
        "#[cfg(feature = \"hydration\")]\npub mod web;\nmod pure;",
    );
    let inside = Source::sample("ui/src/backend/web/kept.rs", "#[test]\nfn a() {}");
    let beside = Source::sample("ui/src/backend/pure.rs", "#[test]\nfn a() {}");
    assert_eq!(faults(&[room, inside, beside]).len(), 1);
}
