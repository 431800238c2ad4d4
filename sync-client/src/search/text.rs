//! Where words begin and end, and which letters are the same to somebody who searches.
//!
//! The cache's index is made by FTS5's `unicode61`, which takes a run of letters for one word. Scripts that put no
//! spaces between words would be one word from stop to stop, so their characters are kept apart by an invisible
//! space in what is indexed and in what is asked: a run of them is then a phrase.

use std::borrow::Cow;
use std::ops::Range;

/// Zero-width space: to `unicode61` no letter, to a reader nothing at all.
pub const APART: char = '\u{200b}';

/// Whether words of its script stand without spaces: Han, Kana, Hangul, Thai, Lao, Khmer and Burmese. Korean has spaces,
/// and endings that no one types when searching.
pub const fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}'
        | '\u{3040}'..='\u{318f}' | '\u{31a0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

/// Keeps such characters apart from their neighbours. Other text comes back as it is.
pub fn segmented(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.chars().any(stands_alone) {
        return Cow::Borrowed(text);
    }
    let mut apart = String::with_capacity(text.len() * 2);
    let mut before = ' ';
    for c in text.chars() {
        let is_between = !before.is_whitespace() && !c.is_whitespace();
        if is_between && (stands_alone(before) || stands_alone(c)) {
            apart.push(APART);
        }
        apart.push(c);
        before = c;
    }
    Cow::Owned(apart)
}

/// The words of a text, each with its place in bytes.
pub fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut is_open = false;
    for (start, c) in text.char_indices() {
        let end = start + c.len_utf8();
        if stands_alone(c) && c.is_alphanumeric() {
            words.push(start..end);
            is_open = false;
        } else if c.is_alphanumeric() || (is_open && is_mark(c)) {
            match words.last_mut().filter(|_| is_open) {
                Some(word) => word.end = end,
                None => words.push(start..end),
            }
            is_open = true;
        } else {
            is_open = false;
        }
    }
    words
}

/// Accents that stand as characters of their own.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036f}')
}

/// A word's letters without case and accents.
pub fn folded(word: &str) -> impl Iterator<Item = char> {
    let letters = word.chars().map(unmarked).flat_map(char::to_lowercase);
    letters.filter(|c| !is_mark(*c))
}

/// The letter under an accent, for the scripts of Europe and of Vietnam; FTS5 knows some more.
const fn unmarked(c: char) -> char {
    match c {
        'À'..='Å' | 'à'..='å' | 'Ā'..='ą' | 'Ạ'..='ặ' => 'a',
        'Ç' | 'ç' | 'Ć'..='č' => 'c',
        'Ď' | 'ď' => 'd',
        'È'..='Ë' | 'è'..='ë' | 'Ē'..='ě' | 'Ẹ'..='ệ' => 'e',
        'Ĝ'..='ģ' => 'g',
        'Ĥ' | 'ĥ' => 'h',
        'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ'..='İ' | 'Ỉ'..='ị' => 'i',
        'Ĵ' | 'ĵ' => 'j',
        'Ķ' | 'ķ' => 'k',
        'Ĺ'..='ľ' => 'l',
        'Ñ' | 'ñ' | 'Ń'..='ň' => 'n',
        'Ò'..='Ö' | 'ò'..='ö' | 'Ō'..='ő' | 'Ơ' | 'ơ' | 'Ọ'..='ợ' => 'o',
        'Ŕ'..='ř' => 'r',
        'Ś'..='š' | 'Ș' | 'ș' => 's',
        'Ţ'..='ť' | 'Ț' | 'ț' => 't',
        'Ù'..='Ü' | 'ù'..='ü' | 'Ũ'..='ų' | 'Ư' | 'ư' | 'Ụ'..='ự' => 'u',
        'Ŵ' | 'ŵ' => 'w',
        'Ý' | 'ý' | 'ÿ' | 'Ŷ'..='Ÿ' | 'Ỳ'..='ỹ' => 'y',
        'Ź'..='ž' => 'z',
        'Ά' | 'ά' => 'α',
        'Έ' | 'έ' => 'ε',
        'Ή' | 'ή' => 'η',
        'Ί' | 'ί' | 'Ϊ' | 'ϊ' | 'ΐ' => 'ι',
        'Ό' | 'ό' => 'ο',
        'Ύ' | 'ύ' | 'Ϋ' | 'ϋ' | 'ΰ' => 'υ',
        'Ώ' | 'ώ' => 'ω',
        'Ё' | 'ё' => 'е',
        'Й' | 'й' => 'и',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_without_spaces_are_kept_apart_and_others_left_alone() {
        assert_eq!(segmented("plain, Käse"), "plain, Käse");
        assert_eq!(segmented("東京へ"), "東\u{200b}京\u{200b}へ");
        assert_eq!(segmented("用Rust写"), "用\u{200b}Rust\u{200b}写");
        assert_eq!(segmented("검색 창"), "검\u{200b}색 창");
    }

    #[test]
    fn words_are_runs_of_letters_or_single_characters() {
        let of = |text: &str| -> Vec<String> {
            let words = words(text).into_iter();
            words
                .filter_map(|word| Some(text.get(word)?.to_owned()))
                .collect()
        };
        assert_eq!(of("foo-bar, x2!"), ["foo", "bar", "x2"]);
        assert_eq!(of("用Rust写。"), ["用", "Rust", "写"]);
        assert_eq!(of("cafe\u{301} au"), ["cafe\u{301}", "au"]);
    }

    #[test]
    fn case_and_accents_make_no_difference() {
        for (one, other) in [
            ("Käse", "KASE"),
            ("cafe\u{301}", "CAFÉ"),
            ("Việt", "viet"),
            ("İ", "i"),
        ] {
            assert!(folded(one).eq(folded(other)), "{one} {other}");
        }
    }
}
