//! Where to go after signing in: pages of this site only, by a list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::routes::{self, page};
use url::Url;

/// Bytes of a way that go into a cookie: browsers drop one of more than 4,096.
const KEPT: usize = 2048;

/// The path to go to, or home for anything that is not one of our pages. Reads addresses as browsers do.
pub fn safe_next(text: &str) -> String {
    let home = page::HOME.to_owned();
    let is_path = text.starts_with('/')
        && !text.starts_with("//")
        && text.len() <= 2048
        && !text.contains('\\')
        && !text.chars().any(char::is_control);
    if !is_path {
        return home;
    }
    let base = Url::parse("https://here.invalid").ok();
    let Some(url) = base.as_ref().and_then(|base| base.join(text).ok()) else {
        return home;
    };
    if url.origin().ascii_serialization() != "https://here.invalid" || !is_page(url.path()) {
        return home;
    }
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// What binds a letter to the browser that asks for it, as its cookie holds it: a secret, and where its reader is going.
/// The letter knows neither, and the server keeps one hash of both: who changes the way has lost the secret too.
pub fn binding(secret: String, next: &str) -> String {
    let next = safe_next(next);
    if next == page::HOME || next.len() > KEPT {
        return secret;
    }
    format!("{secret}.{}", URL_SAFE_NO_PAD.encode(next))
}

/// Where the reader of a letter was going in the browser that holds this binding.
pub fn next_in(binding: &str) -> String {
    let (_, next) = binding.split_once('.').unwrap_or_default();
    let next = URL_SAFE_NO_PAD.decode(next).unwrap_or_default();
    safe_next(&String::from_utf8(next).unwrap_or_default())
}

/// One of our pages that comes first, and leads on there.
pub fn by_way_of(first: &str, next: &str) -> String {
    page::leading_on(first, &safe_next(next))
}

fn is_page(path: &str) -> bool {
    let pages = [
        page::HOME,
        page::ARCHIVED,
        page::SETTINGS,
        page::SECURITY,
        page::DEVICE_CODE,
        routes::AUTHORIZE,
    ];
    // one of ours by its id
    let is_of = |route: &str| {
        route
            .strip_suffix("{id}")
            .and_then(|before| path.strip_prefix(before))
            .is_some_and(|id| uuid::Uuid::parse_str(id).is_ok())
    };
    pages.contains(&path) || is_of(page::SESSION) || is_of(page::EXPORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn our_pages_are_gone_to() {
        for text in [
            "/",
            "/archived",
            "/settings",
            "/device",
            "/settings/security/export/018f0000-0000-7000-8000-000000000001",
            "/s/018f0000-0000-7000-8000-000000000001",
            "/oauth/authorize?client_id=compymac-desktop&request_uri=urn%3Ax",
        ] {
            assert_eq!(safe_next(text), text);
        }
    }

    #[test]
    fn everything_else_leads_home() {
        for text in [
            "",
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example/",
            "\\\\evil.example",
            "%2f%2fevil.example",
            "/%2fevil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/\t/evil.example",
            " //evil.example",
            "/auth/../..//evil.example",
            "/.//evil.example",
            "/auth/sign-out",
            "/s/nonsense",
            "/api/v1/me",
        ] {
            assert_eq!(safe_next(text), "/", "{text:?}");
        }
    }

    #[test]
    fn a_binding_holds_the_secret_and_the_way() {
        let way = "/oauth/authorize?request_uri=urn%3Ax";
        let binding = |way: &str| binding("secret".to_owned(), way);
        assert_eq!(next_in(&binding(way)), way);
        let long = format!("/settings?{}", "\u{e9}".repeat(500));
        for none in [page::HOME, "", "//evil.example/", &long] {
            let binding = binding(none);
            assert_eq!(
                (binding.as_str(), next_in(&binding)),
                ("secret", page::HOME.to_owned()),
                "{none}"
            );
        }
        for made_up in ["", ".", "x.%", "x.Ly9ldmlsLmV4YW1wbGUv", "x._w"] {
            assert_eq!(next_in(made_up), page::HOME, "{made_up}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_stays_on_this_site(text in "[/\\\\.:%a-z0-9?#@ \\t]{0,40}") {
            let base = Url::parse("https://c.example").unwrap();
            let url = base.join(&safe_next(&text)).unwrap();
            prop_assert_eq!(url.origin(), base.origin());
        }
    }
}
