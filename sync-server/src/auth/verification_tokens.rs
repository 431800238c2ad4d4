//! Stored: `verification_tokens`, what a letter's link and code are checked against: to confirm an address, to choose a new
//! password, to sign in, or to begin with an address that a provider does not vouch for.
//!
//! **Invariant:** a row is used up by the statement that checks it, so it works once however often it is sent. Whoever uses one up
//! for a user holds that user first ([`super::users::hold`]).

use super::cookies;
use super::devices::stored_email;
use crate::database::{Pool, Transaction};
use http::HeaderMap;
use protocol::UserId;
use protocol::auth::Email;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use uuid::Uuid;

/// Tries that one letter allows, code and password together.
pub const TRIES: i16 = 5;

/// What a letter is for, where its link and code are checked alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Verify,
    SignIn,
    /// Proves an address for which a provider does not vouch.
    Newcomer,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::SignIn => "sign_in",
            Self::Newcomer => "newcomer",
        }
    }
}

/// One sign-up that waits to be confirmed.
#[derive(Debug)]
pub struct NewToken<'a> {
    pub id: Uuid,
    pub identifier: &'a str,
    pub user: UserId,
    pub link_hash: [u8; 32],
    pub code_hash: [u8; 32],
    pub binding_hash: [u8; 32],
    pub candidate_hash: &'a str,
    pub candidate_name: Option<&'a str>,
    pub expires: OffsetDateTime,
}

pub async fn insert(db: &mut Transaction, new: &NewToken<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into verification_tokens
            (id, purpose, identifier, user_id, token, code_hash, binding_hash, candidate_hash, candidate_name, expires)
         values ($1, 'verify', $2, $3, $4, $5, $6, $7, $8, $9)",
        new.id,
        new.identifier,
        new.user.0,
        &new.link_hash,
        &new.code_hash,
        &new.binding_hash,
        new.candidate_hash,
        new.candidate_name,
        new.expires
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether this window asked for a letter to confirm by within the last minute, and has not tried its codes up.
pub async fn is_on_its_way(
    db: &mut Transaction,
    identifier: &str,
    binding_hash: &[u8],
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from verification_tokens
                           where identifier = $1 and purpose = 'verify' and binding_hash = $2 and attempts < $3
                             and created_at > now() - interval '1 minute' and expires > now()) as "is_on_its_way!""#,
        identifier,
        binding_hash,
        TRIES
    )
    .fetch_one(db)
    .await
}

/// A letter that a window asked for.
#[derive(Debug)]
pub struct AskedBy {
    pub id: Uuid,
    /// `None`: it was asked for an address that nobody has, or no letter went.
    pub user_id: Option<Uuid>,
    /// Whether its code may be tried still: that goes on where it is worth nothing any more, since nobody is told so.
    pub has_tries: bool,
}

/// The row whose code this window tries. Those with tries left come first, whoever they are for: how often anybody may go on does not
/// tell whether the address is known. Among them one that lets somebody in, then the newest.
pub async fn of_window(
    pool: &Pool,
    purpose: Purpose,
    identifier: &str,
    binding_hash: &[u8],
) -> sqlx::Result<Option<AskedBy>> {
    sqlx::query_as!(
        AskedBy,
        r#"select id, user_id, attempts < $4 and expires > now() as "has_tries!" from verification_tokens
            where identifier = $1 and purpose = $3 and binding_hash = $2
            order by (attempts < $4 and expires > now()) desc, (user_id is not null and consumed_at is null) desc,
                     created_at desc
            limit 1"#,
        identifier,
        binding_hash,
        purpose.name(),
        TRIES
    )
    .fetch_optional(pool)
    .await
}

/// The hash of the password that this window chose when it signed up with this address, while its letter could still come. Used
/// up or not: what happens to the account elsewhere changes nothing about what this window is told.
pub async fn chosen_in_window(
    pool: &Pool,
    identifier: &str,
    binding_hash: &[u8],
) -> sqlx::Result<Option<String>> {
    let hash = sqlx::query_scalar!(
        "select candidate_hash from verification_tokens
          where identifier = $1 and purpose = 'verify' and binding_hash = $2 and expires > now()
          order by created_at desc limit 1",
        identifier,
        binding_hash
    )
    .fetch_optional(pool)
    .await?;
    Ok(hash.flatten())
}

/// What the prover of a mailbox chose when signing up.
#[derive(Debug)]
pub struct Candidate {
    pub user_id: Option<Uuid>,
    pub identifier: String,
    pub password_hash: Option<String>,
    pub name: Option<String>,
}

/// Counts a try, whatever becomes of it and of the letter. False: the code is wrong, or used, too late, or tried too often. A right one
/// is used up by [`consume_code`], in the transaction of what it is for.
pub async fn try_code(pool: &Pool, id: Uuid, code_hash: &[u8]) -> sqlx::Result<bool> {
    let is_right = sqlx::query_scalar!(
        r#"update verification_tokens set attempts = attempts + 1
            where id = $1 and attempts < $3 and expires > now()
        returning (code_hash = $2 and consumed_at is null) as "is_right!""#,
        id,
        code_hash,
        TRIES
    )
    .fetch_optional(pool)
    .await?;
    Ok(is_right == Some(true))
}

/// Uses the row up by its code, which was tried. `None`: somebody was quicker, or it ended meanwhile.
pub async fn consume_code(
    db: &mut Transaction,
    id: Uuid,
    code_hash: &[u8],
) -> sqlx::Result<Option<Candidate>> {
    sqlx::query_as!(
        Candidate,
        "update verification_tokens set consumed_at = now()
          where id = $1 and code_hash = $2 and consumed_at is null and expires > now()
        returning user_id, identifier, candidate_hash as password_hash, candidate_name as name",
        id,
        code_hash
    )
    .fetch_optional(db)
    .await
}

/// A row as its link shows it; looking changes nothing.
#[derive(Debug)]
pub struct Linked {
    pub user_id: Option<Uuid>,
    pub email: String,
    pub binding_hash: Vec<u8>,
    pub candidate_hash: Option<String>,
}

impl Linked {
    /// What this browser's cookie holds, where it is the browser that asked for the letter.
    pub fn binding_in<'h>(&self, headers: &'h HeaderMap, cookie: &str) -> Option<&'h str> {
        cookies::read(headers, cookie)
            .filter(|binding| cookies::digest(binding).ct_eq(&self.binding_hash).into())
    }
}

pub async fn by_link(
    pool: &Pool,
    purpose: Purpose,
    id: Uuid,
    link_hash: &[u8],
) -> sqlx::Result<Option<Linked>> {
    sqlx::query_as!(
        Linked,
        "select t.user_id, u.email, t.binding_hash, t.candidate_hash
           from verification_tokens t join users u on u.id = t.user_id
          where t.id = $1 and t.token = $2 and t.purpose = $4
            and t.consumed_at is null and t.attempts < $3 and t.expires > now()",
        id,
        link_hash,
        TRIES,
        purpose.name()
    )
    .fetch_optional(pool)
    .await
}

/// Whose a letter's link is, whatever became of it.
pub async fn whose(pool: &Pool, id: Uuid, link_hash: &[u8]) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!(
        "select user_id from verification_tokens where id = $1 and token = $2",
        id,
        link_hash
    )
    .fetch_optional(pool)
    .await?;
    Ok(user.flatten().map(UserId))
}

/// Counts a try at the password that a link asked for in another browser. False: there are none left.
pub async fn count_try(pool: &Pool, id: Uuid) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update verification_tokens set attempts = attempts + 1
          where id = $1 and consumed_at is null and attempts < $2 and expires > now()",
        id,
        TRIES
    )
    .execute(pool)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Uses the row up by its link.
pub async fn consume_link(
    db: &mut Transaction,
    purpose: Purpose,
    id: Uuid,
    link_hash: &[u8],
) -> sqlx::Result<Option<Candidate>> {
    sqlx::query_as!(
        Candidate,
        "update verification_tokens set consumed_at = now()
          where id = $1 and token = $2 and purpose = $3 and consumed_at is null and expires > now()
        returning user_id, identifier, candidate_hash as password_hash, candidate_name as name",
        id,
        link_hash,
        purpose.name()
    )
    .fetch_optional(db)
    .await
}

/// Every letter to this address is worthless from now on.
pub async fn void_all(db: &mut Transaction, identifier: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update verification_tokens set consumed_at = now() where identifier = $1 and consumed_at is null",
        identifier
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The sign-up of a user who is held that a fresh letter is for: this window's own, else the newest, of an address not confirmed yet.
pub async fn to_resend(
    db: &mut Transaction,
    user: UserId,
    identifier: &str,
    binding_hash: &[u8],
) -> sqlx::Result<Option<(Uuid, Email)>> {
    let row = sqlx::query!(
        r#"select t.id, u.email
             from verification_tokens t join users u on u.id = t.user_id
            where u.id = $3 and t.identifier = $1 and t.purpose = 'verify' and u.email_verified is null
              and t.consumed_at is null
            order by t.binding_hash = $2 desc, t.created_at desc
            limit 1
              for update of t"#,
        identifier,
        binding_hash,
        user.0
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((row.id, stored_email(&row.email)?)))
}

/// A fresh link and code for a sign-up; those before are worthless.
pub async fn refresh(
    db: &mut Transaction,
    id: Uuid,
    link_hash: &[u8],
    code_hash: &[u8],
    expires: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update verification_tokens set token = $2, code_hash = $3, attempts = 0, expires = $4 where id = $1",
        id,
        link_hash,
        code_hash,
        expires
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A letter that signs its reader in.
#[derive(Debug)]
pub struct NewSignIn<'a> {
    pub id: Uuid,
    pub purpose: Purpose,
    pub identifier: &'a str,
    /// `None`: it lets nobody in who is here.
    pub user: Option<UserId>,
    pub link_hash: [u8; 32],
    pub code_hash: [u8; 32],
    pub binding_hash: [u8; 32],
    pub expires: OffsetDateTime,
}

/// The letters before it go on working: a stranger who asks for one takes nothing from its reader.
pub async fn insert_sign_in(db: &mut Transaction, new: &NewSignIn<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into verification_tokens (id, purpose, identifier, user_id, token, code_hash, binding_hash, expires)
         values ($1, $8, $2, $3, $4, $5, $6, $7)",
        new.id,
        new.identifier,
        new.user.map(|user| user.0),
        &new.link_hash,
        &new.code_hash,
        &new.binding_hash,
        new.expires,
        new.purpose.name()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// One of them was used: the others are worthless.
pub async fn void_sign_ins(db: &mut Transaction, identifier: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update verification_tokens set consumed_at = now()
          where identifier = $1 and purpose = 'sign_in' and consumed_at is null",
        identifier
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A letter for a forgotten password. It has no code and belongs to no window.
#[derive(Debug)]
pub struct NewReset<'a> {
    pub id: Uuid,
    pub identifier: &'a str,
    pub user: UserId,
    pub link_hash: [u8; 32],
    pub expires: OffsetDateTime,
}

/// The letters of this kind that went before are worthless.
pub async fn insert_reset(db: &mut Transaction, new: &NewReset<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "update verification_tokens set consumed_at = now()
          where identifier = $1 and purpose = 'reset' and consumed_at is null",
        new.identifier
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "insert into verification_tokens (id, purpose, identifier, user_id, token, code_hash, binding_hash, expires)
         values ($1, 'reset', $2, $3, $4, '', '', $5)",
        new.id,
        new.identifier,
        new.user.0,
        &new.link_hash,
        new.expires
    )
    .execute(db)
    .await?;
    Ok(())
}

pub async fn reset_by_link(pool: &Pool, id: Uuid, link_hash: &[u8]) -> sqlx::Result<Option<Linked>> {
    sqlx::query_as!(
        Linked,
        "select t.user_id, u.email, t.binding_hash, t.candidate_hash
           from verification_tokens t join users u on u.id = t.user_id
          where t.id = $1 and t.token = $2 and t.purpose = 'reset'
            and t.consumed_at is null and t.expires > now()",
        id,
        link_hash
    )
    .fetch_optional(pool)
    .await
}

/// Uses the row up. False: it was, or ran out meanwhile.
pub async fn consume_reset(db: &mut Transaction, id: Uuid, link_hash: &[u8]) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update verification_tokens set consumed_at = now()
          where id = $1 and token = $2 and purpose = 'reset' and consumed_at is null and expires > now()",
        id,
        link_hash
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Forgets what ended a week ago.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!("delete from verification_tokens where expires < now() - interval '7 days'")
        .execute(pool)
        .await?;
    Ok(())
}
