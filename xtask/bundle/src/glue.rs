//! From the compiler's module to one a browser can start, and the script that binds it.

use crate::order;
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};
use wasm_bindgen_cli_support::Bindgen;

#[derive(Debug)]
pub struct Glue {
    pub script: String,
    pub module: Vec<u8>,
    /// What the module's functions are called, by their numbers.
    pub names: Vec<(u32, String)>,
    /// Scripts that crates brought along, by their path beside the script.
    pub snippets: Vec<(String, String)>,
}

// What the compiler made is put in order and otherwise left: Binaryen's -Oz takes a seventh off its bytes, and what it leaves
// compresses so much worse that browsers would load 6 % more.
pub fn bind(wasm: &Path) -> anyhow::Result<Glue> {
    // Of this process alone: clones share the folder of builds.
    let folder = wasm.with_extension(format!("bound-{}", std::process::id()));
    let glue = bind_in(&folder, wasm);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("clearing {}", folder.display()))?;
    }
    glue
}

fn bind_in(folder: &Path, wasm: &Path) -> anyhow::Result<Glue> {
    Bindgen::new()
        .input_path(wasm)
        .out_name("app")
        .web(true)?
        .remove_producers_section(true)
        .generate(folder)
        .context("binding the module (wasm-bindgen)")?;
    let settled = order::settle(&fs::read(folder.join("app_bg.wasm"))?)?;
    Ok(Glue {
        script: fs::read_to_string(folder.join("app.js"))?,
        module: settled.module,
        names: settled.names,
        snippets: snippets(folder)?,
    })
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
