//! GitHub: plain OAuth 2 with PKCE, and the person by its API. The numeric id is who they are; logins can be renamed.

use super::outgoing::{answered, call};
use super::{Answer, Client, Identity, Outward};
use anyhow::{Context as _, ensure};
use http::{Request, header};
use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _, TokenUrl,
};
use protocol::auth::Email;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

type Relying = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

pub struct GitHub {
    relying: Relying,
    origin: String,
    /// What it calls itself in its answers (RFC 9207).
    issuer: String,
    api: Url,
}

impl std::fmt::Debug for GitHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GitHub({})", self.origin)
    }
}

#[derive(Deserialize)]
struct User {
    id: u64,
    #[serde(rename = "login")]
    handle: String,
    name: Option<String>,
    avatar_url: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
}

impl GitHub {
    pub(super) fn new(base: &Url, api: Url, client: Client, secret: String) -> anyhow::Result<Self> {
        let base_text = base.as_str().trim_end_matches('/');
        let relying = BasicClient::new(ClientId::new(client.id))
            .set_client_secret(ClientSecret::new(secret))
            .set_auth_uri(AuthUrl::new(format!("{base_text}/login/oauth/authorize")).context("base")?)
            .set_token_uri(TokenUrl::new(format!("{base_text}/login/oauth/access_token")).context("base")?)
            .set_redirect_uri(RedirectUrl::new(client.callback).context("the callback's address")?);
        Ok(Self {
            relying,
            origin: base.origin().ascii_serialization(),
            issuer: format!("{base_text}/login/oauth"),
            api,
        })
    }

    pub(super) fn outward(&self) -> Outward {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state) = self
            .relying
            .authorize_url(CsrfToken::new_random)
            .add_scope(Scope::new("read:user".to_owned()))
            .add_scope(Scope::new("user:email".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        Outward {
            url,
            state: state.secret().clone(),
            nonce: String::new(),
            verifier: verifier.secret().clone(),
        }
    }

    pub(super) async fn identity(&self, http: &reqwest::Client, answer: Answer) -> anyhow::Result<Identity> {
        // it promises none, but what another issuer gave out must not be redeemed here
        ensure!(
            answer.iss.is_none_or(|iss| iss == self.issuer),
            "the answer is from another issuer"
        );
        let ask = |request| call(http.clone(), request);
        let tokens = self
            .relying
            .exchange_code(AuthorizationCode::new(answer.code))
            .set_pkce_verifier(PkceCodeVerifier::new(answer.verifier))
            .request_async(&ask)
            .await
            .context("redeeming the code")?;
        let token = tokens.access_token().secret();
        let user: User = self.read(http, "user", token).await?;
        let addresses: Vec<Address> = self.read(http, "user/emails", token).await?;
        let primary = addresses
            .into_iter()
            .find(|address| address.primary && !is_no_reply(&address.email));
        let is_email_verified = primary.as_ref().is_some_and(|address| address.verified);
        let email = primary.and_then(|address| Email::parse(&address.email).ok());
        Ok(Identity {
            subject: user.id.to_string(),
            is_email_verified,
            email,
            name: user.name.or(Some(user.handle)),
            avatar_url: user
                .avatar_url
                .filter(|avatar| Url::parse(avatar).is_ok_and(|url| url.scheme() == "https")),
            token: None,
        })
    }

    async fn read<T: DeserializeOwned>(
        &self,
        http: &reqwest::Client,
        path: &str,
        token: &str,
    ) -> anyhow::Result<T> {
        let url = format!("{}/{path}", self.api.as_str().trim_end_matches('/'));
        let request = Request::get(url)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::ACCEPT, "application/vnd.github+json")
            .body(Vec::new())
            .context("asking the API")?;
        answered(http, request, &format!("the API for {path}")).await
    }
}

/// GitHub's stand-in addresses reach nobody.
fn is_no_reply(email: &str) -> bool {
    email.to_lowercase().ends_with("@users.noreply.github.com")
}
