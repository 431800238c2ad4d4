//! Confirming an address: by the code, in the window that signed up; by the link, in the browser that opens it.
//!
//! **Invariant:** a click signs in only the browser that clicked, a code only the window it is typed in, and nobody is
//! confirmed by a mailbox alone: the window's binding or that sign-up's password is needed too.

use super::super::audit_events::{self, Event};
use super::super::finish::{Entrance, Entry, Step, finish_sign_in};
use super::super::native::dpop::Thumbprint;
use super::super::tries::{Whose, is_worthless};
use super::super::verification_tokens::{self as tokens, AskedBy, Candidate, Linked, Purpose};
use super::super::{Auth, FLOW, Visit, codes, cookies, devices, next, seal, users};
use super::Match;
use super::sign_up::CODE_CHARS;
use crate::body::Json;
use crate::database::Transaction;
use crate::error::{Error, Result};
use crate::limits::{Class, Who};
use axum::extract::State;
use hmac::Mac as _;
use http::HeaderMap;
use protocol::auth::{Client, Email, Password, SignedIn, Verify};
use protocol::{Code, Problem, UserId, routes};
use uuid::Uuid;

/// Confirms with the mailed code and signs this window in.
#[utoipa::path(post, path = routes::VERIFY, tag = "Signing in", request_body = Verify,
    responses((status = 200, body = SignedIn), (status = 410, body = Problem), (status = 429, body = Problem)))]
pub async fn post_verify(
    State(auth): State<Auth>,
    headers: HeaderMap,
    visit: Visit,
    Json(ask): Json<Verify>,
) -> Result<Entry> {
    auth.must_come_from_its_client(&headers, &ask.client)?;
    verify(&auth, ask, &headers, &visit).await
}

pub async fn verify(auth: &Auth, ask: Verify, headers: &HeaderMap, visit: &Visit) -> Result<Entry> {
    let proof = auth.proof(headers, routes::VERIFY)?;
    let prefix = visit.prefix();
    let account = auth.account_key(&ask.email);
    let whos = [Who::Address(&prefix), Who::Account(&account)];
    let whose = Whose::Email(&ask.email);
    auth.take(Class::CodeTry, &whos, whose, visit).await?;
    let key = auth.use_up(proof).await?;
    let binding = ask
        .binding
        .as_deref()
        .or_else(|| cookies::read(headers, FLOW))
        .unwrap_or_default();
    let (email, binding_hash) = (ask.email.key(), cookies::digest(binding));
    let window = tokens::of_window(&auth.pool, Purpose::Verify, &email, &binding_hash).await?;
    let (Some(code), Some(asked)) = (codes::normal(&ask.code, CODE_CHARS), &window) else {
        return Err(refuse_code(auth, window, visit).await);
    };
    let code_hash = auth.code_hash(asked.id, &code);
    let user = asked.user_id.map(UserId);
    let (true, Some(user)) = (tokens::try_code(&auth.pool, asked.id, &code_hash).await?, user) else {
        return Err(refuse_code(auth, window, visit).await);
    };
    let mut tx = auth.pool.begin().await?;
    users::hold(&mut tx, user).await?;
    let Some(candidate) = tokens::consume_code(&mut tx, asked.id, &code_hash).await? else {
        drop(tx);
        return Err(refuse_code(auth, window, visit).await);
    };
    let by = By {
        method: "code",
        client: ask.client,
        stays: ask.stay,
        key,
    };
    let entry = confirm(auth, tx, candidate, by, visit).await?;
    auth.0.limits.give_back(Class::CodeTry, &whos).await;
    Ok(entry)
}

async fn refuse_code(auth: &Auth, window: Option<AskedBy>, visit: &Visit) -> Error {
    let is_known = window.is_some();
    let event = Event {
        user: window.and_then(|asked| asked.user_id).map(UserId),
        device: None,
        name: "verify",
        refusal: Some(if is_known { "wrong code" } else { "no sign-up" }),
        method: "code",
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
    Problem::new(Code::InvalidOrExpiredLink)
        .field("code")
        .detail("That code does not match or is no longer valid. Please check it, or ask for a new letter.")
        .into()
}

/// How, and by which program.
struct By {
    method: &'static str,
    client: Client,
    /// A browser beyond its window.
    stays: bool,
    key: Option<Thumbprint>,
}

/// The mailbox is proven by the one who signed up: their password becomes the user's, and they are in.
async fn confirm(
    auth: &Auth,
    mut tx: Transaction,
    candidate: Candidate,
    by: By,
    visit: &Visit,
) -> Result<Entry> {
    let gone = || Problem::new(Code::InvalidOrExpiredLink);
    let user = UserId(candidate.user_id.ok_or_else(gone)?);
    let is_first = users::verify(
        &mut tx,
        user,
        candidate.password_hash.as_deref(),
        candidate.name.as_deref(),
    )
    .await?;
    if !is_first {
        return Err(gone().into());
    }
    tokens::void_all(&mut tx, &candidate.identifier).await?;
    let signed_out = devices::revoke_all(&mut tx, user, "address confirmed").await?;
    let entrance = Entrance {
        user,
        method: by.method.to_owned(),
        client: by.client,
        link: None,
        step: Step::First,
        stays: by.stays,
        key: by.key,
    };
    let admission = finish_sign_in(auth, &mut tx, entrance, visit).await?;
    tx.commit().await?;
    auth.announce_signed_out(user, &signed_out);
    admission.announce(auth)
}

/// What the page of a letter's link shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkLook {
    /// The address, its local part hidden: the link may have been opened by a stranger.
    pub email: String,
    /// Where its reader was going in the browser that signed up. `None`: this is another, and has to give the password.
    pub next: Option<String>,
}

/// Looks at a link and changes nothing. `None`: it is used, too old or made up.
pub async fn verify_link_look(
    auth: &Auth,
    id: &str,
    secret: &str,
    headers: &HeaderMap,
) -> Result<Option<LinkLook>> {
    let Ok(id) = Uuid::parse_str(id) else {
        return Ok(None);
    };
    let linked = tokens::by_link(&auth.pool, Purpose::Verify, id, &cookies::digest(secret)).await?;
    Ok(linked.map(|linked| LinkLook {
        email: masked(&linked.email),
        next: linked.binding_in(headers, FLOW).map(next::next_in),
    }))
}

/// What came with the button.
#[derive(Debug)]
pub struct Pressed {
    /// From another browser than the one that signed up.
    pub password: Option<Password>,
    /// Beyond the browser's window.
    pub stays: bool,
}

/// The button on the link's page: signs in the browser that pressed it, and no other.
pub async fn verify_link(
    auth: &Auth,
    link: (&str, &str),
    pressed: Pressed,
    headers: &HeaderMap,
    visit: &Visit,
) -> Result<Entry> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::CodeTry, &whos, Whose::Unknown, visit).await?;
    let entered = follow(auth, link, pressed, headers, visit).await;
    if is_worthless(&entered) {
        auth.note_worthless(("verify", "link"), link, visit).await;
    }
    entered
}

async fn follow(
    auth: &Auth,
    (id, secret): (&str, &str),
    pressed: Pressed,
    headers: &HeaderMap,
    visit: &Visit,
) -> Result<Entry> {
    let gone = || Problem::new(Code::InvalidOrExpiredLink);
    let id = Uuid::parse_str(id).map_err(|_not_an_id| gone())?;
    let link_hash = cookies::digest(secret);
    let linked = tokens::by_link(&auth.pool, Purpose::Verify, id, &link_hash)
        .await?
        .ok_or_else(gone)?;
    if linked.binding_in(headers, FLOW).is_none() {
        must_know_password(auth, id, &linked, pressed.password, visit).await?;
    }
    let user = linked.user_id.map(UserId).ok_or_else(gone)?;
    let mut tx = auth.pool.begin().await?;
    users::hold(&mut tx, user).await?;
    let candidate = tokens::consume_link(&mut tx, Purpose::Verify, id, &link_hash)
        .await?
        .ok_or_else(gone)?;
    let by = By {
        method: "link",
        client: Client::Browser,
        stays: pressed.stays,
        key: None,
    };
    confirm(auth, tx, candidate, by, visit).await
}

async fn must_know_password(
    auth: &Auth,
    id: Uuid,
    linked: &Linked,
    password: Option<Password>,
    visit: &Visit,
) -> Result<()> {
    let Some(password) = password.filter(|password| !password.expose().is_empty()) else {
        return Err(Problem::new(Code::InvalidCredentials)
            .field("password")
            .detail("You signed up in another browser. Please give the password that you chose there.")
            .into());
    };
    if !tokens::count_try(&auth.pool, id).await? {
        return Err(Code::InvalidOrExpiredLink.into());
    }
    match auth
        .0
        .hasher
        .compare(password, linked.candidate_hash.clone())
        .await?
    {
        Match::Yes | Match::YesRehashed(_) => Ok(()),
        Match::No => {
            let event = Event {
                user: linked.user_id.map(UserId),
                device: None,
                name: "verify",
                refusal: Some("wrong password"),
                method: "link",
            };
            audit_events::note_refusal(&auth.pool, event, visit).await;
            Err(Problem::new(Code::InvalidCredentials)
                .field("password")
                .detail("That is not the password that was chosen at this sign-up. Please try again.")
                .into())
        }
    }
}

impl Auth {
    /// A code is short, so its hash is keyed: whoever reads the table alone cannot try them all.
    pub(in crate::auth) fn code_hash(&self, id: Uuid, code: &str) -> [u8; 32] {
        let key = self.keys.derive("mailed code", b"");
        seal::keyed(&key, &[id.as_bytes(), code.as_bytes()])
            .finalize()
            .into_bytes()
            .into()
    }

    /// What limits count an address under, known here or not. Keyed, so that Redis holds no addresses.
    pub(in crate::auth) fn account_key(&self, email: &Email) -> String {
        use base64::Engine as _;
        let key = self.keys.derive("limits", b"account");
        let hash = seal::keyed(&key, &[email.key().as_bytes()])
            .finalize()
            .into_bytes();
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash)
    }
}

/// `a•••@example.org`.
pub fn masked(email: &str) -> String {
    match email.rsplit_once('@') {
        Some((local, domain)) => {
            let first: String = local.chars().take(1).collect();
            format!("{first}•••@{domain}")
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_masked() {
        assert_eq!(masked("ana@example.org"), "a•••@example.org");
    }
}
