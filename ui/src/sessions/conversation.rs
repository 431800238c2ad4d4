//! One session: its head, what was said, and the composer.

use super::composer::Composer;
use super::find;
use super::header::{Header, stop_renaming};
use super::message::Message;
use super::scroll::{self, use_reading, use_sought};
use super::search::Search;
use crate::controls::found::first;
use crate::controls::keys::{is_of_a_word, key_of};
use crate::controls::{Link, PostForm, Sign, icon, problem_line};
use crate::state::transcript::Opened;
use crate::state::{Action, Place, Sought, Stage};
use protocol::routes::page;
use protocol::view::TranscriptState;
use protocol::{MessageId, MutationId, Problem, RunId, SessionId, UnixMillis};
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use web_sys::Element;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct ConversationProps {
    pub stage: Stage,
    pub session: SessionId,
    pub open: Option<Rc<Opened>>,
    pub problem: Option<Problem>,
    pub typed: AttrValue,
    /// The message to be gone to.
    pub sought: Option<Sought>,
    pub now: UnixMillis,
    /// It is this program's page by now.
    pub is_awake: bool,
}

#[component]
pub fn Conversation(props: &ConversationProps) -> Html {
    let Some(open) = &props.open else {
        return unknown(props.problem.as_ref());
    };
    let onkeydown = {
        let (stage, run) = (props.stage.clone(), open.run());
        Callback::from(move |event: KeyboardEvent| match key_of(&event).as_deref() {
            Some("Escape") if !is_of_a_word(&event) => step_back(&stage, run),
            _ => {}
        })
    };
    html! {
        <div class="session" tabindex="-1" {onkeydown}>
            <Header stage={props.stage.clone()} session={open.session.clone()} run={open.run()} now={props.now} />
            if props.is_awake {
                <Search stage={props.stage.clone()} within={props.session} now={props.now} />
            }
            <Pane
                stage={props.stage.clone()}
                open={open.clone()}
                sought={props.sought}
                now={props.now}
                is_awake={props.is_awake}
            />
            <div class="session-foot">
                { problem_line(props.problem.as_ref()) }
                <Composer
                    stage={props.stage.clone()}
                    session={props.session}
                    typed={props.typed.clone()}
                    is_archived={open.session.archived}
                />
            </div>
        </div>
    }
}

/// Escape: what lies open over the page goes first, then the reply that is being made, then what one writes in is left.
fn step_back(stage: &Stage, run: Option<RunId>) {
    let has_shut = stop_renaming() || find::shut();
    match run.filter(|_| !has_shut) {
        Some(run) => stage.attempt(|body| body.stop(run)),
        // What had the focus before the bar may be gone.
        None if !has_shut || first(":focus").is_none() => scroll::focus_pane(),
        None => {}
    }
}

/// Home and End lead to the first message and to the last; what leads up by itself takes one away from the newest.
fn walk(stage: &Stage, open: &Rc<Opened>, leave: &Callback<bool>) -> Callback<KeyboardEvent> {
    let (stage, open, leave) = (stage.clone(), open.clone(), leave.clone());
    Callback::from(move |event: KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() || event.shift_key() {
            return;
        }
        let wanted = match key_of(&event).as_deref() {
            Some("Home") => open.messages.first(),
            Some("End") => open.messages.last(),
            Some("ArrowUp" | "PageUp" | "k") => {
                leave.emit(true);
                None
            }
            _ => None,
        };
        if let Some(message) = wanted {
            event.prevent_default();
            stage.tell(Action::Seek(Sought {
                session: open.session.id,
                message: message.id,
            }));
        }
    })
}

/// Before anything is known of a session, or when it cannot be had.
fn unknown(problem: Option<&Problem>) -> Html {
    match problem {
        None => html! {
            <div class="session"><h1 class="unseen">{ "Loading…" }</h1><div class="pane">{ skeleton() }</div></div>
        },
        Some(problem) => html! {
            <div class="quiet">
                <h1>{ "This session cannot be shown" }</h1>
                { problem_line(Some(problem)) }
                <p><Link to={Place::Home}>{ "Back to your sessions" }</Link></p>
            </div>
        },
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct PaneProps {
    stage: Stage,
    open: Rc<Opened>,
    sought: Option<Sought>,
    now: UnixMillis,
    is_awake: bool,
}

#[component]
fn Pane(props: &PaneProps) -> Html {
    let open = &props.open;
    let reading = use_reading(open, props.sought, props.is_awake);
    let lit = use_sought(&props.stage, props.sought, &open.messages, &reading);
    let has_nothing = open.messages.is_empty();
    // With Ctrl the wheel makes all larger, and moves nothing.
    let onwheel = reading
        .leave
        .reform(|event: WheelEvent| event.delta_y() < 0.0 && !event.ctrl_key());
    html! {
        <div class="pane-frame">
            <div
                ref={reading.pane}
                id={scroll::pane_id()}
                class="pane"
                role="region"
                aria-label="Conversation"
                tabindex="0"
                data-testid="transcript"
                onscroll={reading.onscroll}
                {onwheel}
                onkeydown={walk(&props.stage, open, &reading.leave)}
                onclick={open_outside(&props.stage)}
            >
                <div class="column">
                    if open.has_earlier && reading.mounted.start == 0 {
                        <Earlier stage={props.stage.clone()} session={open.session.id} />
                    }
                    if has_nothing {
                        { instead_of_messages(open.state) }
                    }
                    for message in open.messages.get(reading.mounted.clone()).unwrap_or_default() {
                        <Message
                            key={message.id.to_string()}
                            stage={props.stage.clone()}
                            message={message.clone()}
                            now={props.now}
                            is_sought={lit == Some(message.id)}
                        />
                    }
                    if let Some(message) = open.unanswered.filter(|_| reading.mounted.end == open.messages.len()) {
                        <Unanswered stage={props.stage.clone()} session={open.session.id} {message} />
                    }
                </div>
            </div>
            if reading.is_detached {
                <button type="button" id={scroll::latest_id()} class="button pill" onclick={reading.onlatest}>
                    { icon(Sign::Down) }
                    { match reading.new {
                        0 => "Jump to latest".to_owned(),
                        new => format!("Jump to latest · {new} new"),
                    } }
                </button>
            }
        </div>
    }
}

fn instead_of_messages(state: TranscriptState) -> Html {
    match state {
        TranscriptState::Ready => html! { <p class="invite">{ "What should we work on?" }</p> },
        TranscriptState::Loading => html! { { skeleton() } },
        TranscriptState::NotHere => html! {
            <p class="invite-small">
                { "This session isn’t on this computer yet. It will load when you’re back online." }
            </p>
        },
    }
}

fn skeleton() -> Html {
    html! {
        <div class="skeleton" aria-hidden="true">
            <div class="bone bone-user" /><div class="bone" /><div class="bone" /><div class="bone bone-short" />
        </div>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct EarlierProps {
    stage: Stage,
    session: SessionId,
}

#[component]
fn Earlier(props: &EarlierProps) -> Html {
    let is_busy = use_state(|| false);
    let onclick = {
        let (stage, session, is_busy) = (props.stage.clone(), props.session, is_busy.clone());
        Callback::from(move |_: MouseEvent| {
            is_busy.set(true);
            let is_busy = is_busy.clone();
            stage.ask(
                |body| body.earlier(session),
                move |stage, answer| {
                    is_busy.set(false);
                    stage.tell(match answer {
                        Ok(transcript) => Action::Opened(Box::new(transcript)),
                        Err(problem) => Action::Trouble(problem),
                    });
                },
            );
        })
    };
    html! {
        <button type="button" class="button button-quiet earlier needs-script" data-testid="earlier" disabled={*is_busy} {onclick}>
            { if *is_busy { "Loading earlier messages…" } else { "Show earlier messages" } }
        </button>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct UnansweredProps {
    stage: Stage,
    session: SessionId,
    message: MessageId,
}

/// A message that waited long before it was sent is kept without an answer, until somebody still wants one.
#[component]
fn Unanswered(props: &UnansweredProps) -> Html {
    let mutation = use_state(MutationId::fresh);
    let (stage, session, message) = (props.stage.clone(), props.session, props.message);
    let onpost = Callback::from(move |()| stage.attempt(|body| body.answer(session, message)));
    html! {
        <PostForm
            action={page::with_id(page::FORM_ANSWER, session)}
            csrf={props.stage.csrf.clone()}
            class="standing"
            {onpost}
        >
            <input type="hidden" name="m" value={mutation.to_string()} />
            <input type="hidden" name="message" value={message.to_string()} />
            <span>{ "This was sent long after it was written." }</span>
            <button class="button" data-testid="answer">{ "Ask for an answer" }</button>
        </PostForm>
    }
}

/// A link of a message opens outside, through the body: in the desktop's window there is nowhere else to open it.
fn open_outside(stage: &Stage) -> Callback<MouseEvent> {
    let stage = stage.clone();
    Callback::from(move |event: MouseEvent| {
        let target = event
            .target()
            .and_then(|target| target.dyn_into::<Element>().ok());
        let link = target.and_then(|target| target.closest("a[data-outside]").ok().flatten());
        let Some(url) = link.and_then(|link| link.get_attribute("href")) else {
            return;
        };
        if stage.handle.is_some() {
            event.prevent_default();
            stage.attempt(|body| body.open_link(url));
        }
    })
}
