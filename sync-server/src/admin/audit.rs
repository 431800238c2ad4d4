//! Commands about what happened at the door.

use super::Desk;
use super::said::{Said, when};
use crate::auth::operator::Told;
use crate::error::Result;
use serde_json::{Value, json};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// What happened last, the newest at the end.
    Tail {
        /// Only of this person: an e-mail address or an id.
        #[arg(long, value_name = "WHO")]
        user: Option<String>,
        /// So many at the most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        count: u16,
    },
}

pub async fn answer(desk: &Desk, command: Command) -> Result<Said> {
    let Command::Tail { user, count } = command;
    let of = match user {
        Some(who) => Some(desk.find(&who).await?),
        None => None,
    };
    let told = desk.operator.newest(of.as_ref(), count).await?;
    let rows = told.iter().map(|event| {
        vec![
            when(event.at),
            event.outcome.clone(),
            event.name.clone(),
            event.reason.clone().unwrap_or_default(),
            whose(event),
            event.prefix.clone().unwrap_or_default(),
            event
                .operator
                .as_ref()
                .map(|name| format!("by {name}"))
                .unwrap_or_default(),
        ]
    });
    let heads = ["WHEN", "OUTCOME", "EVENT", "HOW", "WHOSE", "NETWORK", "OPERATOR"];
    let json = Value::Array(told.iter().map(in_json).collect());
    Ok(Said::table(&heads, rows.collect(), json))
}

/// Their address; of somebody who is deleted, what is left: the id.
fn whose(event: &Told) -> String {
    match (&event.email, event.user) {
        (Some(email), _) => email.clone(),
        (None, Some(user)) => user.to_string(),
        (None, None) => String::new(),
    }
}

fn in_json(event: &Told) -> Value {
    json!({
        "id": event.id,
        "at": when(event.at),
        "event": event.name,
        "outcome": event.outcome,
        "reason": event.reason,
        "user": event.user,
        "email": event.email,
        "device": event.device,
        "network": event.prefix,
        "request_id": event.request_id,
        "operator": event.operator,
    })
}
