//! Where one reads in the conversation. The pane is laid out from its foot (`column-reverse`), so its place is measured
//! upwards from the newest line: 0 is the foot, and what is above has a negative place. It therefore begins at the foot
//! without script, stays there while a reply grows, and older messages above move nothing.
//!
//! **Invariant:** whoever reads further up is never moved: what grows below is taken out of the place by this file,
//! since WebKit anchors nothing by itself.

use crate::controls::found::{all, by_id};
use crate::state::{Action, Sought, Stage};
use gloo_timers::callback::Timeout;
use protocol::MessageId;
use protocol::view::MessageView;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use web_sys::{Element, FocusOptions, HtmlElement};
use yew::prelude::*;

/// Nearer to the foot than this, one follows what comes.
const FOLLOW_PX: i32 = 100;
/// Of the pane, above a message that was gone to.
const ABOVE_PX: i32 = 24;
/// How long a message that was gone to stands out.
const LIT_MILLIS: u32 = 2_500;
const PANE: &str = "conversation";

/// Goes to the foot of the open conversation.
pub fn to_latest() {
    if let Some(pane) = by_id::<HtmlElement>(PANE) {
        pane.set_scroll_top(0);
    }
}

/// Id of the pane that [`to_latest`] means.
pub const fn pane_id() -> &'static str {
    PANE
}

#[derive(Clone)]
pub struct Reading {
    pub pane: NodeRef,
    /// One has gone up: new lines do not take one along.
    pub is_detached: bool,
    pub onscroll: Callback<Event>,
    pub onwheel: Callback<WheelEvent>,
    /// Says whether one has gone up.
    detach: Rc<dyn Fn(bool)>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reading({})", self.is_detached)
    }
}

/// The newest message and how long it is.
type Newest = Option<(MessageId, usize)>;

struct Last {
    height: Cell<i32>,
    newest: Cell<Newest>,
    is_detached: Cell<bool>,
}

#[hook]
pub fn use_reading(messages: &[Rc<MessageView>]) -> Reading {
    let pane = use_node_ref();
    let is_detached = use_state(|| false);
    let last = use_memo((), |()| Last {
        height: Cell::new(0),
        newest: Cell::new(None),
        is_detached: Cell::new(false),
    });
    let detach = {
        let (is_detached, last) = (is_detached.clone(), last.clone());
        Rc::new(move |now: bool| {
            if last.is_detached.replace(now) != now {
                is_detached.set(now);
            }
        })
    };
    {
        let (pane, last) = (pane.clone(), last.clone());
        let tail = messages.last().map(|message| (message.id, message.content.len()));
        use_effect_with((messages.len(), tail), move |(_, tail)| {
            if let Some(pane) = pane.cast::<HtmlElement>() {
                hold(&pane, &last, *tail);
            }
        });
    }
    let onscroll = {
        let (pane, detach) = (pane.clone(), detach.clone());
        Callback::from(move |_: Event| {
            if let Some(pane) = pane.cast::<HtmlElement>() {
                detach(-pane.scroll_top() > FOLLOW_PX);
            }
        })
    };
    let onwheel = {
        let (pane, detach) = (pane.clone(), detach.clone());
        Callback::from(move |event: WheelEvent| {
            let can_go_up = pane
                .cast::<HtmlElement>()
                .is_some_and(|pane| pane.scroll_height() > pane.client_height());
            if event.delta_y() < 0.0 && can_go_up {
                detach(true);
            }
        })
    };
    Reading {
        pane,
        is_detached: *is_detached,
        onscroll,
        onwheel,
        detach,
    }
}

/// Goes to the message that is looked for once it is drawn; gives the one that is to be lit for a while.
#[hook]
pub fn use_sought(
    stage: &Stage,
    sought: Option<Sought>,
    messages: &[Rc<MessageView>],
    reading: &Reading,
) -> Option<MessageId> {
    let lit = use_state(|| None);
    let light = use_mut_ref(|| None::<Timeout>);
    let here = sought.filter(|sought| messages.iter().any(|message| message.id == sought.message));
    {
        let (stage, lit, reading) = (stage.clone(), lit.clone(), reading.clone());
        use_effect_with(here, move |here| {
            let Some(Sought { message, .. }) = *here else {
                return;
            };
            stage.tell(Action::Reached);
            go_to(message, &reading);
            lit.set(Some(message));
            light.replace(Some(Timeout::new(LIT_MILLIS, move || lit.set(None))));
        });
    }
    *lit
}

/// Whether it stands in the open conversation.
pub fn has(element: Option<&Element>) -> bool {
    element.is_some_and(|element| element.closest(".pane").is_ok_and(|pane| pane.is_some()))
}

/// Goes from message to message: so far on from the one that has the focus, or to the newest.
pub fn step(by: isize) {
    let messages = all(".pane article");
    let here = messages
        .iter()
        .position(|message| message.matches(":focus-within").unwrap_or(false));
    let next = match here {
        Some(here) => here.checked_add_signed(by),
        None => messages.len().checked_sub(1),
    };
    if let (Some(article), Some(pane)) = (
        next.and_then(|next| messages.get(next)),
        by_id::<HtmlElement>(PANE),
    ) {
        begin_at(article, &pane);
    }
}

/// Its first line near the top of the pane, and the focus with it.
fn go_to(message: MessageId, reading: &Reading) {
    let pane = reading.pane.cast::<HtmlElement>();
    if let (Some(article), Some(pane)) = (by_id::<HtmlElement>(&message_id(message)), pane) {
        begin_at(&article, &pane);
        (reading.detach)(-pane.scroll_top() > FOLLOW_PX);
    }
}

fn begin_at(article: &HtmlElement, pane: &HtmlElement) {
    // Where it is to stand is said below.
    let still = FocusOptions::new();
    still.set_prevent_scroll(true);
    let _ = article.focus_with_options(&still);
    article.scroll_into_view();
    pane.set_scroll_top(pane.scroll_top() - ABOVE_PX);
}

/// Id of a message's article.
pub fn message_id(message: MessageId) -> String {
    format!("message-{message}")
}

/// After the pane was drawn: one who follows is at the foot, one who reads above stays on their line. Where the newest
/// message is as it was, what came is older and stands above: that moves nothing.
fn hold(pane: &HtmlElement, last: &Last, newest: Newest) {
    let height = pane.scroll_height();
    let grown = height - last.height.replace(height);
    let had = last.newest.replace(newest);
    if !last.is_detached.get() {
        pane.set_scroll_top(0);
    } else if had.is_some() && had != newest && grown > 0 {
        pane.set_scroll_top(pane.scroll_top() - grown);
    }
}
