//! Stored: `letter_choices`, which of the letters that can be turned off somebody wants.

use crate::database::{Pool, Transaction};
use protocol::UserId;
use protocol::auth::Email;

/// People that one statement takes.
const TOGETHER: i64 = 100;

/// Whether tips are welcome. `None`: there is no such user.
pub async fn wants_tips(pool: &Pool, user: UserId) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"select c.tips_off_at is null as "is_welcome!"
             from users u left join letter_choices c on c.user_id = u.id
            where u.id = $1"#,
        user.0
    )
    .fetch_optional(pool)
    .await
}

/// False: there is no such user.
pub async fn choose_tips(db: &mut Transaction, user: UserId, are_welcome: bool) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "insert into letter_choices (user_id, tips_off_at)
         select id, case when $2 then null else now() end from users where id = $1
         on conflict (user_id) do update set tips_off_at = excluded.tips_off_at",
        user.0,
        are_welcome
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Takes some of those who joined a day ago or more and have not begun: each is taken once, and by one node.
pub async fn take_newcomers(db: &mut Transaction) -> sqlx::Result<Vec<(UserId, Option<Email>)>> {
    let rows = sqlx::query!(
        "with taken as (
             insert into letter_choices (user_id, tips_at)
             select u.id, now() from users u
              where u.email_verified between now() - interval '8 days' and now() - interval '1 day'
                and u.disabled_at is null
                and not exists (select from agent_sessions s where s.user_id = u.id)
                and not exists (select from deletions d where d.user_id = u.id)
                and not exists (select from letter_choices c
                                 where c.user_id = u.id and (c.tips_at is not null or c.tips_off_at is not null))
              limit $1
             on conflict (user_id) do update set tips_at = now() where letter_choices.tips_at is null
             returning user_id)
         select u.id, u.email from taken join users u on u.id = taken.user_id",
        TOGETHER
    )
    .fetch_all(db)
    .await?;
    let taken = rows
        .into_iter()
        .map(|row| (UserId(row.id), Email::parse(&row.email).ok()));
    Ok(taken.collect())
}
