//! A real OpenID provider on loopback, with GitHub's and Microsoft's routes too, that can misbehave on command.

mod github;
pub(crate) mod microsoft;
mod revoking;
mod telling;
mod tokens;

pub use telling::Notice;

use crate::hush;
use axum::Router;
use axum::extract::{Form, OriginalUri, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub(crate) const APPLE_KEY: &str = include_str!("open_id_provider/apple_key.pem");
pub(crate) const CLIENT: &str = "compymac-at-the-provider";
pub(crate) const CLIENT_SECRET: &str = "kept-by-the-server-alone";

/// How the provider breaks the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    WrongIssuer,
    WrongAudience,
    /// For us and for another program, without a word of whom it was given to.
    TwoAudiences,
    WrongNonce,
    MissingNonce,
    /// `alg: none`, and no signature.
    Unsigned,
    /// HS256, keyed with the public key.
    KeyedWithPublicKey,
    /// Signed by the right key under a name that the key set does not have.
    UnknownKey,
    BrokenSignature,
    Expired,
    /// Issued in an hour from now.
    FromTheFuture,
    /// Sends the person back with `error` and no code.
    Cancelled,
    /// Names another issuer in the answer (RFC 9207).
    OtherIssInAnswer,
    /// Leaves `iss` out of the answer although its metadata promises it.
    NoIssInAnswer,
    /// As Microsoft: names another directory in the answer than in the token.
    IssOfAnotherDirectory,
    /// The token endpoint sends its caller on, to where it would be served.
    RedirectingTokens,
    /// The key set does.
    RedirectingKeys,
    /// The description of the issuer does.
    RedirectingDescription,
    /// The description leads for tokens to this machine by another of its names …
    TokensByAnotherName,
    /// … and for keys by its number as IPv6 has it.
    KeysByAMappedNumber,
    /// The description leads browsers to a place inside.
    SendsPeopleInside,
    /// The token endpoint answers only after half a minute.
    SlowTokens,
    /// The token endpoint refuses.
    RefusedTokens,
    /// What is given is not taken back: nobody is there for it today …
    RefusedRevocations,
    /// … or what is to be taken back is known no more …
    ForgottenTokens,
    /// … or the description leads for that to this machine by another of its names.
    RevocationsByAnotherName,
    /// As Microsoft: the issuer is one directory's, and the token says that it is of another.
    OtherDirectory,
    /// As Microsoft: signed by a key that signs for another directory alone.
    KeyOfAnotherDirectory,
    /// As Microsoft: no directory is named.
    NoDirectory,
    /// As Microsoft: the directory's name leads elsewhere.
    CrookedDirectory,
    /// As Microsoft: nobody is named but by `sub`.
    NoObject,
}

/// Who signs in at the provider.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub subject: String,
    pub email: String,
    /// `None`: the claim is left out.
    pub is_verified: Option<bool>,
    pub name: String,
    /// What GitHub calls them for now.
    pub handle: String,
    /// Addresses that GitHub has proven besides, none of them the first.
    pub besides: Vec<String>,
    /// Whose they are where the provider is Microsoft; a UUID.
    pub directory: String,
    /// What that directory says of having proven the address's domain, in whatever shape. `None`: the claim is left out.
    pub owns_domain: Option<Value>,
}

impl Visitor {
    /// Somebody with a confirmed address.
    pub fn with_address(email: &str) -> Self {
        Self {
            subject: format!("{}", rand::random::<u32>()),
            email: email.to_owned(),
            is_verified: Some(true),
            name: "Ana Ruiz".to_owned(),
            handle: "ana".to_owned(),
            besides: Vec::new(),
            directory: microsoft::WORK.to_owned(),
            owns_domain: Some(Value::Bool(true)),
        }
    }
}

#[derive(Debug)]
pub struct OpenIdProvider {
    url: String,
    desk: Arc<Desk>,
    serving: AbortHandle,
}

#[derive(Debug)]
struct Desk {
    url: String,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    fault: Fault,
    visitor: Visitor,
    /// Whether the person has to press a button first.
    asks: bool,
    given: HashMap<String, Given>,
    asked: Asked,
    /// Refresh tokens that were given, in their order, and those of them that were taken back.
    kept: Vec<String>,
    revoked: Vec<String>,
    /// How the key that signs is called; changes as it is rotated.
    key_name: String,
}

/// How often the provider was asked for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub descriptions: usize,
    pub keys: usize,
    pub tokens: usize,
    pub revocations: usize,
}

/// What a code stands for.
#[derive(Clone, Debug)]
struct Given {
    visitor: Visitor,
    nonce: Option<String>,
    challenge: Option<String>,
    redirect_uri: String,
    /// As Apple does it: no PKCE, a signed secret, truths as strings.
    is_apples: bool,
    /// As Microsoft does it: of a directory, by its own keys, and nothing about the address.
    is_microsofts: bool,
}

impl OpenIdProvider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap_or_else(|error| panic!("starting a provider: {error}"));
        let address = listener
            .local_addr()
            .unwrap_or_else(|error| panic!("a provider's address: {error}"));
        let url = format!("http://{address}");
        let desk = Arc::new(Desk {
            url: url.clone(),
            now: Mutex::new(Now {
                fault: Fault::None,
                visitor: Visitor::with_address("nobody@example.org"),
                asks: false,
                given: HashMap::new(),
                asked: Asked::default(),
                kept: Vec::new(),
                revoked: Vec::new(),
                key_name: tokens::KEY_NAME.to_owned(),
            }),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/moved/openid-configuration", get(description))
            .route("/jwks", get(tokens::key_set))
            .route("/moved/jwks", get(tokens::moved_key_set))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/moved/token", post(honest_token))
            .merge(revoking::router())
            .merge(github::router())
            .merge(microsoft::router())
            .with_state(Arc::clone(&desk));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { url, desk, serving }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// For the server's `PROVIDERS`: this one as an OpenID provider and as a GitHub.
    pub fn settings(&self) -> String {
        json!([
            {"id": "google", "name": "Google", "kind": "oidc", "issuer": self.url, "client_id": CLIENT, "client_secret": CLIENT_SECRET},
            {"id": "github", "name": "GitHub", "kind": "github", "base": self.url, "api": format!("{}/api", self.url),
             "client_id": CLIENT, "client_secret": CLIENT_SECRET},
        ])
        .to_string()
    }

    /// As [`OpenIdProvider::settings`], with this one as an Apple besides.
    pub fn settings_with_apple(&self) -> String {
        let mut settings: Vec<Value> = serde_json::from_str(&self.settings()).unwrap_or_default();
        settings.push(
            json!({"id": "apple", "name": "Apple", "kind": "apple", "issuer": self.url, "client_id": CLIENT,
            "team_id": "TEAM", "key_id": "KEY", "private_key": APPLE_KEY}),
        );
        json!(settings).to_string()
    }

    /// As [`OpenIdProvider::settings_with_apple`], with this one as a Microsoft for everybody too.
    pub fn settings_with_all(&self) -> String {
        let lists = [self.settings_with_apple(), self.settings_as_microsoft("common")];
        let all: Value = lists
            .iter()
            .flat_map(|list| serde_json::from_str::<Vec<Value>>(list).unwrap_or_default())
            .collect();
        all.to_string()
    }

    /// For the server's `PROVIDERS`: this one as a Microsoft that lets this tenant in.
    pub fn settings_as_microsoft(&self, tenant: &str) -> String {
        json!([{"id": "microsoft", "name": "Microsoft", "kind": "microsoft", "tenant": tenant,
            "base": format!("{}/microsoft", self.url), "client_id": CLIENT, "client_secret": CLIENT_SECRET}])
        .to_string()
    }

    /// Who sits before the browser from now on.
    pub fn seat(&self, visitor: &Visitor) {
        hush::keep_secret(&visitor.email);
        self.desk.lock().visitor = visitor.clone();
    }

    pub fn misbehave(&self, fault: Fault) {
        self.desk.lock().fault = fault;
    }

    /// So often it was asked until now.
    pub fn asked(&self) -> Asked {
        self.desk.lock().asked
    }

    /// The refresh tokens that it gave, in their order.
    pub fn kept(&self) -> Vec<String> {
        self.desk.lock().kept.clone()
    }

    /// Those that were taken back, in that order.
    pub fn revoked(&self) -> Vec<String> {
        self.desk.lock().revoked.clone()
    }

    /// An ID token of whoever sits before the browser, as it gives one for a code.
    pub fn id_token(&self) -> String {
        let now = self.desk.lock();
        let given = Given {
            visitor: now.visitor.clone(),
            nonce: None,
            challenge: None,
            redirect_uri: String::new(),
            is_apples: false,
            is_microsofts: false,
        };
        let token = tokens::id_token(&self.url, &given, now.fault, &now.key_name);
        hush::keep_secret(&token);
        token
    }

    /// A notice as Apple writes it, as broken as everything that it signs just now.
    pub fn tell(&self, notice: &Notice) -> String {
        let now = self.desk.lock();
        notice.signed(&self.url, now.fault, &now.key_name)
    }

    /// It signs with a key of another name from now on, and lists no other.
    pub fn rotate_key(&self) {
        self.desk.lock().key_name = format!("key-{:08x}", rand::random::<u32>());
    }

    /// From now on a person presses the button `#approve` first.
    pub fn ask_first(&self) {
        self.desk.lock().asks = true;
    }
}

impl Drop for OpenIdProvider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn discovery(desk: State<Arc<Desk>>) -> Response {
    let fault = {
        let mut now = desk.lock();
        now.asked.descriptions += 1;
        now.fault
    };
    if fault == Fault::RedirectingDescription {
        return Redirect::temporary(&format!("{}/moved/openid-configuration", desk.url)).into_response();
    }
    description(desk).await.into_response()
}

async fn description(State(desk): State<Arc<Desk>>) -> axum::Json<Value> {
    let url = &desk.url;
    let fault = desk.lock().fault;
    let by = |wanted: Fault, name: &str| {
        if fault == wanted {
            url.replace("127.0.0.1", name)
        } else {
            url.clone()
        }
    };
    axum::Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{}/authorize", by(Fault::SendsPeopleInside, "localhost")),
        "token_endpoint": format!("{}/token", by(Fault::TokensByAnotherName, "localhost")),
        "revocation_endpoint": format!("{}{}", by(Fault::RevocationsByAnotherName, "localhost"), revoking::PATH),
        "jwks_uri": format!("{}/jwks", by(Fault::KeysByAMappedNumber, "[::ffff:127.0.0.1]")),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

#[derive(Clone, Debug, Deserialize)]
struct Authorize {
    client_id: String,
    redirect_uri: String,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    response_mode: Option<String>,
    /// Set by the page's own button.
    #[serde(default)]
    approved: bool,
}

async fn authorize(
    State(desk): State<Arc<Desk>>,
    Query(ask): Query<Authorize>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    let is_microsofts = microsoft::is_its(uri.path());
    if ask.client_id != CLIENT {
        return (StatusCode::BAD_REQUEST, "unknown client").into_response();
    }
    if ask.code_challenge.is_some() && ask.code_challenge_method.as_deref() != Some("S256") {
        return (StatusCode::BAD_REQUEST, "PKCE by S256 only").into_response();
    }
    for secret in [&ask.state, &ask.nonce].into_iter().flatten() {
        hush::keep_secret(secret);
    }
    let mut now = desk.lock();
    if now.asks && !ask.approved {
        let link = format!("{uri}&approved=true").replace('&', "&amp;");
        let page = format!(
            "<!doctype html><title>Provider</title><p>Sign in as {}?</p><p><a id=\"approve\" href=\"{link}\">Continue</a></p>",
            now.visitor.email
        );
        return Html(page).into_response();
    }
    let mut back = match url::Url::parse(&ask.redirect_uri) {
        Ok(back) => back,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let fault = now.fault;
    let is_apples = ask.response_mode.as_deref() == Some("form_post");
    {
        let mut answer = back.query_pairs_mut();
        if let Some(state) = &ask.state {
            answer.append_pair("state", state);
        }
        if fault == Fault::Cancelled {
            answer.append_pair("error", "access_denied");
        } else {
            let code = format!("{:032x}", rand::random::<u128>());
            hush::keep_secret(&code);
            answer.append_pair("code", &code);
            let given = Given {
                visitor: now.visitor.clone(),
                nonce: ask.nonce,
                challenge: ask.code_challenge,
                redirect_uri: ask.redirect_uri.clone(),
                is_apples,
                is_microsofts,
            };
            now.given.insert(code, given);
        }
        if let Some(issuer) = named(&desk.url, fault, uri.path()) {
            answer.append_pair("iss", &issuer);
        }
    }
    if is_apples {
        return posting(&ask.redirect_uri, &back, &now.visitor);
    }
    Redirect::to(back.as_str()).into_response()
}

/// Whom an answer says that it is from (RFC 9207).
fn named(url: &str, fault: Fault, path: &str) -> Option<String> {
    match fault {
        Fault::NoIssInAnswer => None,
        Fault::OtherIssInAnswer => Some("https://accounts.elsewhere.example".to_owned()),
        Fault::IssOfAnotherDirectory => Some(microsoft::issuer_of(url, microsoft::OTHER)),
        // it promises none
        _ if microsoft::is_its(path) => None,
        _ if github::is_its(path) => Some(github::issuer(url)),
        _ => Some(url.to_owned()),
    }
}

/// The answer as a form that the page would send by itself.
fn posting(to: &str, answer: &url::Url, visitor: &Visitor) -> Response {
    let (first, last) = visitor.name.split_once(' ').unwrap_or((&visitor.name, ""));
    // what nobody signed may say anything
    let user = json!({"name": {"firstName": first, "lastName": last}, "email": "somebody-else@example.org"});
    let mut fields: Vec<(String, String)> = answer.query_pairs().into_owned().collect();
    fields.push(("user".to_owned(), user.to_string()));
    let inputs: Vec<String> = fields
        .iter()
        .map(|(name, value)| {
            let value = value.replace('&', "&amp;").replace('"', "&quot;");
            format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
        })
        .collect();
    let inputs = inputs.concat();
    Html(format!(
        "<!doctype html><form method=\"post\" action=\"{to}\">{inputs}<button>Continue</button></form>"
    ))
    .into_response()
}

#[derive(Debug, Deserialize)]
struct TokenAsk {
    grant_type: Option<String>,
    code: String,
    code_verifier: Option<String>,
    redirect_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

async fn token(
    State(desk): State<Arc<Desk>>,
    headers: http::HeaderMap,
    Form(ask): Form<TokenAsk>,
) -> Response {
    let fault = {
        let mut now = desk.lock();
        now.asked.tokens += 1;
        now.fault
    };
    match fault {
        Fault::RedirectingTokens => {
            return Redirect::temporary(&format!("{}/moved/token", desk.url)).into_response();
        }
        Fault::SlowTokens => tokio::time::sleep(std::time::Duration::from_secs(30)).await,
        Fault::RefusedTokens => return refuse("invalid_client"),
        _ => {}
    }
    honest_token(State(desk), headers, Form(ask)).await
}

/// What the token endpoint answers where it answers at all.
async fn honest_token(
    State(desk): State<Arc<Desk>>,
    headers: http::HeaderMap,
    Form(ask): Form<TokenAsk>,
) -> Response {
    let (fault, key_name) = {
        let now = desk.lock();
        (now.fault, now.key_name.clone())
    };
    if ask.grant_type.as_deref() != Some("authorization_code") || !knows_secret(&headers, &ask, &desk.url) {
        return refuse("invalid_client");
    }
    let Some(given) = redeem(&desk, &ask) else {
        return refuse("invalid_grant");
    };
    let access_token = "opaque-at-the-provider";
    let id_token = tokens::id_token(&desk.url, &given, fault, &key_name);
    hush::keep_secret(access_token);
    hush::keep_secret(&id_token);
    axum::Json(json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": 300,
        "refresh_token": revoking::give(&desk),
        "id_token": id_token,
    }))
    .into_response()
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(json!({ "error": error }))).into_response()
}

fn knows_secret(headers: &http::HeaderMap, ask: &TokenAsk, url: &str) -> bool {
    if ask.client_id.as_deref() == Some(CLIENT) && ask.client_secret.as_deref() == Some(CLIENT_SECRET) {
        return true;
    }
    if let Some(signed) = ask.client_secret.as_deref().filter(|secret| secret.contains('.')) {
        return tokens::is_apple_secret(signed, url);
    }
    let expected = base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT}:{CLIENT_SECRET}"));
    headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value == format!("Basic {expected}"))
}

/// One use, the same address, and the verifier of the challenge that was sent.
fn redeem(desk: &Desk, ask: &TokenAsk) -> Option<Given> {
    ask.code_verifier
        .iter()
        .chain(&ask.client_secret)
        .for_each(|secret| hush::keep_secret(secret));
    let given = desk.lock().given.remove(&ask.code)?;
    if ask.redirect_uri.as_deref() != Some(&given.redirect_uri) {
        return None;
    }
    if given.is_apples {
        return Some(given);
    }
    let challenge = ask
        .code_verifier
        .as_ref()
        .map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())));
    (challenge.is_some() && challenge == given.challenge).then_some(given)
}
