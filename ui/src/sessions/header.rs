//! The head of a session: its title, and what can be done with the whole of it. Each is a form that works by itself.

use super::acts;
use super::find;
use super::row::title_of;
use crate::controls::form::value_of;
use crate::controls::found::{by_id, first};
use crate::controls::{Link, PostForm, Sign, icon, when};
use crate::state::{Place, Stage};
use protocol::routes::page;
use protocol::view::{Body, SessionRow};
use protocol::{MutationId, RunId, UnixMillis, limits};
use std::rc::Rc;
use web_sys::{HtmlDetailsElement, HtmlInputElement};
use yew::prelude::*;

const RENAME: &str = "rename";

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct HeaderProps {
    pub stage: Stage,
    pub session: Rc<SessionRow>,
    pub run: Option<RunId>,
    pub now: UnixMillis,
}

#[component]
pub fn Header(props: &HeaderProps) -> Html {
    let row = &props.session;
    html! {
        <header class="head">
            <Link to={Place::Home} class="button button-quiet head-back" label="Sessions">{ icon(Sign::Back) }</Link>
            <div class="head-text">
                <div class="head-line">
                    <h1 class={classes!("head-title", row.title.is_empty().then_some("is-untitled"))} data-testid="session-title" dir="auto">
                        { title_of(row) }
                    </h1>
                    if row.archived {
                        <span class="chip">{ "Archived" }</span>
                    }
                </div>
                <p class="head-about">
                    <span>{ counted(row.messages) }</span>
                    if row.waiting > 0 {
                        <span>{ format!("{} waiting to send", row.waiting) }</span>
                    }
                    <span>{ "Begun " }{ when(row.created_at, props.now) }</span>
                </p>
            </div>
            <div class="head-actions">
                if row.running || props.run.is_some() {
                    <Stop stage={props.stage.clone()} session={row.clone()} run={props.run} />
                }
                <button
                    type="button"
                    class="button button-quiet needs-script"
                    data-testid="find"
                    aria-label="Find in this session"
                    title="Find in this session (Ctrl+F)"
                    onclick={find_here(props.stage.body)}
                >
                    { icon(Sign::Search) }
                </button>
                <Rename stage={props.stage.clone()} session={row.clone()} />
                <Archive stage={props.stage.clone()} session={row.clone()} />
                <Delete stage={props.stage.clone()} session={row.clone()} />
            </div>
        </header>
    }
}

fn find_here(body: Body) -> Callback<MouseEvent> {
    Callback::from(move |_| {
        find::open(body);
    })
}

fn counted(messages: i64) -> String {
    match messages {
        0 => "No messages yet".to_owned(),
        1 => "1 message".to_owned(),
        many => format!("{many} messages"),
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct ActProps {
    stage: Stage,
    session: Rc<SessionRow>,
    #[prop_or_default]
    run: Option<RunId>,
}

#[component]
fn Stop(props: &ActProps) -> Html {
    let Some(run) = props.run else {
        return html! { <span class="head-state"><span class="ring" />{ "Running" }</span> };
    };
    let stage = props.stage.clone();
    let onpost = Callback::from(move |()| stage.attempt(|body| body.stop(run)));
    html! {
        <PostForm action={page::with_id(page::FORM_STOP, props.session.id)} csrf={props.stage.csrf.clone()} {onpost}>
            <input type="hidden" name="run" value={run.to_string()} />
            <span class="head-state"><span class="ring" />{ "Running" }</span>
            <button class="button" data-testid="stop" title="Stop (Esc)">{ icon(Sign::Stop) }{ "Stop" }</button>
        </PostForm>
    }
}

/// Opened by its button or by F2.
#[component]
fn Rename(props: &ActProps) -> Html {
    let (details, field) = (use_node_ref(), use_node_ref());
    let mutation = use_state(MutationId::fresh);
    let row = props.session.clone();
    let onpost = {
        let (stage, field, row) = (props.stage.clone(), field.clone(), row.clone());
        Callback::from(move |()| {
            let title = value_of(&field);
            stop_renaming();
            acts::rename(&stage, &row, &title);
        })
    };
    let ontoggle = {
        let (details, field, title) = (details.clone(), field.clone(), row.title.clone());
        Callback::from(move |_: Event| {
            let is_open = details
                .cast::<HtmlDetailsElement>()
                .is_some_and(|details| details.open());
            if let Some(field) = field.cast::<HtmlInputElement>().filter(|_| is_open) {
                field.set_value(&title);
                let _ = field.focus();
                field.select();
            }
        })
    };
    html! {
        <details class="over" id={RENAME} ref={details} {ontoggle}>
            <summary class="button button-quiet" data-testid="rename" aria-label="Rename" title="Rename (F2)">
                { icon(Sign::Pencil) }
            </summary>
            <PostForm
                action={page::with_id(page::FORM_RENAME, row.id)}
                csrf={props.stage.csrf.clone()}
                class="over-body over-line"
                {onpost}
            >
                <input type="hidden" name="m" value={mutation.to_string()} />
                <input type="hidden" name="base" value={row.title_seq.to_string()} />
                <input
                    ref={field}
                    class="field"
                    name="title"
                    value={row.title.clone()}
                    aria-label="Title"
                    data-testid="rename-input"
                    maxlength={limits::TITLE_CHARS.to_string()}
                    required=true
                    autocomplete="off"
                    dir="auto"
                />
                <button class="button button-main">{ "Save" }</button>
            </PostForm>
        </details>
    }
}

/// Opens the field for the title, if a session is open.
pub fn start_renaming() {
    if let Some(details) = by_id::<HtmlDetailsElement>(RENAME) {
        details.set_open(true);
    }
}

/// Whether it was open: then it is shut, and its button has the focus.
pub fn stop_renaming() -> bool {
    let Some(details) = by_id::<HtmlDetailsElement>(RENAME).filter(HtmlDetailsElement::open) else {
        return false;
    };
    details.set_open(false);
    if let Some(summary) = first("#rename summary") {
        let _ = summary.focus();
    }
    true
}

#[component]
fn Archive(props: &ActProps) -> Html {
    let mutation = use_state(MutationId::fresh);
    let (stage, id, archived) = (props.stage.clone(), props.session.id, !props.session.archived);
    let onpost = Callback::from(move |()| acts::archive(&stage, id, archived, true));
    let (sign, label, testid) = if archived {
        (Sign::Archive, "Archive", "archive")
    } else {
        (Sign::Unarchive, "Unarchive", "unarchive")
    };
    html! {
        <PostForm action={page::with_id(page::FORM_ARCHIVE, id)} csrf={props.stage.csrf.clone()} {onpost}>
            <input type="hidden" name="m" value={mutation.to_string()} />
            <input type="hidden" name="archived" value={archived.to_string()} />
            <button class="button button-quiet" data-testid={testid} aria-label={label} title={label}>
                { icon(sign) }
            </button>
        </PostForm>
    }
}

/// In the app it goes at once and can be undone; without script it asks first.
#[component]
fn Delete(props: &ActProps) -> Html {
    let mutation = use_state(MutationId::fresh);
    let (stage, session) = (props.stage.clone(), props.session.id);
    let onclick = Callback::from(move |event: MouseEvent| {
        event.prevent_default();
        acts::delete(&stage, session, true);
    });
    html! {
        <details class="over">
            <summary class="button button-quiet" data-testid="delete" aria-label="Delete" title="Delete" {onclick}>
                { icon(Sign::Trash) }
            </summary>
            <PostForm
                action={page::with_id(page::FORM_DELETE, session)}
                csrf={props.stage.csrf.clone()}
                class="over-body"
            >
                <p>{ "Delete this session and all its messages?" }</p>
                <input type="hidden" name="m" value={mutation.to_string()} />
                <button class="button button-danger">{ "Delete for good" }</button>
            </PostForm>
        </details>
    }
}
