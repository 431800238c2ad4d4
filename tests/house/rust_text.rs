//! Rust's text without what only people read: comments and the insides of strings become blanks, lines stay.

/// The code alone. Comments, strings and character literals are blanked out, so that a rule never trips over prose.
pub fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&here) = chars.get(at) {
        let next = chars.get(at + 1).copied().unwrap_or('\0');
        let end = match here {
            '/' if next == '/' => find(&chars, at, |rest| rest.first() == Some(&'\n')),
            '/' if next == '*' => block_comment(&chars, at),
            '"' => quoted(&chars, at),
            'r' if (next == '"' || next == '#') && !joins(&chars, at) => raw(&chars, at),
            '\'' => character(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(here);
            at += 1;
        } else {
            let blanked = chars.get(at..end.min(chars.len())).unwrap_or_default();
            out.extend(blanked.iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Whether the character before belongs to the same word, as the `r` of `for`.
fn joins(chars: &[char], at: usize) -> bool {
    at > 0
        && chars
            .get(at - 1)
            .is_some_and(|c| c.is_alphanumeric() || *c == '_')
}

fn find(chars: &[char], from: usize, is_there: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len())
        .find(|&at| chars.get(at..).is_some_and(&is_there))
        .unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut here = at;
    while here < chars.len() {
        match (chars.get(here), chars.get(here + 1)) {
            (Some('/'), Some('*')) => depth += 1,
            (Some('*'), Some('/')) => depth -= 1,
            _ => {
                here += 1;
                continue;
            }
        }
        here += 2;
        if depth == 0 {
            return here;
        }
    }
    chars.len()
}

fn quoted(chars: &[char], at: usize) -> usize {
    let mut here = at + 1;
    while let Some(&c) = chars.get(here) {
        match c {
            '\\' => here += 2,
            '"' => return here + 1,
            _ => here += 1,
        }
    }
    chars.len()
}

fn raw(chars: &[char], at: usize) -> usize {
    let hashes = chars
        .get(at + 1..)
        .unwrap_or_default()
        .iter()
        .take_while(|&&c| c == '#')
        .count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at;
    }
    let mut close = vec!['"'];
    close.extend(std::iter::repeat_n('#', hashes));
    let end = find(chars, at + 2 + hashes, |rest| rest.starts_with(&close));
    (end + close.len()).min(chars.len())
}

/// `'x'` or `'\n'`, but not the lifetime `'a`.
fn character(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => find(chars, at + 3, |rest| rest.first() == Some(&'\'')) + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

#[test]
#[expect(
    clippy::needless_raw_string_hashes,
    reason = "the sample holds a raw string of its own"
)]
fn prose_is_blanked_and_code_stays() {
    let text = r##"let a = "crate::x"; // crate::y
/* crate::z /* deep */ */ let b = r#"crate::"w""#; let c: &'static str = 'q'.into(); for r in d {}"##;
    let code = code(text);
    assert!(!code.contains("crate::"), "{code}");
    assert!(
        code.contains("&'static str") && code.contains("for r in d"),
        "{code}"
    );
    assert_eq!(code.lines().count(), text.lines().count());
}
