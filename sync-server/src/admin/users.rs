//! Commands about people: finding, making, locking and deleting them, and helping them in again.

use super::Desk;
use super::said::{Said, counted, when};
use crate::auth::operator::{Earnest, LISTED, Listed, Look};
use crate::error::Result;
use crate::sync;
use protocol::auth::{Email, Password as Typed};
use protocol::{Code, Problem, UserId, limits};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Read as _};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// People in the order of their addresses, 200 at a time.
    List {
        /// Only those whose address comes after this one.
        #[arg(long, default_value = "")]
        after: String,
    },
    /// One person in full.
    Show {
        /// An e-mail address or an id.
        who: String,
    },
    /// Makes somebody known. You vouch for the address: no letter confirms it. They sign in by a letter, or a provider.
    Create {
        email: String,
        #[arg(long)]
        name: Option<String>,
    },
    /// Refuses somebody at every way in from now on, and signs their devices out everywhere.
    Lock {
        /// An e-mail address or an id.
        who: String,
        /// Why, for the audit.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lets somebody in again who was locked.
    Unlock {
        /// An e-mail address or an id.
        who: String,
        /// Why, for the audit.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Deletes somebody with all that is theirs. There is no way back.
    Delete {
        /// An e-mail address or an id.
        who: String,
        /// Say what would be deleted, and delete nothing.
        #[arg(long)]
        dry_run: bool,
        /// Really delete.
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
    },
}

#[derive(Debug, clap::Subcommand)]
pub enum Password {
    /// Sets it to what standard input holds, by the rules that everybody's keeps. Signs every device out; a letter tells.
    Set {
        /// An e-mail address or an id.
        who: String,
    },
}

#[derive(Debug, clap::Subcommand)]
pub enum SecondStep {
    /// Turns it off, for somebody who lost both their phone and their recovery codes. A letter tells.
    Reset {
        /// An e-mail address or an id.
        who: String,
    },
}

pub async fn answer(desk: &Desk, command: Command) -> Result<Said> {
    match command {
        Command::List { after } => list(desk, &after).await,
        Command::Show { who } => show(desk, &who).await,
        Command::Create { email, name } => create(desk, &email, name.as_deref()).await,
        Command::Lock { who, reason } => lock(desk, &who, reason.as_deref()).await,
        Command::Unlock { who, reason } => unlock(desk, &who, reason.as_deref()).await,
        Command::Delete { who, yes, .. } => delete(desk, &who, yes).await,
    }
}

fn state(user: &Listed) -> &'static str {
    match (user.locked_at, user.is_verified) {
        (Some(_), _) => "locked",
        (None, true) => "confirmed",
        (None, false) => "unconfirmed",
    }
}

fn in_json(user: &Listed) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "state": state(user),
        "locked_at": user.locked_at.map(when),
        "created_at": when(user.created_at),
    })
}

async fn list(desk: &Desk, after: &str) -> Result<Said> {
    let users = desk.operator.list(after).await?;
    let rows = users.iter().map(|user| {
        vec![
            user.email.clone(),
            user.id.to_string(),
            state(user).to_owned(),
            when(user.created_at),
            user.name.clone().unwrap_or_default(),
        ]
    });
    let json = Value::Array(users.iter().map(in_json).collect());
    let said = Said::table(&["ADDRESS", "ID", "STATE", "SINCE", "NAME"], rows.collect(), json);
    Ok(match users.last() {
        Some(last) if users.len() == LISTED => {
            said.and(&format!("There may be more: --after {}", last.email))
        }
        _ => said,
    })
}

async fn show(desk: &Desk, who: &str) -> Result<Said> {
    let Look {
        user,
        has_password,
        codes_left,
        accounts,
        belongings,
    } = desk.operator.look(desk.find(who).await?).await?;
    let accounts_in_words = accounts.iter().map(|account| match &account.email {
        Some(email) => format!("{} ({email})", account.provider),
        None => account.provider.clone(),
    });
    let accounts_in_words = accounts_in_words.collect::<Vec<_>>().join(", ");
    let lines = [
        ("address", user.email.clone()),
        ("id", user.id.to_string()),
        ("name", user.name.clone().unwrap_or_default()),
        ("state", state(&user).to_owned()),
        ("locked", user.locked_at.map(when).unwrap_or_default()),
        ("since", when(user.created_at)),
        ("password", if has_password { "yes" } else { "no" }.to_owned()),
        (
            "second step",
            codes_left.map_or("no".to_owned(), |left| {
                format!("yes, recovery codes left: {left}")
            }),
        ),
        ("passkeys", belongings.passkeys.to_string()),
        ("providers", accounts_in_words),
        ("devices", belongings.devices.to_string()),
        ("sessions", belongings.sessions.to_string()),
        ("messages", belongings.messages.to_string()),
    ];
    let lines = lines.iter().filter(|(_, value)| !value.is_empty());
    let text: Vec<String> = lines.map(|(name, value)| format!("{name:12} {value}")).collect();
    let mut json = in_json(&user);
    let more = json!({
        "has_password": has_password,
        "second_step": codes_left.map(|left| json!({ "recovery_codes_left": left })),
        "accounts": accounts.iter().map(|account| json!({ "provider": account.provider, "email": account.email })).collect::<Value>(),
        "passkeys": belongings.passkeys,
        "devices": belongings.devices,
        "sessions": belongings.sessions,
        "messages": belongings.messages,
    });
    if let (Some(json), Value::Object(more)) = (json.as_object_mut(), more) {
        json.extend(more);
    }
    Ok(Said::new(text.join("\n"), json))
}

async fn create(desk: &Desk, email: &str, name: Option<&str>) -> Result<Said> {
    let email = Email::parse(email)?;
    email.must_be_fit()?;
    let user = desk.operator.create(&email, name).await?;
    let text = format!(
        "{email} is known now, as {user}. They can sign in by a letter at {}.",
        desk.app.config.link(protocol::routes::page::LETTER_ASK)
    );
    Ok(Said::new(text, json!({ "id": user, "email": email })))
}

async fn lock(desk: &Desk, who: &str, reason: Option<&str>) -> Result<Said> {
    let user = desk.find(who).await?;
    let count = desk.operator.lock(&user, reason).await?;
    let text = format!(
        "{} is locked. {} signed out.",
        user.email,
        counted(count, "device")
    );
    Ok(Said::new(text, json!({ "id": user.id, "signed_out": count })))
}

async fn unlock(desk: &Desk, who: &str, reason: Option<&str>) -> Result<Said> {
    let user = desk.find(who).await?;
    desk.operator.unlock(&user, reason).await?;
    let text = format!("{} can sign in again.", user.email);
    Ok(Said::new(text, json!({ "id": user.id })))
}

async fn delete(desk: &Desk, who: &str, is_meant: bool) -> Result<Said> {
    let user = desk.find(who).await?;
    let earnest = if is_meant { Earnest::Done } else { Earnest::Trial };
    let gone = desk.operator.delete(&user, earnest).await?;
    let what = format!(
        "{} with {}, {} and {}",
        user.email,
        counted(usize::try_from(gone.devices).unwrap_or_default(), "device"),
        counted(usize::try_from(gone.sessions).unwrap_or_default(), "session"),
        counted(usize::try_from(gone.messages).unwrap_or_default(), "message"),
    );
    let text = if is_meant {
        let folder = sync::workspaces_of(&desk.app.config.workspaces, UserId(user.id));
        sync::remove_folder(folder).await;
        format!("Deleted: {what}.")
    } else {
        format!("Nothing is deleted yet. This would go: {what}. Say --yes to delete it for good.")
    };
    let json = json!({
        "id": user.id, "is_deleted": is_meant,
        "devices": gone.devices, "sessions": gone.sessions, "messages": gone.messages,
    });
    Ok(Said::new(text, json))
}

pub async fn password(desk: &Desk, command: Password) -> Result<Said> {
    let Password::Set { who } = command;
    let user = desk.find(&who).await?;
    let count = desk.operator.set_password(&user, read_password()?).await?;
    let text = format!(
        "{} has the new password. {} signed out.",
        user.email,
        counted(count, "device")
    );
    Ok(Said::new(text, json!({ "id": user.id, "signed_out": count })))
}

/// One line of standard input. Not typed at a terminal, which would show it.
fn read_password() -> Result<Typed> {
    let refuse = |why: &str| Problem::new(Code::Invalid).field("password").detail(why);
    let mut input = std::io::stdin();
    if input.is_terminal() {
        return Err(refuse(
            "Please lead the password in, for a terminal would show it: sync-server admin password set WHO < file",
        )
        .into());
    }
    let most = limits::PASSWORD_CHARS.end() * 4 + 2;
    let mut bytes = Vec::new();
    input
        .by_ref()
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| anyhow::anyhow!("reading the password: {error}"))?;
    if bytes.len() > most {
        return Err(refuse("That is too long for a password.").into());
    }
    let text = String::from_utf8(bytes).map_err(|_not_text| refuse("A password must be text in UTF-8."))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        return Err(refuse("The password must be one line.").into());
    }
    Ok(Typed::typed(line))
}

pub async fn second_step(desk: &Desk, command: SecondStep) -> Result<Said> {
    let SecondStep::Reset { who } = command;
    let user = desk.find(&who).await?;
    desk.operator.reset_second_step(&user).await?;
    let text = format!("{} signs in without a second step now.", user.email);
    Ok(Said::new(text, json!({ "id": user.id })))
}
