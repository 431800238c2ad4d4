//! The desktop waits for the browser: the way back is a link, and when that fails, a code. Where no browser can be opened, it waits for
//! one elsewhere, into which the person types a code.

use super::gate::Gate;
use crate::controls::copy::CopyButton;
use crate::controls::form::value_of;
use crate::controls::{PostForm, problem_line, qr};
use crate::state::{Action, Stage};
use protocol::Problem;
use protocol::ipc::DeviceCodeShown;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct WaitingProps {
    pub stage: Stage,
    /// Where the browser was sent.
    pub link: AttrValue,
    pub onleave: Callback<()>,
}

#[component]
pub fn Waiting(props: &WaitingProps) -> Html {
    let problem = use_state(|| None::<Problem>);
    // For a browser elsewhere.
    let shown = use_state(|| None::<DeviceCodeShown>);
    let oncancel = {
        let (stage, onleave) = (props.stage.clone(), props.onleave.clone());
        Callback::from(move |_: MouseEvent| {
            stage.attempt(|body| body.cancel_sign_in());
            onleave.emit(());
        })
    };
    if let Some(shown) = &*shown {
        return elsewhere(shown, &props.stage, oncancel);
    }
    let onelsewhere = ask_for_code(&props.stage, shown, problem.clone());
    html! {
        <Gate
            heading="Go on in your browser"
            lede="A page has opened there. When you have signed in, this window goes on by itself."
        >
            <p class="waiting" data-testid="waiting"><span class="ring" />{ "Waiting for your browser…" }</p>
            <div class="gate-row">
                <CopyButton text={props.link.clone()} label="Copy link" />
                <button type="button" class="button button-quiet" data-testid="cancel-sign-in" onclick={oncancel}>
                    { "Cancel" }
                </button>
            </div>
            <p class="or"><span>{ "or" }</span></p>
            { problem_line(problem.as_ref()) }
            <CodeFromThere stage={props.stage.clone()} {problem} />
            <div class="gate-row">
                <button type="button" class="button button-quiet" data-testid="to-device-code" onclick={onelsewhere}>
                    { "No browser on this computer?" }
                </button>
            </div>
        </Gate>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct CodeFromThereProps {
    stage: Stage,
    problem: UseStateHandle<Option<Problem>>,
}

#[component]
fn CodeFromThere(props: &CodeFromThereProps) -> Html {
    let code = use_node_ref();
    let onpost = {
        let (stage, code, problem) = (props.stage.clone(), code.clone(), props.problem.clone());
        Callback::from(move |()| {
            let typed = value_of(&code).trim().to_owned();
            let problem = problem.clone();
            stage.ask(
                |body| body.finish_sign_in(typed),
                move |_, answer| problem.set(answer.err()),
            );
        })
    };
    html! {
        <PostForm action="" csrf="" class="fields" {onpost}>
            <label class="labelled">
                <span>{ "Code from the last page" }</span>
                <input ref={code} class="field mono" autocomplete="off" required=true data-testid="sign-in-code" />
            </label>
            <button class="button button-wide" data-testid="finish-sign-in">{ "Enter code" }</button>
        </PostForm>
    }
}

fn ask_for_code(
    stage: &Stage,
    shown: UseStateHandle<Option<DeviceCodeShown>>,
    problem: UseStateHandle<Option<Problem>>,
) -> Callback<MouseEvent> {
    let stage = stage.clone();
    Callback::from(move |_: MouseEvent| {
        let (shown, problem) = (shown.clone(), problem.clone());
        stage.ask(
            |body| body.device_code(),
            move |_, answer| match answer {
                Ok(code) => shown.set(Some(code)),
                Err(refusal) => problem.set(Some(refusal)),
            },
        );
    })
}

/// The code, and where to type it.
fn elsewhere(shown: &DeviceCodeShown, stage: &Stage, oncancel: Callback<MouseEvent>) -> Html {
    let DeviceCodeShown {
        code,
        address,
        picture,
        minutes,
    } = shown;
    let stage = stage.clone();
    let onclick = Callback::from(move |event: MouseEvent| {
        stage.tell(Action::Note(
            "Given up. That code signs nobody in any more.".to_owned(),
        ));
        oncancel.emit(event);
    });
    html! {
        <Gate
            heading="Sign in on another device"
            lede="Open this address in a browser on your phone or another computer, sign in there, and type the code."
        >
            if let Some(picture) = picture {
                { qr(picture, "QR code of the address") }
            }
            <p class="gate-text"><strong dir="ltr" data-testid="device-code-address">{ address }</strong></p>
            <code class="code-copy" dir="ltr" data-testid="device-code">{ code }</code>
            <p class="waiting" data-testid="waiting-elsewhere">
                <span class="ring" />{ format!("Waiting for the code to be typed, {minutes} minutes at most…") }
            </p>
            <div class="gate-row">
                <button type="button" class="button button-quiet" data-testid="cancel-device-code" {onclick}>
                    { "Cancel" }
                </button>
            </div>
        </Gate>
    }
}
