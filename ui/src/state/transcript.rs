//! The open session's messages: how a newer answer and a growing reply are laid over what is shown.
//!
//! **Invariant:** pure; a message that did not change keeps its `Rc`, so that only what changed is drawn again.

use protocol::MessageId;
use protocol::run::Status;
use protocol::sync::Role;
use protocol::view::{MessageView, SessionRow, Transcript, TranscriptState};
use std::rc::Rc;

#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    pub session: Rc<SessionRow>,
    pub state: TranscriptState,
    pub messages: Vec<Rc<MessageView>>,
    pub has_earlier: bool,
    /// See [`Transcript::unanswered`].
    pub unanswered: Option<MessageId>,
}

/// What came of a piece of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grown {
    Yes,
    /// It was there before.
    Already,
    /// It does not fit on what is shown: the transcript has to be asked for again.
    Lost,
}

impl From<Transcript> for Opened {
    fn from(new: Transcript) -> Self {
        Self {
            session: Rc::new(new.session),
            state: new.state,
            messages: new.messages.into_iter().map(Rc::new).collect(),
            has_earlier: new.has_earlier,
            unanswered: new.unanswered,
        }
    }
}

impl Opened {
    /// A session of which only the row is known yet.
    pub fn loading(session: Rc<SessionRow>) -> Self {
        Self {
            session,
            state: TranscriptState::Loading,
            messages: Vec::new(),
            has_earlier: false,
            unanswered: None,
        }
    }

    /// Lays `new` over `old`. Also answers what a screen reader should say about the difference.
    pub fn merge(old: Option<&Self>, new: Transcript) -> (Self, Option<String>) {
        let mut merged = Self::from(new);
        let Some(old) = old.filter(|old| old.session.id == merged.session.id) else {
            return (merged, None);
        };
        // What was read once is not taken away by a body that is still loading.
        if old.state == TranscriptState::Ready && merged.state != TranscriptState::Ready {
            return (
                Self {
                    session: merged.session,
                    ..old.clone()
                },
                None,
            );
        }
        let mut said = None;
        for message in &mut merged.messages {
            let Some(before) = old.messages.iter().find(|before| before.id == message.id) else {
                continue;
            };
            if before == message {
                *message = before.clone();
            } else if is_a_step_behind(message, before) {
                Rc::make_mut(message).content.clone_from(&before.content);
            } else if !before.status.is_terminal() && message.status.is_terminal() {
                said = Some(ending(message));
            }
        }
        (merged, said)
    }

    /// Appends a piece of a reply whose length before it is `offset` bytes.
    pub fn grow(&mut self, id: MessageId, offset: u64, text: &str) -> Grown {
        let Some(message) = self.messages.iter_mut().rev().find(|message| message.id == id) else {
            return Grown::Lost;
        };
        if message.status.is_terminal() {
            return Grown::Already;
        }
        let Ok(offset) = usize::try_from(offset) else {
            return Grown::Lost;
        };
        match message.content.get(offset..) {
            Some("") => {
                let message = Rc::make_mut(message);
                message.content.push_str(text);
                message.status = Status::Streaming;
                Grown::Yes
            }
            Some(there) if there.starts_with(text) => Grown::Already,
            Some(_) | None => Grown::Lost,
        }
    }

    /// The run that is being made, to be stopped.
    pub fn run(&self) -> Option<protocol::RunId> {
        self.messages
            .iter()
            .rev()
            .find(|message| message.role == Role::Assistant && !message.status.is_terminal())
            .and_then(|message| message.run)
    }
}

/// The answer was made before the last pieces that are shown already.
fn is_a_step_behind(new: &MessageView, shown: &MessageView) -> bool {
    !new.status.is_terminal()
        && !shown.status.is_terminal()
        && new.run == shown.run
        && shown.content.len() > new.content.len()
        && shown.content.starts_with(&new.content)
}

fn ending(message: &MessageView) -> String {
    match message.status {
        Status::Complete => {
            let first = message
                .content
                .lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or_default();
            format!("Reply finished: {}", first.chars().take(120).collect::<String>())
        }
        Status::Cancelled => "Reply stopped".to_owned(),
        Status::Failed | Status::Interrupted => "The reply failed".to_owned(),
        Status::Queued | Status::Streaming => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::view::Delivery;
    use protocol::{RunId, SessionId};

    fn reply(content: &str, status: Status) -> MessageView {
        MessageView {
            id: MessageId::fresh(),
            role: Role::Assistant,
            content: content.to_owned(),
            status,
            delivery: Delivery::Sent,
            run: Some(RunId::fresh()),
            error: None,
            created_at: 0,
        }
    }

    fn transcript(messages: Vec<MessageView>) -> Transcript {
        Transcript {
            session: SessionRow {
                id: SessionId::fresh(),
                title: String::new(),
                title_seq: 0,
                preview: String::new(),
                archived: false,
                running: true,
                waiting: 0,
                messages: 1,
                kept: false,
                last_active: 0,
                created_at: 0,
            },
            state: TranscriptState::Ready,
            messages,
            has_earlier: false,
            unanswered: None,
        }
    }

    #[test]
    fn a_piece_is_added_once_and_only_where_it_fits() {
        let message = reply("Hé", Status::Queued);
        let id = message.id;
        let mut open = Opened::from(transcript(vec![message]));
        assert_eq!(open.grow(id, 3, "llo"), Grown::Yes);
        assert_eq!(open.grow(id, 3, "llo"), Grown::Already);
        assert_eq!(open.grow(id, 9, "x"), Grown::Lost);
        assert_eq!(open.grow(id, 2, "x"), Grown::Lost, "the middle of a character");
        assert_eq!(open.messages[0].content, "Héllo");
        assert_eq!(open.messages[0].status, Status::Streaming);
    }

    #[test]
    fn an_answer_from_before_the_last_pieces_takes_none_of_them_away() {
        let shown = reply("one two", Status::Streaming);
        let behind = MessageView {
            content: "one".to_owned(),
            ..shown.clone()
        };
        let old = transcript(vec![shown]);
        let new = Transcript {
            messages: vec![behind],
            ..old.clone()
        };
        let (merged, said) = Opened::merge(Some(&Opened::from(old)), new);
        assert_eq!(merged.messages[0].content, "one two");
        assert_eq!(said, None);
    }

    #[test]
    fn an_unchanged_message_is_not_drawn_again_and_an_ended_one_is_announced_once() {
        let (first, second) = (reply("a", Status::Complete), reply("b", Status::Streaming));
        let done = MessageView {
            status: Status::Complete,
            ..second.clone()
        };
        let old = transcript(vec![first.clone(), second]);
        let new = Transcript {
            messages: vec![first, done],
            ..old.clone()
        };
        let old = Opened::from(old);
        let (merged, said) = Opened::merge(Some(&old), new.clone());
        assert!(Rc::ptr_eq(&merged.messages[0], &old.messages[0]));
        assert_eq!(said.as_deref(), Some("Reply finished: b"));
        assert_eq!(Opened::merge(Some(&merged), new).1, None);
    }

    #[test]
    fn loading_again_does_not_take_away_what_is_read() {
        let old = transcript(vec![reply("kept", Status::Complete)]);
        let new = Transcript {
            state: TranscriptState::NotHere,
            messages: Vec::new(),
            ..old.clone()
        };
        let (merged, _) = Opened::merge(Some(&Opened::from(old)), new);
        assert_eq!((merged.state, merged.messages.len()), (TranscriptState::Ready, 1));
    }
}
