//! Which addresses this program may hand to the system's browser. A server or a message may try to hand over
//! anything: a file, a program's flag, another host.
//!
//! **Invariant:** no I/O.

use protocol::oauth::{CLIENT_ID, REQUEST_URI};
use protocol::{Code, Problem};
use url::Url;

/// A reference is a name, and goes into an address.
const REFERENCE_BYTES: usize = 512;

/// A link in a text, that a person clicked.
pub fn link(text: &str) -> Result<Url, Problem> {
    let refuse = || Problem::new(Code::Invalid).detail("Only web and mail links can be opened.");
    if text.len() > 8 * 1024 || text.chars().any(char::is_control) {
        return Err(refuse());
    }
    let url = Url::parse(text).map_err(|_unreadable| refuse())?;
    match (url.scheme(), url.has_host()) {
        ("https" | "http", true) | ("mailto", false) => Ok(url),
        _ => Err(refuse()),
    }
}

/// The page where signing in begins: of the configured server and no other, and for what was pushed there. A reference of another
/// kind would have the server's page fetch what it leads to.
pub fn sign_in_page(server: &Url, request_uri: &str) -> Result<Url, Problem> {
    let failed =
        || Problem::new(Code::ProviderFailed).detail("The server's answer made no sense. Please try again.");
    let named = request_uri.strip_prefix(REQUEST_URI).unwrap_or_default();
    let is_name = !named.is_empty() && named.chars().all(|c| c.is_ascii_graphic());
    if !is_name || request_uri.len() > REFERENCE_BYTES {
        return Err(failed());
    }
    let mut page = server
        .join(protocol::routes::AUTHORIZE)
        .map_err(|_unreadable| failed())?;
    page.query_pairs_mut()
        .append_pair("client_id", CLIENT_ID)
        .append_pair("request_uri", request_uri);
    let is_of_server = page.origin() == server.origin() && matches!(page.scheme(), "https" | "http");
    if is_of_server { Ok(page) } else { Err(failed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_and_mail_links_are_opened_and_nothing_else() {
        for good in [
            "https://example.org/a?b#c",
            "http://example.org",
            "mailto:ana@example.org",
        ] {
            assert!(link(good).is_ok(), "{good}");
        }
        for bad in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "compymac://session/1",
            "--flag",
            "$(reboot)",
            "smb://host/share",
            "https://a\nb",
            "",
        ] {
            assert!(link(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_sign_in_page_is_of_the_server_whatever_the_reference_is_called() {
        let server = Url::parse("https://compymac.dev/").unwrap();
        for name in ["x", "https://evil.org", "//evil.org", "\";rm", "&next=evil"] {
            let reference = format!("{REQUEST_URI}{name}");
            let page = sign_in_page(&server, &reference).unwrap();
            assert_eq!(page.host_str(), Some("compymac.dev"));
            assert_eq!(page.path(), "/oauth/authorize");
            assert_eq!(
                page.query_pairs()
                    .find(|(name, _)| name == "request_uri")
                    .unwrap()
                    .1,
                reference
            );
        }
    }

    #[test]
    fn a_reference_of_another_kind_is_not_opened() {
        let server = Url::parse("https://compymac.dev/").unwrap();
        let long = format!("{REQUEST_URI}{}", "x".repeat(REFERENCE_BYTES));
        let bent = format!("{REQUEST_URI}moc\u{202e}");
        let two = format!("{REQUEST_URI}a b");
        for reference in ["", "urn:x", "https://evil.org", REQUEST_URI, &long, &bent, &two] {
            assert!(sign_in_page(&server, reference).is_err(), "{reference}");
        }
    }
}
