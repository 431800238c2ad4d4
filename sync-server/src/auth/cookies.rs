//! The cookies of a browser: all `__Host-`, so no other host and no plain connection can set or read them.

use axum_extra::extract::cookie::Cookie;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header::COOKIE};
use sha2::{Digest as _, Sha256};

/// Signs a browser in: 32 random bytes, of which the server keeps the hash.
pub const SESSION: &str = "__Host-compymac_sid";
/// Binds a sign-up to the browser that began it.
pub const FLOW: &str = "__Host-compymac_flow";
/// Binds a provider's answer to the browser that left for it. Not the sign-up's cookie: trying a provider out must not undo
/// a sign-up.
pub const PROVIDER: &str = "__Host-compymac_provider";
/// Between the two steps of a sign-in: what the second is for.
pub const STEP: &str = "__Host-compymac_step";
/// An account that is to be deleted, which whoever holds this may keep.
pub const KEEP: &str = "__Host-compymac_keep";
/// Binds a letter that signs its reader in to the browser that asked for it.
pub const LETTER: &str = "__Host-compymac_letter";
/// Binds what a passkey is asked for to the browser that asks.
pub const PASSKEY: &str = "__Host-compymac_passkey";
/// Shows that somebody signed in to an account here before. It opens nothing.
pub const KNOWN: &str = "__Host-compymac_known";
/// Somebody new whose provider does not vouch for their address, sealed, until a letter's code proves it.
pub const NEWCOMER: &str = "__Host-compymac_newcomer";
/// Gives forms a token before anybody is signed in.
pub const PRE_SESSION: &str = "__Host-compymac_pre";

/// The value of one cookie of a request. The first wins, as browsers send the most specific first.
pub fn read<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// A cookie as it is set. `seconds`: `None` lasts until the browser closes.
pub fn set(name: &'static str, value: String, seconds: Option<i64>) -> Cookie<'static> {
    let cookie = Cookie::build((name, value))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(axum_extra::extract::cookie::SameSite::Lax);
    match seconds {
        Some(seconds) => cookie.max_age(time::Duration::seconds(seconds)).build(),
        None => cookie.build(),
    }
}

/// Takes a cookie away.
pub fn clear(name: &'static str) -> Cookie<'static> {
    set(name, String::new(), Some(0))
}

/// 32 random bytes as text.
pub fn fresh_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What is kept of a secret of 32 random bytes: it cannot be guessed, so a plain hash hides it well.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// [`digest`] as the text that `sessions.session_token` holds.
pub fn digest_text(secret: &str) -> String {
    use std::fmt::Write as _;
    digest(secret)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(
            COOKIE,
            HeaderValue::from_static("a=1; __Host-compymac_sid=xyz; b=2"),
        );
        assert_eq!(read(&headers, SESSION), Some("xyz"));
        assert_eq!(read(&headers, "sid"), None);
        headers.append(COOKIE, HeaderValue::from_static("c=3"));
        assert_eq!(read(&headers, "c"), Some("3"));
    }

    #[test]
    fn every_cookie_is_bound_to_this_host_and_hidden_from_scripts() {
        let text = set(SESSION, "v".to_owned(), Some(60)).to_string();
        for part in [
            "__Host-",
            "Secure",
            "HttpOnly",
            "SameSite=Lax",
            "Path=/",
            "Max-Age=60",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("Domain"));
    }
}
