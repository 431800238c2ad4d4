//! The letter is on its way: its code is typed here, or its link followed.

use super::gate::{Gate, stay_field};
use super::sign_in::OutsideProps;
use crate::controls::form::value_of;
use crate::controls::{Link, PostForm};
use crate::state::{Action, Place, Stage};
use protocol::Problem;
use protocol::auth::Email;
use protocol::routes::page;
use protocol::view::Body;
use yew::prelude::*;

#[component]
pub fn CheckMail(props: &OutsideProps) -> Html {
    let (scene, stage) = (&props.scene, &props.stage);
    let code = use_node_ref();
    let email = AttrValue::from(scene.typed.email.clone());
    let is_desktop = stage.body == Body::Desktop;
    let onpost = is_desktop.then(|| {
        let (stage, email, code) = (stage.clone(), email.clone(), code.clone());
        Callback::from(move |()| confirm(&stage, &email, value_of(&code)))
    });
    let onresend = is_desktop.then(|| {
        let (stage, email) = (stage.clone(), email.clone());
        Callback::from(move |()| resend(&stage, &email))
    });
    html! {
        <Gate heading="Check your mail" problem={scene.problem.clone()}>
            <p class="gate-text">
                { "We sent a letter to " }<bdi><strong>{ email.clone() }</strong></bdi>
                { ". Follow its link, or type its code here." }
            </p>
            <PostForm
                action={page::FORM_CHECK_MAIL}
                csrf={stage.csrf.clone()}
                class="fields"
                testid="check-mail"
                {onpost}
            >
                <input type="hidden" name="email" value={email.clone()} />
                <input type="hidden" name="next" value={scene.typed.next.clone()} />
                <label class="labelled">
                    <span>{ "Code" }</span>
                    <input
                        ref={code}
                        class="field field-code"
                        name="code"
                        autocomplete="one-time-code"
                        autocapitalize="characters"
                        spellcheck="false"
                        maxlength="20"
                        dir="ltr"
                        required=true
                        data-testid="code"
                    />
                </label>
                if !is_desktop {
                    { stay_field(scene.typed.stays) }
                }
                <button class="button button-main button-wide" data-testid="confirm">{ "Confirm" }</button>
            </PostForm>
            <div class="gate-foot gate-row">
                <PostForm action={page::FORM_RESEND} csrf={stage.csrf.clone()} onpost={onresend}>
                    <input type="hidden" name="email" value={email} />
                    <input type="hidden" name="next" value={scene.typed.next.clone()} />
                    <button class="button button-quiet">{ "Send it again" }</button>
                </PostForm>
                <Link to={Place::SignUp} next={scene.typed.next.clone()} class="button button-quiet">{ "Use another address" }</Link>
            </div>
        </Gate>
    }
}

fn confirm(stage: &Stage, email: &str, code: String) {
    match Email::parse(email) {
        Ok(email) => stage.ask(
            |body| body.verify(email, code),
            |stage, answer| stage.tell(Action::Problem(answer.err())),
        ),
        Err(problem) => stage.tell(Action::Problem(Some(problem))),
    }
}

fn resend(stage: &Stage, email: &str) {
    let tell = |stage: &Stage, answer: Result<(), Problem>| match answer {
        Ok(()) => stage.tell(Action::Note("The letter is on its way again.".to_owned())),
        Err(problem) => stage.tell(Action::Problem(Some(problem))),
    };
    match Email::parse(email) {
        Ok(email) => stage.ask(|body| body.resend(email), tell),
        Err(problem) => tell(stage, Err(problem)),
    }
}
