//! Where one reads in the conversation. The pane is laid out from its foot (`column-reverse`), so its place is measured
//! upwards from the newest line: 0 is the foot, and what is above has a negative place. It therefore begins at the foot
//! without script, stays there while a reply grows, and older messages above move nothing.
//!
//! One who is at the foot follows what comes. Whoever goes up, however little and by whatever means, or has selected something,
//! follows no more until they come down again.
//!
//! **Invariant:** whoever reads further up is never moved: what grows below is taken out of the place by this file,
//! since WebKit anchors nothing by itself.

use super::find;
use super::mounted::{self, From, Stand};
use crate::controls::found::{all, by_id, first};
use crate::state::transcript::Opened;
use crate::state::{Action, Sought, Stage};
use gloo_timers::callback::Timeout;
use protocol::MessageId;
use protocol::run::Status;
use protocol::view::MessageView;
use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use web_sys::{Element, FocusOptions, HtmlElement};
use yew::prelude::*;

/// Whoever comes down nearer to the foot than this follows what comes.
const FOLLOW_PX: i32 = 100;
/// Of the pane, above a message that was gone to.
const ABOVE_PX: i32 = 24;
/// How long a message that was gone to stands out.
const LIT_MILLIS: u32 = 2_500;
/// By then a session that was opened has been painted.
const SEEN_MILLIS: u32 = 100;
const PANE: &str = "conversation";
const LATEST: &str = "to-latest";

/// Goes to the foot of the open conversation. Where one has gone up, a button leads there.
pub fn to_latest() {
    if let Some(button) = by_id::<HtmlElement>(LATEST) {
        button.click();
    } else if let Some(pane) = by_id::<HtmlElement>(PANE) {
        pane.set_scroll_top(0);
    }
}

/// Takes the focus out of wherever it is in the session.
pub fn focus_pane() {
    if let Some(pane) = by_id::<HtmlElement>(PANE) {
        let _ = pane.focus();
    }
}

/// Id of that button.
pub const fn latest_id() -> &'static str {
    LATEST
}

/// Id of the pane that [`to_latest`] means.
pub const fn pane_id() -> &'static str {
    PANE
}

#[derive(Clone)]
pub struct Reading {
    pub pane: NodeRef,
    /// Of the messages, what is to be drawn.
    pub mounted: Range<usize>,
    /// One has gone up: new lines do not take one along.
    pub is_detached: bool,
    /// Messages that came since.
    pub new: usize,
    pub onscroll: Callback<Event>,
    /// To be told before something moves the pane: whether it leads up.
    pub leave: Callback<bool>,
    /// Back to the newest.
    pub onlatest: Callback<MouseEvent>,
    /// Says whether one has gone up.
    detach: Rc<dyn Fn(bool)>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reading({}, {:?})", self.is_detached, self.mounted)
    }
}

/// The newest message, how long it is, and how it stands with it.
type Newest = Option<(MessageId, usize, Status)>;

/// A message in sight, and how far down its head is.
type Line = Option<(MessageId, f64)>;

#[derive(Default)]
struct Last {
    height: Cell<i32>,
    newest: Cell<Newest>,
    is_detached: Cell<bool>,
    /// How much was out of sight below.
    below: Cell<i32>,
    /// The newest message when one went up.
    left: Cell<Option<MessageId>>,
    from: Cell<From>,
    /// What is to stay where it is while what is mounted changes.
    line: Cell<Line>,
}

/// `is_awake`: the page is this program's by now, and not only as it was drawn elsewhere.
#[hook]
pub fn use_reading(open: &Rc<Opened>, sought: Option<Sought>, is_awake: bool) -> Reading {
    let pane = use_node_ref();
    let is_detached = use_state(|| false);
    let last = use_memo((), |()| Last::default());
    let begun = if is_awake { From::Look } else { From::Drawn };
    let from = use_state(|| {
        last.from.set(begun);
        begun
    });
    let detach = {
        let (pane, is_detached, last) = (pane.clone(), is_detached.clone(), last.clone());
        Rc::new(move |now: bool| {
            if let Some(pane) = pane.cast::<HtmlElement>() {
                last.below.set(out_of_sight_below(&pane));
            }
            if last.is_detached.replace(now) != now {
                last.left.set(last.newest.get().map(|(message, ..)| message));
                is_detached.set(now);
            }
        })
    };
    let mount = {
        let (from, last) = (from.clone(), last.clone());
        Rc::new(move |now: From| {
            if last.from.replace(now) != now {
                from.set(now);
            }
        })
    };
    let messages = &open.messages;
    let wanted = sought.map_or(*from, |sought| mounted::with(messages, *from, sought.message));
    let mounted = mounted::run(messages, wanted);
    {
        let (mount, last) = (mount.clone(), last.clone());
        use_effect_with((is_awake, wanted), move |(is_awake, wanted)| match wanted {
            From::Drawn if *is_awake => mount(From::Foot),
            // The rest of them once what is seen was painted, unless one has gone up by then.
            From::Look => {
                let more = move || {
                    if last.from.get() == From::Look {
                        mount(From::Foot);
                    }
                };
                Timeout::new(SEEN_MILLIS, more).forget();
            }
            From::Drawn | From::Foot | From::Message(_) => mount(*wanted),
        });
    }
    {
        let (pane, last, detach) = (pane.clone(), last.clone(), detach.clone());
        let newest = messages.last();
        let tail = newest.map(|message| (message.id, message.content.len(), message.status));
        use_effect_with((messages.len(), tail), move |(_, tail)| {
            if let Some(pane) = pane.cast::<HtmlElement>() {
                hold(&pane, &last, *tail, &*detach);
            }
            find::mark();
        });
    }
    {
        let (pane, last) = (pane.clone(), last.clone());
        use_effect_with(mounted.clone(), move |_| {
            if let Some(pane) = pane.cast::<HtmlElement>() {
                stay(&pane, &last);
            }
            find::mark();
        });
    }
    let look = {
        let (pane, last, open, run) = (pane.clone(), last.clone(), open.clone(), mounted.clone());
        let (detach, mount) = (detach.clone(), mount.clone());
        Rc::new(move |has_scrolled: bool| {
            let Some(pane) = pane.cast::<HtmlElement>() else {
                return;
            };
            let (before, below) = (last.below.get(), out_of_sight_below(&pane));
            let is_away = below > FOLLOW_PX || run.end < open.messages.len();
            let is_detached = if has_scrolled && below != before {
                is_away || below > before
            } else {
                is_away || last.is_detached.get()
            };
            detach(is_detached);
            let stand = Stand {
                above: pane.scroll_height() - pane.client_height() - below,
                below,
                sight: pane.client_height(),
                is_detached,
            };
            let from = mounted::moved(&open.messages, last.from.get(), stand);
            if from != last.from.get() {
                last.line
                    .set(line_in(&pane, &open, &mounted::run(&open.messages, from)));
                mount(from);
            }
        })
    };
    {
        let look = look.clone();
        // Who is led to a message is not there yet.
        let is_led = sought.is_some();
        use_effect_with((messages.len(), mounted.clone()), move |_| {
            if !is_led {
                look(false);
            }
        });
    }
    let onscroll = Callback::from(move |_: Event| look(true));
    let leave = {
        let (pane, detach) = (pane.clone(), detach.clone());
        Callback::from(move |is_up: bool| {
            if is_up && pane.cast::<HtmlElement>().is_some_and(|pane| can_go_up(&pane)) {
                detach(true);
            }
        })
    };
    let left = last.left.get().filter(|_| *is_detached);
    let since = left.and_then(|left| messages.iter().rev().position(|message| message.id == left));
    let onlatest = {
        let (pane, detach, mount) = (pane.clone(), detach.clone(), mount);
        Callback::from(move |_: MouseEvent| {
            detach(false);
            mount(From::Foot);
            if let Some(pane) = pane.cast::<HtmlElement>() {
                pane.set_scroll_top(0);
            }
        })
    };
    Reading {
        pane,
        mounted,
        is_detached: *is_detached,
        new: since.unwrap_or(0),
        onscroll,
        leave,
        onlatest,
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
        let newest = messages.last().map(|message| message.id);
        use_effect_with(here, move |here| {
            let Some(Sought { message, .. }) = *here else {
                return;
            };
            stage.tell(Action::Reached);
            go_to(message, newest == Some(message), &reading);
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
fn go_to(message: MessageId, is_newest: bool, reading: &Reading) {
    let pane = reading.pane.cast::<HtmlElement>();
    if let (Some(article), Some(pane)) = (by_id::<HtmlElement>(&message_id(message)), pane) {
        begin_at(&article, &pane);
        let foot = pane.get_bounding_client_rect().bottom() - f64::from(ABOVE_PX);
        if let Some(mark) = find::first_in(&article).filter(|mark| *mark > foot) {
            move_by(&pane, mark - foot + f64::from(pane.client_height() / 2));
        }
        let is_away = out_of_sight_below(&pane) > FOLLOW_PX || !is_newest || find::is_open();
        (reading.detach)(is_away && can_go_up(&pane));
    }
}

fn begin_at(article: &HtmlElement, pane: &HtmlElement) {
    // Where it is to stand is said below. Whoever finds goes on typing.
    if first("#find:focus-within").is_none() {
        let still = FocusOptions::new();
        still.set_prevent_scroll(true);
        let _ = article.focus_with_options(&still);
    }
    article.scroll_into_view();
    pane.set_scroll_top(pane.scroll_top() - ABOVE_PX);
}

/// Id of a message's article.
pub fn message_id(message: MessageId) -> String {
    format!("message-{message}")
}

/// The first message in sight that will still be mounted, and where its head is.
fn line_in(pane: &HtmlElement, open: &Opened, run: &Range<usize>) -> Line {
    let head = pane.get_bounding_client_rect().top();
    let staying = open.messages.get(run.clone())?;
    staying.iter().find_map(|message| {
        let extent = by_id::<HtmlElement>(&message_id(message.id))?.get_bounding_client_rect();
        (extent.bottom() > head).then(|| (message.id, extent.top()))
    })
}

/// After others were mounted: what was in sight is where it was.
fn stay(pane: &HtmlElement, last: &Last) {
    last.height.set(pane.scroll_height());
    let Some((message, before)) = last.line.take() else {
        return;
    };
    if let Some(article) = by_id::<HtmlElement>(&message_id(message)) {
        move_by(pane, article.get_bounding_client_rect().top() - before);
        last.below.set(out_of_sight_below(pane));
    }
}

fn move_by(pane: &HtmlElement, pixels: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "pixels of a page")]
    pane.set_scroll_top(pane.scroll_top() + pixels.round() as i32);
}

/// A page that is pulled beyond its end has less than nothing there.
fn out_of_sight_below(pane: &HtmlElement) -> i32 {
    (-pane.scroll_top()).max(0)
}

fn can_go_up(pane: &HtmlElement) -> bool {
    pane.scroll_height() > pane.client_height()
}

/// Whether something in it is selected: that is not to move under the pointer.
fn is_selected(pane: &HtmlElement) -> bool {
    let selection = web_sys::window().and_then(|window| window.get_selection().ok().flatten());
    selection
        .is_some_and(|selection| !selection.is_collapsed() && pane.contains(selection.anchor_node().as_ref()))
}

/// After the pane was drawn: one who follows is at the foot, one who reads above stays on their line. Where the newest
/// message is as it was, what came is older and stands above: that moves nothing.
fn hold(pane: &HtmlElement, last: &Last, newest: Newest, detach: &dyn Fn(bool)) {
    let height = pane.scroll_height();
    let grown = height - last.height.replace(height);
    let had = last.newest.get();
    // What one did since the pane was looked at last may not have been told yet.
    let has_gone_up = out_of_sight_below(pane) > last.below.get();
    if had.is_some() && had != newest && (has_gone_up || is_selected(pane)) {
        detach(true);
    }
    last.newest.set(newest);
    if !last.is_detached.get() {
        pane.set_scroll_top(0);
    } else if had.is_some() && had != newest && grown != 0 {
        pane.set_scroll_top(pane.scroll_top() - grown);
    }
}
