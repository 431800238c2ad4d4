//! What the page shows: the rows, with the outbox laid over them when they are read.
//!
//! **Invariant:** a message written here never leaves the view between writing, acceptance and the change that brings
//! it back: it shows from the outbox until its row is here. What was accepted is laid over older rows only.

use crate::order;
use crate::outbox::{Entry, Outbox, Standing};
use crate::tails::Tails;
use protocol::mutation::{Op, preview_of, title_from};
use protocol::run::Status;
use protocol::sync::{Message, Role, Seq, Session};
use protocol::view::{Delivery, MessageView, SessionRow, Transcript, TranscriptState, unanswered};
use protocol::{SessionId, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};

/// Messages that a transcript begins with, and that "earlier" adds.
pub const WINDOW: usize = 100;
/// Messages that are shown before one that was looked for.
pub const CONTEXT: usize = 20;

/// What the outbox says of one session.
#[derive(Debug, Default)]
struct Overlay<'a> {
    created: Option<(&'a str, UnixMillis)>,
    title: Option<&'a str>,
    title_seq: Option<Seq>,
    archived: Option<bool>,
    is_deleted: bool,
    first_text: Option<&'a str>,
    last_text: Option<(&'a str, UnixMillis)>,
    has_refused_message: bool,
    waiting: u32,
}

impl<'a> Overlay<'a> {
    /// `row`: what is here of the session.
    fn of(entries: impl IntoIterator<Item = &'a Entry>, row: Option<&Session>) -> Self {
        let mut overlay = Self::default();
        for entry in entries {
            if row.is_none_or(|row| !entry.is_in(row.seq)) {
                overlay.add(entry);
            }
        }
        overlay
    }

    fn add(&mut self, entry: &'a Entry) {
        if !matches!(entry.standing, Standing::Acked { .. }) {
            self.waiting += 1;
        }
        if matches!(entry.standing, Standing::Dead { .. }) {
            self.has_refused_message |= matches!(entry.mutation.op, Op::MessageCreate { .. });
        }
        match &entry.mutation.op {
            Op::SessionCreate { title, .. } => self.created = Some((title, entry.created_at)),
            Op::SessionRename { title, .. } => {
                self.title = Some(title);
                if let Standing::Acked { seq } = entry.standing {
                    self.title_seq = Some(seq);
                }
            }
            Op::SessionArchive { archived, .. } => self.archived = Some(*archived),
            Op::SessionDelete { .. } => self.is_deleted = true,
            Op::MessageAnswer { .. } => {}
            Op::MessageCreate { content, .. } => {
                self.first_text.get_or_insert(content);
                self.last_text = Some((content, entry.created_at));
            }
        }
    }

    /// A session that is only here so far, or that is gone there while refused text of it is here.
    fn stub(&self, id: SessionId) -> Option<Session> {
        let at = match (self.created, self.last_text) {
            (Some((_, at)), _) => at,
            (None, Some((_, at))) if self.has_refused_message => at,
            (None, _) => return None,
        };
        Some(Session {
            id,
            seq: 0,
            title: self
                .created
                .map_or_else(String::new, |(title, _)| title.to_owned()),
            title_seq: 0,
            archived: false,
            last_ord: 0,
            preview: String::new(),
            running: false,
            last_active: at,
            created_at: at,
        })
    }

    fn row(&self, session: &Session) -> SessionRow {
        let mut title = self.title.unwrap_or(&session.title).to_owned();
        if title.is_empty()
            && let Some(text) = self.first_text
        {
            title = title_from(text);
        }
        let (preview, last_active) = match self.last_text {
            Some((text, at)) => (preview_of(text), at.max(session.last_active)),
            None => (session.preview.clone(), session.last_active),
        };
        SessionRow {
            id: session.id,
            title,
            title_seq: self.title_seq.unwrap_or(session.title_seq).max(session.title_seq),
            preview,
            archived: self.archived.unwrap_or(session.archived),
            running: session.running,
            waiting: self.waiting,
            messages: session.last_ord,
            kept: false,
            last_active,
            created_at: session.created_at,
        }
    }
}

fn lanes(outbox: &Outbox) -> BTreeMap<SessionId, Vec<&Entry>> {
    let mut lanes: BTreeMap<SessionId, Vec<&Entry>> = BTreeMap::new();
    for entry in outbox.entries() {
        lanes.entry(entry.mutation.op.session()).or_default().push(entry);
    }
    lanes
}

/// The list, newest first, at most so many: rows of either kind come in, those of `archived` go out. Where not all rows
/// come in, those that the outbox says something of have to, and of the others as many more as there are of these.
pub fn list<'a>(
    sessions: impl IntoIterator<Item = &'a Session>,
    outbox: &Outbox,
    archived: bool,
    most: usize,
) -> Vec<SessionRow> {
    let mut lanes = lanes(outbox);
    let mut rows = Vec::new();
    for session in sessions {
        let lane = lanes.remove(&session.id).unwrap_or_default();
        let overlay = Overlay::of(lane, Some(session));
        if !overlay.is_deleted {
            rows.push(overlay.row(session));
        }
    }
    for (id, lane) in lanes {
        let overlay = Overlay::of(lane, None);
        if let Some(stub) = overlay.stub(id).filter(|_| !overlay.is_deleted) {
            rows.push(overlay.row(&stub));
        }
    }
    rows.retain(|row| row.archived == archived);
    let mut rows = order::by(rows, |row| {
        (row.last_active.saturating_neg(), !row.id.0.as_u128())
    });
    rows.truncate(most);
    rows
}

/// One session as the list shows it; `None`: it is not here, or being deleted.
pub fn row(id: SessionId, session: Option<&Session>, outbox: &Outbox) -> Option<SessionRow> {
    let overlay = Overlay::of(outbox.lane(id), session);
    if overlay.is_deleted {
        return None;
    }
    match session {
        Some(session) => Some(overlay.row(session)),
        None => overlay.stub(id).map(|stub| overlay.row(&stub)),
    }
}

/// The rows that a transcript is made of.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    pub session: Option<&'a Session>,
    /// The newest stretch without holes, by ord.
    pub messages: &'a [Message],
    pub has_earlier: bool,
    /// `Ready` where the rows are the server's word; else what to say of their absence.
    pub state: TranscriptState,
}

/// A session opened: its rows, the text of replies being made, and what waits here, last.
pub fn transcript(id: SessionId, rows: &Rows<'_>, tails: &Tails, outbox: &Outbox) -> Option<Transcript> {
    let session = row(id, rows.session, outbox)?;
    let mut here = BTreeSet::new();
    here.extend(rows.messages.iter().map(|message| message.id));
    let kept = rows.messages.iter().filter(|message| !message.deleted);
    let written = outbox.lane(id).filter_map(|entry| match &entry.mutation.op {
        Op::MessageCreate { id, .. } if !here.contains(id) => waiting_message(entry),
        Op::MessageCreate { .. }
        | Op::SessionCreate { .. }
        | Op::SessionRename { .. }
        | Op::SessionArchive { .. }
        | Op::SessionDelete { .. }
        | Op::MessageAnswer { .. } => None,
    });
    // what is still on its way may be the answer asked for
    let is_settled = outbox.lane(id).next().is_none();
    let is_new_here = rows.session.is_none() && rows.messages.is_empty();
    Some(Transcript {
        session,
        state: if is_new_here {
            TranscriptState::Ready
        } else {
            rows.state
        },
        messages: kept
            .map(|message| kept_message(message, tails))
            .chain(written)
            .collect(),
        has_earlier: rows.has_earlier,
        unanswered: unanswered(rows.messages).filter(|_| is_settled),
    })
}

fn kept_message(message: &Message, tails: &Tails) -> MessageView {
    let mut view = MessageView {
        id: message.id,
        role: message.role,
        content: message.content.clone(),
        status: message.status,
        delivery: Delivery::Sent,
        run: message.run.filter(|_| !message.status.is_terminal()),
        error: error_of(message),
        created_at: message.created_at,
    };
    if let Some(tail) = view.run.and_then(|run| tails.tail(run)) {
        if !tail.shown().is_empty() {
            tail.shown().clone_into(&mut view.content);
            view.status = Status::Streaming;
        }
        // Ended, and its committed row on the way: the page need not offer to stop it.
        if let Some((status, _)) = tail.ended {
            view.status = status;
            view.run = None;
        }
    }
    view
}

fn waiting_message(entry: &Entry) -> Option<MessageView> {
    let Op::MessageCreate { id, content, .. } = &entry.mutation.op else {
        return None;
    };
    let mutation = entry.mutation.id;
    let delivery = match &entry.standing {
        Standing::Queued | Standing::Inflight => Delivery::Waiting { mutation },
        Standing::Acked { .. } => Delivery::Sent,
        Standing::Dead { problem } => Delivery::NotSent {
            mutation,
            problem: problem.clone(),
        },
    };
    Some(MessageView {
        id: *id,
        role: Role::User,
        content: content.clone(),
        status: Status::Complete,
        delivery,
        run: None,
        error: None,
        created_at: entry.created_at,
    })
}

/// `metadata.error` of a failed reply: a sentence, or an object that holds one.
fn error_of(message: &Message) -> Option<String> {
    if message.status != Status::Failed {
        return None;
    }
    let error = message.metadata.get("error")?;
    let inner = ["detail", "message", "title"]
        .iter()
        .find_map(|key| error.get(key)?.as_str());
    error.as_str().or(inner).map(str::to_owned)
}
