//! One request's outer marks: from where and under which number. For limits, the audit and letters; proof of nothing.

use super::{Auth, cookies};
use crate::limits::address;
use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use http::header::USER_AGENT;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

#[derive(Clone, Debug)]
pub struct Visit {
    pub address: IpAddr,
    pub user_agent: String,
    pub request_id: Option<String>,
    /// The cookie that the browser came with: signing in again replaces it.
    pub(super) session_cookie: Option<String>,
    /// Of a browser that is known at some account.
    pub(super) known_cookie: Option<String>,
    /// Of a provider that somebody tried before and has to link by signing in.
    pub(super) provider_cookie: Option<String>,
}

impl Visit {
    /// What happens here because its time has come, and nobody asks for it just now.
    pub(super) fn of_the_server() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            user_agent: String::new(),
            request_id: None,
            session_cookie: None,
            known_cookie: None,
            provider_cookie: None,
        }
    }

    /// What limits count.
    pub fn prefix(&self) -> String {
        address::prefix(self.address)
    }

    /// A browser and system in words, for the list of devices.
    pub fn browser(&self) -> (String, String) {
        describe(&self.user_agent)
    }
}

impl Auth {
    /// Whose request it is, as its connection says, or the proxies that are believed.
    pub fn address_of(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
        self.0.proxies.client(peer, headers)
    }
}

impl<S> FromRequestParts<S> for Visit
where
    Auth: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let auth = Auth::from_ref(state);
        let text = |name: &str, chars: usize| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some(value.chars().take(chars).collect::<String>())
        };
        let cookie = |name| cookies::read(&parts.headers, name).map(str::to_owned);
        Ok(Self {
            address: auth.address_of(&parts.extensions, &parts.headers),
            user_agent: text(USER_AGENT.as_str(), 512).unwrap_or_default(),
            request_id: text("x-request-id", 64),
            session_cookie: cookie(cookies::SESSION),
            known_cookie: cookie(cookies::KNOWN),
            provider_cookie: cookie(cookies::PROVIDER),
        })
    }
}

/// Names what people know a browser by. The order matters: each later name hides in the earlier ones' strings.
fn describe(agent: &str) -> (String, String) {
    const BROWSERS: [(&str, &str); 7] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Vivaldi", "Vivaldi"),
        ("Firefox/", "Firefox"),
        ("CriOS", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str, &str); 6] = [
        ("iPhone", "an iPhone", "ios"),
        ("iPad", "an iPad", "ios"),
        ("Android", "Android", "android"),
        ("Windows", "Windows", "windows"),
        ("Mac OS X", "a Mac", "macos"),
        ("Linux", "Linux", "linux"),
    ];
    let browser = BROWSERS
        .iter()
        .find(|(mark, _)| agent.contains(mark))
        .map_or("A browser", |(_, name)| *name);
    let system = SYSTEMS.iter().find(|(mark, ..)| agent.contains(mark));
    match system {
        Some((_, words, os)) => (format!("{browser} on {words}"), (*os).to_owned()),
        None => (browser.to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_as_people_name_it() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(
            describe(firefox),
            ("Firefox on Linux".to_owned(), "linux".to_owned())
        );
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0";
        assert_eq!(
            describe(edge),
            ("Edge on Windows".to_owned(), "windows".to_owned())
        );
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
        assert_eq!(
            describe(phone),
            ("Safari on an iPhone".to_owned(), "ios".to_owned())
        );
        assert_eq!(describe("curl/8"), ("A browser".to_owned(), String::new()));
    }
}
