//! What a provider tells of its own accord: that somebody took back there what they had let this server know, or that letters do
//! not reach them by it any more. Apple alone does.
//!
//! **Invariant:** nobody's account is deleted by it, nor anything in it: who it is told of comes in by a letter still.

use super::super::audit_events::{self, Event};
use super::super::finish::in_words;
use super::super::tries::Whose;
use super::super::{Auth, Visit, cookies, devices, native, second_step, users};
use super::apple::{FRESH, News, Notice};
use super::oidc::AHEAD;
use super::{accounts, provider_tokens};
use crate::asked::Id;
use crate::body::Json;
use crate::error::Result;
use crate::limits::{Class, Who};
use crate::mail::{self, Letter, suppressions};
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use protocol::auth::Email;
use protocol::routes::{self, page};
use protocol::{Code, Problem};
use serde::Deserialize;

/// A notice is some seven hundred bytes.
const NOTICE_BYTES: usize = 16 * 1024;
/// Seconds that a notice is remembered for: longer than it is believed.
const REMEMBERED: u64 = 24 * 3600;
const _: () = assert!(REMEMBERED > FRESH.unsigned_abs() + AHEAD.unsigned_abs());

#[derive(Deserialize, utoipa::ToSchema)]
pub struct ProviderNotice {
    /// What is told, signed by the provider.
    payload: String,
}

/// Tells of somebody at a provider: by that provider alone, which signs it. Only where the settings name an Apple.
#[utoipa::path(post, path = routes::PROVIDER_EVENTS, params(("provider" = String, Path)), tag = "Signing in",
    request_body = ProviderNotice, responses((status = 200)))]
pub async fn post_event(
    State(auth): State<Auth>,
    Id(provider): Id<String>,
    visit: Visit,
    posted: Result<Json<ProviderNotice, NOTICE_BYTES>>,
) -> Result<StatusCode> {
    let known = auth.0.providers.known(&provider)?;
    let apple = known.apple().ok_or(Code::NotFound)?;
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::ProviderReturn, &whos, Whose::Unknown, &visit)
        .await?;
    let Json(ProviderNotice { payload }) = posted?;
    let notice = match apple.notice(&known.http, &payload).await {
        Ok(Ok(notice)) => notice,
        Ok(Err(doubt)) => {
            tracing::warn!(provider = known.id, error = %doubt, "a notice is not believed");
            note_refusal(&auth, &known.id, "not the provider's", &visit).await;
            let problem = Problem::new(Code::BadRequest).field("payload");
            return Err(problem
                .detail("This is no notice of the provider's to this server.")
                .into());
        }
        Err(error) => {
            tracing::warn!(
                provider = known.id,
                error = format!("{error:#}"),
                "a notice could not be checked"
            );
            return Err(Problem::new(Code::Unavailable).retry_after(60).into());
        }
    };
    // the provider may have as much to tell as it likes
    auth.0.limits.give_back(Class::ProviderReturn, &whos).await;
    hear(&auth, &known.id, &notice, &visit).await?;
    Ok(StatusCode::OK)
}

/// Each notice once: told again, after the person has changed their mind, it would be wrong.
async fn hear(auth: &Auth, provider: &str, notice: &Notice, visit: &Visit) -> Result<()> {
    let id = URL_SAFE_NO_PAD.encode(cookies::digest(&notice.id));
    let key = auth.key(format_args!("told:{provider}:{id}"));
    let told: Option<String> = auth.redis.ask(&redis::Cmd::get(&key)).await?;
    if told.is_some() {
        return Ok(());
    }
    match &notice.news {
        News::Gone => let_go(auth, provider, notice, visit).await?,
        News::LettersOff(email) => letters(auth, (provider, notice), (email, false), visit).await?,
        News::LettersOn(email) => letters(auth, (provider, notice), (email, true), visit).await?,
        News::Other => note_refusal(auth, provider, "nothing known here", visit).await,
    }
    // behind it: what failed in between is told again, and done
    let () = auth.redis.ask(&redis::Cmd::set_ex(key, "", REMEMBERED)).await?;
    Ok(())
}

/// The identity is nobody's any more. Which devices came by it nobody can say (a browser lets an app in, and adds a passkey for
/// another), so all are signed out; a letter tells how to come in again.
async fn let_go(auth: &Auth, provider: &str, notice: &Notice, visit: &Visit) -> Result<()> {
    let mut tx = auth.pool.begin().await?;
    let Some(user) = accounts::owner(&mut tx, provider, &notice.subject).await? else {
        return Ok(());
    };
    // whoever comes in by it just now is waited for, and then found; who is locked is told of all the same
    let is_open = users::hold(&mut tx, user).await?;
    // what was connected after it was written is not meant
    let then = notice.at + time::Duration::seconds(AHEAD);
    provider_tokens::drop_of(&mut tx, provider, &notice.subject).await?;
    if !accounts::take_back(&mut tx, user, provider, &notice.subject, then).await? {
        return Ok(());
    }
    native::void_codes(&mut tx, user).await?;
    second_step::void_challenges(&mut tx, user).await?;
    let signed_out = devices::revoke_all(&mut tx, user, "taken back at the provider").await?;
    // nobody writes to whom an operator has locked
    if is_open && let Some(owner) = users::read(&mut tx, user).await? {
        let letter = Letter::ProviderGone {
            provider: auth.0.providers.name(provider).to_owned(),
            when: in_words(notice.at)?,
            link: auth.config.link(page::LETTER_ASK),
        };
        mail::put(&mut tx, Some(user), &owner.email, &letter).await?;
    }
    let event = Event {
        user: Some(user),
        device: None,
        name: "account_taken_back",
        refusal: None,
        method: provider,
    };
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.announce_signed_out(user, &signed_out);
    auth.letters_wait();
    Ok(())
}

/// Whether letters that can be turned off go to an address, where it is that of somebody here.
async fn letters(
    auth: &Auth,
    (provider, notice): (&str, &Notice),
    (email, is_on): (&Email, bool),
    visit: &Visit,
) -> Result<()> {
    let mut tx = auth.pool.begin().await?;
    let Some(user) = accounts::owner(&mut tx, provider, &notice.subject).await? else {
        return Ok(());
    };
    if is_on {
        suppressions::turn_on(&mut tx, email).await?;
    } else {
        suppressions::turn_off(&mut tx, email).await?;
    }
    let event = Event {
        user: Some(user),
        device: None,
        name: if is_on { "relay_on" } else { "relay_off" },
        refusal: None,
        method: provider,
    };
    audit_events::note(&mut tx, event, visit).await?;
    Ok(tx.commit().await?)
}

async fn note_refusal(auth: &Auth, provider: &str, why: &str, visit: &Visit) {
    let event = Event {
        user: None,
        device: None,
        name: "provider_event",
        refusal: Some(why),
        method: provider,
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
}
