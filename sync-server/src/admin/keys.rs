//! Commands about the keys that access tokens are signed with.

use super::Desk;
use super::said::{Said, when};
use crate::error::Result;
use serde_json::{Value, json};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// The keys, the newest first, and which of them signs.
    List,
    /// Makes a fresh key. It is told of at once, and signs in ten minutes; the one before is believed a while longer.
    Rotate,
    /// Nothing that this key signed is believed any more. For a key that somebody else may have.
    Revoke {
        /// As `keys list` tells it. One of 64 begins with a dash.
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
}

pub async fn answer(desk: &Desk, command: Command) -> Result<Said> {
    match command {
        Command::List => list(desk).await,
        Command::Rotate => {
            let key = desk.operator.rotate_key().await?;
            let text = format!(
                "A fresh key, {}, signs from {} on. Until then it is only told of.",
                key.id,
                when(key.active_from)
            );
            Ok(Said::new(
                text,
                json!({ "id": key.id, "active_from": when(key.active_from) }),
            ))
        }
        Command::Revoke { id } => {
            let fresh = desk.operator.revoke_key(&id).await?;
            let text = match &fresh {
                Some(fresh) => format!("{id} is revoked. A fresh key, {fresh}, signs from now on."),
                None => format!("{id} is revoked."),
            };
            Ok(Said::new(text, json!({ "id": id, "fresh": fresh })))
        }
    }
}

async fn list(desk: &Desk) -> Result<Said> {
    let keys = desk.operator.keys().await?;
    let rows = keys.iter().map(|key| {
        vec![
            key.id.clone(),
            key.state.to_owned(),
            when(key.active_from),
            key.origin.to_owned(),
        ]
    });
    let json = keys
        .iter()
        .map(|key| json!({ "id": key.id, "state": key.state, "active_from": when(key.active_from), "origin": key.origin }));
    let json = Value::Array(json.collect());
    Ok(Said::table(
        &["ID", "STATE", "SIGNS FROM", "ORIGIN"],
        rows.collect(),
        json,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{FromArgMatches as _, Subcommand as _};

    fn parsed(words: &[&str]) -> Result<Command, clap::Error> {
        let keys = Command::augment_subcommands(clap::Command::new("keys"));
        let matches = keys.try_get_matches_from([&["keys"], words].concat())?;
        Command::from_arg_matches(&matches)
    }

    #[test]
    fn a_key_can_be_named_whatever_its_id_begins_with() {
        for id in ["c3Vd-_x", "-c3Vdhx", "--3Vdhx", "_c3Vdhx"] {
            let command = parsed(&["revoke", id]);
            assert!(
                matches!(&command, Ok(Command::Revoke { id: read }) if read == id),
                "{id}: {command:?}"
            );
        }
        let help = parsed(&["revoke", "--help"]).map_err(|error| error.kind());
        assert!(matches!(help, Err(clap::error::ErrorKind::DisplayHelp)));
    }
}
