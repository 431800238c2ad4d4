//! An OpenID Connect issuer: found by discovery, believed only after its signature, issuer, audience, nonce and times.

use super::apple::{Doubt, Notice};
use super::microsoft::{self, Directories};
use super::outgoing::{call, read};
use super::provider_tokens::Held;
use super::{Answer, Client, Identity, Outward, apple, must_be_safe};
use crate::app::{Keys, calls};
use anyhow::{Context as _, bail, ensure};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreGrantType, CoreIdToken, CoreIdTokenClaims, CoreJsonWebKey, CoreJsonWebKeySet,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl, Scope, TokenResponse as _, TokenUrl,
};
use protocol::auth::Email;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use url::Url;

/// Where an issuer describes itself (OpenID Connect Discovery 1.0 §4).
const DESCRIPTION: &str = ".well-known/openid-configuration";
/// How long the issuer's metadata and keys are kept.
const KEPT: Duration = Duration::from_hours(1);
/// A token signed by an unknown key makes us look for new keys, at most this often: a flood of them is no flood there.
const LOOKED: Duration = Duration::from_secs(30);
/// How long an issuer that did not answer is left alone.
const SILENT: Duration = Duration::from_secs(3);
/// Seconds that the issuer's clock may be ahead.
pub const AHEAD: i64 = 60;

/// What an issuer says of itself that OpenID Connect does not ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Besides {
    /// Whether it promises to name itself in its answers (RFC 9207 §3).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    /// Where it takes back what it gave (RFC 8414 §2). Looked at only where it is called.
    revocation_endpoint: Option<String>,
}

impl AdditionalProviderMetadata for Besides {}

pub type Metadata = ProviderMetadata<
    Besides,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Relying = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

pub struct Oidc {
    issuer: IssuerUrl,
    client_id: ClientId,
    proof: Proof,
    callback: RedirectUrl,
    /// Of an issuer that is many.
    directories: Option<Directories>,
    found: Mutex<Found>,
}

/// How this server shows the issuer who asks.
enum Proof {
    Shared(ClientSecret),
    /// With all else that is Apple's own way.
    Apple(Box<apple::Key>),
}

/// What an issuer says of itself.
pub struct Known {
    pub metadata: Metadata,
    /// Where each key may have an owner of its own. Empty: all are the issuer's.
    pub keys: Vec<microsoft::Owned>,
}

/// What was found of the issuer, when it was last looked for in vain, and when for a key that was not known.
#[derive(Default)]
struct Found {
    known: Option<(Arc<Known>, Instant)>,
    failed: Option<Instant>,
    looked: Option<Instant>,
}

impl std::fmt::Debug for Oidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Oidc({})", self.issuer.as_str())
    }
}

impl Oidc {
    pub(super) fn new(issuer: String, client: Client, secret: String) -> anyhow::Result<Self> {
        Self::with(issuer, client, Proof::Shared(ClientSecret::new(secret)))
    }

    pub(super) fn microsoft(
        directories: Directories,
        client: Client,
        secret: String,
    ) -> anyhow::Result<Self> {
        let issuer = Self::new(directories.address(), client, secret)?;
        Ok(Self {
            directories: Some(directories),
            ..issuer
        })
    }

    pub(super) fn apple(issuer: String, client: Client, setting: apple::Setting) -> anyhow::Result<Self> {
        let key = apple::Key::new(setting, &client.id, &issuer)?;
        Self::with(issuer, client, Proof::Apple(Box::new(key)))
    }

    /// Whether its answers come as a posted form.
    pub(super) const fn posts(&self) -> bool {
        matches!(self.proof, Proof::Apple(_))
    }

    fn with(issuer: String, client: Client, proof: Proof) -> anyhow::Result<Self> {
        Ok(Self {
            issuer: IssuerUrl::new(issuer).context("issuer must be a URL")?,
            client_id: ClientId::new(client.id),
            proof,
            callback: RedirectUrl::new(client.callback).context("the callback's address")?,
            directories: None,
            found: Mutex::default(),
        })
    }

    pub(super) async fn outward(&self, http: &reqwest::Client) -> anyhow::Result<Outward> {
        let relying = self.relying(&self.known(http).await?.metadata, None);
        let request = relying.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        let scopes = |names: [&str; 2]| names.map(|name| Scope::new(name.to_owned()));
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (request, verifier) = match &self.proof {
            Proof::Shared(_) => {
                let request = request.add_scopes(scopes(["email", "profile"]));
                (request.set_pkce_challenge(challenge), verifier.into_secret())
            }
            // state and nonce are what it checks; whoever asks for a name gets the answer as a form
            Proof::Apple(_) => {
                let request = request.add_scopes(scopes(["name", "email"]));
                (
                    request.add_extra_param("response_mode", "form_post"),
                    String::new(),
                )
            }
        };
        let (url, state, nonce) = request.url();
        Ok(Outward {
            url,
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier,
        })
    }

    pub(super) async fn identity(
        &self,
        http: &reqwest::Client,
        keys: &Keys,
        answer: Answer,
    ) -> anyhow::Result<Identity> {
        let known = self.known(http).await?;
        self.must_be_from_it(&known, answer.iss.as_deref())?;
        let relying = self.proven(&known.metadata)?;
        let ask = |request| call(http.clone(), request);
        let mut exchange = relying
            .exchange_code(AuthorizationCode::new(answer.code))
            .context("the issuer names no token endpoint")?;
        if !answer.verifier.is_empty() {
            exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(answer.verifier));
        }
        let tokens = exchange.request_async(&ask).await.context("redeeming the code")?;
        let token = tokens.id_token().context("the answer has no ID token")?;
        let said = match &self.directories {
            Some(_) => Some(microsoft::Said::read(&token.to_string())?),
            None => None,
        };
        let nonce = Nonce::new(answer.nonce);
        let metadata = self.metadata_for(&known, said.as_ref())?;
        if said.is_some() {
            must_name_itself(&metadata, answer.iss.as_deref())?;
        }
        let claims = match self.claims(&metadata, token, &nonce) {
            // the issuer may have changed its keys
            Err(ClaimsVerificationError::SignatureVerification(_)) => {
                let known = self.known_besides(http, known).await?;
                self.claims(&*self.metadata_for(&known, said.as_ref())?, token, &nonce)
            }
            other => other,
        };
        let identity = identity_of(&claims.context("checking the ID token")?);
        let identity = match said {
            Some(said) => said.vouched(identity)?,
            None => identity,
        };
        Ok(Identity {
            name: identity.name.or(answer.name.filter(|_| self.posts())),
            // nothing here acts for people at their provider, and only Apple wants back what it gave
            token: tokens
                .refresh_token()
                .filter(|_| self.posts())
                .map(|token| Held::new(keys, token.secret())),
            ..identity
        })
    }

    /// Takes back a token that it gave, and with it whatever it let this server do for that person (RFC 7009).
    pub(super) async fn revoke(&self, http: &reqwest::Client, token: &str) -> anyhow::Result<()> {
        let Proof::Apple(key) = &self.proof else {
            bail!("nothing that this issuer gave is kept");
        };
        let known = self.known(http).await?;
        let address = known.metadata.additional_metadata().revocation_endpoint.as_ref();
        let address = address.context("the issuer names no revocation endpoint")?;
        let address = Url::parse(address).context("the revocation endpoint")?;
        must_stay_with(self.issuer.url(), &address)?;
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let answer = call(http.clone(), key.revocation(&address, token, now)?).await?;
        apple::must_be_revoked(&answer)
    }

    /// What it tells of its own accord, by a token for this server. The outer failure is that its keys could not be had.
    pub(super) async fn notice(
        &self,
        http: &reqwest::Client,
        token: &str,
    ) -> anyhow::Result<Result<Notice, Doubt>> {
        let now = time::OffsetDateTime::now_utc();
        let read = |known: &Known| Notice::read(token, &known.metadata, &self.client_id, now);
        let known = self.known(http).await?;
        match read(&known) {
            // the issuer may have changed its keys
            Err(Doubt::Unsigned) => Ok(read(&*self.known_besides(http, known).await?)),
            told => Ok(told),
        }
    }

    /// What a token is checked by: of an issuer that is many, that of the one which it says it is of.
    fn metadata_for<'a>(
        &self,
        known: &'a Known,
        said: Option<&microsoft::Said>,
    ) -> anyhow::Result<Cow<'a, Metadata>> {
        Ok(match (&self.directories, said) {
            (Some(directories), Some(said)) => Cow::Owned(directories.narrowed(known, said)?),
            (_, _) => Cow::Borrowed(&known.metadata),
        })
    }

    fn relying(&self, metadata: &Metadata, secret: Option<ClientSecret>) -> Relying {
        CoreClient::from_provider_metadata(metadata.clone(), self.client_id.clone(), secret)
            .set_redirect_uri(self.callback.clone())
    }

    /// With what the token endpoint wants to see.
    fn proven(&self, metadata: &Metadata) -> anyhow::Result<Relying> {
        Ok(match &self.proof {
            Proof::Shared(secret) => self.relying(metadata, Some(secret.clone())),
            Proof::Apple(key) => {
                let secret = key.secret(time::OffsetDateTime::now_utc().unix_timestamp())?;
                self.relying(metadata, Some(secret))
                    .set_auth_type(AuthType::RequestBody)
            }
        })
    }

    fn claims(
        &self,
        metadata: &Metadata,
        token: &CoreIdToken,
        nonce: &Nonce,
    ) -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
        let relying = self.relying(metadata, None);
        // Never `none`, never a shared secret: what the metadata promises, of the kinds that prove who signed.
        let signed = metadata
            .id_token_signing_alg_values_supported()
            .iter()
            .filter(|algorithm| is_public_key(algorithm))
            .cloned();
        let verifier = relying
            .id_token_verifier()
            .set_allowed_algs(signed)
            .set_issue_time_verifier_fn(|issued| {
                let now = time::OffsetDateTime::now_utc().unix_timestamp();
                if issued.timestamp() > now + AHEAD {
                    return Err("issued in the future".to_owned());
                }
                Ok(())
            });
        token.claims(&verifier, nonce).cloned()
    }

    /// Whether an answer is this issuer's, as far as it can be seen before its code is redeemed: what another one gave out
    /// must not reach this one (RFC 9700 §4.4).
    fn must_be_from_it(&self, known: &Known, iss: Option<&str>) -> anyhow::Result<()> {
        match (&self.directories, iss) {
            (Some(directories), Some(iss)) => {
                ensure!(directories.may_answer(iss), "the answer is from another issuer");
            }
            (_, iss) => must_name_itself(&known.metadata, iss)?,
        }
        Ok(())
    }

    /// The issuer's metadata and keys, from memory if they are not too old.
    async fn known(&self, http: &reqwest::Client) -> anyhow::Result<Arc<Known>> {
        let mut found = self.found.lock().await;
        match &found.known {
            Some((known, at)) if at.elapsed() < KEPT => Ok(Arc::clone(known)),
            _ => self.find(http, &mut found).await,
        }
    }

    /// What others found since, or what is there by now; no oftener than it is worth, what was known already.
    async fn known_besides(&self, http: &reqwest::Client, old: Arc<Known>) -> anyhow::Result<Arc<Known>> {
        let mut found = self.found.lock().await;
        if let Some((known, _)) = &found.known
            && !Arc::ptr_eq(known, &old)
        {
            return Ok(Arc::clone(known));
        }
        if found.looked.is_some_and(|at| at.elapsed() < LOOKED) {
            return Ok(old);
        }
        let known = self.find(http, &mut found).await?;
        found.looked = Some(Instant::now());
        Ok(known)
    }

    async fn find(&self, http: &reqwest::Client, found: &mut Found) -> anyhow::Result<Arc<Known>> {
        // everybody who waited for this lock would wait for the same silence once more
        ensure!(
            found.failed.is_none_or(|at| at.elapsed() > SILENT),
            "the issuer did not answer a moment ago"
        );
        let known = match self.discover(http).await {
            Ok(known) => Arc::new(known),
            Err(error) => {
                found.failed = Some(Instant::now());
                return Err(error.context("discovering the issuer"));
            }
        };
        found.known = Some((Arc::clone(&known), Instant::now()));
        found.failed = None;
        Ok(known)
    }

    async fn discover(&self, http: &reqwest::Client) -> anyhow::Result<Known> {
        if let Some(directories) = &self.directories {
            return directories.discover(http).await;
        }
        let address = self.issuer.join(DESCRIPTION).context("the issuer's address")?;
        let metadata: Metadata = read(http, address.as_str()).await?;
        ensure!(
            metadata.issuer() == &self.issuer,
            "the issuer calls itself by another name"
        );
        must_stay(&metadata)?;
        let keys: CoreJsonWebKeySet = read(http, metadata.jwks_uri().as_str()).await?;
        Ok(Known {
            metadata: metadata.set_jwks(keys),
            keys: Vec::new(),
        })
    }
}

/// What an issuer says of itself leads to services like itself. Believed without a look, it would send this server, with what
/// only the issuer may see, to whatever answers on this machine or in its network, or out in the open.
pub fn must_stay(metadata: &Metadata) -> anyhow::Result<()> {
    let issuer = metadata.issuer().url();
    let tokens = metadata.token_endpoint().map(TokenUrl::url);
    let addresses = [
        Some(metadata.authorization_endpoint().url()),
        tokens,
        Some(metadata.jwks_uri().url()),
    ];
    for address in addresses.into_iter().flatten() {
        must_stay_with(issuer, address)?;
    }
    Ok(())
}

fn must_stay_with(issuer: &Url, address: &Url) -> anyhow::Result<()> {
    must_be_safe(address)?;
    ensure!(
        address.scheme() == "https" || issuer.scheme() == "http",
        "{address} must be https, as the issuer is"
    );
    ensure!(
        !is_inside(address) || address.host() == issuer.host(),
        "{address} leads to another place inside than the issuer's"
    );
    Ok(())
}

/// As far as it is written; where a name leads, whoever calls it finds out ([`crate::app::calls`]).
fn is_inside(address: &Url) -> bool {
    match address.host() {
        Some(url::Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(url::Host::Ipv4(ip)) => calls::is_inside(ip.into()),
        Some(url::Host::Ipv6(ip)) => calls::is_inside(ip.into()),
        None => true,
    }
}

/// An answer meant for us says who gave it, wherever its giver promised to (RFC 9207 §2.4).
fn must_name_itself(metadata: &Metadata, iss: Option<&str>) -> anyhow::Result<()> {
    let is_promised = metadata
        .additional_metadata()
        .authorization_response_iss_parameter_supported;
    match iss {
        Some(iss) => ensure!(
            iss == metadata.issuer().as_str(),
            "the answer is from another issuer"
        ),
        None => ensure!(
            !is_promised,
            "the answer does not name its issuer, as the issuer promised"
        ),
    }
    Ok(())
}

fn is_public_key(algorithm: &CoreJwsSigningAlgorithm) -> bool {
    matches!(
        algorithm,
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256
            | CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384
            | CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512
            | CoreJwsSigningAlgorithm::RsaSsaPssSha256
            | CoreJwsSigningAlgorithm::RsaSsaPssSha384
            | CoreJwsSigningAlgorithm::RsaSsaPssSha512
            | CoreJwsSigningAlgorithm::EcdsaP256Sha256
            | CoreJwsSigningAlgorithm::EcdsaP384Sha384
            | CoreJwsSigningAlgorithm::EdDsa
    )
}

fn identity_of(claims: &CoreIdTokenClaims) -> Identity {
    Identity {
        subject: claims.subject().as_str().to_owned(),
        email: claims.email().and_then(|email| Email::parse(email.as_str()).ok()),
        // absent means no
        is_email_verified: claims.email_verified() == Some(true),
        name: claims
            .name()
            .and_then(|name| name.get(None))
            .map(|name| name.as_str().to_owned()),
        avatar_url: claims
            .picture()
            .and_then(|picture| picture.get(None))
            .map(|picture| picture.as_str().to_owned())
            .filter(|picture| Url::parse(picture).is_ok_and(|url| url.scheme() == "https")),
        token: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn leads(issuer: &str, tokens: &str) -> bool {
        let of = |own: &str| format!("{issuer}{own}");
        let metadata: Metadata = serde_json::from_value(json!({
            "issuer": issuer, "authorization_endpoint": of("/a"), "token_endpoint": tokens, "jwks_uri": of("/k"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }))
        .unwrap();
        must_stay(&metadata).is_ok()
    }

    #[test]
    fn an_issuer_leads_to_no_place_inside_and_out_into_no_open_air() {
        let google = "https://accounts.google.example";
        for fine in [
            "https://oauth2.googleapis.example/token",
            "https://203.0.113.7/token",
            "https://[2001:db8::7]/token",
        ] {
            assert!(leads(google, fine), "{fine}");
        }
        for inside in [
            "http://oauth2.googleapis.example/token",
            "http://127.0.0.1/token",
            "https://localhost/token",
            "https://a.localhost./token",
            "https://127.0.0.1:8443/token",
            "https://10.0.0.5/token",
            "https://172.16.0.5/token",
            "https://192.168.1.1/token",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/token",
            "https://0.0.0.0/token",
            "https://2130706433/token",
            "https://[::1]/token",
            "https://[::]/token",
            "https://[::ffff:169.254.169.254]/latest",
            "https://[fe80::1]/token",
            "https://[fd00:ec2::254]/token",
            "ftp://accounts.google.example/token",
        ] {
            assert!(!leads(google, inside), "{inside}");
        }
        // whoever runs an issuer inside has its services there
        assert!(leads("https://10.0.0.5", "https://10.0.0.5:8443/token"));
        assert!(leads("http://127.0.0.1:4444", "http://127.0.0.1:4445/token"));
        assert!(!leads("https://10.0.0.5", "https://10.0.0.6/token"));
        assert!(!leads("http://127.0.0.1:4444", "http://localhost:4444/token"));
    }
}
