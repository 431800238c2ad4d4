//! Work before a sign-up, asked for while many sign up at once, from one network or from everywhere: whoever makes accounts by
//! the thousand pays for each, and a person waits for some seconds.
//!
//! **Invariant:** what is asked is kept nowhere: the challenge says itself what it is for and until when, under our stamp.

use super::{Auth, seal};
use crate::app::Keys;
use crate::error::Result;
use crate::limits::{Class, Who};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::auth::{Email, Password, Work};
use protocol::{Code, Problem};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// Seconds that the work may take.
const GOOD_FOR: i64 = 600;
/// The longest number that anybody finds.
const ANSWER_CHARS: usize = 20;
/// What a challenge says, before its stamp: 64 characters in all, which is one block of the hash.
const SAID: usize = 16;

const PURPOSE: &str = "work before a sign-up";
const FORM: &str = "a form of a sign-up";

/// Why work that was done counts for nothing.
const TOO_LATE: &str = "That took too long, or was for another address. Please try again.";
const WRONG: &str = "That is not the number that was asked for. Please try again.";
const USED: &str = "That work was used already. Please try again.";

impl Auth {
    /// Lets a sign-up through that is among the free ones, or whose work is done. Refused: what work to do.
    pub(super) async fn must_have_worked(
        &self,
        email: &Email,
        work: Option<&Work>,
        prefix: &str,
    ) -> Result<()> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let wrong = match work {
            None => None,
            Some(work) => match judge(&self.keys, email, work, now) {
                Ok(()) if self.is_first_use(work).await => {
                    count("done");
                    return Ok(());
                }
                Ok(()) => Some(USED),
                Err(why) => Some(why),
            },
        };
        let whos = [Who::Address(prefix), Who::Everyone];
        let Err(limited) = self.0.limits.take(Class::FreeSignUp, &whos).await else {
            return Ok(());
        };
        count(if wrong.is_some() { "refused" } else { "asked" });
        let bits = self.config.sign_up_work;
        let problem = Problem::new(Code::WorkRequired)
            .challenge(challenge(&self.keys, email, bits, now))
            .limit(bits.into())
            .retry_after(limited.problem.retry_after.unwrap_or_default());
        Err(match wrong {
            Some(why) => problem.detail(why),
            None => problem,
        }
        .into())
    }

    /// Where Redis is away nobody remembers: it is for one address and some minutes, and that address has its own count.
    async fn is_first_use(&self, work: &Work) -> bool {
        let first = self
            .is_first("work", &work.challenge, GOOD_FOR.unsigned_abs())
            .await;
        first.unwrap_or_else(|error| {
            tracing::warn!(error = %error, "redis away: work is taken that may have been used before");
            true
        })
    }
}

fn count(result: &'static str) {
    metrics::counter!("sign_up_work_total", "result" => result).increment(1);
}

/// What has to be worked on: for this address, so hard, until then.
fn challenge(keys: &Keys, email: &Email, bits: u8, now: i64) -> String {
    let ends = (now + GOOD_FOR).to_be_bytes();
    let chance: [u8; 7] = rand::random();
    let said = [&ends[..], &[bits], &chance].concat();
    let stamp = seal::stamp(keys, PURPOSE, &[&said, email.key().as_bytes()]);
    URL_SAFE_NO_PAD.encode([&said[..], &stamp].concat())
}

fn judge(keys: &Keys, email: &Email, work: &Work, now: i64) -> Result<(), &'static str> {
    let bytes = URL_SAFE_NO_PAD
        .decode(&work.challenge)
        .map_err(|_not_base64url| TOO_LATE)?;
    let (said, stamp) = bytes.split_at_checked(SAID).ok_or(TOO_LATE)?;
    let (ends, rest) = said.split_first_chunk::<8>().ok_or(TOO_LATE)?;
    let bits = rest.first().copied().ok_or(TOO_LATE)?;
    let is_ours = seal::is_stamped(keys, PURPOSE, &[said, email.key().as_bytes()], stamp);
    if !is_ours || i64::from_be_bytes(*ends) < now {
        return Err(TOO_LATE);
    }
    let is_number =
        work.answer.len() <= ANSWER_CHARS && work.answer.bytes().all(|byte| byte.is_ascii_digit());
    let hash = Sha256::digest(format!("{}:{}", work.challenge, work.answer));
    let first = hash.first_chunk().copied().map_or(0, u32::from_be_bytes);
    if is_number && first.leading_zeros() >= bits.into() {
        Ok(())
    } else {
        Err(WRONG)
    }
}

/// What was typed, to come back by a page without being readable in it: nobody has to type it again after the work.
pub fn fold_form(auth: &Auth, email: &str, password: &str) -> String {
    let typed = serde_json::json!([email, password]).to_string();
    URL_SAFE_NO_PAD.encode(seal::seal(&auth.keys, FORM, b"", typed.as_bytes()))
}

/// `None`: it is not ours, or was changed.
pub fn unfold_form(auth: &Auth, folded: &str) -> Option<(String, Password)> {
    let sealed = URL_SAFE_NO_PAD.decode(folded).ok()?;
    let typed = seal::open(&auth.keys, FORM, b"", &sealed)?;
    let (email, password): (String, String) = serde_json::from_slice(&typed).ok()?;
    Some((email, Password::typed(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solved(challenge: String) -> Work {
        let answer = (0..=u32::MAX).map(|number| number.to_string()).find(|number| {
            let hash = Sha256::digest(format!("{challenge}:{number}"));
            hash.first().is_some_and(|first| *first == 0)
        });
        Work {
            challenge,
            answer: answer.unwrap(),
        }
    }

    #[test]
    fn work_is_for_one_address_one_difficulty_and_some_minutes() {
        let keys = Keys::from_masters(vec![vec![7; 32]]);
        let (ana, ben) = (
            Email::parse("Ana@example.org").unwrap(),
            Email::parse("b@example.org").unwrap(),
        );
        let work = solved(challenge(&keys, &ana, 8, 1_000));
        assert_eq!(work.challenge.len(), 64, "one block of the hash");
        assert_eq!(judge(&keys, &ana, &work, 1_000), Ok(()));
        assert_eq!(
            judge(&keys, &Email::parse("ana@example.org").unwrap(), &work, 1_600),
            Ok(())
        );
        assert_eq!(judge(&keys, &ben, &work, 1_000), Err(TOO_LATE));
        assert_eq!(judge(&keys, &ana, &work, 1_601), Err(TOO_LATE));
        let others = Keys::from_masters(vec![vec![8; 32]]);
        assert_eq!(judge(&others, &ana, &work, 1_000), Err(TOO_LATE));
        for answer in ["", "x", "-1", "000000000000000000000"] {
            let work = Work {
                answer: answer.to_owned(),
                ..work.clone()
            };
            assert_eq!(judge(&keys, &ana, &work, 1_000), Err(WRONG), "{answer}");
        }
        let mut easier = URL_SAFE_NO_PAD.decode(&work.challenge).unwrap();
        easier[8] = 0;
        let easier = Work {
            challenge: URL_SAFE_NO_PAD.encode(easier),
            ..work
        };
        assert_eq!(judge(&keys, &ana, &easier, 1_000), Err(TOO_LATE));
    }
}
