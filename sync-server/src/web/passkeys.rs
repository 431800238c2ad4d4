//! The forms that a browser's passkeys answer, and those about the passkeys of an account.

use crate::asked::Id;
use crate::auth::{self, NewPasskey, PasskeyAnswer, Visit};
use crate::body::Form;
use crate::error::{Error, Result};
use crate::web::door::{self, let_in};
use crate::web::pages::Pages;
use crate::web::security::{self, draw, draw_proof, sent};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::HeaderMap;
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
    csrf: String,
    #[serde(default)]
    next: String,
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

async fn sign_in(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let auth = pages.auth();
    auth.check_csrf(&headers, &fields.csrf)?;
    let entered = auth::enter_by_passkey(auth, &fields.answer(), &headers, &visit).await;
    match let_in(entered, &fields.next) {
        Ok(response) => Ok(response),
        Err(error) => {
            let typed = Typed {
                next: auth::safe_next(&fields.next),
                ..Typed::default()
            };
            door::refused(&pages, &headers, page::SIGN_IN, typed, error).await
        }
    }
}

async fn prove(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    match auth::prove_by_passkey(pages.auth(), &caller, &fields.answer(), &visit).await {
        Ok(cookie) => Ok(security::proven(cookie)),
        Err(Error::Told(problem)) => draw_proof(&pages, &headers, &caller, Some(*problem)).await,
        Err(error) => Err(error),
    }
}

async fn add(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    let new = NewPasskey {
        answer: &fields.answer(),
        name: &fields.name,
    };
    match auth::add_passkey(pages.auth(), &caller, new, &visit).await {
        Ok(()) => {
            let done = "The passkey is added. You can sign in with it from now on.";
            draw(&pages, &headers, &caller, None, Some(done)).await
        }
        Err(error) => security::refused(&pages, &headers, &caller, error).await,
    }
}

async fn rename(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Id(id): Id<Uuid>,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    match auth::rename_passkey(pages.auth(), &caller, id, &fields.name, &visit).await {
        Ok(()) => {
            let done = "The passkey has its new name.";
            draw(&pages, &headers, &caller, None, Some(done)).await
        }
        Err(error) => security::refused(&pages, &headers, &caller, error).await,
    }
}

async fn remove(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Id(id): Id<Uuid>,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    match auth::remove_passkey(pages.auth(), &caller, id, &visit).await {
        Ok(()) => {
            let done = "The passkey is removed. Your device may still offer it until you delete it there.";
            draw(&pages, &headers, &caller, None, Some(done)).await
        }
        Err(error) => security::refused(&pages, &headers, &caller, error).await,
    }
}
