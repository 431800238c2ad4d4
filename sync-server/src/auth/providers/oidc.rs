//! An OpenID Connect issuer: found by discovery, believed only after its signature, issuer, audience, nonce and times.

use super::microsoft::{self, Directories};
use super::outgoing::call;
use super::{Answer, Client, Identity, Outward, apple};
use anyhow::{Context as _, ensure};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreGrantType, CoreIdToken, CoreIdTokenClaims, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, ProviderMetadata, RedirectUrl, Scope, TokenResponse as _,
};
use protocol::auth::Email;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use url::Url;

/// How long the issuer's metadata and keys are kept.
const KEPT: Duration = Duration::from_hours(1);
/// A token signed by an unknown key makes us look for new keys, at most this often: a flood of them is no flood there.
const LOOKED: Duration = Duration::from_secs(30);
/// How long an issuer that did not answer is left alone.
const SILENT: Duration = Duration::from_secs(3);
/// Seconds that the issuer's clock may be ahead.
const AHEAD: i64 = 60;

/// Whether the issuer promises to name itself in its answers (RFC 9207 §3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NamesItself {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for NamesItself {}

pub type Metadata = ProviderMetadata<
    NamesItself,
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

/// What was found of the issuer, and when it was last looked for in vain.
#[derive(Default)]
struct Found {
    known: Option<(Arc<Known>, Instant)>,
    failed: Option<Instant>,
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
        let relying = self.relying(&self.known(http, KEPT).await?.metadata, None);
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

    pub(super) async fn identity(&self, http: &reqwest::Client, answer: Answer) -> anyhow::Result<Identity> {
        let known = self.known(http, KEPT).await?;
        if self.directories.is_none() {
            must_name_itself(&known.metadata, answer.iss.as_deref())?;
        }
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
                let known = self.known(http, LOOKED).await?;
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
            ..identity
        })
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

    /// The issuer's metadata and keys, from memory if they are younger than `age`.
    async fn known(&self, http: &reqwest::Client, age: Duration) -> anyhow::Result<Arc<Known>> {
        let mut found = self.found.lock().await;
        if let Some((known, at)) = &found.known
            && at.elapsed() < age
        {
            return Ok(Arc::clone(known));
        }
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
        *found = Found {
            known: Some((Arc::clone(&known), Instant::now())),
            failed: None,
        };
        Ok(known)
    }

    async fn discover(&self, http: &reqwest::Client) -> anyhow::Result<Known> {
        if let Some(directories) = &self.directories {
            return directories.discover(http).await;
        }
        let ask = |request| call(http.clone(), request);
        Ok(Known {
            metadata: Metadata::discover_async(self.issuer.clone(), &ask).await?,
            keys: Vec::new(),
        })
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
    }
}
