//! What the program is asked to do.

use anyhow::{Context as _, bail};
use std::path::PathBuf;

const USAGE: &str = "bundle --wasm FILE --css FOLDER --icon FILE --out FOLDER [--release-size]";

#[derive(Debug)]
pub struct Arguments {
    pub wasm: PathBuf,
    pub css: PathBuf,
    pub icon: PathBuf,
    pub out: PathBuf,
    /// Compresses as hard as it goes, which takes seconds more.
    pub is_release_size: bool,
}

impl Arguments {
    pub fn parse(words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (mut wasm, mut css, mut icon, mut out) = (None, None, None, None);
        let mut is_release_size = false;
        let mut words = words;
        while let Some(flag) = words.next() {
            let slot = match flag.as_str() {
                "--wasm" => &mut wasm,
                "--css" => &mut css,
                "--icon" => &mut icon,
                "--out" => &mut out,
                "--release-size" => {
                    is_release_size = true;
                    continue;
                }
                other => bail!("{other} is not known here\n{USAGE}"),
            };
            *slot = Some(PathBuf::from(
                words
                    .next()
                    .with_context(|| format!("{flag} needs a path\n{USAGE}"))?,
            ));
        }
        Ok(Self {
            wasm: wasm.context(USAGE)?,
            css: css.context(USAGE)?,
            icon: icon.context(USAGE)?,
            out: out.context(USAGE)?,
            is_release_size,
        })
    }
}
