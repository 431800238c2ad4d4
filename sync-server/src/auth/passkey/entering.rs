//! A passkey's answer: signs its owner in, or shows that it is still them.

use super::super::audit_events::{self, Event};
use super::super::cookies::{self, PASSKEY};
use super::super::finish::{Entrance, Entry, Step, finish_sign_in};
use super::super::tries::Whose;
use super::super::{Auth, Caller, Visit, safety, users};
use super::ceremonies::{Begun, Holder, WAITS, over};
use super::{Begin, PasskeyAnswer, Refusal, not_begun, passkeys, refused, verify};
use crate::body::Form;
use crate::error::Result;
use crate::limits::{Class, Who};
use anyhow::Context as _;
use axum::Json;
use axum::extract::State;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use protocol::auth::{Client, PasskeyOptions};
use protocol::routes::page;
use protocol::{Problem, UserId};
use webauthn_rs::prelude::{CredentialID, DiscoverableAuthentication, PublicKeyCredential};

/// Asks whatever passkey of this site the browser has: nobody is named, so nothing is told of anybody.
#[utoipa::path(post, path = page::PASSKEY_OPTIONS, tag = "Passkeys",
    request_body(content = Begin, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = PasskeyOptions), (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 429, body = Problem), (status = 503, body = Problem)))]
pub async fn post_sign_in_options(
    State(auth): State<Auth>,
    headers: HeaderMap,
    visit: Visit,
    Form(begin): Form<Begin>,
) -> Result<(CookieJar, Json<PasskeyOptions>)> {
    auth.check_csrf(&headers, &begin.csrf)?;
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::Passkey, &whos, Whose::Unknown, &visit).await?;
    // two tabs of one browser may be asked at once
    let browser = cookies::read(&headers, PASSKEY)
        .filter(|value| value.len() == 43)
        .map_or_else(cookies::fresh_secret, str::to_owned);
    let holder = Holder::Stranger(cookies::digest(&browser));
    let options = ask(&auth, holder, &[]).await?;
    let cookie = cookies::set(PASSKEY, browser, Some(i64::from(WAITS)));
    Ok((CookieJar::new().add(cookie), Json(options)))
}

/// Asks for one of the caller's own.
#[utoipa::path(post, path = page::PROVE_PASSKEY_OPTIONS, tag = "Passkeys",
    request_body(content = Begin, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = PasskeyOptions), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub async fn post_proof_options(
    State(auth): State<Auth>,
    headers: HeaderMap,
    caller: Caller,
    visit: Visit,
    Form(begin): Form<Begin>,
) -> Result<Json<PasskeyOptions>> {
    auth.check_csrf(&headers, &begin.csrf)?;
    auth.count_passkey_options(&caller, &visit).await?;
    let own = passkeys::credential_ids(&auth.pool, caller.user).await?;
    Ok(Json(ask(&auth, Holder::Device(caller.device), &own).await?))
}

async fn ask(auth: &Auth, holder: Holder, own: &[CredentialID]) -> Result<PasskeyOptions> {
    let (asked, state) = auth
        .site()?
        .start_discoverable_authentication()
        .context("asking for a passkey")?;
    let mut options = serde_json::to_value(asked.public_key).context("writing what a passkey is asked")?;
    if let Some(list) = options.get_mut("allowCredentials") {
        let known = own.iter().map(|id| {
            let id = URL_SAFE_NO_PAD.encode(id);
            serde_json::json!({"type": "public-key", "id": id})
        });
        *list = known.collect();
    }
    let ceremony = auth.begin_ceremony(holder, Begun::Using(state)).await?;
    Ok(PasskeyOptions { ceremony, options })
}

impl Auth {
    /// Somebody who is signed in begins a ceremony.
    pub(super) async fn count_passkey_options(&self, caller: &Caller, visit: &Visit) -> Result<()> {
        let (prefix, account) = (visit.prefix(), self.account_key(&caller.email));
        let whos = [Who::Address(&prefix), Who::Account(&account)];
        let whose = Whose::User(caller.user, Some(caller.device));
        self.take(Class::Passkey, &whos, whose, visit).await
    }
}

/// What came back, and what was asked. The ceremony is used up.
async fn read(
    auth: &Auth,
    answer: &PasskeyAnswer,
    holder: Holder,
) -> Result<Option<(PublicKeyCredential, DiscoverableAuthentication)>> {
    let Begun::Using(asked) = auth.end_ceremony(&answer.ceremony, holder).await? else {
        return Err(over().into());
    };
    let credential = serde_json::from_str(&answer.credential).ok();
    Ok(credential.map(|credential| (credential, asked)))
}

/// Whose passkey answered is what its holder says; that it is theirs, the key shows.
fn named(credential: &PublicKeyCredential) -> Option<UserId> {
    let handle = credential.get_user_unique_id()?;
    uuid::Uuid::from_slice(handle).ok().map(UserId)
}

/// Signs in, with no other step: the passkey's holder has seen who it is.
/// `stays`: beyond its window.
pub async fn enter(
    auth: &Auth,
    answer: &PasskeyAnswer,
    stays: bool,
    headers: &HeaderMap,
    visit: &Visit,
) -> Result<Entry> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::PasskeyTry, &whos, Whose::Unknown, visit).await?;
    let refuse = async |user, reason| refused(auth, "sign_in", (user, None), reason, visit).await;
    let cookie = cookies::read(headers, PASSKEY).unwrap_or_default();
    let holder = Holder::Stranger(cookies::digest(cookie));
    let read = match read(auth, answer, holder).await {
        Ok(read) => read,
        Err(error) => return Err(not_begun(auth, "sign_in", (None, None), error, visit).await),
    };
    let Some((credential, asked)) = read else {
        return Err(refuse(None, "unreadable").await);
    };
    let Some(named) = named(&credential) else {
        return Err(refuse(None, "names nobody").await);
    };
    let mut tx = auth.pool.begin().await?;
    // the user's row first, as whoever removes them has it first
    let Some(user) = users::read(&mut tx, named).await? else {
        drop(tx);
        return Err(refuse(None, "unknown passkey").await);
    };
    match verify(auth, &mut tx, user.id, &credential, asked).await {
        Ok(()) => {}
        Err(Refusal::Told(reason, is_theirs)) => {
            drop(tx);
            return Err(refuse(is_theirs.then_some(user.id), reason).await);
        }
        Err(Refusal::Broken(error)) => return Err(error),
    }
    let entrance = Entrance {
        user: user.id,
        method: "passkey".to_owned(),
        client: Client::Browser,
        link: auth.pending_link(&user.email, visit).await,
        step: Step::Second,
        stays,
        key: None,
    };
    let admission = finish_sign_in(auth, &mut tx, entrance, visit).await?;
    tx.commit().await?;
    auth.0.limits.give_back(Class::PasskeyTry, &whos).await;
    admission.announce(auth)
}

/// Shows that it is still the same person, as password and code do. Gives the browser's new cookie.
pub async fn prove(
    auth: &Auth,
    caller: &Caller,
    answer: &PasskeyAnswer,
    visit: &Visit,
) -> Result<Cookie<'static>> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    let whose = Whose::User(caller.user, Some(caller.device));
    auth.take(Class::PasskeyTry, &whos, whose, visit).await?;
    let who = (Some(caller.user), Some(caller.device));
    let read = match read(auth, answer, Holder::Device(caller.device)).await {
        Ok(read) => read,
        Err(error) => return Err(not_begun(auth, "prove", who, error, visit).await),
    };
    let Some((credential, asked)) = read else {
        return Err(refused(auth, "prove", who, "unreadable", visit).await);
    };
    // a holder that was told whose to use need not say whose it was
    if named(&credential).is_some_and(|named| named != caller.user) {
        return Err(refused(auth, "prove", who, "unknown passkey", visit).await);
    }
    let mut tx = auth.pool.begin().await?;
    users::read(&mut tx, caller.user).await?;
    match verify(auth, &mut tx, caller.user, &credential, asked).await {
        Ok(()) => {}
        Err(Refusal::Told(reason, _)) => {
            drop(tx);
            return Err(refused(auth, "prove", who, reason, visit).await);
        }
        Err(Refusal::Broken(error)) => return Err(error),
    }
    let cookie = safety::note_proof(&mut tx, caller).await?;
    let event = Event {
        user: Some(caller.user),
        device: Some(caller.device),
        name: "prove",
        refusal: None,
        method: "passkey",
    };
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.announce_changed(&[caller.device]);
    auth.0.limits.give_back(Class::PasskeyTry, &whos).await;
    Ok(cookie)
}
