//! What the program is asked to do.

use crate::parcel::Beside;
use anyhow::{Context as _, bail};
use std::path::PathBuf;

const USAGE: &str = "bundle --wasm FILE --css FOLDER --icon FILE --out FOLDER [--release-size | --plain]";

#[derive(Debug)]
pub struct Arguments {
    pub wasm: PathBuf,
    pub css: PathBuf,
    pub icon: PathBuf,
    pub out: PathBuf,
    pub beside: Beside,
}

impl Arguments {
    pub fn parse(words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (mut wasm, mut css, mut icon, mut out) = (None, None, None, None);
        let mut beside = Beside::Small;
        let mut words = words;
        while let Some(flag) = words.next() {
            let slot = match flag.as_str() {
                "--wasm" => &mut wasm,
                "--css" => &mut css,
                "--icon" => &mut icon,
                "--out" => &mut out,
                "--release-size" => {
                    beside = Beside::Smallest;
                    continue;
                }
                "--plain" => {
                    beside = Beside::Nothing;
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
            beside,
        })
    }
}
