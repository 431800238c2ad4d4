//! Which addresses this program may hand to the system's browser. A server or a message may try to hand over
//! anything: a file, a program's flag, another host.
//!
//! **Invariant:** no I/O.

use protocol::{Code, Problem};
use url::Url;

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

/// The page where signing in begins: of the configured server and no other.
pub fn sign_in_page(server: &Url, request_uri: &str) -> Result<Url, Problem> {
    let failed =
        || Problem::new(Code::ProviderFailed).detail("The server's answer made no sense. Please try again.");
    let mut page = server
        .join(protocol::routes::AUTHORIZE)
        .map_err(|_unreadable| failed())?;
    page.query_pairs_mut()
        .append_pair("client_id", protocol::oauth::CLIENT_ID)
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
    fn the_sign_in_page_is_of_the_server_whatever_the_reference_says() {
        let server = Url::parse("https://compymac.dev/").unwrap();
        for reference in [
            "urn:x",
            "https://evil.org",
            "//evil.org",
            "\"; rm -rf",
            "&next=evil",
        ] {
            let page = sign_in_page(&server, reference).unwrap();
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
}
