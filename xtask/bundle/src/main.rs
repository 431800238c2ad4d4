//! Turns the compiled page into the files a browser loads: `bundle --wasm FILE --css FOLDER --icon FILE --out FOLDER`.
//!
//! Writes `index.html` (for the desktop window), `favicon.ico` (where browsers look for one by themselves), and under `app/` the script, the module, the style and the starter,
//! each named by its content and compressed beside itself, with `manifest.json` to say their names. Beside the folder,
//! `functions.txt` says what the module's functions are called, for whoever reads a report of a fault in it.
#![expect(clippy::print_stdout, reason = "a build tool reports to the terminal")]

mod arguments;
mod glue;
mod order;
mod parcel;
mod style;

use anyhow::Context as _;
use arguments::Arguments;
use parcel::Parcel;
use std::fmt::Write as _;
use std::fs;

/// Changes with this program's own output, so that folders of an older build are made anew.
const FORMAT: &str = "6";

/// Begins the app, and tells where it broke; the names of its files are put in.
const STARTER: &str = include_str!("boot.js");

/// Talks to the browser's passkeys, on the pages that the server draws for it.
const PASSKEYS: &str = include_str!("passkeys.js");

/// Does the work before a sign-up, on the page that asks for it.
const WORK: &str = include_str!("work.js");

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let wasm = fs::read(&arguments.wasm)
        .with_context(|| format!("reading the compiled page {}", arguments.wasm.display()))?;
    let style = style::read(&arguments.css)?;
    let icon = fs::read(&arguments.icon)
        .with_context(|| format!("reading the icon {}", arguments.icon.display()))?;
    let inputs = parcel::digest(&[
        FORMAT.as_bytes(),
        STARTER.as_bytes(),
        PASSKEYS.as_bytes(),
        WORK.as_bytes(),
        &wasm,
        style.as_bytes(),
        &icon,
        &[arguments.beside as u8],
    ]);
    let mut parcel = Parcel::open(&arguments.out, arguments.beside)?;
    if parcel.is_from(&inputs) {
        println!("page: unchanged");
        return Ok(());
    }
    let glue = glue::bind(&arguments.wasm)?;
    let module = parcel.add("app", "_bg.wasm", &glue.module)?;
    let script = parcel.add("app", ".js", glue.script.as_bytes())?;
    for (path, text) in &glue.snippets {
        parcel.add_as(path, text.as_bytes())?;
    }
    let style = parcel.add("style", ".css", style.as_bytes())?;
    let starter = STARTER.replace("SCRIPT", &script).replace("MODULE", &module);
    let boot = parcel.add("boot", ".js", starter.as_bytes())?;
    let passkeys = parcel.add("passkeys", ".js", PASSKEYS.as_bytes())?;
    let work = parcel.add("work", ".js", WORK.as_bytes())?;
    parcel.add_as(
        "manifest.json",
        format!(
            "{{\n  \"script\": \"/app/{script}\",\n  \"wasm\": \"/app/{module}\",\n  \"style\": \"/app/{style}\",\n  \"boot\": \"/app/{boot}\",\n  \"passkeys\": \"/app/{passkeys}\",\n  \"work\": \"/app/{work}\"\n}}\n"
        )
        .as_bytes(),
    )?;
    parcel.icon(&icon)?;
    parcel.index(&index(&style, &boot, &script))?;
    let size = parcel.compressed_size(&module)?;
    let functions = arguments.out.with_extension("functions.txt");
    fs::write(&functions, listed(&glue.names)).with_context(|| format!("writing {}", functions.display()))?;
    parcel.close(&inputs)?;
    let compressed = size.map_or_else(String::new, |size| format!(", {} KiB compressed", size / 1024));
    println!(
        "page: {} KiB of WebAssembly{compressed}",
        glue.module.len() / 1024
    );
    Ok(())
}

/// A line for each: its number, its name.
fn listed(names: &[(u32, String)]) -> String {
    names.iter().fold(String::new(), |mut text, (function, name)| {
        let _ = writeln!(text, "{function} {name}");
        text
    })
}

/// The desktop window's page: empty until the app has drawn itself.
fn index(style: &str, boot: &str, script: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>CompyMac</title>\n\
         <link rel=\"stylesheet\" href=\"/app/{style}\">\n\
         <link rel=\"modulepreload\" href=\"/app/{script}\">\n\
         <script type=\"module\" src=\"/app/{boot}\"></script>\n</head>\n<body></body>\n</html>\n"
    )
}
