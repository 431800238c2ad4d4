//! The forms that a browser's passkeys answer, and those about the passkeys of an account.

use crate::asked::Id;
use crate::auth::{self, NewPasskey, PasskeyAnswer};
use crate::error::Result;
use crate::web::door::{self, let_in};
use crate::web::pages::Pages;
use crate::web::security::show_proven;
use crate::web::sent::{Posted, Sent};
use axum::Router;
use axum::response::Response;
use axum::routing::post;
use protocol::routes::page;
use protocol::view::Typed;
use serde::Deserialize;
use ui::page::Passkey;
use uuid::Uuid;

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::PASSKEY, post(sign_in))
        .route(page::PROVE_PASSKEY, post(prove))
        .route(page::FORM_PASSKEY_ADD, post(add))
        .route(page::FORM_PASSKEY_RENAME, post(rename))
        .route(page::FORM_PASSKEY_REMOVE, post(remove))
        .with_state(pages)
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    next: String,
    /// A box that was ticked: to stay signed in beyond the window.
    #[serde(default)]
    stay: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    ceremony: String,
    #[serde(default)]
    credential: String,
}

impl Fields {
    fn answer(&self) -> PasskeyAnswer {
        PasskeyAnswer {
            ceremony: self.ceremony.clone(),
            credential: self.credential.clone(),
        }
    }
}

/// An account's passkeys as the page shows them.
pub fn shown(passkeys: Vec<auth::Passkey>) -> Result<Vec<Passkey>> {
    let shown = passkeys.into_iter().map(|kept| {
        Ok(Passkey {
            id: kept.id.to_string(),
            name: kept.name,
            added: auth::in_words(kept.created_at)?,
            used: kept.last_used.map(auth::in_words).transpose()?,
        })
    });
    shown.collect()
}

async fn sign_in(posted: Posted<Fields>) -> Result<Response> {
    let (pages, headers, fields) = (&posted.pages, &posted.headers, &posted.fields);
    let (answer, stays) = (fields.answer(), !fields.stay.is_empty());
    let entered = auth::enter_by_passkey(pages.auth(), &answer, stays, headers, &posted.visit).await;
    match let_in(entered, &fields.next) {
        Ok(response) => Ok(response),
        Err(error) => {
            let typed = Typed {
                next: auth::safe_next(&fields.next),
                stays,
                ..Typed::default()
            };
            door::refused(pages, headers, page::SIGN_IN, typed, error).await
        }
    }
}

async fn prove(sent: Sent<Fields>) -> Result<Response> {
    let answer = sent.fields.answer();
    let proven = auth::prove_by_passkey(sent.pages.auth(), &sent.caller, &answer, &sent.visit).await;
    show_proven(&sent.pages, &sent.headers, &sent.caller, proven).await
}

async fn add(sent: Sent<Fields>) -> Result<Response> {
    let new = NewPasskey {
        answer: &sent.fields.answer(),
        name: &sent.fields.name,
    };
    let outcome = auth::add_passkey(sent.pages.auth(), &sent.caller, new, &sent.visit).await;
    let done = "The passkey is added. You can sign in with it from now on.";
    sent.told(outcome, done).await
}

async fn rename(Id(id): Id<Uuid>, sent: Sent<Fields>) -> Result<Response> {
    let name = &sent.fields.name;
    let outcome = auth::rename_passkey(sent.pages.auth(), &sent.caller, id, name, &sent.visit).await;
    sent.told(outcome, "The passkey has its new name.").await
}

async fn remove(Id(id): Id<Uuid>, sent: Sent<Fields>) -> Result<Response> {
    let outcome = auth::remove_passkey(sent.pages.auth(), &sent.caller, id, &sent.visit).await;
    let done = "The passkey is removed. Your device may still offer it until you delete it there.";
    sent.told(outcome, done).await
}
