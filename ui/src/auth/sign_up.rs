//! Creating an account: an address, a password, and then a letter.

use super::gate::{Gate, PasswordField, email_field};
use super::sign_in::OutsideProps;
use crate::controls::form::value_of;
use crate::controls::{Link, PostForm};
use crate::state::{Action, Place, Stage};
use protocol::auth::{Email, Password};
use protocol::routes::page;
use protocol::view::{Body, Typed};
use yew::prelude::*;

#[component]
pub fn SignUp(props: &OutsideProps) -> Html {
    let (scene, stage) = (&props.scene, &props.stage);
    let (email, password) = (use_node_ref(), use_node_ref());
    let is_busy = use_state(|| false);
    let onpost = (stage.body == Body::Desktop).then(|| {
        let (stage, email, password, is_busy) =
            (stage.clone(), email.clone(), password.clone(), is_busy.clone());
        Callback::from(move |()| {
            let password = Password::typed(value_of(&password)).chosen();
            match (Email::parse(&value_of(&email)), password) {
                (Ok(email), Ok(password)) => ask(&stage, email, password, &is_busy),
                (Err(problem), _) | (_, Err(problem)) => stage.tell(Action::Problem(Some(problem))),
            }
        })
    });
    html! {
        <Gate
            heading="Create an account"
            lede="We send you one letter, to make sure that the address is yours."
            problem={scene.problem.clone()}
        >
            <PostForm
                action={page::FORM_SIGN_UP}
                csrf={stage.csrf.clone()}
                class="fields"
                {onpost}
            >
                <input type="hidden" name="next" value={scene.typed.next.clone()} />
                { email_field(email, &scene.typed.email) }
                <PasswordField field={password} is_new=true />
                <button class="button button-main button-wide" data-testid="sign-up" disabled={*is_busy}>
                    { if *is_busy { "One moment…" } else { "Create account" } }
                </button>
            </PostForm>
            <p class="gate-foot">
                { "You have an account? " }<Link to={Place::SignIn} next={scene.typed.next.clone()} testid="to-sign-in">{ "Sign in" }</Link>
            </p>
        </Gate>
    }
}

fn ask(stage: &Stage, email: Email, password: Password, is_busy: &UseStateHandle<bool>) {
    is_busy.set(true);
    stage.tell(Action::Problem(None));
    let is_busy = is_busy.clone();
    let typed = Typed {
        email: email.to_string(),
        ..Typed::default()
    };
    stage.ask(
        |body| body.sign_up(email, password),
        move |stage, answer| {
            is_busy.set(false);
            match answer {
                Ok(()) => {
                    stage.tell(Action::Typed(typed));
                    stage.go(Place::CheckMail);
                }
                Err(problem) => stage.tell(Action::Problem(Some(problem))),
            }
        },
    );
}
