//! One message: who says it, what it says, and how it stands with it.

use super::markdown::markdown;
use super::scroll;
use crate::controls::copy::CopyButton;
use crate::controls::{Sign, icon, when};
use crate::state::Stage;
use protocol::run::Status;
use protocol::sync::Role;
use protocol::view::{Delivery, MessageView};
use protocol::{MutationId, Problem, UnixMillis};
use std::rc::Rc;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct MessageProps {
    pub stage: Stage,
    pub message: Rc<MessageView>,
    pub now: UnixMillis,
    /// Somebody looked for it and has just come to it.
    #[prop_or_default]
    pub is_sought: bool,
}

#[component]
pub fn Message(props: &MessageProps) -> Html {
    let message = &props.message;
    let who = match message.role {
        Role::User => "You",
        Role::Assistant => "CompyMac",
        Role::System => "Note",
    };
    let heading = format!("who-{}", message.id);
    html! {
        <article
            class={classes!("message", message.role.as_str(), props.is_sought.then_some("is-sought"))}
            id={scroll::message_id(message.id)}
            tabindex="-1"
            aria-labelledby={heading.clone()}
            data-testid="message"
            data-role={message.role.as_str()}
            data-status={status_word(message.status)}
            data-delivery={delivery_word(&message.delivery)}
        >
            <h2 class="who" id={heading}>
                <span>{ who }</span>
                { when(message.created_at, props.now) }
            </h2>
            <div class="message-text" data-testid="message-text">
                { body(message) }
            </div>
            { standing(&props.stage, message) }
            if message.role == Role::Assistant && message.status.is_terminal() && !message.content.is_empty() {
                <CopyButton text={AttrValue::from(message.content.clone())} class="copy-reply" />
            }
        </article>
    }
}

fn body(message: &MessageView) -> Html {
    match message.role {
        Role::User | Role::System => {
            html! { <div class="plain" dir="auto">{ message.content.clone() }</div> }
        }
        Role::Assistant => markdown(&message.content, !message.status.is_terminal()),
    }
}

const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Queued => "queued",
        Status::Streaming => "streaming",
        Status::Complete => "complete",
        Status::Cancelled => "cancelled",
        Status::Failed => "failed",
        Status::Interrupted => "interrupted",
    }
}

const fn delivery_word(delivery: &Delivery) -> &'static str {
    match delivery {
        Delivery::Sent => "sent",
        Delivery::Waiting { .. } => "waiting",
        Delivery::NotSent { .. } => "not_sent",
    }
}

/// The line below the text: nothing where all is well.
fn standing(stage: &Stage, message: &MessageView) -> Html {
    match &message.delivery {
        Delivery::Waiting { mutation } => return waiting(stage, *mutation),
        Delivery::NotSent { mutation, problem } => {
            return not_sent(stage, *mutation, problem, &message.content);
        }
        Delivery::Sent => {}
    }
    if message.role != Role::Assistant {
        return Html::default();
    }
    match message.status {
        Status::Queued => html! { <p class="standing"><span class="ring" />{ "Waiting to begin" }</p> },
        Status::Streaming if message.content.is_empty() => {
            html! { <p class="standing"><span class="ring" />{ "Working" }</p> }
        }
        Status::Streaming | Status::Complete => Html::default(),
        Status::Cancelled => html! { <p class="standing">{ icon(Sign::Stop) }{ "Stopped by you" }</p> },
        Status::Failed => failed(
            message
                .error
                .as_deref()
                .unwrap_or("The reply failed. Please send it again."),
        ),
        Status::Interrupted => {
            failed("The reply was cut off. What was said so far is kept; you can ask again.")
        }
    }
}

fn failed(why: &str) -> Html {
    html! {
        <p class="standing standing-trouble">{ icon(Sign::Warning) }<span>{ why.to_owned() }</span></p>
    }
}

fn waiting(stage: &Stage, mutation: MutationId) -> Html {
    html! {
        <div class="standing">
            { icon(Sign::Clock) }<span>{ "Waiting to send" }</span>
            <button type="button" class="button button-quiet" onclick={take_back(stage, mutation)}>{ "Cancel" }</button>
        </div>
    }
}

fn not_sent(stage: &Stage, mutation: MutationId, problem: &Problem, text: &str) -> Html {
    let retrying = stage.clone();
    let retry = Callback::from(move |_: MouseEvent| retrying.attempt(|body| body.retry(mutation)));
    html! {
        <div class="standing standing-trouble" role="alert">
            { icon(Sign::Warning) }<span>{ "Not sent. " }{ problem.sentence() }</span>
            <span class="standing-acts">
                <button type="button" class="button" onclick={retry}>{ "Retry" }</button>
                <CopyButton text={AttrValue::from(text.to_owned())} label="Copy text" />
                <button type="button" class="button button-quiet" onclick={take_back(stage, mutation)}>
                    { "Delete" }
                </button>
            </span>
        </div>
    }
}

fn take_back(stage: &Stage, mutation: MutationId) -> Callback<MouseEvent> {
    let stage = stage.clone();
    Callback::from(move |_| stage.attempt(|body| body.undo(mutation)))
}
