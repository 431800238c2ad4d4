//! The document around a page.
//!
//! **Invariant:** no inline script or style; what is embedded is data, and cannot end its own element.

use crate::state::keep::Theme;
use protocol::view::Boot;

#[derive(Clone, Copy, Debug)]
pub struct Shell<'a> {
    pub title: &'a str,
    /// As this browser's person chose it.
    pub theme: Theme,
    /// The inside of `<div id="app">`, as `render` or `render_notice` made it.
    pub body: &'a str,
    /// What the app begins with, and the path that it was drawn for, which a form's answer does not stand at; `None` for
    /// a page without script.
    pub boot: Option<(&'a Boot, &'a str)>,
    /// Address of the style sheet.
    pub style: &'a str,
    /// Address of the module that starts the app.
    pub script: Option<&'a str>,
    /// Address of the module that answers forms of this page: talks to the browser's passkeys, or does work.
    pub module: Option<&'a str>,
    /// The module and the program that it loads, for the browser to fetch ahead.
    pub preload: Option<(&'a str, &'a str)>,
}

pub fn shell(shell: &Shell<'_>) -> String {
    let title = escape(shell.title);
    let style = escape(shell.style);
    let theme = shell
        .theme
        .attribute()
        .map_or_else(String::new, |word| format!(" data-theme=\"{word}\""));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"{theme}>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1, interactive-widget=resizes-content\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"{style}\">\n"
    );
    if let Some((script, wasm)) = shell.preload {
        for part in [
            "<link rel=\"modulepreload\" href=\"",
            &escape(script),
            "\">\n<link rel=\"preload\" href=\"",
            &escape(wasm),
            "\" as=\"fetch\" type=\"application/wasm\" crossorigin>\n",
        ] {
            page.push_str(part);
        }
    }
    page.push_str("</head>\n<body>\n<div id=\"app\">");
    page.push_str(shell.body);
    page.push_str("</div>\n");
    if let Some((boot, path)) = shell.boot {
        page.push_str("<script type=\"application/json\" id=\"boot\" data-path=\"");
        page.push_str(&escape(path));
        page.push_str("\">");
        page.push_str(&as_data(boot));
        page.push_str("</script>\n");
    }
    for script in shell.script.iter().chain(&shell.module) {
        page.push_str("<script type=\"module\" src=\"");
        page.push_str(&escape(script));
        page.push_str("\"></script>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// JSON that is safe inside a script element: without `<` nothing ends it, and the two line ends that scripts know are written out.
fn as_data(boot: &Boot) -> String {
    // Only a map with keys that are no text fails, and there is none in it.
    let json = serde_json::to_string(boot).unwrap_or_default();
    json.replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
