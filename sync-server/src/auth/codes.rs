//! Codes that people type: Crockford base 32, without look-alikes when written, with all of them when read.

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A code drawn by chance: five bits for each of at most 25 characters.
pub fn fresh(chars: usize) -> String {
    from_bits(rand::random(), chars)
}

pub fn from_bits(bits: u128, chars: usize) -> String {
    (0..chars)
        .filter_map(|place| ALPHABET.get((bits >> (5 * place) & 31) as usize))
        .map(|byte| char::from(*byte))
        .collect()
}

/// A code as typed: spaces, dashes and case are nothing, and look-alikes mean what they look like. `None`: it cannot be a
/// code of so many characters.
pub fn normal(typed: &str, chars: usize) -> Option<String> {
    if typed.len() > 64 {
        return None;
    }
    let code: Option<String> = typed
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '‐' | '‑' | '–' | '—'))
        .map(|c| match c.to_ascii_uppercase() {
            'O' => Some('0'),
            'I' | 'L' => Some('1'),
            'U' => None,
            c => c.is_ascii_alphanumeric().then_some(c),
        })
        .collect();
    code.filter(|code| code.len() == chars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_code_has_its_characters_without_look_alikes() {
        assert_eq!(from_bits(0, 8), "00000000");
        assert_eq!(from_bits(u128::MAX, 14), "ZZZZZZZZZZZZZZ");
        assert_eq!(from_bits(1 << 5, 8), "01000000");
        assert!(ALPHABET.iter().all(|byte| !b"ILOU".contains(byte)));
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for typed in [
            "7KM2QX9T",
            "7km2-qx9t",
            " 7KM2 QX9T ",
            "7KM2–QX9T",
            "7-k-m-2-q-x-9-t",
        ] {
            assert_eq!(normal(typed, 8).as_deref(), Some("7KM2QX9T"), "{typed}");
        }
        assert_eq!(normal("OIL0-1234", 8).as_deref(), Some("01101234"));
        for typed in ["", "7KM2QX9", "7KM2QX9TT", "UUUUUUUU", "7KM2QX9é", "7KM2_QX9"] {
            assert_eq!(normal(typed, 8), None, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_code_of_its_length_or_none(typed in "\\PC{0,80}") {
            if let Some(code) = normal(&typed, 8) {
                prop_assert_eq!(code.len(), 8);
                prop_assert_eq!(normal(&code, 8), Some(code.clone()));
            }
        }
    }
}
