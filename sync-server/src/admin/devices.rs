//! Commands about where people are signed in.

use super::Desk;
use super::said::{Said, counted, when};
use crate::auth::operator::Earnest;
use crate::error::Result;
use protocol::{Code, DeviceId, Problem, UnixMillis};
use serde_json::{Value, json};
use time::OffsetDateTime;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Somebody's signed-in devices, the most recently used first.
    List {
        /// An e-mail address or an id.
        who: String,
    },
    /// Signs devices out on every node, and closes their sockets.
    #[command(group = clap::ArgGroup::new("which").args(["devices", "user"]).required(true))]
    Kill {
        /// Ids of devices, as `devices list` tells them.
        devices: Vec<String>,
        /// Every device of this person: an e-mail address or an id.
        #[arg(long, value_name = "WHO")]
        user: Option<String>,
        /// Say which would be signed out, and sign nothing out.
        #[arg(long)]
        dry_run: bool,
    },
}

pub async fn answer(desk: &Desk, command: Command) -> Result<Said> {
    match command {
        Command::List { who } => list(desk, &who).await,
        Command::Kill {
            devices,
            user,
            dry_run,
        } => {
            let earnest = if dry_run { Earnest::Trial } else { Earnest::Done };
            kill(desk, &devices, user.as_deref(), earnest).await
        }
    }
}

async fn list(desk: &Desk, who: &str) -> Result<Said> {
    let devices = desk.operator.devices(&desk.find(who).await?).await?;
    let at = |millis: UnixMillis| {
        OffsetDateTime::from_unix_timestamp(millis / 1000)
            .map(when)
            .unwrap_or_default()
    };
    let rows = devices.iter().map(|device| {
        vec![
            device.id.to_string(),
            device.name.clone(),
            device.os.clone(),
            device.version.clone(),
            device.place.clone().unwrap_or_default(),
            at(device.created_at),
            at(device.last_active),
        ]
    });
    let json = devices.iter().map(|device| {
        json!({
            "id": device.id, "name": device.name, "os": device.os, "version": device.version, "place": device.place,
            "created_at": at(device.created_at), "last_active": at(device.last_active),
        })
    });
    Ok(Said::table(
        &["ID", "NAME", "SYSTEM", "VERSION", "FROM", "SINCE", "LAST USED"],
        rows.collect(),
        Value::Array(json.collect()),
    ))
}

async fn kill(desk: &Desk, devices: &[String], user: Option<&str>, earnest: Earnest) -> Result<Said> {
    let killed: Vec<DeviceId> = if let Some(who) = user {
        let user = desk.find(who).await?;
        desk.operator.sign_out_all(&user, earnest).await?
    } else {
        let devices = devices
            .iter()
            .map(|text| read(text))
            .collect::<Result<Vec<_>>>()?;
        let of_users = desk.operator.sign_out(&devices, earnest).await?;
        of_users.into_iter().map(|(_, device)| device).collect()
    };
    let is_trial = earnest == Earnest::Trial;
    let count = counted(killed.len(), "device");
    let mut lines = vec![if is_trial {
        format!("Nothing is signed out yet. It would be {count}:")
    } else {
        format!("Signed out {count}:")
    }];
    lines.extend(killed.iter().map(DeviceId::to_string));
    let json = json!({ "is_done": !is_trial, "devices": killed });
    Ok(Said::new(lines.join("\n"), json))
}

fn read(text: &str) -> Result<DeviceId> {
    text.parse().map_err(|_not_an_id| {
        Problem::new(Code::Invalid)
            .detail(format!("{text} is no device's id. `devices list` tells them."))
            .into()
    })
}
