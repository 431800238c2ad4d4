//! Addresses that refuse letters, and those that whoever runs the server wants left alone.

use super::{Operator, Suppressed, conflict};
use crate::auth::audit_events::{self, Act};
use crate::database::Transaction;
use crate::error::Result;
use crate::mail::suppressions;
use protocol::auth::Email;

impl Operator {
    /// No letter goes there any more, not even one that lets somebody in.
    pub async fn suppress(&self, address: &Email, reason: Option<&str>) -> Result<()> {
        let mut tx = self.auth.pool.begin().await?;
        suppressions::leave_alone(&mut tx, address).await?;
        self.note_address(&mut tx, "letters_suppressed", reason).await?;
        tx.commit().await?;
        Ok(())
    }

    /// It is an address like any other.
    pub async fn release(&self, address: &Email, reason: Option<&str>) -> Result<()> {
        let mut tx = self.auth.pool.begin().await?;
        if !suppressions::release(&mut tx, &self.auth.veil(), address).await? {
            return Err(conflict(format!("Letters to {address} are not suppressed.")).into());
        }
        self.note_address(&mut tx, "letters_released", reason).await?;
        tx.commit().await?;
        Ok(())
    }

    /// In the order of their addresses, 200 at a time.
    pub async fn suppressed(&self, after: &str) -> Result<Vec<Suppressed>> {
        Ok(suppressions::list(&self.auth.pool, &after.to_lowercase()).await?)
    }

    /// The audit has no addresses: what was done stands there, and the list says where to.
    async fn note_address(&self, tx: &mut Transaction, name: &str, reason: Option<&str>) -> Result<()> {
        let act = Act {
            operator: self.name()?,
            user: None,
            device: None,
            name,
            reason,
        };
        Ok(audit_events::note_act(tx, act).await?)
    }
}
