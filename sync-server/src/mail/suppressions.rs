//! Stored: `suppressions`, the addresses that refused a letter for good, those whose relay says that it brings none, and those that the
//! operator wants left alone.
//!
//! **Invariant:** an address goes with its account. Where the operator wants it left alone, a keyed hash stays that knows it again.

use crate::database::{Pool, Transaction};
use hmac::{Hmac, KeyInit as _, Mac as _};
use protocol::auth::Email;
use sha2::Sha256;
use time::OffsetDateTime;
use uuid::Uuid;

/// Makes of an address what stands for it once its account is gone. Whoever has the database alone cannot tell whose it is.
#[derive(Clone)]
pub struct Veil(Vec<[u8; 32]>);

impl std::fmt::Debug for Veil {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Veil(…)")
    }
}

impl Veil {
    /// The first key makes what stands for addresses; what the others made is known too.
    pub fn new(keys: impl Iterator<Item = [u8; 32]>) -> Self {
        Self(keys.collect())
    }

    fn veiled(&self, address: &str) -> impl Iterator<Item = String> {
        self.0.iter().map(move |key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key)
                .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
            mac.update(address.as_bytes());
            let hash = mac.finalize().into_bytes();
            let half = hash.first_chunk().copied().unwrap_or_default();
            format!("gone:{}", Uuid::from_bytes(half))
        })
    }

    /// All that an address may stand here as, in lower case.
    fn names(&self, address: &str) -> Vec<String> {
        let address = address.to_lowercase();
        let mut names: Vec<String> = self.veiled(&address).collect();
        names.push(address);
        names
    }
}

/// How an address stands that is not like others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It refused a letter for good, or its relay is turned off. Not even letters about safety are tried before this.
    Refused { quiet_until: OffsetDateTime },
    /// The operator wants it left alone.
    LeftAlone,
}

/// `None`: as any address.
pub async fn of(pool: &Pool, veil: &Veil, address: &str) -> sqlx::Result<Option<Standing>> {
    let quiet_until = sqlx::query_scalar!(
        "select quiet_until from suppressions where address = any($1) order by quiet_until desc nulls first limit 1",
        &veil.names(address)
    )
    .fetch_optional(pool)
    .await?;
    Ok(quiet_until.map(|until| match until {
        Some(quiet_until) => Standing::Refused { quiet_until },
        None => Standing::LeftAlone,
    }))
}

/// It refused once more: quiet for an hour, then two, four, … at most a day. Letters that were tried together refuse as one.
pub async fn note_refusal(pool: &Pool, address: &str, said: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into suppressions (address, reason, refusals, quiet_until, said)
         values ($1, 'refused', 1, now() + interval '1 hour', $2)
         on conflict (address) do update
            set refusals = suppressions.refusals + 1, said = $2, changed_at = now(),
                quiet_until = now() + make_interval(hours => least(1 << least(suppressions.refusals, 5), 24))
          where suppressions.reason <> 'operator' and suppressions.quiet_until <= now()",
        address.to_lowercase(),
        said
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// It is an address like any other again: it took a letter. That it is to be left alone stays: that was asked for; and so does
/// that its relay is turned off, which takes letters and brings them nowhere.
pub async fn forgive(pool: &Pool, address: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from suppressions where address = $1 and reason = 'refused'",
        address.to_lowercase()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Its account goes, and with it the address and what is known of it but that it is to be left alone.
pub async fn forget(db: &mut Transaction, veil: &Veil, address: &Email) -> sqlx::Result<()> {
    let key = address.key();
    sqlx::query!(
        "with gone as (delete from suppressions where address = $1 returning reason, changed_at)
         insert into suppressions (address, reason, changed_at)
         select $2, reason, changed_at from gone where reason = 'operator'
         on conflict (address) do nothing",
        key,
        veil.veiled(&key).next()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Its relay says that it brings no letters there: none that can be turned off is sent until it does again.
pub async fn turn_off(db: &mut Transaction, address: &Email) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into suppressions (address, reason, quiet_until) values ($1, 'relay', now())
         on conflict (address) do update set reason = 'relay', changed_at = now()
          where suppressions.reason = 'refused'",
        address.key()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Its relay brings letters again.
pub async fn turn_on(db: &mut Transaction, address: &Email) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from suppressions where address = $1 and reason = 'relay'",
        address.key()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// No letter at all goes there until it is released.
pub async fn leave_alone(db: &mut Transaction, address: &Email) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into suppressions (address, reason) values ($1, 'operator')
         on conflict (address) do update set reason = 'operator', quiet_until = null, changed_at = now()",
        address.key()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// False: it was as any other.
pub async fn release(db: &mut Transaction, veil: &Veil, address: &Email) -> sqlx::Result<bool> {
    let names = veil.names(&address.key());
    let outcome = sqlx::query!("delete from suppressions where address = any($1)", &names)
        .execute(db)
        .await?;
    Ok(outcome.rows_affected() > 0)
}

/// What is known of an address that is not like others.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Or what stands for it.
    pub address: String,
    pub reason: String,
    pub refusals: i32,
    pub quiet_until: Option<OffsetDateTime>,
    pub said: Option<String>,
    pub changed_at: OffsetDateTime,
}

/// In the order of their addresses, so many after this one.
pub async fn list(pool: &Pool, after: &str) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        "select address, reason, refusals, quiet_until, said, changed_at
           from suppressions where address > $1 order by address limit 200",
        after
    )
    .fetch_all(pool)
    .await
}

/// What refused a year ago may be somebody else's by now.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from suppressions where reason <> 'operator' and changed_at < now() - interval '1 year'"
    )
    .execute(pool)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_an_address_is_none_and_no_other_key_makes_it() {
        let veil = Veil::new([[1; 32], [2; 32]].into_iter());
        let names = veil.names("Ana@Example.org");
        assert_eq!(names.len(), 3);
        assert_eq!(names.last().map(String::as_str), Some("ana@example.org"));
        for name in &names[..2] {
            assert!(!name.contains("ana") && *name == name.to_lowercase(), "{name}");
        }
        assert_ne!(names[0], names[1]);
        let turned = Veil::new([[2; 32]].into_iter());
        assert_eq!(turned.veiled("ana@example.org").next().as_ref(), names.get(1));
    }
}
