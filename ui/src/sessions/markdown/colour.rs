//! Colours for code: one scanner over a table of what the languages write differently. It knows words, not grammars, and
//! leaves plain what it does not know.
//!
//! **Invariant:** the pieces joined are the text, whatever the text is.

use std::ops::Range;

/// Longer blocks stay plain: each piece is a node of the page.
const MOST_BYTES: usize = 64 * 1024;

/// A piece of the text and the class that colours it.
pub type Piece<'a> = (&'a str, Option<&'static str>);

struct Language {
    names: &'static [&'static str],
    line_notes: &'static [&'static str],
    block_note: Option<(&'static str, &'static str)>,
    quotes: &'static [char],
    keys: &'static str,
    /// Words in upper and lower case are the same.
    is_loud: bool,
}

const C_NOTES: Option<(&str, &str)> = Some(("/*", "*/"));

const LANGUAGES: &[Language] = &[
    Language {
        names: &["rust", "rs"],
        line_notes: &["//"],
        block_note: C_NOTES,
        quotes: &['"'],
        keys: "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod \
               move mut pub ref return self Self static struct super trait true type unsafe use where while",
        is_loud: false,
    },
    Language {
        names: &["js", "javascript", "jsx", "ts", "typescript", "tsx"],
        line_notes: &["//"],
        block_note: C_NOTES,
        quotes: &['"', '\'', '`'],
        keys: "as async await break case catch class const continue default delete do else enum export extends false \
               finally for from function if implements import in instanceof interface let new null of return static \
               super switch this throw true try type typeof undefined var void while yield",
        is_loud: false,
    },
    Language {
        names: &["py", "python"],
        line_notes: &["#"],
        block_note: None,
        quotes: &['"', '\''],
        keys: "and as assert async await break class continue def del elif else except False finally for from global if \
               import in is lambda None nonlocal not or pass raise return self True try while with yield",
        is_loud: false,
    },
    Language {
        names: &["go", "golang"],
        line_notes: &["//"],
        block_note: C_NOTES,
        quotes: &['"', '\'', '`'],
        keys: "break case chan const continue default defer else fallthrough false for func go goto if import interface \
               map nil package range return select struct switch true type var",
        is_loud: false,
    },
    Language {
        names: &[
            "c", "h", "cpp", "c++", "hpp", "java", "kotlin", "swift", "cs", "csharp",
        ],
        line_notes: &["//"],
        block_note: C_NOTES,
        quotes: &['"', '\''],
        keys: "abstract auto bool boolean break case catch char class const continue default delete do double else enum \
               extends extern false final float for fun func if implements import in inline int interface let long \
               namespace new null nullptr override package private protected public return short signed sizeof static \
               struct super switch template this throw true try typedef union unsigned using val var virtual void \
               volatile while",
        is_loud: false,
    },
    Language {
        names: &["sh", "bash", "shell", "zsh", "console"],
        line_notes: &["#"],
        block_note: None,
        quotes: &['"', '\''],
        keys: "case do done elif else esac export fi for function if in local return set then until while",
        is_loud: false,
    },
    Language {
        names: &["json", "yaml", "yml", "toml", "ini"],
        line_notes: &["#"],
        block_note: None,
        quotes: &['"', '\''],
        keys: "true false null",
        is_loud: false,
    },
    Language {
        names: &["sql"],
        line_notes: &["--"],
        block_note: C_NOTES,
        quotes: &['\''],
        keys: "add all alter and as asc begin between by case check commit constraint create cross default delete desc \
               distinct drop else end exists false foreign from full group having if in index inner insert into is join \
               key left like limit not null offset on or order outer primary references returning right rollback select \
               set table then true union unique update using values view when where with",
        is_loud: true,
    },
    Language {
        names: &["css"],
        line_notes: &[],
        block_note: C_NOTES,
        quotes: &['"', '\''],
        keys: "important media supports import from to",
        is_loud: false,
    },
    Language {
        names: &["html", "xml", "svg"],
        line_notes: &[],
        block_note: Some(("<!--", "-->")),
        quotes: &['"'],
        keys: "",
        is_loud: false,
    },
];

/// The text in pieces, as this language writes.
pub fn pieces<'a>(text: &'a str, language: &str) -> Vec<Piece<'a>> {
    let language = language.to_ascii_lowercase();
    if text.len() > MOST_BYTES {
        return vec![(text, None)];
    }
    if matches!(language.as_str(), "diff" | "patch") {
        return lines_of_a_diff(text);
    }
    let known = LANGUAGES
        .iter()
        .find(|known| known.names.contains(&language.as_str()));
    known.map_or_else(|| vec![(text, None)], |known| scan(text, known))
}

fn lines_of_a_diff(text: &str) -> Vec<Piece<'_>> {
    let class = |line: &str| match line.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Some("code-note"),
        [b'+', ..] => Some("code-add"),
        [b'-', ..] => Some("code-del"),
        [b'@', b'@', ..] => Some("code-call"),
        _ => None,
    };
    let mut pieces = Vec::new();
    for line in text.split_inclusive('\n') {
        // the line's end stands outside, or a coloured line would be two lines high
        let (line, end) = line.split_at(line.trim_end_matches('\n').len());
        pieces.push((line, class(line)));
        if !end.is_empty() {
            pieces.push((end, None));
        }
    }
    pieces
}

fn scan<'a>(text: &'a str, language: &Language) -> Vec<Piece<'a>> {
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    let (mut plain_from, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (length, class) = next(rest, language);
        if class.is_some() {
            push(&mut pieces, text, plain_from..at, None);
            push(&mut pieces, text, at..at + length, class);
            plain_from = at + length;
        }
        at += length;
    }
    push(&mut pieces, text, plain_from..text.len(), None);
    pieces
}

fn push<'a>(pieces: &mut Vec<Piece<'a>>, text: &'a str, range: Range<usize>, class: Option<&'static str>) {
    if let Some(piece) = text.get(range).filter(|piece| !piece.is_empty()) {
        pieces.push((piece, class));
    }
}

/// The next thing in the text: how many bytes it has, never none, and its colour.
fn next(rest: &str, language: &Language) -> (usize, Option<&'static str>) {
    if language.line_notes.iter().any(|note| rest.starts_with(note)) {
        return (rest.find('\n').unwrap_or(rest.len()), Some("code-note"));
    }
    if let Some((open, close)) = language.block_note
        && let Some(inner) = rest.strip_prefix(open)
    {
        let length = inner
            .find(close)
            .map_or(rest.len(), |at| open.len() + at + close.len());
        return (length, Some("code-note"));
    }
    let first = rest.chars().next().unwrap_or_default();
    if language.quotes.contains(&first) {
        return (quoted(rest, first), Some("code-text"));
    }
    if first.is_ascii_digit() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        return (run(rest, is_part), Some("code-number"));
    }
    if first.is_alphabetic() || first == '_' {
        let length = run(rest, |c| c.is_alphanumeric() || c == '_');
        let (word, after) = rest.split_at(length);
        return (length, colour_of(word, after, language));
    }
    (first.len_utf8(), None)
}

/// To the closing quote, or to the line's end where none comes. A backtick's text goes on over lines.
fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '\n' if quote != '`' => return at,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

fn run(rest: &str, is_part: impl Fn(char) -> bool) -> usize {
    rest.find(|c| !is_part(c)).unwrap_or(rest.len())
}

fn colour_of(word: &str, after: &str, language: &Language) -> Option<&'static str> {
    let is_key = |key: &str| key == word || (language.is_loud && key.eq_ignore_ascii_case(word));
    if language.keys.split_ascii_whitespace().any(is_key) {
        return Some("code-key");
    }
    if language.is_loud {
        return None;
    }
    if after.starts_with('(') || after.starts_with("!(") {
        return Some("code-call");
    }
    let mut letters = word.chars();
    let is_type = letters.next().is_some_and(char::is_uppercase) && letters.any(char::is_lowercase);
    is_type.then_some("code-type")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coloured<'a>(text: &'a str, language: &str) -> Vec<(&'a str, &'static str)> {
        let pieces = pieces(text, language).into_iter();
        pieces.filter_map(|(text, class)| Some((text, class?))).collect()
    }

    #[test]
    fn a_line_of_rust_has_its_colours() {
        assert_eq!(
            coloured("let n: Vec<u8> = read(\"a\\\"b\", 0x1f); // why", "rust"),
            [
                ("let", "code-key"),
                ("Vec", "code-type"),
                ("read", "code-call"),
                ("\"a\\\"b\"", "code-text"),
                ("0x1f", "code-number"),
                ("// why", "code-note"),
            ]
        );
    }

    #[test]
    fn a_lifetime_is_no_text_and_an_open_quote_ends_with_its_line() {
        assert_eq!(coloured("<'a>", "rust"), []);
        assert_eq!(
            coloured("x = 'open\ny = 1", "python"),
            [("'open", "code-text"), ("1", "code-number")]
        );
    }

    #[test]
    fn sql_is_known_in_either_case_and_an_unknown_language_stays_plain() {
        assert_eq!(
            coloured("SELECT 1 from t -- x", "sql"),
            [
                ("SELECT", "code-key"),
                ("1", "code-number"),
                ("from", "code-key"),
                ("-- x", "code-note")
            ]
        );
        assert_eq!(coloured("let x = 1", "klingon"), []);
    }

    #[test]
    fn a_diff_is_coloured_by_line() {
        assert_eq!(
            coloured("--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n same\n", "diff"),
            [
                ("--- a", "code-note"),
                ("+++ b", "code-note"),
                ("@@ -1 +1 @@", "code-call"),
                ("-old", "code-del"),
                ("+new", "code-add")
            ]
        );
    }

    proptest! {
        #[test]
        fn the_pieces_joined_are_the_text(text in "[ -~\n`'\"/*#é漢]{0,200}", language in 0..LANGUAGES.len() + 1) {
            let name = LANGUAGES.get(language).map_or("diff", |language| language.names[0]);
            let joined: String = pieces(&text, name).into_iter().map(|(text, _)| text).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
