//! Which of a session's messages stand in the document: the newest while one is at the foot, and those around where one reads.
//! However long a session is, they are few.
//!
//! **Invariant:** pure; one run without a gap, and never more than [`MOST`], save before the page is taken over: what was drawn
//! elsewhere is read without script too.

use protocol::MessageId;
use protocol::view::MessageView;
use std::ops::Range;
use std::rc::Rc;

/// What fills a window is drawn before all others, so that a session is there at once: lines, and messages at most.
const WINDOW_LINES: usize = 40;
const FEW: usize = 20;
/// As many bytes as a line holds, about, and the lines between two messages.
const LINE: usize = 80;
const BETWEEN: usize = 3;
/// What stands there while one is at the foot.
const SOME: usize = 40;
const MOST: usize = 80;
/// So many come at one end, and as many go at the other.
const STEP: usize = 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// Everything, as it was drawn elsewhere.
    #[default]
    Drawn,
    /// The newest, for a first look.
    Look,
    /// The newest.
    Foot,
    /// This one and what follows it.
    Message(MessageId),
}

/// How one stands in what is mounted, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// What is out of sight, above and below.
    pub above: i32,
    pub below: i32,
    /// How much is in sight.
    pub sight: i32,
    /// One has gone up, and is not taken along.
    pub is_detached: bool,
}

type Messages<'m> = &'m [Rc<MessageView>];

/// What is to be mounted.
pub fn run(messages: Messages<'_>, from: From) -> Range<usize> {
    let all = messages.len();
    let begins = |message: MessageId| messages.iter().position(|other| other.id == message);
    match from {
        From::Drawn => 0..all,
        From::Look => all - window_full(messages)..all,
        From::Foot => all.saturating_sub(SOME)..all,
        From::Message(message) => match begins(message) {
            Some(begins) => begins..all.min(begins + MOST),
            // It is not there any more, as after the cache was built anew.
            None => run(messages, From::Foot),
        },
    }
}

/// How many of the newest fill a window.
fn window_full(messages: Messages<'_>) -> usize {
    let mut lines = 0;
    let newest = messages.iter().rev().take(FEW);
    let above = newest.take_while(|message| {
        let is_in_sight = lines < WINDOW_LINES;
        lines += message.content.len() / LINE + message.content.lines().count() + BETWEEN;
        is_in_sight
    });
    above.count()
}

/// The same, or where this message stands too.
pub fn with(messages: Messages<'_>, from: From, wanted: MessageId) -> From {
    let run = run(messages, from);
    match messages.iter().position(|message| message.id == wanted) {
        Some(place) if !run.contains(&place) => beginning(messages, place.saturating_sub(STEP)),
        Some(_) | None => from,
    }
}

/// What is to be mounted by where one stands: more before its ends come into sight.
pub fn moved(messages: Messages<'_>, from: From, stand: Stand) -> From {
    if from == From::Drawn {
        return from;
    }
    let run = run(messages, from);
    let is_newest = run.end == messages.len();
    if !stand.is_detached && is_newest {
        return if from == From::Look { from } else { From::Foot };
    }
    if stand.above < stand.sight && run.start > 0 {
        return beginning(messages, run.start.saturating_sub(STEP));
    }
    if stand.below < stand.sight && !is_newest {
        return beginning(messages, run.start + STEP);
    }
    // What comes at the foot pushes nothing out at the head of what is read.
    match from {
        From::Look | From::Foot => beginning(messages, run.start),
        From::Drawn | From::Message(_) => from,
    }
}

fn beginning(messages: Messages<'_>, place: usize) -> From {
    messages
        .get(place)
        .map_or(From::Foot, |message| From::Message(message.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::run::Status;
    use protocol::sync::Role;
    use protocol::view::Delivery;

    fn said(many: usize) -> Vec<Rc<MessageView>> {
        (0..many).map(|_| Rc::new(message())).collect()
    }

    fn message() -> MessageView {
        MessageView {
            id: MessageId::fresh(),
            role: Role::User,
            status: Status::Complete,
            content: String::new(),
            delivery: Delivery::Sent,
            run: None,
            error: None,
            created_at: 0,
        }
    }

    const FAR: Stand = Stand {
        above: 5_000,
        below: 5_000,
        sight: 800,
        is_detached: true,
    };

    fn at(messages: Messages<'_>, place: usize) -> From {
        From::Message(messages[place].id)
    }

    #[test]
    fn the_newest_stand_there_and_at_first_a_window_full_of_them() {
        let messages = said(100);
        assert_eq!(run(&messages, From::Drawn), 0..100);
        assert_eq!(run(&messages, From::Look), 86..100);
        assert_eq!(run(&messages, From::Foot), 60..100);
        assert_eq!(run(&messages[..5], From::Foot), 0..5);
        assert_eq!(run(&messages[..5], From::Look), 0..5);
        let at_the_foot = Stand {
            below: 0,
            is_detached: false,
            ..FAR
        };
        assert_eq!(moved(&messages, From::Look, at_the_foot), From::Look);
        assert_eq!(moved(&messages, at(&messages, 30), at_the_foot), From::Foot);
    }

    #[test]
    fn a_window_is_full_of_a_few_long_messages() {
        let long = |lines: usize| {
            Rc::new(MessageView {
                content: "a line of it\n".repeat(lines),
                ..message()
            })
        };
        let messages = [said(50), vec![long(500)]].concat();
        assert_eq!(run(&messages, From::Look), 50..51);
        let messages = [said(50), vec![long(20), long(15)]].concat();
        assert_eq!(run(&messages, From::Look), 50..52);
    }

    #[test]
    fn who_goes_up_finds_more_before_the_end_and_who_comes_down_again_too() {
        let messages = said(200);
        let up = Stand { above: 10, ..FAR };
        let from = moved(&messages, From::Foot, up);
        assert_eq!(run(&messages, from), 140..200);
        let from = moved(&messages, from, up);
        assert_eq!(run(&messages, from), 120..200);
        let from = moved(&messages, from, up);
        assert_eq!(run(&messages, from), 100..180);
        assert_eq!(
            moved(&messages, from, FAR),
            from,
            "in the middle of it nothing moves"
        );
        let down = Stand { below: 10, ..FAR };
        assert_eq!(run(&messages, moved(&messages, from, down)), 120..200);
        assert_eq!(
            run(&messages, moved(&messages, at(&messages, 5), up)),
            0..80,
            "the first is the end"
        );
    }

    #[test]
    fn what_is_read_stays_where_more_comes_before_or_after_it() {
        let mut messages = said(100);
        let from = moved(&messages, From::Foot, FAR);
        assert_eq!(from, at(&messages, 60));
        messages.push(Rc::new(message()));
        assert_eq!(run(&messages, from), 60..101);
        messages.splice(0..0, said(100));
        assert_eq!(run(&messages, from), 160..201);
        assert_eq!(run(&messages[161..], from), 0..40, "where it is gone, the newest");
    }

    #[test]
    fn what_is_looked_for_stands_there() {
        let messages = said(200);
        let wanted = messages[100].id;
        assert_eq!(run(&messages, with(&messages, From::Foot, wanted)), 80..160);
        assert_eq!(with(&messages, From::Foot, messages[199].id), From::Foot);
        assert_eq!(with(&messages, From::Foot, MessageId::fresh()), From::Foot);
    }

    proptest! {
        #[test]
        fn however_one_moves_few_stand_there_and_one_run(
            many in 0_usize..300,
            steps in prop::collection::vec((0_i32..2_000, 0_i32..2_000, any::<bool>()), 0..40),
        ) {
            let messages = said(many);
            let mut from = From::Foot;
            for (above, below, is_detached) in steps {
                from = moved(&messages, from, Stand { above, below, sight: 800, is_detached });
                let run = run(&messages, from);
                prop_assert!(run.len() <= MOST && run.end <= many);
                prop_assert!(many == 0 || !run.is_empty());
                prop_assert!(many < SOME || run.len() >= STEP, "{:?} of {}", run, many);
            }
        }
    }
}
