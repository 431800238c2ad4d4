//! Stored: `email_outbox`, the letters that wait to be carried.

use super::Letter;
use crate::database::{Pool, Transaction};
use anyhow::Context as _;
use protocol::UserId;
use protocol::auth::Email;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

/// A letter is tried for a day: long enough for a mail server's bad night.
const PATIENCE: time::Duration = time::Duration::hours(24);

/// A letter claimed for two minutes; if this process dies, another carries it then.
#[derive(Debug)]
pub struct Waiting {
    pub id: Uuid,
    pub recipient: String,
    pub template: String,
    context: serde_json::Value,
    attempts: i16,
    created_at: OffsetDateTime,
}

impl Waiting {
    pub fn letter(&self) -> anyhow::Result<Letter> {
        serde_json::from_value(json!({ "template": self.template, "context": self.context }))
            .with_context(|| format!("reading the letter {}", self.template))
    }

    /// Whether what it opens opens nothing any more.
    pub fn is_late(&self, letter: &Letter, now: OffsetDateTime) -> bool {
        letter
            .good_for()
            .is_some_and(|good_for| now - self.created_at >= good_for)
    }

    /// Whether it tells that an account is gone: nothing of that may be left once it has left too, its reader's address least of all.
    pub fn is_last(&self) -> bool {
        self.template == "account_gone"
    }

    /// 5 s, 15 s, 45 s, … at most an hour.
    fn pause_seconds(&self) -> f64 {
        let tries = u32::try_from(self.attempts - 1).unwrap_or_default().min(8);
        f64::from((5 * 3_u32.pow(tries)).min(3600))
    }
}

/// Puts a letter into the outbox, with the transaction that wants it sent.
pub async fn put(
    db: &mut Transaction,
    user: Option<UserId>,
    to: &Email,
    letter: &Letter,
) -> anyhow::Result<()> {
    let mut stored = serde_json::to_value(letter).context("storing a letter")?;
    let context = stored.get_mut("context").map(serde_json::Value::take);
    let template = stored.get("template").and_then(|name| name.as_str());
    sqlx::query!(
        "insert into email_outbox (id, user_id, recipient, template, context) values ($1, $2, $3, $4, $5)",
        Uuid::now_v7(),
        user.map(|user| user.0),
        to.as_str(),
        template.unwrap_or_default(),
        context.unwrap_or_default()
    )
    .execute(db)
    .await
    .context("storing a letter")?;
    Ok(())
}

pub(super) async fn claim(pool: &Pool, count: i64) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        "update email_outbox
            set attempts = attempts + 1, not_before = now() + interval '2 minutes'
          where id in (select id from email_outbox
                        where sent_at is null and failed_at is null and not_before <= now()
                        order by not_before
                        limit $1
                          for update skip locked)
        returning id, recipient, template, context, attempts, created_at",
        count
    )
    .fetch_all(pool)
    .await
}

pub(super) async fn sent(pool: &Pool, waiting: &Waiting) -> sqlx::Result<()> {
    if waiting.is_last() {
        return forget(pool, waiting.id).await;
    }
    sqlx::query!(
        "update email_outbox set sent_at = now(), context = '{}', error = null where id = $1",
        waiting.id
    )
    .execute(pool)
    .await?;
    Ok(())
}

async fn forget(pool: &Pool, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from email_outbox where id = $1", id)
        .execute(pool)
        .await?;
    Ok(())
}

/// How many wait, and the seconds that the oldest has waited. Those that are held back on purpose are not waited for.
pub(super) async fn backlog(pool: &Pool) -> sqlx::Result<(f64, f64)> {
    let row = sqlx::query!(
        r#"select count(*)::float8 as "waiting!",
                  coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as "oldest!"
             from email_outbox o
            where sent_at is null and failed_at is null
              and not exists (select from suppressions s where s.address = lower(o.recipient))"#
    )
    .fetch_one(pool)
    .await?;
    Ok((row.waiting, row.oldest))
}

/// It is not tried before this.
pub(super) async fn wait(pool: &Pool, id: Uuid, until: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "update email_outbox set not_before = greatest(not_before, $2) where id = $1",
        id,
        until
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Waits longer each time; given up for good, its content is wiped too.
pub(super) async fn not_sent(
    pool: &Pool,
    waiting: &Waiting,
    error: &str,
    is_final: bool,
) -> sqlx::Result<()> {
    let is_given_up = is_final || OffsetDateTime::now_utc() - waiting.created_at > PATIENCE;
    if is_given_up && waiting.is_last() {
        return forget(pool, waiting.id).await;
    }
    sqlx::query!(
        "update email_outbox
            set error = $2,
                failed_at = case when $3 then now() end,
                context = case when $3 then '{}'::jsonb else context end,
                not_before = now() + make_interval(secs => $4)
          where id = $1",
        waiting.id,
        error.chars().take(500).collect::<String>(),
        is_given_up,
        waiting.pause_seconds()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets whom letters went to a month ago.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from email_outbox
          where coalesce(sent_at, failed_at) < now() - interval '30 days'"
    )
    .execute(pool)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(attempts: i16) -> Waiting {
        Waiting {
            id: Uuid::nil(),
            recipient: String::new(),
            template: "already_have_account".to_owned(),
            context: json!({ "link": "l" }),
            attempts,
            created_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_letter_is_tried_less_and_less_often() {
        let pauses: Vec<f64> = [1, 2, 3, 20].map(|n| waiting(n).pause_seconds()).to_vec();
        assert_eq!(pauses, [5.0, 15.0, 45.0, 3600.0]);
    }

    #[test]
    fn a_letter_is_late_once_its_link_is_worthless_and_a_notice_never() {
        let link = || "l".to_owned();
        let after = |minutes| OffsetDateTime::UNIX_EPOCH + time::Duration::minutes(minutes);
        let reset = Letter::Reset {
            when: String::new(),
            link: link(),
        };
        assert!(!waiting(1).is_late(&reset, after(29)) && waiting(1).is_late(&reset, after(30)));
        let sign_in = Letter::SignIn {
            when: String::new(),
            link: link(),
            code: link(),
        };
        assert!(!waiting(1).is_late(&sign_in, after(9)) && waiting(1).is_late(&sign_in, after(10)));
        let notice = Letter::AlreadyHaveAccount { link: link() };
        assert!(!waiting(1).is_late(&notice, after(100_000)));
    }

    #[test]
    fn a_letter_reads_back_as_stored() {
        let letter = Letter::AlreadyHaveAccount { link: "l".to_owned() };
        assert_eq!(waiting(1).letter().unwrap(), letter);
        assert!(!waiting(1).is_last());
        let last = Waiting {
            template: "account_gone".to_owned(),
            ..waiting(1)
        };
        let gone = Letter::AccountGone { link: "l".to_owned() };
        assert_eq!(last.letter().unwrap(), gone);
        assert!(last.is_last());
    }
}
