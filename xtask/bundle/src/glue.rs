//! From the compiler's module to one a browser can start: the script that binds it, and the module made small.

use anyhow::{Context as _, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasm_bindgen_cli_support::Bindgen;

/// What Rust 1.95 and later compile to by themselves, and every browser in use has. Named one by one: with
/// `--all-features` the optimizer may write what browsers do not read yet.
const FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-call-indirect-overlong",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

#[derive(Debug)]
pub struct Glue {
    pub script: String,
    pub module: Vec<u8>,
    /// Scripts that crates brought along, by their path beside the script.
    pub snippets: Vec<(String, String)>,
}

pub fn bind(wasm: &Path, wasm_opt: Option<&Path>) -> anyhow::Result<Glue> {
    // Of this process alone: clones share the folder of builds.
    let folder = wasm.with_extension(format!("bound-{}", std::process::id()));
    let glue = bind_in(&folder, wasm, wasm_opt);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("clearing {}", folder.display()))?;
    }
    glue
}

fn bind_in(folder: &Path, wasm: &Path, wasm_opt: Option<&Path>) -> anyhow::Result<Glue> {
    Bindgen::new()
        .input_path(wasm)
        .out_name("app")
        .web(true)?
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)
        .context("binding the module (wasm-bindgen)")?;
    let bound = folder.join("app_bg.wasm");
    if let Some(program) = wasm_opt {
        optimize(program, &bound)?;
    }
    Ok(Glue {
        script: fs::read_to_string(folder.join("app.js"))?,
        module: fs::read(&bound)?,
        snippets: snippets(folder)?,
    })
}

fn optimize(program: &Path, module: &Path) -> anyhow::Result<()> {
    let status = Command::new(program)
        .args(FEATURES)
        .args(["-Oz", "-o"])
        .arg(module)
        .arg(module)
        .status()
        .with_context(|| format!("starting {}", program.display()))?;
    if !status.success() {
        bail!(
            "{} could not make the module smaller ({status})",
            program.display()
        );
    }
    Ok(())
}

fn snippets(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = vec![folder.join("snippets")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        } else if path.is_file() {
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path)?));
        }
    }
    found.sort();
    Ok(found)
}
