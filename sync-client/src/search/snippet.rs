//! A line around what was found, as pieces that fit or do not.

use super::text::APART;
use protocol::search::Piece;
use std::ops::Range;

/// Words before the first hit, and words in all.
const BEFORE: usize = 8;
const WORDS: usize = 32;
/// Characters of a snippet, whatever counts as a word in it.
const CHARACTERS: usize = 240;

#[derive(Default)]
struct Line {
    pieces: Vec<Piece>,
    characters: usize,
    ends_in_space: bool,
}

impl Line {
    /// White space of any kind and length becomes one space; what is invisible goes.
    fn push(&mut self, text: &str, is_hit: bool) {
        for c in text.chars() {
            if c == APART {
                continue;
            }
            if c.is_whitespace() && (self.ends_in_space || self.pieces.is_empty()) {
                continue;
            }
            if self.characters > CHARACTERS {
                return;
            }
            self.characters += 1;
            self.ends_in_space = c.is_whitespace();
            let c = match c {
                _ if self.characters > CHARACTERS => '…',
                space if space.is_whitespace() => ' ',
                other => other,
            };
            match self.pieces.last_mut().filter(|last| last.is_hit == is_hit) {
                Some(last) => last.text.push(c),
                None => self.pieces.push(Piece {
                    text: c.to_string(),
                    is_hit,
                }),
            }
        }
    }
}

/// A text in which nothing is marked.
pub fn plain(text: &str) -> Vec<Piece> {
    let mut line = Line::default();
    line.push(text, false);
    line.pieces
}

/// A stretch of a text with the hits in it. Hits are ascending, and apart.
pub fn marked(text: &str, stretch: Range<usize>, hits: &[Range<usize>]) -> Vec<Piece> {
    let mut line = Line::default();
    if stretch.start > 0 {
        line.push("…", false);
    }
    let mut at = stretch.start;
    for hit in hits {
        let (start, end) = (hit.start.max(at), hit.end.min(stretch.end));
        if start < end {
            line.push(text.get(at..start).unwrap_or_default(), false);
            line.push(text.get(start..end).unwrap_or_default(), true);
            at = end;
        }
    }
    line.push(text.get(at..stretch.end).unwrap_or_default(), false);
    if stretch.end < text.len() {
        line.push("…", false);
    }
    line.pieces
}

/// The words about the first hit.
pub fn around(text: &str, words: &[Range<usize>], hits: &[Range<usize>]) -> Vec<Piece> {
    let first = hits.first().map_or(0, |hit| hit.start);
    let number = words.partition_point(|word| word.end <= first);
    let from = number.saturating_sub(BEFORE);
    let start = if from == 0 {
        0
    } else {
        words.get(from).map_or(0, |word| word.start)
    };
    let end = words.get(from + WORDS).map_or(text.len(), |word| word.start);
    marked(text, start..end, hits)
}

/// The text with its hits in brackets, for claims about it.
#[cfg(test)]
pub(crate) fn bracketed(pieces: &[Piece]) -> String {
    let part = |piece: &Piece| {
        if piece.is_hit {
            format!("[{}]", piece.text)
        } else {
            piece.text.clone()
        }
    };
    pieces.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_is_one_line_without_invisible_spaces() {
        let text = "to\n\n 東\u{200b}京 and\t back ";
        let place = text.find('東').unwrap();
        assert_eq!(
            bracketed(&marked(
                text,
                0..text.len(),
                std::slice::from_ref(&(place..place + 9))
            )),
            "to [東京] and back "
        );
    }

    #[test]
    fn a_snippet_begins_near_the_first_hit_and_has_an_end() {
        let text = format!("{}needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let place = text.find("needle").unwrap();
        let words = super::super::text::words(&text);
        let line = bracketed(&around(&text, &words, std::slice::from_ref(&(place..place + 6))));
        assert!(
            line.starts_with("…hay hay") && line.contains("[needle] straw"),
            "{line}"
        );
        assert!(line.chars().count() <= CHARACTERS + 3, "{line}");
        assert_eq!(
            bracketed(&plain(&"x".repeat(10_000))).chars().count(),
            CHARACTERS + 1
        );
    }
}
