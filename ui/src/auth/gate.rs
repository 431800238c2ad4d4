//! What stands around every page of someone who is not signed in, and the fields they share.

use crate::controls::icon::mark;
use crate::controls::{Consent, problem_line};
use crate::state::{Action, Stage};
use protocol::{Code, Problem, limits};
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct GateProps {
    pub heading: AttrValue,
    #[prop_or_default]
    pub lede: AttrValue,
    #[prop_or_default]
    pub problem: Option<Problem>,
    pub children: Html,
}

#[component]
pub fn Gate(props: &GateProps) -> Html {
    let stage = use_context::<Stage>();
    html! {
        <main class="gate" id="main">
            <div class="gate-card">
                <div class="gate-head">
                    { mark() }
                    <h1>{ props.heading.clone() }</h1>
                    if !props.lede.is_empty() {
                        <p>{ props.lede.clone() }</p>
                    }
                </div>
                { problem_line(props.problem.as_ref()) }
                { consent(props.problem.as_ref(), stage) }
                { props.children.clone() }
            </div>
        </main>
    }
}

/// Nobody signs in before there is a place for what keeps them signed in.
fn consent(problem: Option<&Problem>, stage: Option<Stage>) -> Html {
    let is_asked = problem.is_some_and(|problem| problem.code == Code::KeychainUnavailable);
    let Some(stage) = stage.filter(|_| is_asked) else {
        return Html::default();
    };
    let onchosen = {
        let stage = stage.clone();
        Callback::from(move |()| stage.tell(Action::Problem(None)))
    };
    html! { <Consent {stage} {onchosen} /> }
}

pub fn email_field(field: NodeRef, email: &str) -> Html {
    // An empty value is left out: what was typed before the app ran stays.
    let value = (!email.is_empty()).then(|| email.to_owned());
    html! {
        <label class="labelled">
            <span>{ "E-mail" }</span>
            <input
                ref={field}
                class="field"
                type="email"
                name="email"
                {value}
                maxlength={limits::EMAIL_BYTES.to_string()}
                autocomplete="username"
                required=true
                data-testid="email"
            />
        </label>
    }
}

/// For a browser's forms. Whoever does not tick it is signed out with the window: it may be somebody else's computer.
pub fn stay_field(is_ticked: bool) -> Html {
    html! {
        <label class="stay">
            // Said only where it was ticked before: a box that was ticked before the app ran stays ticked.
            if is_ticked {
                <input type="checkbox" name="stay" checked=true data-testid="stay" />
            } else {
                <input type="checkbox" name="stay" data-testid="stay" />
            }
            { "Keep me signed in" }
        </label>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct PasswordFieldProps {
    pub field: NodeRef,
    /// One is being chosen: the rule is shown before typing.
    #[prop_or_default]
    pub is_new: bool,
}

#[component]
pub fn PasswordField(props: &PasswordFieldProps) -> Html {
    let is_shown = use_state(|| false);
    let onclick = {
        let is_shown = is_shown.clone();
        Callback::from(move |_: MouseEvent| is_shown.set(!*is_shown))
    };
    let floor = *limits::PASSWORD_CHARS.start();
    html! {
        <div class="labelled">
            <label for="password">{ "Password" }</label>
            <div class="with-button">
                <input
                    ref={props.field.clone()}
                    class="field"
                    id="password"
                    type={if *is_shown { "text" } else { "password" }}
                    name="password"
                    autocomplete={if props.is_new { "new-password" } else { "current-password" }}
                    minlength={props.is_new.then(|| floor.to_string())}
                    aria-describedby={props.is_new.then_some("password-rule")}
                    required=true
                    data-testid="password"
                />
                <button type="button" class="button button-quiet needs-script" aria-pressed={is_shown.to_string()} aria-label="Show password" {onclick}>
                    { if *is_shown { "Hide" } else { "Show" } }
                </button>
            </div>
            if props.is_new {
                <p class="hint" id="password-rule">
                    { format!("At least {floor} characters. A few unrelated words make a good password.") }
                </p>
            }
        </div>
    }
}
