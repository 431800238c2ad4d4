//! One style sheet from several: tokens first, then the base, then the rest by name, so that order is never chance.

use anyhow::{Context as _, bail};
use std::fs;
use std::path::Path;

const FIRST: [&str; 2] = ["tokens.css", "base.css"];

pub fn read(folder: &Path) -> anyhow::Result<String> {
    let mut names = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("reading the styles in {}", folder.display()))?;
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|kind| kind == "css") {
            names.push(name);
        }
    }
    if names.is_empty() {
        bail!("there is no style (*.css) in {}", folder.display());
    }
    sort(&mut names);
    let mut sheet = String::new();
    for name in names {
        let text =
            fs::read_to_string(folder.join(&name)).with_context(|| format!("reading the style {name}"))?;
        sheet.push_str(text.trim_end());
        sheet.push('\n');
    }
    Ok(sheet)
}

fn sort(names: &mut [String]) {
    names.sort_by_key(|name| {
        let place = FIRST.iter().position(|first| first == name);
        (place.unwrap_or(FIRST.len()), name.clone())
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn tokens_and_base_come_first() {
        let mut names = ["base.css", "app.css", "tokens.css", "controls.css"].map(str::to_owned);
        super::sort(&mut names);
        assert_eq!(names, ["tokens.css", "base.css", "app.css", "controls.css"]);
    }
}
