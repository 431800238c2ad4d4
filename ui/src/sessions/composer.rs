//! Where one writes. Enter sends; what is written is kept until it is sent, for each session by itself.

mod linked;

use crate::controls::form::value_of;
use crate::controls::found::by_id;
use crate::controls::keys::is_plain_enter;
use crate::controls::{PostForm, Sign, icon, problem_line};
use crate::state::listen::on_window;
use crate::state::{Action, Linked, Place, Stage};
use gloo_timers::callback::Timeout;
use linked::{Brought, use_linked};
use protocol::routes::page;
use protocol::{Code, MessageId, MutationId, Problem, SessionId, limits};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use web_sys::{Event, HtmlElement, HtmlTextAreaElement};
use yew::prelude::*;

/// How long after a key a draft is kept at the latest, also of whoever types on without a pause.
const DRAFT_MILLIS: u32 = 300;
const FIELD: &str = "composer-input";

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct ComposerProps {
    pub stage: Stage,
    /// `None`: what is sent begins a session.
    #[prop_or_default]
    pub session: Option<SessionId>,
    /// What was typed into a form that came back.
    #[prop_or_default]
    pub typed: AttrValue,
    /// What a link brought.
    #[prop_or_default]
    pub linked: Linked,
    #[prop_or_default]
    pub is_archived: bool,
}

thread_local! {
    /// The session whose composer the caret belongs into, until it is drawn.
    static AWAITED: Cell<Option<SessionId>> = const { Cell::new(None) };
}

/// Puts the caret into this session's composer: now, or as soon as it is drawn. Another's may stand there until then, and
/// goes with the caret in it.
pub fn focus(session: SessionId) {
    AWAITED.set(Some(session));
    Timeout::new(0, settle).forget();
}

/// Puts the caret into the composer that stands here, if one does.
pub fn focus_here() {
    if let Some(field) = by_id::<HtmlElement>(FIELD) {
        let _ = field.focus();
    }
}

fn settle() {
    let Some(field) = by_id::<HtmlElement>(FIELD) else {
        return;
    };
    let of = field.get_attribute("data-of").and_then(|of| of.parse().ok());
    if of.is_some() && AWAITED.get() == of {
        AWAITED.set(None);
        let _ = field.focus();
    }
}

#[component]
pub fn Composer(props: &ComposerProps) -> Html {
    let field = use_node_ref();
    let problem = use_state(|| None::<Problem>);
    let (draft, is_back) = use_draft(&field, &props.stage, props.session);
    let brought = use_linked(&field, &draft, &props.linked, is_back);
    use_effect_with((), |()| {
        Timeout::new(0, settle).forget();
    });
    let send = use_send(&field, &draft, &brought, problem.clone());
    let onblur = {
        let draft = draft.clone();
        Callback::from(move |_: FocusEvent| draft.now())
    };
    let oninput = {
        let (field, brought) = (field.clone(), brought.clone());
        Callback::from(move |_: InputEvent| {
            if let Some(area) = field.cast::<HtmlTextAreaElement>() {
                fit(&area);
            }
            let text = value_of(&field);
            brought.written(&text);
            draft.later(text);
        })
    };
    let onkeydown = {
        let send = send.clone();
        Callback::from(move |event: KeyboardEvent| {
            if is_plain_enter(&event) {
                event.prevent_default();
                send.emit(());
            }
        })
    };
    let action = props.session.map_or_else(
        || page::FORM_NEW_SESSION.to_owned(),
        |session| page::with_id(page::FORM_SEND, session),
    );
    let hint = if props.is_archived {
        "Sending brings this session back from the archive."
    } else {
        ""
    };
    html! {
        <PostForm {action} csrf={props.stage.csrf.clone()} class="composer" testid="composer" onpost={send}>
            { problem_line(problem.as_ref()) }
            { brought.said() }
            <Ids is_new={props.session.is_none()} />
            <div class="composer-box">
                <textarea
                    ref={field}
                    id={FIELD}
                    name="text"
                    rows="1"
                    required=true
                    placeholder="Message…"
                    aria-label="Message"
                    data-testid={FIELD}
                    data-of={props.session.map(|session| session.to_string())}
                    dir="auto"
                    defaultvalue={props.typed.clone()}
                    {oninput}
                    {onblur}
                    {onkeydown}
                />
                <div class="composer-foot">
                    <span class="hint">{ hint }</span>
                    <button class="button button-main" data-testid="send" aria-label="Send" title="Send (Enter)">
                        { icon(Sign::Send) }
                    </button>
                </div>
            </div>
        </PostForm>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct IdsProps {
    is_new: bool,
}

/// What makes a form that is posted twice the same write.
#[component]
fn Ids(props: &IdsProps) -> Html {
    let (session, create) = (use_state(SessionId::fresh), use_state(MutationId::fresh));
    let (message, send) = (use_state(MessageId::fresh), use_state(MutationId::fresh));
    html! {
        <>
            if props.is_new {
                <input type="hidden" name="session" value={session.to_string()} />
                <input type="hidden" name="m_create" value={create.to_string()} />
            }
            <input type="hidden" name="m" value={send.to_string()} />
            <input type="hidden" name="id" value={message.to_string()} />
        </>
    }
}

/// Grows with what is written, up to what the style allows.
fn fit(area: &HtmlTextAreaElement) {
    let style = area.style();
    let _ = style.set_property("height", "auto");
    let _ = style.set_property("height", &format!("{}px", area.scroll_height()));
}

/// What is being written, on its way to where it is kept.
struct Draft {
    stage: Stage,
    session: Option<SessionId>,
    text: RefCell<Option<String>>,
    timer: RefCell<Option<Timeout>>,
}

impl Draft {
    fn later(self: &Rc<Self>, text: String) {
        let is_due = self.text.replace(Some(text)).is_some();
        if !is_due {
            let draft = self.clone();
            *self.timer.borrow_mut() = Some(Timeout::new(DRAFT_MILLIS, move || draft.now()));
        }
    }

    fn now(&self) {
        if let Some(text) = self.text.take() {
            self.stage.attempt(|body| body.keep_draft(self.session, text));
        }
    }
}

/// Brings back what was being written here, and keeps it when one goes elsewhere, or the whole page does. Where a session begins it is
/// also told when that is back, since something else may wait for the field.
#[hook]
fn use_draft(field: &NodeRef, stage: &Stage, session: Option<SessionId>) -> (Rc<Draft>, bool) {
    let is_back = use_state_eq(|| false);
    let draft = use_memo((), |()| Draft {
        stage: stage.clone(),
        session,
        text: RefCell::default(),
        timer: RefCell::default(),
    });
    let (field, kept, came_back) = (field.clone(), draft.clone(), is_back.clone());
    use_effect_with((), move |()| {
        kept.stage.ask(
            |body| body.draft(session),
            move |_, answer| {
                put_in(&field, &answer.unwrap_or_default());
                came_back.set(session.is_none());
            },
        );
        let leaving = kept.clone();
        let deafen = on_window("pagehide", move |_: Event| leaving.now());
        move || {
            deafen();
            kept.now();
        }
    });
    (draft, *is_back)
}

#[hook]
fn use_send(
    field: &NodeRef,
    draft: &Rc<Draft>,
    brought: &Brought,
    problem: UseStateHandle<Option<Problem>>,
) -> Callback<()> {
    let (field, draft, brought) = (field.clone(), draft.clone(), brought.clone());
    Callback::from(move |()| {
        let text = value_of(&field);
        if text.trim().is_empty() {
            return;
        }
        if let Some(refusal) = too_large(&text) {
            problem.set(Some(refusal));
            return;
        }
        problem.set(None);
        clear(&field);
        brought.written("");
        // The body lets go of it when it has taken the message.
        draft.now();
        let draft = draft.clone();
        let stage = draft.stage.clone();
        match draft.session {
            Some(session) => send(&stage, session, text, draft),
            None => stage.ask(
                |body| body.create(),
                move |stage, answer| match answer {
                    Ok(session) => {
                        stage.go(Place::Session(session));
                        send(stage, session, text, draft);
                    }
                    Err(problem) => {
                        put_back(stage, None, text, &draft);
                        stage.tell(Action::Trouble(problem));
                    }
                },
            ),
        }
    })
}

fn send(stage: &Stage, session: SessionId, text: String, draft: Rc<Draft>) {
    let kept = text.clone();
    stage.ask(
        |body| body.send(session, text),
        move |stage, answer| match answer {
            Ok(_) => {
                super::scroll::to_latest();
                focus(session);
            }
            Err(problem) => {
                put_back(stage, Some(session), kept, &draft);
                stage.tell(Action::Trouble(problem));
            }
        },
    );
}

/// What was being written here comes back, unless something is written already.
fn put_in(field: &NodeRef, text: &str) {
    if let Some(area) = field.cast::<HtmlTextAreaElement>()
        && area.value().is_empty()
    {
        area.set_value(text);
        fit(&area);
    }
}

/// Nothing that was written is lost: what could not be sent stands in its field again, or is the draft of its place where another
/// one is shown.
fn put_back(stage: &Stage, place: Option<SessionId>, text: String, draft: &Draft) {
    let of = place.map(|session| session.to_string());
    let field = by_id::<HtmlTextAreaElement>(FIELD);
    let Some(area) = field.filter(|field| field.get_attribute("data-of") == of) else {
        stage.ask(
            |body| body.draft(place),
            move |stage, answer| {
                let whole = before(&text, &answer.unwrap_or_default());
                stage.attempt(|body| body.keep_draft(place, whole));
            },
        );
        return;
    };
    let whole = before(&text, &area.value());
    area.set_value(&whole);
    fit(&area);
    // What waits to be kept is a part of this.
    draft.text.take();
    stage.attempt(|body| body.keep_draft(place, whole));
}

/// What could not be sent, before what was written meanwhile.
fn before(unsent: &str, meanwhile: &str) -> String {
    if meanwhile.is_empty() || meanwhile == unsent {
        unsent.to_owned()
    } else {
        format!("{unsent}\n\n{meanwhile}")
    }
}

fn clear(field: &NodeRef) {
    if let Some(area) = field.cast::<HtmlTextAreaElement>() {
        area.set_value("");
        fit(&area);
    }
}

fn too_large(text: &str) -> Option<Problem> {
    (text.len() > limits::MESSAGE_BYTES).then(|| {
        Problem::new(Code::TooLarge)
            .field("content")
            .detail(format!(
                "A message can hold {} KiB of text; this one has {}. Please send it in parts.",
                limits::MESSAGE_BYTES / 1024,
                text.len().div_ceil(1024),
            ))
            .limit(limits::MESSAGE_BYTES as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_sent_comes_back_once_and_before_what_was_written_meanwhile() {
        assert_eq!(before("sent", ""), "sent");
        assert_eq!(
            before("sent", "sent"),
            "sent",
            "it is the draft that was kept of it"
        );
        assert_eq!(before("sent", "and more"), "sent\n\nand more");
    }
}
