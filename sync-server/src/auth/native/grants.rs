//! `POST /oauth/token`: a code for the first pair of tokens, a refresh token for the next (RFC 6749 §4.1.3, §6), or a
//! device code that a person has answered (RFC 8628 §3.4).

use super::super::audit_events::{self, Event};
use super::super::devices::{self, Renewing};
use super::super::finish::{Entrance, NATIVE_IDLE_SECONDS, Step, finish_sign_in};
use super::super::tries::Whose;
use super::super::{Auth, Visit, cookies, users};
use super::device_flow;
use super::dpop::{self, Thumbprint};
use super::oauth_codes::{self, Consumed};
use super::refresh::{self, Generation, Presented, Verdict};
use crate::body::Form;
use crate::database::Transaction;
use crate::error::{Error, problem_response};
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use protocol::auth::{Email, Me, SignedIn};
use protocol::oauth::{CLIENT_ID, DPOP_NONCE, Grant, TokenError};
use protocol::{DeviceId, Problem, UserId, routes};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

/// Why no tokens are given.
#[derive(Debug)]
pub enum Refusal {
    /// The grant itself is worth nothing. The only answer that signs a client out.
    InvalidGrant(&'static str),
    /// The request cannot be read.
    InvalidRequest(&'static str, String),
    /// The proof of possession shows nothing, or is to be made again with the nonce in `challenge` (RFC 9449 §5, §8).
    Unproven(Box<Problem>),
    /// Anything else: limits, a database that is away. The client keeps what it has.
    Other(Error),
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (error, description, nonce) = match self {
            Self::InvalidGrant(why) => ("invalid_grant".to_owned(), why.to_owned(), None),
            Self::InvalidRequest(error, why) => (error.to_owned(), why, None),
            Self::Unproven(problem) => {
                let description = problem.sentence().to_owned();
                (problem.code.to_string(), description, problem.challenge)
            }
            Self::Other(error) => return problem_response(&error.into_problem()),
        };
        let body = TokenError {
            error,
            error_description: Some(description),
        };
        let no_store = [(header::CACHE_CONTROL, "no-store")];
        let nonce = nonce.map(|nonce| [(DPOP_NONCE, nonce)]).into_iter().flatten();
        let nonce = AppendHeaders(nonce);
        (StatusCode::BAD_REQUEST, no_store, nonce, axum::Json(body)).into_response()
    }
}

pub(super) type Granted = Result<SignedIn, Refusal>;

/// Gives tokens for a code or a refresh token.
#[utoipa::path(post, path = routes::TOKEN, tag = "Native app",
    request_body(content = Grant, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = SignedIn), (status = 400, body = TokenError), (status = 429, body = Problem)))]
pub async fn post_token(
    State(auth): State<Auth>,
    headers: HeaderMap,
    visit: Visit,
    form: Result<Form<Grant>, Error>,
) -> Result<Response, Refusal> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::Token, &whos, Whose::Unknown, &visit).await?;
    let grant = form.map_err(unreadable)?.0;
    let proof = auth.proof(&headers, routes::TOKEN).map_err(unproven)?;
    let key = auth.use_up(proof).await.map_err(unproven)?;
    let signed_in = match grant {
        Grant::AuthorizationCode {
            code,
            code_verifier,
            redirect_uri,
            client_id,
        } => {
            let bound_to = BoundTo {
                verifier: &code_verifier,
                redirect_uri: &redirect_uri,
            };
            redeem(&auth, &code, bound_to, Shown { client_id, key }, &visit).await?
        }
        Grant::RefreshToken {
            refresh_token,
            client_id,
        } => renew(&auth, &refresh_token, Shown { client_id, key }, &visit).await?,
        Grant::DeviceCode {
            device_code,
            client_id,
        } => device_flow::redeem(&auth, &device_code, Shown { client_id, key }, &visit).await?,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(signed_in)).into_response())
}

fn unproven(problem: Problem) -> Refusal {
    Refusal::Unproven(Box::new(problem))
}

fn unreadable(error: Error) -> Refusal {
    match error {
        Error::Told(problem) if problem.status == 400 => {
            let is_unknown = problem.sentence().contains("unknown variant");
            let name = if is_unknown {
                "unsupported_grant_type"
            } else {
                "invalid_request"
            };
            Refusal::InvalidRequest(name, problem.sentence().to_owned())
        }
        other @ (Error::Told(_) | Error::Kept(_)) => Refusal::Other(other),
    }
}

/// What comes with a code.
#[derive(Clone, Copy)]
struct BoundTo<'a> {
    verifier: &'a str,
    redirect_uri: &'a str,
}

/// What comes with every grant.
#[derive(Debug)]
pub(super) struct Shown {
    pub client_id: String,
    /// The key that the program holds.
    pub key: Option<Thumbprint>,
}

/// Why a code that was there is worth nothing to whoever shows it.
fn refusal(code: &Consumed, bound_to: BoundTo<'_>, shown: &Shown) -> Option<&'static str> {
    let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(bound_to.verifier.as_bytes()));
    let is_proven = (43..=128).contains(&bound_to.verifier.len())
        && bool::from(proof.as_bytes().ct_eq(code.code_challenge.as_bytes()));
    if !code.is_live {
        Some("The code is too old.")
    } else if !code.is_vouched_for {
        Some("The browser that let the app in was signed out.")
    } else if shown.client_id != CLIENT_ID || bound_to.redirect_uri != code.redirect_uri {
        Some("The code was made for another app.")
    } else if !is_proven {
        Some("The verifier does not match.")
    } else if !dpop::is_shown(code.dpop_jkt.as_deref(), shown.key.as_ref()) {
        Some("The code was asked for with another key.")
    } else {
        None
    }
}

/// The code is used up first and checked then: a wrong verifier burns it.
async fn redeem(auth: &Auth, code: &str, bound_to: BoundTo<'_>, shown: Shown, visit: &Visit) -> Granted {
    let hash = cookies::digest(code);
    let whose = oauth_codes::whose(&auth.pool, &hash).await?;
    let mut tx = auth.pool.begin().await?;
    if let Some(user) = whose {
        users::hold(&mut tx, user).await?;
    }
    let Some(consumed) = oauth_codes::consume(&mut tx, &hash).await? else {
        return Err(replayed(auth, tx, (&hash, whose), visit).await);
    };
    let user = UserId(consumed.user_id);
    if let Some(why) = refusal(&consumed, bound_to, &shown) {
        audit_events::note(&mut tx, refused(Some(user), None, why), visit).await?;
        tx.commit().await?;
        return Err(Refusal::InvalidGrant(why));
    }
    let entrance = Entrance {
        user,
        method: "native".to_owned(),
        client: consumed.client.0,
        link: None,
        // by the browser that let this app in
        step: Step::Second,
        stays: true,
        key: shown.key,
    };
    let admission = match finish_sign_in(auth, &mut tx, entrance, visit).await {
        Ok(admission) => admission,
        Err(Error::Told(problem)) if problem.status == 403 => {
            return Err(Refusal::InvalidGrant("This account cannot be signed in to."));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(device) = admission.device() {
        oauth_codes::redeemed(&mut tx, &hash, device).await?;
    }
    tx.commit().await?;
    Ok(admission.announce(auth)?.signed_in)
}

/// A code that comes twice was seen by two: what it was redeemed for is signed out (RFC 6749 §4.1.2). Any other is noted.
async fn replayed(
    auth: &Auth,
    mut tx: Transaction,
    (hash, whose): (&[u8], Option<UserId>),
    visit: &Visit,
) -> Refusal {
    let is_signed_out: Result<bool, Error> = async {
        let Some((user, device)) = oauth_codes::redeemed_for(&mut tx, hash).await? else {
            return Ok(false);
        };
        if !devices::revoke(&mut tx, user, device, "code replayed").await? {
            return Ok(false);
        }
        audit_events::note(&mut tx, refused(Some(user), Some(device), "code replayed"), visit).await?;
        tx.commit().await?;
        auth.announce_signed_out(user, &[device]);
        Ok(true)
    }
    .await;
    match is_signed_out {
        Ok(true) => {}
        Ok(false) => {
            audit_events::note_refusal(&auth.pool, refused(whose, None, "unknown code"), visit).await;
        }
        Err(error) => return error.into(),
    }
    Refusal::InvalidGrant("The code is not known or was used already.")
}

/// An app's code that lets nobody in.
const fn refused(user: Option<UserId>, device: Option<DeviceId>, why: &str) -> Event<'_> {
    Event {
        user,
        device,
        name: "sign_in",
        refusal: Some(why),
        method: "native",
    }
}

const NOT_OURS: &str = "This refresh token is not valid.";

/// What is none of ours is noted as nobody's: whoever makes a token up may name any device in it.
async fn renew(auth: &Auth, token: &str, shown: Shown, visit: &Visit) -> Granted {
    let renewed = renew_ours(auth, token, shown, visit).await;
    if matches!(&renewed, Err(Refusal::InvalidGrant(why)) if *why == NOT_OURS) {
        let event = Event {
            user: None,
            device: None,
            name: "refresh",
            refusal: Some("unknown token"),
            method: "native",
        };
        audit_events::note_refusal(&auth.pool, event, visit).await;
    }
    renewed
}

async fn renew_ours(auth: &Auth, token: &str, shown: Shown, visit: &Visit) -> Granted {
    let presented = refresh::read(token).filter(|_| shown.client_id == CLIENT_ID);
    let Some(presented) = presented else {
        return Err(Refusal::InvalidGrant(NOT_OURS));
    };
    let mut tx = auth.pool.begin().await?;
    let row = devices::renewing(&mut tx, presented.device).await?;
    // an unknown device costs the same key and the same comparison
    let salt = row.as_ref().map_or(&[0; 32][..], |row| row.salt.as_slice());
    let key = refresh::device_key(&auth.keys, salt);
    let is_proven = refresh::device_keys(&auth.keys, salt).any(|key| presented.is_proven_by(&key));
    let Some(row) = row.filter(|_| is_proven) else {
        return Err(Refusal::InvalidGrant(NOT_OURS));
    };
    if !row.is_live {
        return Err(Refusal::InvalidGrant("This device was signed out."));
    }
    if !dpop::is_shown(row.dpop_jkt.as_deref(), shown.key.as_ref()) {
        return Err(by_another(tx, &row, (presented.device, &shown), visit).await);
    }
    let generation = Generation {
        current: row.generation,
        rotated_at: row.rotated_at,
        is_seen: row.is_seen,
    };
    let verdict = generation.judge(presented.generation, OffsetDateTime::now_utc());
    metrics::counter!("refresh_total", "result" => verdict.name()).increment(1);
    let current = match verdict {
        Verdict::Renew => {
            // only what the device itself renewed: nobody uses up the renewals of a device whose id they know, and those
            // who come second in a race get the same tokens
            let whos = [Who::Device(presented.device.0)];
            if let Err(limited) = auth.limits().take(Class::Token, &whos).await {
                // the note takes a connection of its own
                drop(tx);
                let whose = Whose::User(UserId(row.user_id), Some(presented.device));
                auth.note_limited(Class::Token, &whos, whose, &limited, visit)
                    .await;
                return Err(Error::from(limited).into());
            }
            devices::renew(&mut tx, presented.device, NATIVE_IDLE_SECONDS).await?;
            row.generation + 1
        }
        Verdict::Repeat => row.generation,
        Verdict::Theft => return Err(stolen(auth, tx, &presented, &row, visit).await),
        Verdict::FromTheFuture => {
            tracing::error!(device = %presented.device, "a refresh token from the future: was a backup restored?");
            return Err(Refusal::InvalidGrant(NOT_OURS));
        }
    };
    let me = me(&row, presented.device)?;
    let tokens = auth.tokens_for(me.user, me.device, current, &key)?;
    tx.commit().await?;
    auth.forget(presented.device);
    Ok(SignedIn {
        me,
        tokens: Some(tokens),
    })
}

/// A token of ours in hands that do not hold its key: it was copied. The device itself goes on, since whoever copied the
/// token alone can do nothing with it, and must not be able to end what they cannot use.
async fn by_another(
    mut tx: Transaction,
    row: &Renewing,
    (device, shown): (DeviceId, &Shown),
    visit: &Visit,
) -> Refusal {
    metrics::counter!("refresh_total", "result" => "another_key").increment(1);
    let event = Event {
        user: Some(UserId(row.user_id)),
        device: Some(device),
        name: "refresh",
        refusal: Some(if shown.key.is_some() {
            "suspicious, by another key"
        } else {
            "suspicious, without its key"
        }),
        method: "native",
    };
    if let Err(error) = audit_events::note(&mut tx, event, visit).await {
        return error.into();
    }
    match tx.commit().await {
        Ok(()) => Refusal::InvalidGrant("This refresh token is bound to another key."),
        Err(error) => error.into(),
    }
}

/// This device is signed out and its owner told; others stay signed in.
async fn stolen(
    auth: &Auth,
    mut tx: Transaction,
    presented: &Presented,
    row: &Renewing,
    visit: &Visit,
) -> Refusal {
    let signed_out: Result<(), Error> = async {
        let me = me(row, presented.device)?;
        devices::revoke(&mut tx, me.user, me.device, "refresh token used twice").await?;
        let event = Event {
            user: Some(me.user),
            device: Some(me.device),
            name: "refresh",
            refusal: Some("used twice"),
            method: "native",
        };
        audit_events::note(&mut tx, event, visit).await?;
        let letter = Letter::DeviceSignedOut {
            device: row.device_name.clone(),
            when: auth.now_and_where(visit)?,
            link: auth.config.link(routes::page::SETTINGS),
        };
        mail::put(&mut tx, Some(me.user), &me.email, &letter).await?;
        tx.commit().await?;
        auth.announce_signed_out(me.user, &[me.device]);
        auth.letters_wait();
        Ok(())
    }
    .await;
    match signed_out {
        Ok(()) => Refusal::InvalidGrant("This refresh token was used before, so this device was signed out."),
        Err(error) => error.into(),
    }
}

fn me(row: &Renewing, device: DeviceId) -> Result<Me, Error> {
    let email: Email = devices::stored_email(&row.email)?;
    Ok(Me {
        user: UserId(row.user_id),
        device,
        email,
        name: row.user_name.clone(),
    })
}
