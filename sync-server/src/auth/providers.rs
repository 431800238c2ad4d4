//! Signing in through somebody else: Google, Apple, Microsoft and every other OpenID Connect issuer, and GitHub's own OAuth.
//!
//! **Invariant:** who somebody is comes from the provider that the settings name, never from what an answer says of itself.

mod accounts;
mod apple;
pub(super) mod events;
pub(super) mod flow;
mod github;
mod linking;
mod microsoft;
pub(super) mod newcomer;
mod oidc;
mod outgoing;
pub(super) mod own;
mod pending_link;
pub(super) mod provider_tokens;
pub(super) mod revoking;

pub use accounts::{Listed, list as accounts_of, of_user as identities_of, unlink_since};
pub use pending_link::PendingLink;

use crate::app::calls;
use anyhow::{Context as _, bail, ensure};
use github::GitHub;
use oidc::Oidc;
use protocol::auth::{Email, Provider};
use protocol::{Code, Problem};
use provider_tokens::Held;
use serde::Deserialize;
use std::net::IpAddr;
use url::Url;

/// Seconds that somebody may take at the provider, and then to prove that an account is theirs.
const WAITS: u32 = 600;

/// One entry of `PROVIDERS`.
#[derive(Deserialize)]
struct Setting {
    id: String,
    name: String,
    #[serde(flatten)]
    kind: Kind,
    client_id: String,
    /// Of every kind but Apple's.
    client_secret: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind {
    Oidc {
        issuer: String,
    },
    Apple {
        #[serde(default = "apple_issuer")]
        issuer: String,
        #[serde(flatten)]
        apple: apple::Setting,
    },
    Microsoft {
        /// Whose people get in.
        tenant: String,
        #[serde(default = "microsoft_base")]
        base: Url,
    },
    Github {
        #[serde(default = "github_base")]
        base: Url,
        #[serde(default = "github_api")]
        api: Url,
    },
}

fn apple_issuer() -> String {
    apple::ISSUER.to_owned()
}

fn microsoft_base() -> Url {
    Url::parse(microsoft::BASE).unwrap_or_else(|_| unreachable!("a fixed address"))
}

fn github_base() -> Url {
    Url::parse("https://github.com").unwrap_or_else(|_| unreachable!("a fixed address"))
}

fn github_api() -> Url {
    Url::parse("https://api.github.com").unwrap_or_else(|_| unreachable!("a fixed address"))
}

/// The providers of this installation.
#[derive(Debug)]
pub struct Registry(Vec<Known>);

#[derive(Debug)]
struct Known {
    id: String,
    name: String,
    way: Way,
    /// Calls it, and where its own description leads.
    http: reqwest::Client,
}

#[derive(Debug)]
enum Way {
    Oidc(Box<Oidc>),
    GitHub(Box<GitHub>),
}

/// Somebody as a provider vouches for them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    /// Never changes at that provider, unlike names and addresses.
    subject: String,
    email: Option<Email>,
    /// Whether the provider has seen a letter arrive there, or we have.
    is_email_verified: bool,
    name: Option<String>,
    avatar_url: Option<String>,
    /// What is to be taken back at the provider once nobody here is this identity; Apple's alone.
    token: Option<Held>,
}

/// What a way out begins with: where to, and what must be known at the way back.
#[derive(Debug)]
struct Outward {
    url: Url,
    state: String,
    nonce: String,
    verifier: String,
}

/// What came back with the browser, the state aside.
#[derive(Clone, Debug)]
struct Answer {
    code: String,
    iss: Option<String>,
    nonce: String,
    verifier: String,
    /// What the person is called, by nobody's word but the browser's.
    name: Option<String>,
}

impl Registry {
    /// Reads `PROVIDERS`; each failure names the entry. `callback` gives the address that the provider sends people back to.
    pub fn new(settings: &str, callback: impl Fn(&str) -> String) -> anyhow::Result<Self> {
        const SHAPE: &str = "PROVIDERS must be a JSON list; see docs/providers.md";
        let settings: Vec<Setting> = serde_json::from_str(settings).context(SHAPE)?;
        let mut known = Vec::<Known>::new();
        for setting in settings {
            let id = setting.id.clone();
            ensure!(
                !id.is_empty()
                    && id
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "PROVIDERS: an id must be of a-z, 0-9 and dashes, but one is {id:?}"
            );
            ensure!(
                known.iter().all(|other| other.id != id),
                "PROVIDERS: the id {id} is there twice"
            );
            let provider = Known::new(setting, &callback(&id)).with_context(|| format!("PROVIDERS: {id}"))?;
            known.push(provider);
        }
        Ok(Self(known))
    }

    /// For the buttons of the sign-in page.
    pub fn list(&self) -> Vec<Provider> {
        self.0
            .iter()
            .map(|known| Provider {
                id: known.id.clone(),
                name: known.name.clone(),
            })
            .collect()
    }

    /// What people call it.
    fn name(&self, id: &str) -> &str {
        self.0
            .iter()
            .find(|known| known.id == id)
            .map_or("A sign-in service", |known| known.name.as_str())
    }

    /// Whether it tells of its own accord what its people do there.
    pub fn tells(&self, id: &str) -> bool {
        self.known(id).is_ok_and(|known| known.apple().is_some())
    }

    /// The id as the settings have it.
    pub fn find(&self, id: &str) -> Result<&str, Problem> {
        self.known(id).map(|known| known.id.as_str())
    }

    fn known(&self, id: &str) -> Result<&Known, Problem> {
        self.0
            .iter()
            .find(|known| known.id == id)
            .ok_or_else(|| Problem::new(Code::NotFound).detail("This server offers no such way to sign in."))
    }
}

impl Known {
    fn new(setting: Setting, callback: &str) -> anyhow::Result<Self> {
        let client = Client {
            id: setting.client_id,
            callback: callback.to_owned(),
        };
        let secret = setting.client_secret.context("client_secret is missing");
        let (way, http) = match setting.kind {
            Kind::Oidc { issuer } => {
                let http = calls::client(&[&safe(&issuer)?])?;
                (Way::Oidc(Box::new(Oidc::new(issuer, client, secret?)?)), http)
            }
            Kind::Apple { issuer, apple } => {
                let http = calls::client(&[&safe(&issuer)?])?;
                (Way::Oidc(Box::new(Oidc::apple(issuer, client, apple)?)), http)
            }
            Kind::Microsoft { tenant, base } => {
                let http = calls::client(&[&base])?;
                let directories = microsoft::Directories::new(&base, &tenant)?;
                let way = Oidc::microsoft(directories, client, secret?)?;
                (Way::Oidc(Box::new(way)), http)
            }
            Kind::Github { base, api } => {
                must_be_safe(&base)?;
                must_be_safe(&api)?;
                let http = calls::client(&[&base, &api])?;
                let way = GitHub::new(&base, api, client, secret?)?;
                (Way::GitHub(Box::new(way)), http)
            }
        };
        Ok(Self {
            id: setting.id,
            name: setting.name,
            way,
            http,
        })
    }

    /// `None`: it is no Apple.
    fn apple(&self) -> Option<&Oidc> {
        match &self.way {
            Way::Oidc(oidc) if oidc.posts() => Some(oidc),
            Way::Oidc(_) | Way::GitHub(_) => None,
        }
    }
}

/// This server as the provider knows it.
struct Client {
    id: String,
    callback: String,
}

fn safe(issuer: &str) -> anyhow::Result<Url> {
    let issuer = Url::parse(issuer).context("issuer must be a URL")?;
    must_be_safe(&issuer)?;
    Ok(issuer)
}

/// What is told to a provider and believed of it must not be readable or changeable on the way.
fn must_be_safe(url: &Url) -> anyhow::Result<()> {
    let is_loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(url::Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback) {
        return Ok(());
    }
    bail!("{url} must be https; http works for 127.0.0.1 and localhost alone")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &str) -> anyhow::Result<Registry> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Registry::new(settings, |id| format!("https://c.example/auth/{id}/callback"))
    }

    #[test]
    fn every_kind_of_provider_is_read() {
        let registry = read(
            r#"[{"id":"google","name":"Google","kind":"oidc","issuer":"https://accounts.google.com","client_id":"a","client_secret":"b"},
                {"id":"microsoft","name":"Microsoft","kind":"microsoft","tenant":"common","client_id":"a","client_secret":"b"},
                {"id":"github","name":"GitHub","kind":"github","client_id":"a","client_secret":"b"}]"#,
        )
        .unwrap();
        let ids: Vec<String> = registry.list().into_iter().map(|provider| provider.id).collect();
        assert_eq!(ids, ["google", "microsoft", "github"]);
        assert!(read("[]").unwrap().list().is_empty());
    }

    #[test]
    fn a_wrong_setting_stops_the_start_and_is_named() {
        let one = |id: &str, issuer: &str| {
            format!(
                r#"{{"id":"{id}","name":"N","kind":"oidc","issuer":"{issuer}","client_id":"a","client_secret":"b"}}"#
            )
        };
        for settings in [
            "{}".to_owned(),
            format!("[{}]", one("a", "http://idp.example")),
            format!("[{}]", one("a", "nonsense")),
            format!("[{}]", one("A/b", "https://idp.example")),
            format!("[{0},{0}]", one("a", "https://idp.example")),
            r#"[{"id":"a","name":"N","kind":"oidc","issuer":"https://idp.example","client_id":"a"}]"#.to_owned(),
            r#"[{"id":"a","name":"N","kind":"apple","client_id":"a"}]"#.to_owned(),
            r#"[{"id":"a","name":"N","kind":"microsoft","client_id":"a","client_secret":"b"}]"#.to_owned(),
            r#"[{"id":"a","name":"N","kind":"microsoft","tenant":"us","client_id":"a","client_secret":"b"}]"#.to_owned(),
            r#"[{"id":"a","name":"N","kind":"apple","client_id":"a","team_id":"t","key_id":"k","private_key":"x"}]"#
                .to_owned(),
        ] {
            let error = format!("{:#}", read(&settings).unwrap_err());
            assert!(error.contains("PROVIDERS"), "{error}");
        }
        assert!(read(&format!("[{}]", one("a", "http://127.0.0.1:4444"))).is_ok());
    }
}
