//! Whether an unsafe request comes from our own pages (CSRF): by what browsers say of themselves, and by form tokens.

use super::{Auth, cookies, seal};
use axum_extra::extract::cookie::Cookie;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header::ORIGIN};
use protocol::auth::Client;
use protocol::{Code, Problem};

/// What the stamps of forms are for.
const FORMS: &str = "csrf";

/// What the request says of where it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Ours,
    Foreign,
    /// Neither header: no browser of this decade, or something in between took them away.
    Silent,
}

/// Reads `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (RFC 6454). When both speak, both must be ours. A page that sends
/// no referrer, as ours do not, posts its forms with the origin `null` (Fetch §3.2): that says nothing for or against,
/// so then `Sec-Fetch-Site` alone must say that the page is ours. No script can set that header.
pub(super) fn source(headers: &HeaderMap, our_origin: &str) -> Source {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text("sec-fetch-site");
    let origin = text(ORIGIN.as_str()).filter(|origin| *origin != "null" || site != Some("same-origin"));
    match (site, origin.map(|origin| origin == our_origin)) {
        (_, Some(false)) => Source::Foreign,
        (Some("same-origin"), _) | (Some("none") | None, Some(true)) => Source::Ours,
        (Some("none") | None, None) => Source::Silent,
        (Some(_), _) => Source::Foreign,
    }
}

impl Auth {
    /// For whatever acts with a cookie or sets one: the request must be known to come from our own pages.
    pub fn must_be_same_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match source(headers, &self.config.origin()) {
            Source::Ours => Ok(()),
            Source::Foreign => Err(Problem::new(Code::OriginDenied)),
            Source::Silent => Err(Problem::new(Code::CsrfFailed)),
        }
    }

    /// For what acts without a cookie: programs may be silent, foreign pages are refused.
    pub fn must_not_be_foreign(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let has_cookie = [cookies::SESSION, cookies::FLOW]
            .iter()
            .any(|name| cookies::read(headers, name).is_some());
        match source(headers, &self.config.origin()) {
            Source::Silent if !has_cookie => Ok(()),
            Source::Ours | Source::Foreign | Source::Silent => self.must_be_same_origin(headers),
        }
    }

    /// For signing in: what sets a cookie must come from our own pages, what gives tokens may come from a program.
    pub(super) fn must_come_from_its_client(
        &self,
        headers: &HeaderMap,
        client: &Client,
    ) -> Result<(), Problem> {
        match client {
            Client::Browser => self.must_be_same_origin(headers),
            Client::Native { .. } => self.must_not_be_foreign(headers),
        }
    }

    /// The token for a page's forms, and the cookie to set with it where the browser has none yet.
    pub fn csrf_token(&self, headers: &HeaderMap) -> (String, Option<Cookie<'static>>) {
        if let Some(secret) = bearer_of_forms(headers) {
            return (self.csrf_of(secret), None);
        }
        let secret = cookies::fresh_secret();
        let token = self.csrf_of(&secret);
        (token, Some(cookies::set(cookies::PRE_SESSION, secret, None)))
    }

    /// For every form post: from our own pages, with the token of this very browser.
    pub fn check_csrf(&self, headers: &HeaderMap, field: &str) -> Result<(), Problem> {
        if source(headers, &self.config.origin()) == Source::Foreign {
            return Err(Problem::new(Code::OriginDenied));
        }
        let secret = bearer_of_forms(headers).ok_or_else(|| Problem::new(Code::CsrfFailed))?;
        let given = URL_SAFE_NO_PAD
            .decode(field)
            .map_err(|_not_base64| Problem::new(Code::CsrfFailed))?;
        if seal::is_stamped(&self.keys, FORMS, &[secret.as_bytes()], &given) {
            return Ok(());
        }
        Err(Problem::new(Code::CsrfFailed))
    }

    /// A secret of this browser's own for what it asks for, the same however often it asks: whoever presses twice is bound to both
    /// letters. `what`: nothing that is not the same twice. Fresh each time for a program, whose requests hang on nothing.
    pub(super) fn secret_for(&self, purpose: &str, headers: &HeaderMap, what: &str) -> String {
        let Some(bearer) = bearer_of_forms(headers) else {
            return cookies::fresh_secret();
        };
        let parts = [bearer.as_bytes(), &[0], what.as_bytes()];
        URL_SAFE_NO_PAD.encode(seal::stamp(&self.keys, purpose, &parts))
    }

    fn csrf_of(&self, secret: &str) -> String {
        URL_SAFE_NO_PAD.encode(seal::stamp(&self.keys, FORMS, &[secret.as_bytes()]))
    }
}

/// The cookie that a form's token hangs on: the session's once signed in, so that a token from before does not outlive it.
fn bearer_of_forms(headers: &HeaderMap) -> Option<&str> {
    cookies::read(headers, cookies::SESSION).or_else(|| cookies::read(headers, cookies::PRE_SESSION))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(site: Option<&'static str>, origin: Option<&'static str>) -> Source {
        let mut headers = HeaderMap::new();
        if let Some(site) = site {
            headers.insert("sec-fetch-site", HeaderValue::from_static(site));
        }
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        source(&headers, "https://c.example")
    }

    #[test]
    fn only_our_own_pages_are_ours() {
        let ours = Some("https://c.example");
        assert_eq!(of(Some("same-origin"), ours), Source::Ours);
        assert_eq!(of(Some("same-origin"), None), Source::Ours);
        assert_eq!(of(Some("same-origin"), Some("null")), Source::Ours);
        assert_eq!(of(None, ours), Source::Ours);
        assert_eq!(of(Some("none"), ours), Source::Ours);
        assert_eq!(of(Some("none"), None), Source::Silent);
        assert_eq!(of(None, None), Source::Silent);
        for (site, origin) in [
            (Some("cross-site"), ours),
            (Some("same-site"), ours),
            (Some("same-site"), None),
            (Some("same-origin"), Some("https://evil.example")),
            (None, Some("null")),
            (Some("none"), Some("null")),
            (Some("cross-site"), Some("null")),
            (None, Some("https://c.example.evil.org")),
            (None, Some("http://c.example")),
            (Some("rubbish"), None),
        ] {
            assert_eq!(of(site, origin), Source::Foreign, "{site:?} {origin:?}");
        }
    }
}
