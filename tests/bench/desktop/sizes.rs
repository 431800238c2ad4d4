//! How large it is to fetch and to keep.

use super::figures::Figure;
use anyhow::Context as _;
use harness::{root, ui_dist};
use std::fs;
use std::path::{Path, PathBuf};

/// In MiB.
const PROGRAM: f64 = 15.0;
const PACKAGE: f64 = 10.0;
/// 400 KiB.
const MODULE: f64 = 400.0 / 1024.0;

pub fn measure() -> anyhow::Result<Vec<Figure>> {
    let programs = PathBuf::from(crate::stage::setting("COMPYMAC_BIN_DIR")?);
    let program = Figure::bytes("the program, stripped", size(&programs.join("desktop"))?);
    let empty = Figure::bytes("", size(&programs.join("empty"))?);
    let module = only(&ui_dist().join("app"), ".wasm.br").context("the page is not built")?;
    let mut figures = vec![
        program.beside(empty.ours).at_most(PROGRAM),
        Figure::bytes("its WebAssembly, compressed", size(&module)?).at_most(MODULE),
    ];
    // Where one was packed.
    if let Some(package) = only(&root().join("dist"), ".deb") {
        figures.push(Figure::bytes("its package for Debian", size(&package)?).at_most(PACKAGE));
    }
    Ok(figures)
}

fn size(file: &Path) -> anyhow::Result<u64> {
    let about = fs::metadata(file).with_context(|| format!("looking at {}", file.display()))?;
    Ok(about.len())
}

fn only(folder: &Path, ending: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(ending))
}
