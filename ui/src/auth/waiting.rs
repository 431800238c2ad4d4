//! The desktop waits for the browser: the way back is a link, and when that fails, a code.

use super::gate::Gate;
use crate::controls::copy::CopyButton;
use crate::controls::form::value_of;
use crate::controls::{PostForm, problem_line};
use crate::state::Stage;
use protocol::Problem;
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
    let code = use_node_ref();
    let onpost = {
        let (stage, code, problem) = (props.stage.clone(), code.clone(), problem.clone());
        Callback::from(move |()| {
            let typed = value_of(&code).trim().to_owned();
            let problem = problem.clone();
            stage.ask(
                |body| body.finish_sign_in(typed),
                move |_, answer| problem.set(answer.err()),
            );
        })
    };
    let oncancel = {
        let (stage, onleave) = (props.stage.clone(), props.onleave.clone());
        Callback::from(move |_: MouseEvent| {
            stage.attempt(|body| body.cancel_sign_in());
            onleave.emit(());
        })
    };
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
            <PostForm action="" csrf="" class="fields" {onpost}>
                <label class="labelled">
                    <span>{ "Code from the last page" }</span>
                    <input ref={code} class="field mono" autocomplete="off" required=true data-testid="sign-in-code" />
                </label>
                <button class="button button-wide" data-testid="finish-sign-in">{ "Enter code" }</button>
            </PostForm>
        </Gate>
    }
}
