//! What Microsoft does otherwise than OpenID Connect says: one door for the people of many directories, each an issuer of its
//! own; keys of which some sign for one directory alone; and addresses that whoever runs a directory may set as they like.
//!
//! **Invariant:** an issuer is built here, from the settings and a directory's id; none is ever taken from a token or fetched.

use super::oidc::{Known, Metadata, must_stay};
use super::outgoing::read;
use super::{Identity, must_be_safe};
use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet};
use openidconnect::{IssuerUrl, JsonWebKeySet};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

pub const BASE: &str = "https://login.microsoftonline.com";
/// The directory that all personal accounts are in.
const PERSONAL: Uuid = Uuid::from_u128(0x9188_040d_6c67_4c5b_b112_36a3_04b6_6dad);
/// Stands for the directory in what is said of many.
const ANY: &str = "{tenantid}";

/// Whose people get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tenant {
    /// Everybody's: those of organisations, and personal accounts.
    Common,
    /// Every organisation's.
    Organizations,
    /// Personal accounts.
    Consumers,
    /// One organisation's.
    One(Uuid),
}

impl Tenant {
    fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(match text {
            "common" => Self::Common,
            "organizations" => Self::Organizations,
            "consumers" => Self::Consumers,
            id => Self::One(plain(id).context(
                "tenant must be common, organizations, consumers or a directory (tenant) ID, which is a UUID",
            )?),
        })
    }

    fn admits(self, directory: Uuid) -> bool {
        match self {
            Self::Common => true,
            Self::Organizations => directory != PERSONAL,
            Self::Consumers => directory == PERSONAL,
            Self::One(id) => directory == id,
        }
    }
}

/// An id as Microsoft writes it, and in no other way: it becomes part of an address and of who somebody is.
fn plain(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.hyphenated().to_string() == text).then_some(id)
}

/// Microsoft's sign-in service, as the settings name it.
#[derive(Debug)]
pub struct Directories {
    base: String,
    tenant: Tenant,
    name: String,
}

/// What an ID token says of its directory and person. Nothing is believed before the token is checked.
#[derive(Debug, Deserialize)]
pub struct Said {
    tid: String,
    oid: String,
    /// Whether the directory has proven that the address's domain is its own. An optional claim, of several shapes.
    #[serde(default)]
    xms_edov: Value,
}

/// A key as Microsoft lists it.
#[derive(Debug, Deserialize)]
struct Listed {
    /// Whom it signs for, where that is not everybody.
    issuer: Option<String>,
    #[serde(flatten)]
    key: Value,
}

#[derive(Debug, Deserialize)]
struct Keys {
    keys: Vec<Listed>,
}

/// A key, and whom it signs for.
#[derive(Clone, Debug)]
pub struct Owned {
    issuer: Option<String>,
    key: CoreJsonWebKey,
}

impl Directories {
    pub fn new(base: &Url, tenant: &str) -> anyhow::Result<Self> {
        must_be_safe(base)?;
        Ok(Self {
            base: base.as_str().trim_end_matches('/').to_owned(),
            tenant: Tenant::parse(tenant)?,
            name: tenant.to_owned(),
        })
    }

    /// Under which the service describes itself.
    pub fn address(&self) -> String {
        format!("{}/{}/v2.0", self.base, self.name)
    }

    fn issuer_of(&self, directory: &str) -> String {
        format!("{}/{directory}/v2.0", self.base)
    }

    /// Whether an answer that names this issuer can be meant for us. Of which directory it is, the token says, for which the
    /// code has to be redeemed; one that nobody may come from is told apart before.
    pub fn may_answer(&self, issuer: &str) -> bool {
        let (Some(rest), base) = (issuer.strip_suffix("/v2.0"), &self.base) else {
            return false;
        };
        let directory = rest
            .strip_prefix(base.as_str())
            .and_then(|rest| rest.strip_prefix('/'));
        directory
            .and_then(plain)
            .is_some_and(|directory| self.tenant.admits(directory))
    }

    /// What the service says of itself, with all its keys. It may name as its issuer nothing but what the settings lead to.
    pub async fn discover(&self, http: &reqwest::Client) -> anyhow::Result<Known> {
        let address = format!("{}/.well-known/openid-configuration", self.address());
        let metadata: Metadata = read(http, &address).await?;
        let expected = match self.tenant {
            Tenant::Common | Tenant::Organizations => self.issuer_of(ANY),
            Tenant::Consumers => self.issuer_of(&PERSONAL.to_string()),
            Tenant::One(id) => self.issuer_of(&id.to_string()),
        };
        ensure!(
            metadata.issuer().as_str() == expected,
            "the service names another issuer"
        );
        must_stay(&metadata)?;
        let Keys { keys } = read(http, metadata.jwks_uri().as_str()).await?;
        // a key of a kind that is not known here checks nothing
        let owned = keys.into_iter().filter_map(|listed| {
            let key = serde_json::from_value(listed.key).ok()?;
            let issuer = listed.issuer;
            Some(Owned { issuer, key })
        });
        let keys = owned.collect();
        Ok(Known { metadata, keys })
    }

    /// The metadata of the one directory that a token says it is of: its issuer, and the keys that may sign for it.
    pub fn narrowed(&self, known: &Known, said: &Said) -> anyhow::Result<Metadata> {
        let directory = plain(&said.tid).context("the token names no directory")?;
        ensure!(
            self.tenant.admits(directory),
            "the settings do not let people of the directory {directory} in"
        );
        let issuer = self.issuer_of(&said.tid);
        let own = known.keys.iter().filter(|owned| match &owned.issuer {
            Some(of) => of.replace(ANY, &said.tid) == issuer,
            None => true,
        });
        let keys: CoreJsonWebKeySet = JsonWebKeySet::new(own.map(|owned| owned.key.clone()).collect());
        let issuer = IssuerUrl::new(issuer).context("the directory's issuer")?;
        Ok(known.metadata.clone().set_issuer(issuer).set_jwks(keys))
    }
}

impl Said {
    /// As it stands in the token, whoever wrote it.
    pub fn read(token: &str) -> anyhow::Result<Self> {
        let Some(payload) = token.split('.').nth(1) else {
            bail!("the ID token has no claims");
        };
        let payload = URL_SAFE_NO_PAD.decode(payload).context("reading the ID token")?;
        serde_json::from_slice(&payload).context("the ID token needs `tid` and `oid`")
    }

    /// Of a token that was checked. Who somebody is, is the directory and the object there; an address is nobody, and one
    /// whose domain the directory has not proven is not even vouched for.
    pub fn vouched(&self, identity: Identity) -> anyhow::Result<Identity> {
        let object = plain(&self.oid).context("the token names nobody")?;
        Ok(Identity {
            subject: format!("{}/{object}", self.tid),
            is_email_verified: is_true(&self.xms_edov),
            ..identity
        })
    }
}

/// What is not plainly true is not.
fn is_true(said: &Value) -> bool {
    said == &Value::Bool(true)
        || said.as_u64() == Some(1)
        || said
            .as_str()
            .is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DIRECTORY: &str = "11111111-2222-4333-8444-555555555555";

    #[test]
    fn a_directory_that_is_not_written_as_one_is_none() {
        assert!(plain(DIRECTORY).is_some());
        for other in [
            "",
            "common",
            "11111111222243338444555555555555",
            "{11111111-2222-4333-8444-555555555555}",
            "11111111-2222-4333-8444-55555555555A",
            "11111111-2222-4333-8444-555555555555/../x",
        ] {
            assert_eq!(plain(other), None, "{other}");
        }
        assert!(Tenant::parse("example.onmicrosoft.com").is_err());
    }

    #[test]
    fn each_tenant_admits_its_own() {
        let other = plain(DIRECTORY).unwrap();
        let admitted = |name: &str| {
            let tenant = Tenant::parse(name).unwrap();
            (tenant.admits(other), tenant.admits(PERSONAL))
        };
        assert_eq!(admitted("common"), (true, true));
        assert_eq!(admitted("organizations"), (true, false));
        assert_eq!(admitted("consumers"), (false, true));
        assert_eq!(admitted(DIRECTORY), (true, false));
    }

    #[test]
    fn a_domain_is_proven_only_where_that_is_plainly_said() {
        for yes in [json!(true), json!("true"), json!("1"), json!(1), json!("True")] {
            assert!(is_true(&yes), "{yes}");
        }
        for no in [
            json!(null),
            json!(false),
            json!("false"),
            json!("0"),
            json!(0),
            json!(2),
            json!("yes"),
            json!([true]),
            json!({"a": true}),
            json!(""),
        ] {
            assert!(!is_true(&no), "{no}");
        }
    }
}
