//! A browser in which somebody signed in to an account before shows it by a cookie, and has tries of its own there: whoever
//! guesses at the account from elsewhere uses up theirs, and does not keep its people out.
//!
//! **Invariant:** the cookie opens nothing, holds no address, and is worth something at one account alone, for 90 days.

use super::{Auth, Visit, cookies, seal};
use crate::app::Keys;
use axum_extra::extract::cookie::Cookie;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::auth::Email;
use time::OffsetDateTime;
use uuid::Uuid;

/// Of somebody who was not there for as long, everything is asked as of a stranger.
const DAYS: u32 = 90;
const DAY_SECONDS: i64 = 24 * 3600;
const PURPOSE: &str = "known browser";

/// What shows it: the browser's number, the day, and a stamp over both and the address.
fn write(keys: &Keys, browser: Uuid, day: u32, email: &Email) -> String {
    let day = day.to_be_bytes();
    let stamp = seal::stamp(keys, PURPOSE, &[browser.as_bytes(), &day, email.key().as_bytes()]);
    URL_SAFE_NO_PAD.encode([browser.as_bytes().as_slice(), &day, &stamp].concat())
}

/// The browser's number. By whichever of the installation's secrets it was stamped: nobody is a stranger for a change of them.
fn read(keys: &Keys, value: &str, today: u32, email: &Email) -> Option<Uuid> {
    let value = URL_SAFE_NO_PAD.decode(value).ok()?;
    let (browser, rest) = value.split_first_chunk::<16>()?;
    let (day, stamp) = rest.split_first_chunk::<4>()?;
    // another node's clock may be past midnight already
    let is_fresh = (today.saturating_sub(DAYS)..=today + 1).contains(&u32::from_be_bytes(*day));
    let email = email.key();
    let parts: [&[u8]; 3] = [browser, day, email.as_bytes()];
    (is_fresh && seal::is_stamped(keys, PURPOSE, &parts, stamp)).then(|| Uuid::from_bytes(*browser))
}

fn today() -> u32 {
    let days = OffsetDateTime::now_utc().unix_timestamp() / DAY_SECONDS;
    u32::try_from(days).unwrap_or_default()
}

impl Auth {
    /// For a browser in which somebody has just signed in.
    pub(super) fn known_cookie(&self, email: &Email) -> Cookie<'static> {
        let value = write(&self.keys, Uuid::new_v4(), today(), email);
        cookies::set(cookies::KNOWN, value, Some(i64::from(DAYS) * DAY_SECONDS))
    }

    /// What tries at this account from this browser are counted by. `None`: nobody signed in to it here.
    pub(super) fn known_browser(&self, visit: &Visit, email: &Email) -> Option<Uuid> {
        read(&self.keys, visit.known_cookie.as_deref()?, today(), email)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_known_for_ninety_days_at_one_account_and_by_every_secret() {
        let keys = |masters: &[u8]| Keys::from_masters(masters.iter().map(|byte| vec![*byte; 32]).collect());
        let email = |text: &str| Email::parse(text).unwrap();
        let (ana, ben) = (email("ana@example.org"), email("ben@example.org"));
        let browser = Uuid::new_v4();
        let (old, both, new) = (keys(&[7]), keys(&[8, 7]), keys(&[8]));
        let value = write(&old, browser, 20_000, &ana);
        for (today, is_known) in [
            (19_998, false),
            (19_999, true),
            (20_000, true),
            (20_090, true),
            (20_091, false),
        ] {
            assert_eq!(read(&old, &value, today, &ana).is_some(), is_known, "{today}");
        }
        assert_eq!(read(&both, &value, 20_000, &ana), Some(browser));
        assert_eq!(read(&new, &value, 20_000, &ana), None);
        assert_eq!(read(&old, &value, 20_000, &ben), None);
        // nobody makes it younger
        let bytes = URL_SAFE_NO_PAD.decode(&value).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(read(&old, &changed, 20_000, &ana), None, "{place}");
        }
        assert_eq!(read(&old, "", 20_000, &ana), None);
    }
}
