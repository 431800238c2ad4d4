//! Who is signed in, and signing out.

use crate::controls::{PostForm, outward, problem_line};
use crate::state::{Action, Place, Stage};
use protocol::auth::Me;
use protocol::routes::page;
use protocol::view::Body;
use protocol::{Code, Problem};
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct AccountProps {
    pub stage: Stage,
    pub me: Option<Me>,
    pub server: AttrValue,
}

#[component]
pub fn Account(props: &AccountProps) -> Html {
    // The outbox still holds messages: signing out would delete them.
    let warning = use_state(|| None::<Problem>);
    let Some(me) = &props.me else {
        return Html::default();
    };
    let leave = |even_if_waiting: bool| {
        let (stage, warning) = (props.stage.clone(), warning.clone());
        Callback::from(move |()| sign_out(&stage, even_if_waiting, warning.clone()))
    };
    html! {
        <section aria-labelledby="account" data-testid="account">
            <h2 id="account">{ "Account" }</h2>
            <dl class="facts">
                if let Some(name) = &me.name {
                    <dt>{ "Name" }</dt><dd><bdi>{ name }</bdi></dd>
                }
                <dt>{ "E-mail" }</dt><dd><bdi>{ me.email.to_string() }</bdi></dd>
            </dl>
            { outward(&props.stage, &props.server, page::SECURITY, "to-security", "Password, second step, your data, deleting the account") }
            { problem_line(warning.as_ref()) }
            if warning.as_ref().is_some_and(|problem| problem.code == Code::OutboxNotEmpty) {
                <button
                    type="button"
                    class="button button-danger"
                    data-testid="sign-out-anyway"
                    onclick={leave(true).reform(|_: MouseEvent| ())}
                >
                    { "Sign out and delete them" }
                </button>
            } else {
                <PostForm action={page::FORM_SIGN_OUT} csrf={props.stage.csrf.clone()} onpost={leave(false)}>
                    <button class="button" data-testid="sign-out">{ "Sign out" }</button>
                </PostForm>
            }
        </section>
    }
}

fn sign_out(stage: &Stage, even_if_waiting: bool, warning: UseStateHandle<Option<Problem>>) {
    stage.ask(
        |body| body.sign_out(even_if_waiting),
        move |stage, answer| match answer {
            Ok(()) => leave(stage),
            Err(problem) => warning.set(Some(problem)),
        },
    );
}

fn leave(stage: &Stage) {
    match (stage.body, web_sys::window()) {
        (Body::Browser, Some(window)) => {
            let _ = window.location().assign(&Place::SignIn.path());
        }
        (Body::Browser | Body::Desktop, _) => {
            stage.tell(Action::SignedOut);
            stage.go(Place::SignIn);
        }
    }
}
