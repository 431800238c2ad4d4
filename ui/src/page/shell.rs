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
        page.push_str(&beside(boot, path));
    }
    for script in shell.script.iter().chain(&shell.module) {
        page.push_str("<script type=\"module\" src=\"");
        page.push_str(&escape(script));
        page.push_str("\"></script>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// The desktop's document, which came empty, with the app's first paint in it. Nothing can be done in it until the app is awake,
/// since there is no server behind its forms; but all stands where it will stand. `None`: the document is another one.
pub fn filled(document: &str, title: &str, body: &str, boot: &Boot, path: &str) -> Option<String> {
    let (head, rest) = document.split_once("<body>")?;
    let (_nothing, foot) = rest.split_once("</body>")?;
    let (before, rest) = head.split_once("<title>")?;
    let (_general, after) = rest.split_once("</title>")?;
    let (title, boot) = (escape(title), beside(boot, path));
    Some(format!(
        "{before}<title>{title}</title>{after}<body>\n<div id=\"app\" class=\"in-window\" inert>{body}</div>\n{boot}</body>{foot}"
    ))
}

/// What the app begins with, as data beside what was drawn from it.
fn beside(boot: &Boot, path: &str) -> String {
    format!(
        "<script type=\"application/json\" id=\"boot\" data-path=\"{}\">{}</script>\n",
        escape(path),
        as_data(boot)
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::view::{Body, Connection, Typed};

    fn boot() -> Boot {
        Boot {
            body: Body::Desktop,
            csrf: String::new(),
            providers: Vec::new(),
            me: None,
            list: Vec::new(),
            open: None,
            devices: Vec::new(),
            problem: None,
            typed: Typed::default(),
            server: "https://a.org/</script><b>".to_owned(),
            version: String::new(),
            connection: Connection::Connecting,
            now: 0,
        }
    }

    #[test]
    fn a_document_that_came_empty_gets_its_first_paint() {
        let empty = "<html><head><title>CompyMac</title><script src=\"/a.js\"></script></head>\n<body>\n\n</body></html>";
        let page = filled(empty, "A < B", "<p>Hello</p>", &boot(), "/s/1").unwrap();
        let expected = "<html><head><title>A &lt; B</title><script src=\"/a.js\"></script></head>\n<body>\n\
                        <div id=\"app\" class=\"in-window\" inert><p>Hello</p></div>\n<script type=\"application/json\" id=\"boot\" data-path=\"/s/1\">";
        assert!(page.starts_with(expected), "{page}");
        assert!(page.ends_with("</script>\n</body></html>"), "{page}");
        assert_eq!(
            page.matches("</script>").count(),
            2,
            "nothing in the data ends its element: {page}"
        );
    }

    #[test]
    fn another_document_is_left_as_it_is() {
        for other in ["", "<html></html>", "<body></body>", "<title>x</title>"] {
            assert_eq!(filled(other, "", "", &boot(), "/"), None, "{other}");
        }
    }
}
