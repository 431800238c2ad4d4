//! Signing in with a password: one refusal for every wrong pair, at the cost of one comparison.
//!
//! **Invariant:** what is answered does not tell whether an address is known. That a letter waits to be opened is told only in
//! the window that signed up, for that sign-up's password, and whether or not the address was known then.

use super::super::audit_events::{self, Event};
use super::super::finish::{Entrance, Entry, Step, finish_sign_in};
use super::super::tries::Whose;
use super::super::{Auth, FLOW, Visit, cookies, seal, users, verification_tokens as tokens};
use super::Match;
use crate::body::Json;
use crate::error::Result;
use crate::limits::{Class, Who, address};
use axum::extract::State;
use hmac::Mac as _;
use http::HeaderMap;
use protocol::auth::{SignIn, SignedIn};
use protocol::{Code, Problem, UserId, routes};

/// Signs in. A browser gets a cookie, a native client tokens.
#[utoipa::path(post, path = routes::SIGN_IN, tag = "Signing in", request_body = SignIn,
    responses((status = 200, body = SignedIn), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 429, body = Problem), (status = 503, body = Problem)))]
pub async fn post_sign_in(
    State(auth): State<Auth>,
    headers: HeaderMap,
    visit: Visit,
    Json(ask): Json<SignIn>,
) -> Result<Entry> {
    auth.must_come_from_its_client(&headers, &ask.client)?;
    sign_in(&auth, ask, &headers, &visit).await
}

pub async fn sign_in(auth: &Auth, ask: SignIn, headers: &HeaderMap, visit: &Visit) -> Result<Entry> {
    let proof = auth.proof(headers, routes::SIGN_IN)?;
    let prefix = visit.prefix();
    let account = auth.account_key(&ask.email);
    let at_home = auth.known_browser(visit, &ask.email);
    let whos = [
        Who::Address(&prefix),
        at_home.map_or(Who::Account(&account), Who::Device),
    ];
    let whose = Whose::Email(&ask.email);
    auth.take(Class::Password, &whos, whose, visit).await?;
    if at_home.is_none() {
        auth.0.limits.must_not_stuff(&prefix).await?;
    }
    let known = users::known(&auth.pool, &ask.email).await?;
    let (user, stored) = match known {
        Some(known) => (Some(known.user), known.hash),
        None => (None, None),
    };
    let outcome = auth
        .0
        .hasher
        .compare(ask.password.clone(), stored.clone())
        .await?;
    let user = match (user, &outcome) {
        (Some(user), Match::Yes | Match::YesRehashed(_)) => user,
        (user, _) => {
            let problem = mismatch(auth, (user, at_home.is_some()), ask, headers, visit).await?;
            if problem.code == Code::EmailUnverified {
                auth.0.limits.give_back(Class::Password, &whos).await;
            }
            return Err(problem.into());
        }
    };
    auth.0.limits.give_back(Class::Password, &whos).await;
    let mut compared = stored.unwrap_or_default();
    if let Match::YesRehashed(new) = outcome {
        users::rehash(&auth.pool, user, &compared, &new).await?;
        compared = new;
    }
    let entrance = Entrance {
        user,
        method: "password".to_owned(),
        client: ask.client,
        link: auth.pending_link(&ask.email, visit).await,
        step: Step::First,
        stays: ask.stay,
        key: auth.use_up(proof).await?,
    };
    let mut tx = auth.pool.begin().await?;
    // comparing takes its time, and a new password may have come meanwhile, which signs everybody out
    if !users::still_has(&mut tx, user, &compared).await? {
        drop(tx);
        return Err(refuse(auth, Some(user), Code::InvalidCredentials, visit)
            .await
            .into());
    }
    let admission = finish_sign_in(auth, &mut tx, entrance, visit).await?;
    tx.commit().await?;
    admission.announce(auth)
}

/// What is said of a pair that opens nothing.
async fn mismatch(
    auth: &Auth,
    (user, is_at_home): (Option<UserId>, bool),
    ask: SignIn,
    headers: &HeaderMap,
    visit: &Visit,
) -> Result<Problem> {
    let refused = refuse(auth, user, Code::InvalidCredentials, visit).await;
    let pair = auth.pair(&ask);
    if waits_for_its_letter(auth, ask, headers).await? {
        return Ok(Problem::new(Code::EmailUnverified));
    }
    if !is_at_home && auth.0.limits.note_failed_pair(&visit.prefix(), &pair).await {
        note_stuffing(auth, visit).await;
    }
    Ok(refused)
}

/// Whether this very window signed up with this pair within the letter's lifetime, whatever has become of the account since.
async fn waits_for_its_letter(auth: &Auth, ask: SignIn, headers: &HeaderMap) -> Result<bool> {
    let cookie = cookies::read(headers, FLOW).map(str::to_owned);
    let Some(binding) = ask.binding.or(cookie) else {
        return Ok(false);
    };
    let binding_hash = cookies::digest(&binding);
    let chosen = tokens::chosen_in_window(&auth.pool, &ask.email.key(), &binding_hash).await?;
    if chosen.is_none() {
        return Ok(false);
    }
    Ok(auth.0.hasher.compare(ask.password, chosen).await?.is_match())
}

impl Auth {
    /// What a pair of address and password is told from others by: without this installation's key, nothing is learnt from it.
    fn pair(&self, ask: &SignIn) -> [u8; 32] {
        let key = self.keys.derive("failed pair", b"");
        let email = ask.email.key();
        let parts = [email.as_bytes(), &[0], ask.password.expose().as_bytes()];
        seal::keyed(&key, &parts).finalize().into_bytes().into()
    }
}

/// A network tried too many pairs. It says nothing about the account that it tried last.
async fn note_stuffing(auth: &Auth, visit: &Visit) {
    tracing::warn!(
        network = address::neighbourhood(visit.address),
        "credential stuffing: passwords are not taken from there for a day"
    );
    let event = Event {
        user: None,
        device: None,
        name: "sign_in",
        refusal: Some("credential stuffing"),
        method: "password",
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
}

async fn refuse(auth: &Auth, user: Option<UserId>, code: Code, visit: &Visit) -> Problem {
    let reason = code.to_string();
    let event = Event {
        user,
        device: None,
        name: "sign_in",
        refusal: Some(&reason),
        method: "password",
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
    Problem::new(code)
}
