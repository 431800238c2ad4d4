//! The forms of every page, found by the routes and the server that runs, so that a new one is among them by itself, and
//! filled in so that each would do something.

use harness::Client;
use http::Method;
use protocol::routes::{self, page};

/// Posted to without a page's token, since the address itself proves something: a provider's answer, which counts only in the browser
/// that its state belongs to, and a letter's own link, to which mail programs post (RFC 8058).
const WITHOUT_TOKEN: [&str; 2] = [page::PROVIDER_CALLBACK, page::LETTERS_LINK];

/// What the forms are about.
pub(super) struct About {
    pub email: String,
    pub session: String,
    pub message: String,
    pub device: String,
    pub passkey: String,
}

impl About {
    /// Things that are nobody's.
    pub fn nothing() -> Self {
        let id = || "018f0000-0000-7000-8000-000000000001".to_owned();
        Self {
            email: String::new(),
            session: id(),
            message: id(),
            device: id(),
            passkey: id(),
        }
    }

    /// A form's address.
    pub fn path(&self, route: &str) -> String {
        let id = if route.starts_with("/s/") {
            &self.session
        } else if route.contains("/passkeys/") {
            &self.passkey
        } else {
            &self.device
        };
        route
            .replace("{id}", id)
            .replace("{provider}", "google")
            .replace("{token}", "x")
    }

    /// What any form wants, and the token.
    pub fn fields<'a>(&'a self, csrf: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
        let mut fields = vec![
            ("email", self.email.as_str()),
            ("password", "walnut-ferry-copper-drizzle"),
            ("code", "AAAA-AAAA"),
            ("token", "018f0000-0000-7000-8000-000000000001~x"),
            ("request_uri", "urn:x"),
            ("answer", "yes"),
            ("account", self.device.as_str()),
            ("message", self.message.as_str()),
            ("run", self.message.as_str()),
            ("text", "Somebody else's"),
            ("title", "Somebody else's"),
            ("name", "Somebody else's"),
            ("archived", "true"),
        ];
        fields.extend(csrf.map(|token| ("csrf", token)));
        fields
    }
}

/// Every address that a page may have.
fn addresses() -> Vec<String> {
    let file = harness::root().join("protocol/src/routes.rs");
    let text = std::fs::read_to_string(file).expect("the routes");
    let (_, pages) = text.split_once("pub mod page {").expect("the pages");
    let mut all: Vec<String> = pages
        .split("pub const ")
        .filter_map(|constant| constant.split('"').nth(1))
        .map(str::to_owned)
        .collect();
    all.push(routes::AUTHORIZE.to_owned());
    all
}

/// The routes of those that the server takes posts at, and that want a page's token.
pub(super) async fn all(server: &str) -> Vec<String> {
    let (nobody, about) = (Client::native(server), About::nothing());
    let mut all = Vec::new();
    for route in addresses() {
        let post = nobody.bare(Method::POST, &about.path(&route));
        let is_posted_to = nobody.send(post).await.status != 405;
        if is_posted_to && !WITHOUT_TOKEN.contains(&route.as_str()) {
            all.push(route);
        }
    }
    assert!(all.len() > 45, "{} forms: {all:?}", all.len());
    all
}

/// The token that this browser's forms have.
pub(super) async fn token(client: &Client, path: &str, action: &str) -> String {
    let page = client.get(path).await;
    let token = page.form(action).field("csrf").map(str::to_owned);
    token.unwrap_or_else(|| panic!("a form with a token: {page:?}"))
}
