//! Tells that a reply is ready, or failed, when nobody looks at it, and of a newer version; who clicks there is led to it. The app's
//! icon bears how many of them nobody has looked at since.
//!
//! **Invariant:** it says what a session is called and how the reply ended. What was said is told only where the person chose so.

mod badge;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

use crate::commands::{Shell, accounts};
use crate::sync::{Look, Turn};
use crate::{update, window};
use badge::Badge;
#[cfg(not(target_os = "linux"))]
use elsewhere::System;
#[cfg(target_os = "linux")]
use linux::System;
use protocol::SessionId;
use protocol::run::Status;
use protocol::sync::Message;
use std::sync::Arc;
use sync_client::Device;
use tauri::{AppHandle, Manager as _};
use tokio::sync::broadcast::error::RecvError;

/// What is told of a reply's text at most, in characters: what fits into two lines.
const TEXT: usize = 160;

/// What a click leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Session(SessionId),
    Update,
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    about: About,
    title: String,
    body: String,
}

/// From here on, as long as the app runs.
pub fn watch(app: AppHandle) {
    tauri::async_runtime::spawn(async move {
        let first = app.state::<Shell>().sync.next(None).await;
        // Nothing that ends from here on is missed while the system's side is looked for.
        let endings = first.1.endings();
        match System::connect().await {
            Ok(system) => attend(&app, first, endings, system).await,
            Err(error) => tracing::warn!(%error, "this computer shows no notifications"),
        }
    });
}

async fn attend(
    app: &AppHandle,
    (mut turn, mut device): (Turn, Device),
    mut endings: tokio::sync::broadcast::Receiver<Arc<Message>>,
    mut system: System,
) {
    let sync = app.state::<Shell>().sync.clone();
    let mut newer = app.state::<Shell>().updates.newer.subscribe();
    let (mut badge, mut looks) = (Badge::default(), sync.looks());
    loop {
        tokio::select! {
            ended = endings.recv() => match ended {
                Ok(message) => {
                    let note = worth_telling(app, &device, &message).await;
                    if note.is_some() {
                        badge.add(message.session);
                    }
                    show(&mut system, note).await;
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            next = sync.next(Some(turn)) => {
                (turn, device) = next;
                endings = device.endings();
                badge.clear();
            }
            look = looks.recv() => match look {
                Ok(Look::Session(session)) if window::is_used(app) => badge.take(session),
                Ok(Look::Session(_)) => {}
                // Where one was missed, too little is told rather than too much.
                Ok(Look::Window) | Err(_) => badge.clear(),
            },
            Ok(()) = newer.changed() => {
                let version = newer.borrow_and_update().clone();
                show(&mut system, version.and_then(|version| newer_version(app, &version))).await;
            }
            about = system.clicked() => {
                match about {
                    About::Session(session) => {
                        tauri::async_runtime::spawn(accounts::open_session(app.clone(), session));
                    }
                    About::Update => {
                        window::focus(app);
                        update::ask(app);
                    }
                }
            }
        }
        if let Some(count) = badge.news()
            && let Err(error) = system.badge(app, count).await
        {
            tracing::warn!(%error, "the app's icon could not be marked");
        }
    }
}

async fn show(system: &mut System, note: Option<Note>) {
    if let Some(note) = note
        && let Err(error) = system.show(note).await
    {
        tracing::warn!(%error, "a notification could not be shown");
    }
}

fn newer_version(app: &AppHandle, version: &str) -> Option<Note> {
    let chosen = app.state::<Shell>().preferences.chosen();
    chosen.notify.then(|| Note {
        about: About::Update,
        title: format!("CompyMac {version} is available"),
        body: "Click here to see how to install it.".to_owned(),
    })
}

async fn worth_telling(app: &AppHandle, device: &Device, message: &Message) -> Option<Note> {
    let chosen = app.state::<Shell>().preferences.chosen();
    if !chosen.notify || window::shows(app, message.session) {
        return None;
    }
    let title = device.title(message.session).await?;
    note(message, title, chosen.notify_text)
}

fn note(message: &Message, title: String, with_text: bool) -> Option<Note> {
    let ended = match message.status {
        Status::Complete => "The reply is ready.",
        Status::Failed => "The reply failed.",
        Status::Interrupted => "The reply was cut off.",
        // By the person, who knows.
        Status::Cancelled => return None,
        Status::Queued | Status::Streaming => return None,
    };
    let text = message.content.trim();
    let body = if with_text && message.status == Status::Complete && !text.is_empty() {
        beginning(text)
    } else {
        ended.to_owned()
    };
    let title = if title.is_empty() {
        "New session".to_owned()
    } else {
        title
    };
    Some(Note {
        about: About::Session(message.session),
        title,
        body,
    })
}

fn beginning(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(TEXT) {
        words.truncate(end);
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::sync::Role;
    use protocol::{MessageId, RunId};

    fn reply(status: Status, content: &str) -> Message {
        Message {
            id: MessageId::fresh(),
            session: SessionId::fresh(),
            seq: 1,
            ord: 2,
            parent: None,
            role: Role::Assistant,
            status,
            run: Some(RunId::fresh()),
            content: content.to_owned(),
            metadata: serde_json::Value::Null,
            created_at: 0,
            deleted: false,
        }
    }

    #[test]
    fn what_was_said_is_told_only_where_it_was_chosen() {
        let told = |status, with_text| {
            note(
                &reply(status, "the\nsecret plan"),
                "Log book".to_owned(),
                with_text,
            )
            .map(|note| note.body)
        };
        assert_eq!(told(Status::Complete, false).unwrap(), "The reply is ready.");
        assert_eq!(told(Status::Complete, true).unwrap(), "the secret plan");
        assert_eq!(told(Status::Failed, true).unwrap(), "The reply failed.");
        assert_eq!(told(Status::Cancelled, true), None);
        assert_eq!(told(Status::Streaming, true), None);
    }

    #[test]
    fn a_long_reply_is_cut_between_characters() {
        let told = note(&reply(Status::Complete, &"ä".repeat(500)), String::new(), true).unwrap();
        assert_eq!(told.body.chars().count(), TEXT + 1);
        assert_eq!(told.title, "New session");
    }
}
