//! Adding passkeys, naming and removing them: by somebody who has just shown who they are.

use super::super::audit_events::{self, Event};
use super::super::finish::named;
use super::super::safety::{self, must_be_fresh};
use super::super::tries::Whose;
use super::super::{Auth, Caller, Visit, users};
use super::ceremonies::{Begun, Holder, over};
use super::{Begin, PasskeyAnswer, not_begun, passkeys, refused, why};
use crate::body::Form;
use crate::error::Result;
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use anyhow::Context as _;
use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use protocol::auth::PasskeyOptions;
use protocol::routes::page;
use protocol::{Code, Problem, limits};
use serde_json::json;
use uuid::Uuid;
use webauthn_rs::prelude::{CreationChallengeResponse, Passkey, RegisterPublicKeyCredential};

/// Asks the browser for a new one.
#[utoipa::path(post, path = page::PASSKEY_ADD_OPTIONS, tag = "Passkeys",
    request_body(content = Begin, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = PasskeyOptions), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem), (status = 429, body = Problem),
              (status = 503, body = Problem)))]
pub async fn post_options(
    State(auth): State<Auth>,
    headers: HeaderMap,
    caller: Caller,
    visit: Visit,
    Form(begin): Form<Begin>,
) -> Result<Json<PasskeyOptions>> {
    auth.check_csrf(&headers, &begin.csrf)?;
    must_be_fresh(&auth, &caller).await?;
    auth.count_passkey_options(&caller, &visit).await?;
    let own = passkeys::credential_ids(&auth.pool, caller.user).await?;
    if own.len() >= limits::PASSKEYS {
        return Err(too_many().into());
    }
    let (asked, state) = auth
        .site()?
        .start_passkey_registration(
            caller.user.0,
            caller.email.as_str(),
            caller.name.as_deref().unwrap_or(caller.email.as_str()),
            Some(own),
        )
        .context("asking for a new passkey")?;
    let options = discoverable(&asked)?;
    let holder = Holder::Device(caller.device);
    let ceremony = auth.begin_ceremony(holder, Begun::Making(state)).await?;
    Ok(Json(PasskeyOptions { ceremony, options }))
}

/// Its holder has to keep whose it is, so that nobody types an address to use it. The library would leave that to the holder.
fn discoverable(asked: &CreationChallengeResponse) -> Result<serde_json::Value> {
    let mut options =
        serde_json::to_value(&asked.public_key).context("writing what a new passkey is to be")?;
    if let Some(selection) = options
        .get_mut("authenticatorSelection")
        .and_then(|selection| selection.as_object_mut())
    {
        selection.insert("residentKey".to_owned(), json!("required"));
        selection.insert("requireResidentKey".to_owned(), json!(true));
    }
    Ok(options)
}

fn too_many() -> Problem {
    Problem::new(Code::Conflict)
        .detail(format!(
            "You have {} passkeys, and more are not kept. Please remove one that you no longer use first.",
            limits::PASSKEYS
        ))
        .limit(u64::try_from(limits::PASSKEYS).unwrap_or_default())
}

/// A passkey that was just made.
#[derive(Debug)]
pub struct NewPasskey<'a> {
    pub answer: &'a PasskeyAnswer,
    /// Empty: it is called after the browser.
    pub name: &'a str,
}

pub async fn add(auth: &Auth, caller: &Caller, new: NewPasskey<'_>, visit: &Visit) -> Result<()> {
    must_be_fresh(auth, caller).await?;
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    let whose = Whose::User(caller.user, Some(caller.device));
    auth.take(Class::PasskeyTry, &whos, whose, visit).await?;
    let name = if new.name.trim().is_empty() {
        named(&visit.browser().0, "Passkey", limits::PASSKEY_NAME_CHARS)
    } else {
        sound_name(new.name)?
    };
    let passkey = made(auth, caller, new.answer, visit).await?;
    let mut tx = safety::change(auth, caller).await?;
    let count = passkeys::count(&mut tx, caller.user).await?;
    if usize::try_from(count).is_ok_and(|count| count >= limits::PASSKEYS) {
        return Err(too_many().into());
    }
    if !passkeys::insert(&mut tx, caller.user, Uuid::now_v7(), &name, &passkey).await? {
        drop(tx);
        let who = (Some(caller.user), Some(caller.device));
        return Err(refused(auth, "passkey_added", who, "known already", visit).await);
    }
    let event = Event::by_its_owner(caller, "passkey_added");
    audit_events::note(&mut tx, event, visit).await?;
    let letter = Letter::PasskeyAdded {
        name,
        when: auth.now_and_where(visit)?,
        link: auth.config.link(page::SECURITY),
    };
    mail::put(&mut tx, Some(caller.user), &caller.email, &letter).await?;
    tx.commit().await?;
    auth.letters_wait();
    auth.0.limits.give_back(Class::PasskeyTry, &whos).await;
    Ok(())
}

/// What the browser made, checked against what was asked.
async fn made(auth: &Auth, caller: &Caller, answer: &PasskeyAnswer, visit: &Visit) -> Result<Passkey> {
    let who = (Some(caller.user), Some(caller.device));
    let begun = auth.end_ceremony(&answer.ceremony, Holder::Device(caller.device));
    let asked = match begun.await {
        Ok(Begun::Making(asked)) => asked,
        Ok(Begun::Using(_)) => {
            return Err(not_begun(auth, "passkey_added", who, over().into(), visit).await);
        }
        Err(error) => return Err(not_begun(auth, "passkey_added", who, error, visit).await),
    };
    let credential: Option<RegisterPublicKeyCredential> = serde_json::from_str(&answer.credential).ok();
    let Some(credential) = credential else {
        return Err(refused(auth, "passkey_added", who, "unreadable", visit).await);
    };
    match auth.site()?.finish_passkey_registration(&credential, &asked) {
        Ok(passkey) => Ok(passkey),
        Err(error) => Err(refused(auth, "passkey_added", who, why(&error), visit).await),
    }
}

fn sound_name(typed: &str) -> Result<String, Problem> {
    let name = typed.trim();
    let is_sound = !name.is_empty()
        && name.chars().count() <= limits::PASSKEY_NAME_CHARS
        && !name.chars().any(char::is_control);
    if is_sound {
        return Ok(name.to_owned());
    }
    let why = format!(
        "Please give the passkey a name of at most {} characters, on one line.",
        limits::PASSKEY_NAME_CHARS
    );
    Err(Problem::new(Code::Invalid).field("name").detail(why))
}

pub async fn rename(auth: &Auth, caller: &Caller, id: Uuid, name: &str, visit: &Visit) -> Result<()> {
    let name = sound_name(name)?;
    let mut tx = safety::change(auth, caller).await?;
    if !passkeys::rename(&mut tx, caller.user, id, &name).await? {
        return Err(Code::NotFound.into());
    }
    let event = Event::by_its_owner(caller, "passkey_renamed");
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    Ok(())
}

/// It opens nothing from now on. Whoever is in stays in.
pub async fn remove(auth: &Auth, caller: &Caller, id: Uuid, visit: &Visit) -> Result<()> {
    let mut tx = safety::change(auth, caller).await?;
    let Some(name) = passkeys::remove(&mut tx, caller.user, id).await? else {
        return Err(Code::NotFound.into());
    };
    if !users::has_way_in(&mut tx, caller.user).await? {
        return Err(Code::LastWayIn.into());
    }
    let event = Event::by_its_owner(caller, "passkey_removed");
    audit_events::note(&mut tx, event, visit).await?;
    let letter = Letter::PasskeyRemoved {
        name,
        when: auth.now_and_where(visit)?,
        link: auth.config.link(page::SECURITY),
    };
    mail::put(&mut tx, Some(caller.user), &caller.email, &letter).await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(())
}
