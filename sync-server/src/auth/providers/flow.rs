//! Out to a provider and back: what left is known when it returns, in the same browser, from the same provider, once.

use super::super::audit_events::{self, Event};
use super::super::cookies::{self, PROVIDER};
use super::super::finish::{Entrance, Entry, Step, finish_sign_in, is_noted};
use super::super::next::safe_next;
use super::super::safety::must_be_fresh;
use super::super::second_step::goes_on;
use super::super::tries::Whose;
use super::super::{Auth, Caller, Visit};
use super::own::{self, Owner};
use super::{Answer, Identity, WAITS, Way, apple, linking, newcomer};
use crate::asked::{Asked, Id};
use crate::body::Form;
use crate::database::Transaction;
use crate::error::{Error, Result};
use crate::limits::{Class, Who};
use anyhow::Context as _;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use protocol::auth::{Client, Provider};
use protocol::routes::page;
use protocol::{Code, Problem, routes};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// What is known of a way out, under the hash of its state.
#[derive(Serialize, Deserialize)]
struct Flow {
    provider: String,
    /// Hash of the browser's cookie.
    browser: [u8; 32],
    nonce: String,
    verifier: String,
    next: String,
    /// Whose account is to be connected; `None`: somebody signs in.
    #[serde(default)]
    owner: Option<Owner>,
    /// Beyond the browser's window.
    #[serde(default)]
    stays: bool,
}

/// What somebody leaves for.
#[derive(Clone, Copy, Debug)]
pub enum Errand<'a> {
    /// To sign in, beyond the browser's window or not, and then go on there.
    SignIn { next: &'a str, stays: bool },
    /// To connect an account to one's own.
    Connect(&'a Caller),
}

/// Where a way back ends: in the app, or on the page where it began.
enum Home {
    Door { next: String },
    Security,
}

/// What came of a way back.
enum Came {
    In(Entry),
    /// An account was connected to the one that was in already.
    Connected,
    /// Nobody vouches for the address: its letter's code is awaited, by the browser that holds this.
    Asked(Cookie<'static>),
}

impl Flow {
    fn home(&self) -> Home {
        match self.owner {
            None => Home::Door {
                next: self.next.clone(),
            },
            Some(_) => Home::Security,
        }
    }
}

impl Home {
    /// A failure, told where one can try again.
    fn tell(&self, error: Error) -> Response {
        match self {
            Self::Door { next } => back_to_sign_in(error, next),
            Self::Security => {
                let code = error.into_problem().code;
                Redirect::to(&format!("{}?problem={code}", page::SECURITY)).into_response()
            }
        }
    }
}

/// The ways in besides a password.
#[utoipa::path(get, path = routes::PROVIDERS, tag = "Signing in", responses((status = 200, body = [Provider])))]
pub async fn list_providers(State(auth): State<Auth>) -> axum::Json<Vec<Provider>> {
    axum::Json(auth.0.providers.list())
}

/// Where to send the browser, and the cookie to bind it.
pub async fn provider_start(
    auth: &Auth,
    provider: &str,
    errand: Errand<'_>,
    headers: &HeaderMap,
    visit: &Visit,
) -> Result<(String, Cookie<'static>)> {
    let (next, stays, owner) = match errand {
        Errand::SignIn { next, stays } => (safe_next(next), stays, None),
        Errand::Connect(caller) => {
            must_be_fresh(auth, caller).await?;
            (String::new(), false, Some(Owner::of(caller)))
        }
    };
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::OAuthStart, &whos, Whose::Unknown, visit).await?;
    let known = auth.0.providers.known(provider)?;
    let outward = match &known.way {
        Way::Oidc(oidc) => oidc
            .outward(&known.http)
            .await
            .map_err(|error| failed(provider, &error))?,
        Way::GitHub(github) => github.outward(),
    };
    // two tabs of one browser may be out at once
    let browser = cookies::read(headers, PROVIDER)
        .filter(|value| value.len() == 43)
        .map_or_else(cookies::fresh_secret, str::to_owned);
    let flow = Flow {
        provider: provider.to_owned(),
        browser: cookies::digest(&browser),
        nonce: outward.nonce,
        verifier: outward.verifier,
        next,
        owner,
        stays,
    };
    let () = auth
        .redis
        .ask(&redis::Cmd::set_ex(
            auth.flow_key(&outward.state),
            serde_json::to_string(&flow).context("storing a way out")?,
            WAITS.into(),
        ))
        .await?;
    let cookie = cookies::set(PROVIDER, browser, Some(i64::from(WAITS)));
    Ok((outward.url.into(), cookie))
}

#[derive(Deserialize)]
pub struct Returned {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

/// The way back. Every failure is shown on the sign-in page, in words.
pub async fn provider_callback(
    State(auth): State<Auth>,
    Id(provider): Id<String>,
    headers: HeaderMap,
    visit: Visit,
    Asked(returned): Asked<Returned>,
) -> Response {
    // what the address says is noted only where it is one of ours
    let provider = match auth.0.providers.find(&provider) {
        Ok(known) => known,
        Err(problem) => return back_to_sign_in(problem.into(), ""),
    };
    let (came, home) = come_back(&auth, provider, returned, &headers, &visit).await;
    match (came, &home) {
        (Ok(Came::In(entry)), Home::Door { next }) => {
            let jar = entry.cookies.into_iter().fold(CookieJar::new(), CookieJar::add);
            (jar, Redirect::to(next)).into_response()
        }
        (Ok(Came::Asked(cookie)), _) => {
            (CookieJar::new().add(cookie), Redirect::to(page::NEWCOMER)).into_response()
        }
        (Ok(Came::In(_) | Came::Connected), _) => Redirect::to(page::SECURITY).into_response(),
        (Err(Error::Told(problem)), Home::Door { next }) => {
            goes_on(&problem, next).unwrap_or_else(|| home.tell(Error::Told(problem)))
        }
        (Err(error), _) => home.tell(error),
    }
}

/// An answer that comes as a posted form (OAuth 2.0 Form Post Response Mode).
#[derive(Deserialize)]
pub struct Posted {
    #[serde(flatten)]
    returned: Returned,
    /// Apple's, the first time.
    #[serde(default)]
    user: Option<String>,
}

/// A form of another site brings no cookie of ours along. So the browser is sent on to the ordinary way back, and brings it
/// there: the answer goes nowhere but through the browser that it was given to.
pub async fn provider_posted(
    State(auth): State<Auth>,
    Id(provider): Id<String>,
    visit: Visit,
    Form(posted): Form<Posted>,
) -> Result<Response> {
    let known = auth.0.providers.known(&provider)?;
    if known.apple().is_none() {
        return Err(Code::MethodNotAllowed.into());
    }
    let prefix = visit.prefix();
    auth.take(
        Class::OAuthStart,
        &[Who::Address(&prefix)],
        Whose::Unknown,
        &visit,
    )
    .await?;
    let Posted { returned, user } = posted;
    let name = user.as_deref().and_then(apple::name_in);
    if let (Some(state), Some(name)) = (&returned.state, name) {
        let key = auth.name_key(state);
        let () = auth
            .redis
            .ask(&redis::Cmd::set_ex(key, name, WAITS.into()))
            .await?;
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("code", returned.code),
        ("state", returned.state),
        ("iss", returned.iss),
        ("error", returned.error),
    ] {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    let back = page::PROVIDER_CALLBACK.replace("{provider}", &known.id);
    Ok(Redirect::to(&format!("{back}?{}", query.finish())).into_response())
}

/// A failure on the way out or back, told where one can try again.
pub fn back_to_sign_in(error: Error, next: &str) -> Response {
    let problem = error.into_problem();
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("problem", &problem.code.to_string())
        .append_pair("next", &safe_next(next))
        .finish();
    Redirect::to(&format!("{}?{query}", page::SIGN_IN)).into_response()
}

/// What came of it, with where that is told.
async fn come_back(
    auth: &Auth,
    provider: &str,
    returned: Returned,
    headers: &HeaderMap,
    visit: &Visit,
) -> (Result<Came>, Home) {
    let state = returned.state.clone().unwrap_or_default();
    let flow = match auth.flow(provider, &state, headers).await {
        Ok(flow) => flow,
        Err(error) => {
            let home = Home::Door { next: String::new() };
            return (Err(made_up(auth, provider, error, visit).await), home);
        }
    };
    let home = flow.home();
    let came = async {
        let (owner, next, stays) = (flow.owner, flow.next.clone(), flow.stays);
        let identity = identify(auth, provider, returned, flow, &state).await?;
        match owner {
            None => enter(auth, provider, &identity, (next, stays), visit).await,
            Some(owner) => {
                let caller = auth.caller_by_headers(headers).await?;
                let caller = caller.filter(|caller| Owner::of(caller) == owner);
                let caller = caller.ok_or(Code::StateMismatch)?;
                own::connect(auth, &caller, provider, &identity, visit).await?;
                Ok(Came::Connected)
            }
        }
    };
    let came = match came.await {
        // what was tried too often is noted where it is counted
        Err(Error::Told(problem))
            if is_noted(&problem) || problem.challenge.is_some() || problem.code == Code::RateLimited =>
        {
            Err(Error::Told(problem))
        }
        Err(error) => Err(note(auth, provider, error, visit).await),
        Ok(came) => Ok(came),
    };
    (came, home)
}

/// Who the provider says that somebody is.
async fn identify(
    auth: &Auth,
    provider: &str,
    returned: Returned,
    flow: Flow,
    state: &str,
) -> Result<Identity> {
    let code = match (returned.code, returned.error) {
        (Some(code), None) => code,
        (_, Some(error)) if error == "access_denied" || error == "user_cancelled_authorize" => {
            return Err(Code::ProviderCancelled.into());
        }
        (None, None) => return Err(Code::ProviderCancelled.into()),
        (_, Some(_)) => return Err(Code::ProviderFailed.into()),
    };
    let answer = Answer {
        code,
        iss: returned.iss,
        nonce: flow.nonce,
        verifier: flow.verifier,
        name: auth.told_name(state).await,
    };
    let known = auth.0.providers.known(provider)?;
    let identity = match &known.way {
        Way::Oidc(oidc) => oidc.identity(&known.http, &auth.keys, answer).await,
        Way::GitHub(github) => github.identity(&known.http, answer).await,
    };
    Ok(identity.map_err(|error| failed(provider, &error))?)
}

async fn enter(
    auth: &Auth,
    provider: &str,
    identity: &Identity,
    (next, stays): (String, bool),
    visit: &Visit,
) -> Result<Came> {
    let mut tx = auth.pool.begin().await?;
    if let Some(email) = linking::unproven(&mut tx, provider, identity).await? {
        drop(tx);
        let newcomer = newcomer::Newcomer::new(provider, identity, email, (next, stays));
        return newcomer::ask(auth, newcomer, visit).await.map(Came::Asked);
    }
    admit(auth, tx, (provider, identity), (provider, stays), visit)
        .await
        .map(Came::In)
}

/// In, where the identity leads to an account or may make one.
pub(super) async fn admit(
    auth: &Auth,
    mut tx: Transaction,
    (provider, identity): (&str, &Identity),
    (method, stays): (&str, bool),
    visit: &Visit,
) -> Result<Entry> {
    let linked = match linking::link(&mut tx, provider, identity).await {
        Err(Error::Told(problem)) if problem.code == Code::LinkRequired => {
            auth.remember_to_link(provider, identity, visit).await?;
            return Err(Error::Told(problem));
        }
        other => other?,
    };
    let entrance = Entrance {
        user: linked.user,
        method: method.to_owned(),
        client: Client::Browser,
        link: None,
        step: Step::First,
        stays,
        key: None,
    };
    let admission = finish_sign_in(auth, &mut tx, entrance, visit).await?;
    if !linking::keep(&mut tx, linked.user, provider, identity).await? {
        return Err(Code::StateMismatch.into());
    }
    tx.commit().await?;
    auth.announce_signed_out(linked.user, &linked.signed_out);
    admission.announce(auth)
}

/// The log hears why; the person hears that the provider did not confirm them.
fn failed(provider: &str, error: &anyhow::Error) -> Problem {
    tracing::warn!(
        provider,
        error = format!("{error:#}"),
        "a provider did not confirm somebody"
    );
    Problem::new(Code::ProviderFailed)
}

/// Nothing left under that state. Anybody can make such a return up, so they are counted before they are noted.
async fn made_up(auth: &Auth, provider: &str, error: Error, visit: &Visit) -> Error {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    match auth
        .take(Class::ProviderReturn, &whos, Whose::Unknown, visit)
        .await
    {
        Ok(()) => note(auth, provider, error, visit).await,
        Err(limited) => limited,
    }
}

async fn note(auth: &Auth, provider: &str, error: Error, visit: &Visit) -> Error {
    let problem = error.into_problem();
    let reason = problem.code.to_string();
    let event = Event {
        user: None,
        device: None,
        name: "sign_in",
        refusal: Some(&reason),
        method: provider,
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
    problem.into()
}

impl Auth {
    fn name_key(&self, state: &str) -> String {
        let hash = URL_SAFE_NO_PAD.encode(cookies::digest(state));
        self.key(format_args!("name-told:{hash}"))
    }

    /// A name is no reason to fail.
    async fn told_name(&self, state: &str) -> Option<String> {
        let told = self.redis.ask(&redis::Cmd::get_del(self.name_key(state))).await;
        told.ok().flatten()
    }

    fn flow_key(&self, state: &str) -> String {
        let hash = URL_SAFE_NO_PAD.encode(cookies::digest(state));
        self.key(format_args!("way-out:{hash}"))
    }

    /// What left under this state, taken away at once: whatever is wrong with it, it is used up.
    async fn flow(&self, provider: &str, state: &str, headers: &HeaderMap) -> Result<Flow> {
        let mismatch = || Problem::new(Code::StateMismatch);
        let text: Option<String> = self.redis.ask(&redis::Cmd::get_del(self.flow_key(state))).await?;
        let flow: Flow = serde_json::from_str(&text.ok_or_else(mismatch)?).context("reading a way out")?;
        let browser = cookies::digest(cookies::read(headers, PROVIDER).unwrap_or_default());
        if flow.provider != provider || !bool::from(flow.browser.ct_eq(&browser)) {
            return Err(mismatch().into());
        }
        Ok(flow)
    }
}
