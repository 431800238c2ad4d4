//! What has to hold when a storm is over.

use super::world::{Owed, World};
use crate::device_program::DeviceProgram;
use crate::wait::within;
use http::{Method, StatusCode};
use protocol::run::Status;
use protocol::sync::{History, Message, Role};
use protocol::view::{Connection, Delivery, MessageView};
use protocol::{Code, Problem, SessionId, limits, routes};
use std::collections::BTreeMap;
use std::time::Duration;

/// A lease runs out, a reaper comes by, and the longest pause between two tries passes.
const CALM_WITHIN: Duration = Duration::from_mins(2);

/// Until every device is in step, nothing waits to be sent, and every reply has ended.
pub(super) async fn wait_for_calm(world: &World, seed: u64) {
    let what = format!("calm after the storm of seed {seed}");
    let mut unrest = String::new();
    let calm = within(CALM_WITHIN, &what, async || {
        let found = unrest_in(world).await;
        match found {
            None => Some(()),
            Some(found) => {
                if found != unrest {
                    eprintln!("seed {seed}: {found}");
                    unrest = found;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                None
            }
        }
    });
    calm.await;
}

async fn unrest_in(world: &World) -> Option<String> {
    for (number, device) in world.devices().enumerate() {
        let connection = device.connection().await;
        if connection == Connection::SignedOut {
            world.sign_in_again(device).await;
        }
        if connection != Connection::Online {
            return Some(format!("device {number} is {connection:?}"));
        }
        // What was refused waits for the person.
        let refused = refused_at(world, device).await.len();
        let waiting = device.waiting().await.unwrap_or(u64::MAX);
        if waiting > refused as u64 {
            return Some(format!("{waiting} writes wait at device {number}"));
        }
    }
    // In the deleted session too, where nobody sees it.
    let running = world
        .stack
        .number("select count(*) from runs where status < 2")
        .await;
    if running > 0 {
        return Some(format!("{running} replies are being made"));
    }
    if world.is_doomed {
        if status(world, world.doomed).await != Some(404) {
            return Some("the deleted session is still there".to_owned());
        }
        // Where it was written into too late, that is kept for the person; nothing else is.
        for (number, device) in world.devices().enumerate() {
            let shown = device.messages(world.doomed).await.unwrap_or_default();
            if shown.iter().any(|message| message.delivery == Delivery::Sent) {
                return Some(format!("device {number} shows the deleted session"));
            }
        }
    }
    for session in &world.sessions {
        let Some(kept) = kept(world, *session).await else {
            return Some("the server cannot be asked yet".to_owned());
        };
        if let Some(hanging) = kept.iter().find(|message| !message.status.is_terminal()) {
            return Some(format!("reply {} is {:?}", hanging.id, hanging.status));
        }
        for (number, device) in world.devices().enumerate() {
            if shown(device, *session).await != lines(&kept) {
                return Some(format!("device {number} shows another session {session}"));
            }
        }
    }
    None
}

/// The storms are short: all of a session is in its newest page.
async fn kept(world: &World, session: SessionId) -> Option<Vec<Message>> {
    let path = format!("{}?limit={}", routes::messages(session), limits::MESSAGE_PAGE);
    let answer = world
        .client
        .try_send(world.client.request(Method::GET, &path))
        .await
        .ok()?;
    (answer.status == StatusCode::OK).then(|| answer.expect::<History>().messages)
}

/// What the server says to somebody who wants to read a session.
async fn status(world: &World, session: SessionId) -> Option<u16> {
    let ask = world.client.request(Method::GET, &routes::messages(session));
    let answer = world.client.try_send(ask).await.ok()?;
    Some(answer.status)
}

type Line = (String, &'static str, Status, String);

fn line(message: MessageView) -> Line {
    let id = message.id.to_string();
    (id, message.role.as_str(), message.status, message.content)
}

fn lines(messages: &[Message]) -> Vec<Line> {
    let views = messages.iter().cloned().map(MessageView::from);
    views.map(line).collect()
}

async fn shown(device: &DeviceProgram, session: SessionId) -> Vec<Line> {
    let messages = device.messages(session).await.unwrap_or_default();
    messages.into_iter().map(line).collect()
}

/// Says how many replies there are. Ends the test with everything that does not hold.
pub(super) async fn judge(world: &World, seed: u64) -> usize {
    let mut wrong = Vec::new();
    let mut replies = 0;
    for session in &world.sessions {
        let kept = world.client.history(*session).await.messages;
        let owed: Vec<&Owed> = world
            .owed
            .iter()
            .filter(|owed| owed.session == *session)
            .collect();
        wrong.extend(texts(&kept, &owed));
        let (count, faults) = answers(&kept, &owed);
        replies += count;
        wrong.extend(faults);
        let ords: Vec<i64> = kept.iter().map(|message| message.ord).collect();
        let whole: Vec<i64> = (1..).take(kept.len()).collect();
        if ords != whole {
            wrong.push(format!("places with holes: {ords:?}"));
        }
    }
    for (number, device) in world.devices().enumerate() {
        match compare(world, device).await {
            Ok(0) => {}
            other => wrong.push(format!("device {number} compared: {other:?}")),
        }
        for session in &world.sessions {
            let refused = device.messages(*session).await.unwrap_or_default();
            let refused = refused
                .iter()
                .filter(|message| matches!(message.delivery, Delivery::NotSent { .. }));
            wrong.extend(refused.map(|message| format!("refused at device {number}: {}", message.content)));
        }
    }
    wrong.extend(last_words(world).await);
    wrong.extend(in_the_database(world).await);
    if world.stack.logs().contains("panicked at") {
        wrong.push("a server panicked".to_owned());
    }
    assert!(
        wrong.is_empty(),
        "after the storm of seed {seed}:\n{}",
        wrong.join("\n")
    );
    replies
}

/// A credential that was renewed after the backup is refused at the first request that shows it, which may be this one.
async fn compare(world: &World, device: &DeviceProgram) -> Result<usize, Problem> {
    let compared = device.compare().await;
    match compared {
        Err(problem) if world.was_restored && problem.code == Code::SignInRequired => {
            world.sign_in_again(device).await;
            device.compare().await
        }
        other => other,
    }
}

/// NoSilentLoss and ExactlyOnceEffect.
fn texts(kept: &[Message], owed: &[&Owed]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for message in kept.iter().filter(|message| message.role == Role::User) {
        *counts.entry(&message.content).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for owed in owed {
        match counts.remove(owed.text.as_str()) {
            Some(1) => {}
            Some(many) => wrong.push(format!("kept {many} times: {}", owed.text)),
            None if owed.is_taken => wrong.push(format!("lost: {}", owed.text)),
            None => {}
        }
    }
    wrong.extend(counts.keys().map(|text| format!("nobody wrote: {text}")));
    wrong
}

/// NoSilentLoss for what was said too late: whatever the server refused is kept where it was written, once.
async fn last_words(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut kept: BTreeMap<String, usize> = BTreeMap::new();
    for device in world.devices() {
        for text in refused_at(world, device).await {
            *kept.entry(text).or_default() += 1;
        }
    }
    for (text, count) in &kept {
        let is_owed = world
            .owed
            .iter()
            .any(|owed| owed.session == world.doomed && owed.text == *text);
        if *count != 1 || !is_owed {
            wrong.push(format!("kept {count} times where it was written: {text}"));
        }
    }
    let refused = world.stack.number(TOO_LATE).await;
    if !world.was_restored && usize::try_from(refused) != Ok(kept.len()) {
        wrong.push(format!(
            "{refused} texts came too late, and {} are kept",
            kept.len()
        ));
    }
    wrong
}

/// What was said into the doomed session too late, at the device that it was said on.
async fn refused_at(world: &World, device: &DeviceProgram) -> Vec<String> {
    let shown = device.messages(world.doomed).await.unwrap_or_default();
    let refused = shown
        .into_iter()
        .filter(|message| matches!(message.delivery, Delivery::NotSent { .. }));
    refused.map(|message| message.content).collect()
}

/// A restored ledger may have forgotten some.
const TOO_LATE: &str =
    "select count(*) from mutations where outcome #>> '{problem,code}' = 'session_deleted'";

/// SingleWriterRun and StreamPrefix, as far as the end shows them.
fn answers(kept: &[Message], owed: &[&Owed]) -> (usize, Vec<String>) {
    let mut wrong = Vec::new();
    let mut answered = Vec::new();
    for reply in kept.iter().filter(|message| message.role == Role::Assistant) {
        let prompt = kept.iter().find(|message| Some(message.id) == reply.parent);
        let Some(due) = prompt.and_then(|prompt| owed.iter().find(|owed| owed.text == prompt.content)) else {
            wrong.push(format!("a reply to nothing: {}", reply.content));
            continue;
        };
        if answered.contains(&reply.parent) {
            wrong.push(format!("answered twice: {}", due.text));
        }
        answered.push(reply.parent);
        let is_right = match reply.status {
            Status::Complete => reply.content == due.reply,
            _ => due.reply.starts_with(&reply.content),
        };
        if !is_right {
            wrong.push(format!(
                "{:?} says {:?} to {:?}",
                reply.status, reply.content, due.text
            ));
        }
    }
    (answered.len(), wrong)
}

/// DenseSeq as the rows show it, and nothing that still runs.
async fn in_the_database(world: &World) -> Vec<String> {
    let questions = [
        (
            "sessions that believe a reply is being made",
            "select count(*) from agent_sessions where live_runs <> 0",
        ),
        (
            "rows above their person's head",
            "select count(*) from sync_heads h where head_seq < greatest(
                 (select coalesce(max(seq), 0) from conversations c where c.user_id = h.user_id),
                 (select coalesce(max(seq), 0) from agent_sessions s where s.user_id = h.user_id))",
        ),
        (
            "change numbers given twice",
            "select count(*) from conversations c join agent_sessions s using (user_id, seq)",
        ),
        (
            "sessions whose last place is not their last message's",
            "select count(*) from agent_sessions s where deleted_at is null and last_ord <>
                 (select count(*) from conversations c where c.user_id = s.user_id and c.agent_session_id = s.id)",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, sql) in questions {
        let count = world.stack.number(sql).await;
        if count != 0 {
            wrong.push(format!("{count} {what}"));
        }
    }
    wrong
}
