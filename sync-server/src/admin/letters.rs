//! Commands about addresses that refuse letters, or are to be left alone.

use super::Desk;
use super::said::{Said, when};
use crate::error::Result;
use protocol::auth::Email;
use serde_json::{Value, json};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Addresses that refused a letter for good, whose relay is turned off, or that you want left alone.
    List {
        /// Begin behind this one.
        #[arg(long, default_value = "", value_name = "ADDRESS")]
        after: String,
    },
    /// No letter at all goes to this address any more, not even one that lets somebody in.
    Suppress {
        address: String,
        /// For the audit.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Letters go to this address again.
    Release {
        address: String,
        /// For the audit.
        #[arg(long)]
        reason: Option<String>,
    },
}

pub async fn answer(desk: &Desk, command: Command) -> Result<Said> {
    match command {
        Command::List { after } => list(desk, &after).await,
        Command::Suppress { address, reason } => {
            let address = Email::parse(&address)?;
            desk.operator.suppress(&address, reason.as_deref()).await?;
            let text = format!("No letter goes to {address} any more.");
            Ok(Said::new(text, json!({ "address": address.key() })))
        }
        Command::Release { address, reason } => {
            let address = Email::parse(&address)?;
            desk.operator.release(&address, reason.as_deref()).await?;
            let text = format!("Letters go to {address} again.");
            Ok(Said::new(text, json!({ "address": address.key() })))
        }
    }
}

async fn list(desk: &Desk, after: &str) -> Result<Said> {
    let listed = desk.operator.suppressed(after).await?;
    let rows = listed.iter().map(|one| {
        vec![
            one.address.clone(),
            one.reason.clone(),
            one.said.clone().unwrap_or_default(),
            one.refusals.to_string(),
            one.quiet_until.map(when).unwrap_or_default(),
            when(one.changed_at),
        ]
    });
    let json = listed.iter().map(|one| {
        json!({
            "address": one.address,
            "reason": one.reason,
            "said": one.said,
            "refusals": one.refusals,
            "quiet_until": one.quiet_until.map(when),
            "changed_at": when(one.changed_at),
        })
    });
    let json = Value::Array(json.collect());
    let heads = ["ADDRESS", "REASON", "SAID", "REFUSALS", "QUIET UNTIL", "SINCE"];
    Ok(Said::table(&heads, rows.collect(), json))
}
