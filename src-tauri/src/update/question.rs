//! What a person is told of a newer version, and what they may choose.
//!
//! **Invariant:** no I/O.

use super::Refusal;
use super::manifest::{Offer, Replacement};
use url::Url;

pub const HEADING: &str = "CompyMac updates";

#[derive(Debug)]
pub struct Question {
    pub text: String,
    pub choices: Vec<Choice>,
}

#[derive(Debug)]
pub enum Choice {
    /// Put it in place, and start it.
    Replace(Box<Replacement>),
    /// Open this address.
    Download(Url),
    /// Copy this command.
    Copy(String),
    Close,
}

impl Choice {
    /// With the key that chooses it after a `_`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Replace(_) => "_Install and restart",
            Self::Download(_) => "_Download",
            Self::Copy(_) => "Copy _command",
            Self::Close => "C_lose",
        }
    }
}

pub fn about(outcome: &Result<Offer, Refusal>) -> Question {
    let (text, first) = match outcome {
        Err(refusal) => (refusal.to_string(), Vec::new()),
        Ok(Offer::Newest) => (
            format!("CompyMac {} is the newest version.", env!("CARGO_PKG_VERSION")),
            Vec::new(),
        ),
        Ok(Offer::Package { version, at, command }) => (
            format!(
                "CompyMac {version} is available. Download the package, and run this in the folder that it is in:\n\n{command}"
            ),
            vec![Choice::Download(at.clone()), Choice::Copy(command.clone())],
        ),
        Ok(Offer::Replacement(replacement)) => (
            format!(
                "CompyMac {} is available. The app restarts for it; what you have written is kept.",
                replacement.version
            ),
            vec![Choice::Replace(Box::new(replacement.clone()))],
        ),
        Ok(Offer::Elsewhere { version }) => (
            format!(
                "CompyMac {version} is available. This app was built by hand, and is built anew the same way."
            ),
            Vec::new(),
        ),
    };
    let choices = first.into_iter().chain([Choice::Close]).collect();
    Question { text, choices }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semver::Version;
    use std::collections::BTreeSet;

    #[test]
    fn a_refusal_is_a_sentence_and_leaves_nothing_to_do() {
        for refusal in [
            Refusal::NotBuiltIn,
            Refusal::Insecure,
            Refusal::Unreachable,
            Refusal::TooLarge,
            Refusal::NotSigned,
            Refusal::Unreadable,
            Refusal::NotForThis,
            Refusal::NotPutInPlace,
        ] {
            let question = about(&Err(refusal));
            assert!(question.text.ends_with('.'), "{}", question.text);
            assert!(matches!(question.choices[..], [Choice::Close]));
        }
    }

    #[test]
    fn a_package_comes_with_its_command_and_each_choice_with_a_key() {
        let question = about(&Ok(Offer::Package {
            version: Version::new(1, 2, 0),
            at: Url::parse("https://a.org/x.deb").unwrap(),
            command: "sudo apt install ./x.deb".to_owned(),
        }));
        assert!(question.text.ends_with("\n\nsudo apt install ./x.deb"));
        let keys: BTreeSet<_> = question
            .choices
            .iter()
            .filter_map(|choice| choice.label().split_once('_')?.1.chars().next())
            .collect();
        assert_eq!(keys.len(), 3);
    }
}
