//! A browser in which somebody signed in to an account before shows it by a cookie, and has tries of its own there: whoever
//! guesses at the account from elsewhere uses up theirs, and does not keep its people out.
//!
//! **Invariant:** the cookie opens nothing, holds no address, and is worth something at one account alone.

use super::{Auth, Visit, cookies, seal};
use axum_extra::extract::cookie::Cookie;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use protocol::auth::Email;
use sha2::Sha256;
use uuid::Uuid;

/// Of somebody who was not there for as long, everything is asked as of a stranger.
const SECONDS: i64 = 90 * 24 * 3600;

impl Auth {
    fn known_mac(&self, browser: Uuid, email: &Email) -> Hmac<Sha256> {
        let key = self.keys.derive("known browser", b"");
        seal::keyed(&key, &[browser.as_bytes(), email.key().as_bytes()])
    }

    /// For a browser in which somebody has just signed in.
    pub(super) fn known_cookie(&self, email: &Email) -> Cookie<'static> {
        let browser = Uuid::new_v4();
        let mac = self.known_mac(browser, email).finalize().into_bytes();
        let value = URL_SAFE_NO_PAD.encode([browser.as_bytes().as_slice(), &mac].concat());
        cookies::set(cookies::KNOWN, value, Some(SECONDS))
    }

    /// What tries at this account from this browser are counted by. `None`: nobody signed in to it here.
    pub(super) fn known_browser(&self, visit: &Visit, email: &Email) -> Option<Uuid> {
        let value = URL_SAFE_NO_PAD.decode(visit.known_cookie.as_deref()?).ok()?;
        let (browser, mac) = value.split_first_chunk::<16>()?;
        let browser = Uuid::from_bytes(*browser);
        self.known_mac(browser, email).verify_slice(mac).ok()?;
        Some(browser)
    }
}
