//! The tokens of every look, measured: text stands at 4.5:1 on every ground it is used on, controls' borders at 3:1
//! (WCAG 2.2, 1.4.3 and 1.4.11).

use std::collections::HashMap;

const TOKENS: &str = include_str!("../../style/tokens.css");

const TEXTS: [&str; 3] = ["fg", "fg-muted", "fg-subtle"];
const GROUNDS: [&str; 6] = ["bg", "bg-side", "bg-hover", "bg-sel", "bg-inset", "bg-user"];
const CODE: [&str; 6] = [
    "code-key",
    "code-text",
    "code-number",
    "code-note",
    "code-call",
    "code-type",
];

type Tokens = HashMap<String, [f64; 3]>;

/// One map of tokens for each look; what a look does not say is as in the first.
fn looks() -> Vec<Tokens> {
    let mut looks: Vec<Tokens> = Vec::new();
    for block in TOKENS.split('{').filter(|block| block.contains("--bg:")) {
        let mut look = looks.first().cloned().unwrap_or_default();
        for line in block.split(';') {
            if let Some((name, value)) = line.trim().trim_start_matches("--").split_once(": #") {
                let number = u32::from_str_radix(value, 16).expect("a colour in six digits");
                let [_, red, green, blue] = number.to_be_bytes();
                look.insert(
                    name.to_owned(),
                    [red, green, blue].map(|byte| f64::from(byte) / 255.0),
                );
            }
        }
        looks.push(look);
    }
    looks
}

/// WCAG's relative luminance of an sRGB colour.
fn luminance(colour: [f64; 3]) -> f64 {
    let linear = colour.map(|part| {
        if part <= 0.04045 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    });
    let [red, green, blue] = linear;
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn ratio(one: [f64; 3], other: [f64; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn pairs() -> Vec<(&'static str, &'static str, f64)> {
    let mut pairs = Vec::new();
    for ground in GROUNDS {
        pairs.extend(TEXTS.map(|text| (text, ground, 4.5)));
    }
    for ground in ["bg-inset", "diff-add", "diff-del"] {
        pairs.extend(CODE.map(|text| (text, ground, 4.5)));
        pairs.push(("fg", ground, 4.5));
    }
    for ground in ["bg", "bg-side", "bg-inset"] {
        pairs.push(("border-ctl", ground, 3.0));
        pairs.push(("accent", ground, 3.0));
    }
    for (text, tint) in [("danger", "danger-tint"), ("warn", "warn-tint")] {
        pairs.push((text, tint, 4.5));
        pairs.push((text, "bg", 4.5));
    }
    pairs.push(("ok", "bg", 4.5));
    pairs.push(("accent", "bg", 4.5));
    pairs.push(("on-accent", "accent", 4.5));
    pairs
}

#[test]
fn every_text_can_be_read_on_every_ground_of_every_look() {
    let looks = looks();
    assert_eq!(looks.len(), 6, "light, dark twice, and high contrast three times");
    let mut faint = Vec::new();
    for (number, look) in looks.iter().enumerate() {
        for (text, ground, least) in pairs() {
            let colour = |name: &str| look.get(name).copied().unwrap_or_else(|| panic!("no --{name}"));
            let measured = ratio(colour(text), colour(ground));
            if measured < least {
                faint.push(format!(
                    "look {number}: --{text} on --{ground} is {measured:.2}:1"
                ));
            }
        }
    }
    assert!(faint.is_empty(), "{faint:#?}");
}
