//! What a person types, read as words and phrases.
//!
//! Every word has to be there; what stands in double quotes has to be there as it stands; the last word may be the
//! beginning of one. There is no other syntax: anything else between words is only between words.

use super::snippet;
use super::text::{folded, stands_alone, words};
use super::{HITS, HITS_WITHIN};
use crate::order;
use protocol::SessionId;
use protocol::search::Piece;
use std::ops::Range;

/// Characters that are looked at; nobody types more to find something.
const CHARACTERS: usize = 256;
/// Words and phrases that are looked for.
const TERMS: usize = 16;
/// Letters of a beginning: what two begin is so much that gathering it takes 0.6 s in 200,000 messages.
const BEGINNING: usize = 3;
/// Hits that are marked in one text.
const MARKS: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    terms: Vec<Term>,
    /// The session whose messages alone are looked through.
    within: Option<SessionId>,
}

/// Words that stand beside each other; mostly one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    words: Vec<String>,
    /// The last of them may go on.
    is_beginning: bool,
}

impl Query {
    /// Never fails: a text without a word in it asks for nothing.
    pub fn parse(typed: &str) -> Self {
        let typed: String = typed.chars().take(CHARACTERS).collect();
        let mut terms = Vec::new();
        let parts: Vec<&str> = typed.split(['"', '“', '”', '„']).collect();
        let last = parts.len() - 1;
        for (number, part) in parts.into_iter().enumerate() {
            let is_quoted = number % 2 == 1;
            let is_last = number == last;
            if is_quoted {
                // A quote that is still open is still being typed.
                terms.extend(Term::of(part, is_last));
            } else {
                let words = part.split_whitespace();
                let mut plain: Vec<Term> = words.filter_map(|word| Term::of(word, false)).collect();
                if is_last && let Some(word) = plain.last_mut() {
                    word.is_beginning = word.may_go_on();
                }
                terms.append(&mut plain);
            }
        }
        terms.truncate(TERMS);
        Self { terms, within: None }
    }

    /// The same, asked of one session's messages alone.
    #[must_use]
    pub fn within(self, session: Option<SessionId>) -> Self {
        Self {
            within: session,
            ..self
        }
    }

    pub const fn session(&self) -> Option<SessionId> {
        self.within
    }

    /// How many messages its answer may tell of.
    pub const fn most(&self) -> usize {
        if self.within.is_some() { HITS_WITHIN } else { HITS }
    }

    /// Whether messages of this session are looked through.
    pub fn looks_into(&self, session: SessionId) -> bool {
        self.within.is_none_or(|within| within == session)
    }

    pub const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// In the words of FTS5: quoted strings, which it takes apart as it did the texts, one beside the other.
    pub fn to_fts5(&self) -> String {
        let terms = self.terms.iter().map(|term| {
            // Words hold letters, digits and accents: nothing that ends a string.
            let beginning = if term.is_beginning { "*" } else { "" };
            format!("\"{}\"{beginning}", term.words.join(" "))
        });
        terms.collect::<Vec<_>>().join(" ")
    }

    /// A text's pieces around the first hit, on one line; `None` where it does not fit.
    pub fn snippet(&self, text: &str) -> Option<Vec<Piece>> {
        let words = words(text);
        let hits = self.hits(text, &words)?;
        Some(snippet::around(text, &words, &hits))
    }

    /// As [`Query::snippet`], for a text that fits by another's reading: where this one sees no hit, its beginning.
    pub fn snippet_of_found(&self, text: &str) -> Vec<Piece> {
        self.snippet(text).unwrap_or_else(|| snippet::plain(text))
    }

    /// A short text whole, with its hits; `None` where it does not fit.
    pub fn whole(&self, text: &str) -> Option<Vec<Piece>> {
        let hits = self.hits(text, &words(text))?;
        Some(snippet::marked(text, 0..text.len(), &hits))
    }

    /// Places in bytes, ascending and apart; `None` unless every term is somewhere.
    fn hits(&self, text: &str, words: &[Range<usize>]) -> Option<Vec<Range<usize>>> {
        if self.is_empty() {
            return None;
        }
        let mut hits = Vec::new();
        for term in &self.terms {
            let before = hits.len();
            hits.extend(term.hits(text, words).take(MARKS));
            if hits.len() == before {
                return None;
            }
        }
        let hits = order::by(hits, |hit| (0, (hit.start as u128) << 64 | hit.end as u128));
        let mut apart: Vec<Range<usize>> = Vec::new();
        for hit in hits {
            match apart.last_mut().filter(|last| hit.start < last.end) {
                Some(last) => last.end = last.end.max(hit.end),
                None => apart.push(hit),
            }
        }
        Some(apart)
    }
}

impl Term {
    fn of(text: &str, is_beginning: bool) -> Option<Self> {
        let words: Vec<String> = words(text)
            .into_iter()
            .filter_map(|word| Some(text.get(word)?.to_owned()))
            .collect();
        let mut term = Self {
            words,
            is_beginning: false,
        };
        term.is_beginning = is_beginning && term.may_go_on();
        (!term.words.is_empty()).then_some(term)
    }

    /// A character that stands alone is a word already.
    fn may_go_on(&self) -> bool {
        let last = self.words.last().map(String::as_str).unwrap_or_default();
        last.chars().count() >= BEGINNING && !last.chars().any(stands_alone)
    }

    fn hits<'a>(
        &'a self,
        text: &'a str,
        words: &'a [Range<usize>],
    ) -> impl Iterator<Item = Range<usize>> + 'a {
        words.windows(self.words.len()).filter_map(|here| {
            let last = here.len() - 1;
            let fits = here
                .iter()
                .zip(&self.words)
                .enumerate()
                .all(|(number, (place, wanted))| {
                    let is_beginning = self.is_beginning && number == last;
                    text.get(place.clone())
                        .is_some_and(|word| is_word(word, wanted, is_beginning))
                });
            fits.then_some(here.first()?.start..here.last()?.end)
        })
    }
}

fn is_word(word: &str, wanted: &str, is_beginning: bool) -> bool {
    let mut letters = folded(word);
    folded(wanted).all(|wanted| letters.next() == Some(wanted)) && (is_beginning || letters.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(typed: &str) -> String {
        Query::parse(typed).to_fts5()
    }

    fn fits(typed: &str, text: &str) -> bool {
        Query::parse(typed).snippet(text).is_some()
    }

    #[test]
    fn what_is_typed_becomes_words_and_phrases_and_nothing_else() {
        assert_eq!(asked("calm sea"), r#""calm" "sea"*"#);
        assert_eq!(asked(r#""calm sea" wind "#), r#""calm sea" "wind"*"#);
        assert_eq!(asked(r#"wind "calm sea"#), r#""wind" "calm sea"*"#);
        assert_eq!(asked("se"), r#""se""#);
        assert_eq!(asked("a-b:c* OR NOT NEAR(d)"), r#""a b c" "OR" "NOT" "NEAR d""#);
        assert_eq!(asked("東京タワー"), r#""東 京 タ ワ ー""#);
        for nothing in ["", "   ", "\"", "\"\"", "*", "- ()", "\0", "。、"] {
            assert!(Query::parse(nothing).is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn a_query_has_bounds() {
        let query = Query::parse(&"word ".repeat(2_000));
        assert_eq!(query.terms.len(), TERMS);
        assert!(asked(&"x".repeat(10_240)).len() <= CHARACTERS + 3);
    }

    #[test]
    fn every_word_has_to_be_there_and_the_last_may_go_on() {
        let text = "Der Käse liegt im Kühlschrank";
        assert!(fits("kase kuhl", text) && fits("KÜHLSCHRANK käse", text));
        assert!(!fits("kuhl kase", text), "only the last word is a beginning");
        assert!(!fits("käse butter", text));
        assert!(fits("\"liegt im\"", text) && !fits("\"im liegt\"", text));
        assert!(fits("京都", "私は京都へ行く") && !fits("都京", "私は京都へ行く"));
        assert!(fits("กรุง", "ไปกรุงเทพ") && fits("색", "검색 창"));
    }

    proptest! {
        #[test]
        fn a_text_is_found_by_a_run_of_its_own_words(text in "[a-zäéж京都へ검 ,.-]{1,60}", from in 0usize..40, many in 1usize..6) {
            let places = words(&text);
            let from = from.min(places.len());
            let run = places.get(from..(from + many).min(places.len())).unwrap_or_default();
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                let quoted = format!("\"{}\"", text.get(first.start..last.end).unwrap());
                prop_assert!(fits(&quoted, &text), "{quoted} in {text}");
            }
        }

        #[test]
        fn marks_lie_in_the_text_and_no_text_is_too_strange(typed in any::<String>(), text in any::<String>()) {
            let query = Query::parse(&typed);
            if let Some(hits) = query.hits(&text, &words(&text)) {
                prop_assert!(hits.iter().all(|hit| text.get(hit.clone()).is_some()));
                prop_assert!(hits.is_sorted_by(|a, b| a.end <= b.start));
            }
            query.snippet(&text);
        }
    }
}
