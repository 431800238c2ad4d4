//! Passwords: hashed with argon2id (RFC 9106) on threads of their own, never more at once than the machine can bear.
//!
//! **Invariant:** an unknown address costs the same work as a wrong password.

mod breached;
pub mod measure;
pub(super) mod reset;
pub(super) mod sign_in;
pub(super) mod sign_up;
mod threads;
pub(super) mod verify;

use breached::Breached;
use threads::Threads;
pub use verify::masked;

use crate::app::App;
use crate::error::Result;
use anyhow::anyhow;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use protocol::auth::Password;
use protocol::{Code, Problem};
use std::sync::Arc;
use zxcvbn::feedback::{Feedback, Suggestion, Warning};

/// Hashes and compares passwords. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hasher {
    params: Params,
    threads: Threads,
    /// Stands in where there is no password to compare with.
    nobody: Arc<str>,
    breached: Breached,
}

/// How a typed password compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    No,
    Yes,
    /// It matches a hash made with other parameters; here is one made with today's.
    YesRehashed(String),
}

impl Match {
    pub const fn is_match(&self) -> bool {
        match self {
            Self::Yes | Self::YesRehashed(_) => true,
            Self::No => false,
        }
    }
}

impl Hasher {
    pub fn new(app: &App) -> anyhow::Result<Self> {
        let params = Params::new(app.config.argon2_memory_kib, app.config.argon2_passes, 1, None)
            .map_err(|error| anyhow!("ARGON2_MEMORY_KIB and ARGON2_PASSES: {error}"))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let breached = Breached::new(&app.config.breached_passwords)?;
        Self::with(params, cores, breached)
    }

    fn with(params: Params, threads: usize, breached: Breached) -> anyhow::Result<Self> {
        let nobody = hash(&params, &Password::typed(super::cookies::fresh_secret()))?;
        Ok(Self {
            params,
            threads: Threads::start(threads)?,
            nobody: nobody.into(),
            breached,
        })
    }

    /// The hash of a password somebody chooses, or why it is too weak. `about`: what must not be the password.
    pub async fn choose(&self, password: Password, about: Vec<String>) -> Result<String> {
        let password = password.chosen()?;
        let password = self
            .threads
            .run(move || {
                must_be_strong(&password, &about)?;
                Ok(password)
            })
            .await?;
        if self.breached.holds(&password).await {
            return Err(Problem::new(Code::WeakPassword)
                .field("password")
                .detail("That password stands in a list of stolen ones, so it is tried early. Please choose another.")
                .into());
        }
        self.hash(password).await
    }

    /// The hash of a secret that was drawn by chance.
    pub async fn hash(&self, secret: Password) -> Result<String> {
        let params = self.params.clone();
        self.threads.run(move || Ok(hash(&params, &secret)?)).await
    }

    /// Compares with a stored hash, or with nobody's at the same cost.
    pub async fn compare(&self, password: Password, stored: Option<String>) -> Result<Match> {
        let (params, nobody) = (self.params.clone(), Arc::clone(&self.nobody));
        self.threads
            .run(move || {
                let is_match = matches(&password, stored.as_deref().unwrap_or(&nobody))?;
                match stored {
                    Some(stored) if is_match => Ok(if is_made_with(&stored, &params)? {
                        Match::Yes
                    } else {
                        Match::YesRehashed(hash(&params, &password)?)
                    }),
                    _ => Ok(Match::No),
                }
            })
            .await
    }
}

fn argon(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

fn hash(params: &Params, password: &Password) -> anyhow::Result<String> {
    let hash = argon(params)
        .hash_password(password.expose().as_bytes())
        .map_err(|error| anyhow!("hashing a password: {error}"))?;
    Ok(hash.to_string())
}

/// Uses the parameters that the stored hash names.
fn matches(password: &Password, stored: &str) -> anyhow::Result<bool> {
    let stored = parse(stored)?;
    match Argon2::default().verify_password(password.expose().as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(anyhow!("comparing a password: {error}")),
    }
}

fn is_made_with(stored: &str, params: &Params) -> anyhow::Result<bool> {
    let stored = parse(stored)?;
    let theirs = Params::try_from(&stored).map_err(|error| anyhow!("a stored hash: {error}"))?;
    Ok(stored.algorithm == Algorithm::Argon2id.ident()
        && (theirs.m_cost(), theirs.t_cost(), theirs.p_cost())
            == (params.m_cost(), params.t_cost(), params.p_cost()))
}

fn parse(stored: &str) -> anyhow::Result<PasswordHash> {
    PasswordHash::new(stored).map_err(|error| anyhow!("a stored hash: {error}"))
}

/// Refuses what a guesser tries first (zxcvbn below 3), and says why in words.
fn must_be_strong(password: &Password, about: &[String]) -> Result<(), Problem> {
    let mut about: Vec<&str> = about.iter().map(String::as_str).collect();
    about.extend(["compymac", "compy", "mac"]);
    let strength = zxcvbn::zxcvbn(password.expose(), &about);
    if strength.score() >= zxcvbn::Score::Three {
        return Ok(());
    }
    let why = strength.feedback().map_or(
        "It is close to what people guess first. Please add a word or two that nobody expects.".to_owned(),
        in_words,
    );
    Err(Problem::new(Code::WeakPassword)
        .field("password")
        .detail(format!("That password is too easy to guess. {why}")))
}

fn in_words(feedback: &Feedback) -> String {
    let why = feedback.warning().map(warning);
    let what = feedback
        .suggestions()
        .first()
        .map_or("Please add a word or two that nobody expects.", |one| {
            suggestion(*one)
        });
    match why {
        Some(why) => format!("{why} {what}"),
        None => what.to_owned(),
    }
}

fn warning(warning: Warning) -> &'static str {
    match warning {
        Warning::StraightRowsOfKeysAreEasyToGuess | Warning::ShortKeyboardPatternsAreEasyToGuess => {
            "Keys in a row are tried early."
        }
        Warning::RepeatsLikeAaaAreEasyToGuess | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess => {
            "Repeated letters or words add little."
        }
        Warning::ThisIsATop10Password
        | Warning::ThisIsATop100Password
        | Warning::ThisIsACommonPassword
        | Warning::ThisIsSimilarToACommonlyUsedPassword => "It is like one that many people use.",
        Warning::SequencesLikeAbcAreEasyToGuess => "Sequences like abc or 6543 are tried early.",
        Warning::RecentYearsAreEasyToGuess | Warning::DatesAreOftenEasyToGuess => {
            "Years and dates are tried early."
        }
        Warning::AWordByItselfIsEasyToGuess => "A single word is tried early.",
        Warning::NamesAndSurnamesByThemselvesAreEasyToGuess
        | Warning::CommonNamesAndSurnamesAreEasyToGuess => "Names are tried early.",
    }
}

fn suggestion(suggestion: Suggestion) -> &'static str {
    match suggestion {
        Suggestion::UseAFewWordsAvoidCommonPhrases
        | Suggestion::NoNeedForSymbolsDigitsOrUppercaseLetters
        | Suggestion::AddAnotherWordOrTwo => "A few unrelated words make a good password.",
        Suggestion::CapitalizationDoesntHelpVeryMuch
        | Suggestion::AllUppercaseIsAlmostAsEasyToGuessAsAllLowercase => {
            "Capital letters help little; another unrelated word helps a lot."
        }
        Suggestion::ReversedWordsArentMuchHarderToGuess
        | Suggestion::PredictableSubstitutionsDontHelpVeryMuch => {
            "Turning or respelling a word helps little; another unrelated word helps a lot."
        }
        Suggestion::UseALongerKeyboardPatternWithMoreTurns
        | Suggestion::AvoidRepeatedWordsAndCharacters
        | Suggestion::AvoidSequences => "Please use a few unrelated words instead.",
        Suggestion::AvoidRecentYears
        | Suggestion::AvoidYearsThatAreAssociatedWithYou
        | Suggestion::AvoidDatesAndYearsThatAreAssociatedWithYou => {
            "Please use a few unrelated words instead of dates."
        }
    }
}

/// What of an address and a name a guesser would try: the whole and its parts.
pub fn about(email: &protocol::auth::Email, name: Option<&str>) -> Vec<String> {
    let texts = [Some(email.as_str()), name];
    let mut parts = Vec::new();
    for text in texts.into_iter().flatten() {
        let text = text.to_lowercase();
        parts.extend(text.split('@').map(str::to_owned));
        parts.extend(
            text.split(|c: char| !c.is_alphanumeric())
                .filter(|part| part.len() > 2)
                .map(str::to_owned),
        );
        parts.push(text);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(memory: u32) -> Hasher {
        Hasher::with(Params::new(memory, 1, 1, None).unwrap(), 1, Breached::off()).unwrap()
    }

    #[tokio::test]
    async fn a_password_matches_itself_alone() {
        let hasher = hasher(64);
        let chosen = Password::typed("plum-harbor-violet-anchor");
        let stored = hasher.choose(chosen.clone(), Vec::new()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$"));
        let compare = async |text: &str| {
            hasher
                .compare(Password::typed(text), Some(stored.clone()))
                .await
                .unwrap()
        };
        assert_eq!(compare("plum-harbor-violet-anchor").await, Match::Yes);
        assert_eq!(compare("plum-harbor-violet-anchoR").await, Match::No);
        assert_eq!(compare(" plum-harbor-violet-anchor").await, Match::No);
        assert_eq!(hasher.compare(chosen, None).await.unwrap(), Match::No);
    }

    #[tokio::test]
    async fn a_hash_made_with_other_parameters_is_made_anew() {
        let chosen = Password::typed("plum-harbor-violet-anchor");
        let old = hasher(64).choose(chosen.clone(), Vec::new()).await.unwrap();
        let now = hasher(128);
        let Match::YesRehashed(new) = now.compare(chosen.clone(), Some(old)).await.unwrap() else {
            panic!("not rehashed");
        };
        assert_eq!(now.compare(chosen, Some(new)).await.unwrap(), Match::Yes);
    }

    #[tokio::test]
    async fn what_is_guessed_first_is_refused_with_a_reason() {
        let email = protocol::auth::Email::parse("rosalind.franklin@example.org").unwrap();
        for weak in [
            "short",
            "password1234",
            "aaaaaaaaaaaaaaaa",
            "qwertyuiop12",
            "compymac1234",
            "rosalind.franklin",
        ] {
            let refusal = hasher(64)
                .choose(Password::typed(weak), about(&email, None))
                .await
                .unwrap_err()
                .into_problem();
            assert_eq!(
                (refusal.code, refusal.field.as_deref()),
                (Code::WeakPassword, Some("password")),
                "{weak}"
            );
            assert!(
                !refusal.sentence().contains(weak) && refusal.sentence().ends_with('.'),
                "{weak}"
            );
        }
    }
}
