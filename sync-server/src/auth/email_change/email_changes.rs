//! Stored: `email_changes`, other addresses that were asked for, until both mailboxes have answered; and for a week
//! after that, since the old one may take it back.
//!
//! **Invariant:** a link is checked by the statement that acts on it, so it acts once however often it is pressed.

use crate::database::{Pool, Transaction};
use protocol::UserId;
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Debug)]
pub struct NewChange<'a> {
    pub id: Uuid,
    pub user: UserId,
    pub old: &'a str,
    pub new: &'a str,
    pub new_key: &'a str,
    pub old_hash: [u8; 32],
    pub new_hash: [u8; 32],
    pub expires: OffsetDateTime,
}

/// What was asked for before is called off.
pub async fn insert(db: &mut Transaction, new: &NewChange<'_>) -> sqlx::Result<()> {
    void_pending(db, new.user).await?;
    sqlx::query!(
        "insert into email_changes (id, user_id, old_email, new_email, new_email_key, old_hash, new_hash, expires)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        new.id,
        new.user.0,
        new.old,
        new.new,
        new.new_key,
        &new.old_hash,
        &new.new_hash,
        new.expires
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Calls off what does not hold yet. False: there is nothing.
pub async fn void_pending(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update email_changes set ended_at = now() where user_id = $1 and done_at is null and ended_at is null",
        user.0
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// What waits for answers.
#[derive(Clone, Debug)]
pub struct Pending {
    pub new_email: String,
    pub has_old_agreed: bool,
    pub has_new_agreed: bool,
    pub expires: OffsetDateTime,
}

pub async fn pending(pool: &Pool, user: UserId) -> sqlx::Result<Option<Pending>> {
    sqlx::query_as!(
        Pending,
        r#"select new_email, old_confirmed_at is not null as "has_old_agreed!",
                  new_confirmed_at is not null as "has_new_agreed!", expires
             from email_changes
            where user_id = $1 and done_at is null and ended_at is null and expires > now()
            order by created_at desc limit 1"#,
        user.0
    )
    .fetch_optional(pool)
    .await
}

/// A change as one of its links finds it.
#[derive(Clone, Debug)]
pub struct Linked {
    pub user_id: Uuid,
    pub old_email: String,
    pub new_email: String,
    /// The link of the letter to the old address.
    pub is_old: bool,
    /// Both have agreed.
    pub is_agreed: bool,
    pub created_at: OffsetDateTime,
}

/// Looking changes nothing. `None`: it is answered for good, too old or made up.
pub async fn by_link(pool: &Pool, id: Uuid, link_hash: &[u8]) -> sqlx::Result<Option<Linked>> {
    sqlx::query_as!(
        Linked,
        r#"select user_id, old_email, new_email, old_hash = $2 as "is_old!", false as "is_agreed!", created_at
             from email_changes
            where id = $1 and (old_hash = $2 or new_hash = $2)
              and done_at is null and ended_at is null and expires > now()"#,
        id,
        link_hash
    )
    .fetch_optional(pool)
    .await
}

/// Whose change a link is about, whatever became of it.
pub async fn whose(pool: &Pool, id: Uuid, link_hash: &[u8]) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!(
        "select user_id from email_changes where id = $1 and (old_hash = $2 or new_hash = $2 or undo_hash = $2)",
        id,
        link_hash
    )
    .fetch_optional(pool)
    .await?;
    Ok(user.map(UserId))
}

/// One of the two agrees.
pub async fn agree(db: &mut Transaction, id: Uuid, link_hash: &[u8]) -> sqlx::Result<Option<Linked>> {
    sqlx::query_as!(
        Linked,
        r#"update email_changes
              set old_confirmed_at = case when old_hash = $2 then coalesce(old_confirmed_at, now()) else old_confirmed_at end,
                  new_confirmed_at = case when new_hash = $2 then coalesce(new_confirmed_at, now()) else new_confirmed_at end
            where id = $1 and (old_hash = $2 or new_hash = $2)
              and done_at is null and ended_at is null and expires > now()
        returning user_id, old_email, new_email, old_hash = $2 as "is_old!",
                  (old_confirmed_at is not null and new_confirmed_at is not null) as "is_agreed!", created_at"#,
        id,
        link_hash
    )
    .fetch_optional(db)
    .await
}

/// One of the two does not want it. Whose change that was.
pub async fn refuse(db: &mut Transaction, id: Uuid, link_hash: &[u8]) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!(
        "update email_changes set ended_at = now()
          where id = $1 and (old_hash = $2 or new_hash = $2)
            and done_at is null and ended_at is null and expires > now()
        returning user_id",
        id,
        link_hash
    )
    .fetch_optional(db)
    .await?;
    Ok(user.map(UserId))
}

/// It holds, and may be taken back by this link.
pub async fn complete(db: &mut Transaction, id: Uuid, undo_hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "update email_changes set done_at = now(), undo_hash = $2 where id = $1",
        id,
        undo_hash
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What comes back by a link, and to whom.
#[derive(Debug)]
pub struct Former {
    pub user_id: Uuid,
    pub old_email: String,
}

/// Looking changes nothing. `None`: it is used, too old or made up.
pub async fn to_undo(
    pool: &Pool,
    id: Uuid,
    undo_hash: &[u8],
    since: OffsetDateTime,
) -> sqlx::Result<Option<Former>> {
    sqlx::query_as!(
        Former,
        "select user_id, old_email from email_changes
          where id = $1 and undo_hash = $2 and done_at > $3 and ended_at is null",
        id,
        undo_hash,
        since
    )
    .fetch_optional(pool)
    .await
}

/// Uses that link up, and those of whatever was changed after.
pub async fn undo(
    db: &mut Transaction,
    id: Uuid,
    undo_hash: &[u8],
    since: OffsetDateTime,
) -> sqlx::Result<Option<Linked>> {
    let undone = sqlx::query_as!(
        Linked,
        r#"update email_changes set ended_at = now()
            where id = $1 and undo_hash = $2 and done_at > $3 and ended_at is null
        returning user_id, old_email, new_email, true as "is_old!", true as "is_agreed!", created_at"#,
        id,
        undo_hash,
        since
    )
    .fetch_optional(&mut *db)
    .await?;
    if let Some(undone) = &undone {
        sqlx::query!(
            "update email_changes set ended_at = now()
              where user_id = $1 and created_at > $2 and ended_at is null",
            undone.user_id,
            undone.created_at
        )
        .execute(db)
        .await?;
    }
    Ok(undone)
}

/// Forgets what no link leads to any more, and with it the former address.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from email_changes
          where ended_at < now() - interval '1 day'
             or done_at < now() - interval '8 days'
             or (done_at is null and expires < now() - interval '1 day')"
    )
    .execute(pool)
    .await?;
    Ok(())
}
