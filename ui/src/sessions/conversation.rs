//! One session: its head, what was said, and the composer.

use super::composer::Composer;
use super::header::Header;
use super::message::Message;
use super::scroll::{self, use_reading, use_sought};
use crate::controls::keys::key_of;
use crate::controls::{Link, PostForm, Sign, icon, problem_line};
use crate::state::transcript::Opened;
use crate::state::{Action, Place, Sought, Stage};
use protocol::routes::page;
use protocol::view::TranscriptState;
use protocol::{MessageId, MutationId, Problem, SessionId, UnixMillis};
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
            Some("Escape") if !event.is_composing() => {
                if let Some(run) = run {
                    stage.attempt(|body| body.stop(run));
                }
            }
            _ => {}
        })
    };
    html! {
        <div class="session" tabindex="-1" {onkeydown}>
            <Header stage={props.stage.clone()} session={open.session.clone()} run={open.run()} now={props.now} />
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
                onwheel={reading.onwheel}
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
                    { icon(Sign::Down) }{ "Jump to latest" }
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
