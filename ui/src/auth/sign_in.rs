//! Signing in: through somebody else, or by e-mail and password.

use super::gate::{Gate, PasswordField, email_field, stay_field};
use super::waiting::Waiting;
use crate::controls::form::value_of;
use crate::controls::{Accounts, Link, PostForm, Sign, icon, outward};
use crate::state::{Action, Place, Scene, Stage};
use protocol::auth::{Email, Password, Provider};
use protocol::routes::page;
use protocol::view::{Body, Typed};
use protocol::{Code, Problem};
use std::rc::Rc;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct OutsideProps {
    pub scene: Rc<Scene>,
    pub stage: Stage,
}

#[component]
pub fn SignIn(props: &OutsideProps) -> Html {
    let (scene, stage) = (&props.scene, &props.stage);
    // The link that the browser was sent to, while it is there.
    let waiting = use_state(|| None::<AttrValue>);
    // The password was right, and the account wants a code too.
    let wants_code = use_state(|| false);
    {
        let (waiting, wants_code) = (waiting.clone(), wants_code.clone());
        use_effect_with(scene.problem.clone(), move |problem| {
            if let Some(problem) = problem {
                waiting.set(None);
                if problem.code == Code::SecondStepRequired {
                    wants_code.set(true);
                } else if problem.code == Code::InvalidOrExpiredLink {
                    wants_code.set(false);
                }
            }
        });
    }
    let onleave = {
        let waiting = waiting.clone();
        Callback::from(move |()| waiting.set(None))
    };
    if let Some(link) = &*waiting {
        return html! { <Waiting stage={stage.clone()} link={link.clone()} {onleave} /> };
    }
    if *wants_code {
        let leaving = stage.clone();
        let onleave = Callback::from(move |_: MouseEvent| {
            leaving.tell(Action::Problem(None));
            wants_code.set(false);
        });
        return html! { <CodeForm scene={scene.clone()} stage={stage.clone()} {onleave} /> };
    }
    let onbrowser = through_browser(stage, &waiting);
    html! {
        <Gate
            heading="Sign in to CompyMac"
            lede="Your sessions, on every computer of yours."
            problem={scene.problem.clone()}
        >
            { providers(scene, stage, &onbrowser) }
            <PasswordForm scene={scene.clone()} stage={stage.clone()} />
            <p class="gate-foot">
                { "New here? " }<Link to={Place::SignUp} next={scene.typed.next.clone()} testid="to-sign-up">{ "Create an account" }</Link>
            </p>
            if stage.body == Body::Desktop {
                <p class="gate-small" dir="ltr">{ &scene.server }</p>
                <Accounts stage={stage.clone()} />
            }
        </Gate>
    }
}

/// Starts a sign-in in the system's browser; `None`: with whatever the page there offers.
fn through_browser(stage: &Stage, waiting: &UseStateHandle<Option<AttrValue>>) -> Callback<Option<String>> {
    let (stage, waiting) = (stage.clone(), waiting.clone());
    Callback::from(move |provider| {
        stage.tell(Action::Problem(None));
        let waiting = waiting.clone();
        stage.ask(
            |body| body.browser_sign_in(provider),
            move |stage, answer| match answer {
                Ok(started) => waiting.set(Some(AttrValue::from(started.link))),
                Err(problem) => stage.tell(Action::Problem(Some(problem))),
            },
        );
    })
}

fn providers(scene: &Scene, stage: &Stage, onbrowser: &Callback<Option<String>>) -> Html {
    let is_desktop = stage.body == Body::Desktop;
    html! {
        <>
            <div class="providers">
                for provider in scene.providers.iter() {
                    { provider_button(provider, stage, &scene.typed.next, is_desktop.then_some(onbrowser)) }
                }
                if is_desktop {
                    <button
                        type="button"
                        class="button button-wide"
                        data-testid="provider-browser"
                        onclick={onbrowser.reform(|_: MouseEvent| None)}
                    >
                        { icon(Sign::Globe) }{ "Sign in with your browser" }
                    </button>
                } else {
                    { other_way(scene, stage, page::PASSKEY, Sign::Key, "Sign in with a passkey") }
                    { other_way(scene, stage, page::LETTER_ASK, Sign::Mail, "Send me a letter to sign in by") }
                }
            </div>
            <p class="or"><span>{ "or" }</span></p>
        </>
    }
}

/// A way in of this site's own. What a passkey answers is shown once a script has found that the browser has such.
fn other_way(scene: &Scene, stage: &Stage, action: &'static str, sign: Sign, words: &'static str) -> Html {
    let (class, testid) = if action == page::PASSKEY {
        ("passkey", "by-passkey")
    } else {
        ("", "by-letter")
    };
    html! {
        <PostForm {action} csrf={stage.csrf.clone()} {class}>
            <input type="hidden" name="next" value={scene.typed.next.clone()} />
            <button class="button button-wide" data-testid={testid}>{ icon(sign) }{ words }</button>
        </PostForm>
    }
}

fn provider_button(
    provider: &Provider,
    stage: &Stage,
    next: &str,
    onbrowser: Option<&Callback<Option<String>>>,
) -> Html {
    let id = provider.id.clone();
    let onpost = onbrowser.map(|onbrowser| onbrowser.reform(move |()| Some(id.clone())));
    html! {
        <PostForm key={provider.id.clone()} action={page::provider_start(&provider.id)} csrf={stage.csrf.clone()} {onpost}>
            <input type="hidden" name="next" value={next.to_owned()} />
            <button class="button button-wide" data-testid={format!("provider-{}", provider.id)}>
                { icon(sign_of(&provider.id)) }{ format!("Continue with {}", provider.name) }
            </button>
        </PostForm>
    }
}

fn sign_of(provider: &str) -> Sign {
    match provider {
        "google" => Sign::Google,
        "github" => Sign::GitHub,
        "microsoft" => Sign::Microsoft,
        _ => Sign::Key,
    }
}

#[component]
fn PasswordForm(props: &OutsideProps) -> Html {
    let (scene, stage) = (&props.scene, &props.stage);
    let (email, password) = (use_node_ref(), use_node_ref());
    let forgot = page::leading_on(page::FORGOT, &scene.typed.next);
    let is_busy = use_state(|| false);
    let onpost = (stage.body == Body::Desktop).then(|| {
        let (stage, email, password, is_busy) =
            (stage.clone(), email.clone(), password.clone(), is_busy.clone());
        Callback::from(move |()| {
            let typed = value_of(&email);
            match Email::parse(&typed) {
                Ok(address) => ask(&stage, address, Password::typed(value_of(&password)), &is_busy),
                Err(problem) => stage.tell(Action::Problem(Some(problem))),
            }
        })
    });
    html! {
        <PostForm
            action={page::FORM_SIGN_IN}
            csrf={stage.csrf.clone()}
            class="fields"
            testid="sign-in-form"
            {onpost}
        >
            <input type="hidden" name="next" value={scene.typed.next.clone()} />
            { email_field(email, &scene.typed.email) }
            <PasswordField field={password} />
            <p class="gate-aside">
                { outward(stage, &scene.server, &forgot, "to-forgot", "Forgot your password?") }
            </p>
            if stage.body == Body::Browser {
                { stay_field(scene.typed.stays) }
            }
            <button class="button button-main button-wide" data-testid="sign-in" disabled={*is_busy}>
                { if *is_busy { "Signing in…" } else { "Sign in" } }
            </button>
        </PostForm>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct CodeFormProps {
    scene: Rc<Scene>,
    stage: Stage,
    onleave: Callback<MouseEvent>,
}

/// Where the desktop asks for the second step; a browser has a page of the server's for it.
#[component]
fn CodeForm(props: &CodeFormProps) -> Html {
    let code = use_node_ref();
    let onpost = {
        let (stage, code) = (props.stage.clone(), code.clone());
        Callback::from(move |()| {
            let typed = value_of(&code);
            stage.ask(
                |body| body.second_step(typed),
                |stage, answer| stage.tell(Action::Problem(answer.err())),
            );
        })
    };
    html! {
        <Gate
            heading="One more step"
            lede="Please give the code from your authenticator app, or a recovery code."
            problem={props.scene.problem.clone().filter(|problem| problem.code != Code::SecondStepRequired)}
        >
            <PostForm action="" csrf="" class="fields" {onpost}>
                <input ref={code} class="field mono" aria-label="Code" autocomplete="one-time-code" required=true data-testid="code" />
                <button class="button button-main button-wide" data-testid="second-step">{ "Sign in" }</button>
                <button type="button" class="button button-quiet" onclick={props.onleave.clone()}>{ "Start again" }</button>
            </PostForm>
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
        |body| body.sign_in(email, password),
        move |stage, answer| {
            is_busy.set(false);
            if let Err(problem) = answer {
                refuse(stage, typed, problem);
            }
        },
    );
}

/// An address that was never confirmed has a page of its own to go on.
fn refuse(stage: &Stage, typed: Typed, problem: Problem) {
    if problem.code == Code::EmailUnverified {
        stage.tell(Action::Typed(typed));
        stage.go(Place::CheckMail);
    }
    stage.tell(Action::Problem(Some(problem)));
}
