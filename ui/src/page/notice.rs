//! Pages that are no part of the app: they ask or tell one thing, and run no script but one
//! that answers their form: that talks to passkeys, or does work.

use super::device_code::{self, DeviceCodeAnswered, DeviceCodeAsk, DeviceCodeFound};
use super::fields::own_password_field;
use super::letter::{self, LetterAsk, LetterLink, LetterSent, Newcomer};
use super::letters::{self, Letters};
use super::rights::{self, EmailLink, EmailUndo, Keep, Told};
use super::safety::{self, Prove, SecondStep, Security, SetUp};
use super::whence::{self, Whence};
use super::work::{self, Work};
use crate::auth::gate::{Gate, PasswordField, email_field, stay_field};
use crate::controls::{PostForm, Sign, icon};
use crate::state::Place;
use protocol::Problem;
use protocol::auth::Provider;
use protocol::routes::page;
use std::rc::Rc;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    VerifyLink(VerifyLink),
    Forgot(Forgot),
    NewPassword(NewPassword),
    PasswordChanged,
    LetterAsk(LetterAsk),
    LetterSent(LetterSent),
    LetterLink(LetterLink),
    Newcomer(Newcomer),
    Letters(Letters),
    SecondStep(SecondStep),
    Security(Box<Security>),
    SetUp(SetUp),
    /// Ten codes, shown this once.
    RecoveryCodes(Vec<String>),
    Prove(Prove),
    Keep(Keep),
    EmailLink(EmailLink),
    EmailUndo(EmailUndo),
    Told(Told),
    Authorize(Authorize),
    ToProvider(ToProvider),
    Authorized(Authorized),
    DeviceCodeAsk(DeviceCodeAsk),
    DeviceCodeFound(DeviceCodeFound),
    DeviceCodeAnswered(DeviceCodeAnswered),
    Work(Work),
    Failed(Failed),
}

impl Notice {
    /// Whether a passkey may answer a form of this page, which needs a script.
    pub const fn asks_for_passkeys(&self) -> bool {
        matches!(self, Self::Security(_) | Self::Prove(_))
    }

    /// Whether a script does the work of this page.
    pub const fn asks_for_work(&self) -> bool {
        matches!(self, Self::Work(_))
    }
}

/// The letter's link was followed: only the button confirms, so that a mail scanner's visit does nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyLink {
    /// Posts to [`page::VERIFY`].
    pub csrf: String,
    /// The link's own token, posted back as `token`.
    pub token: String,
    pub email: Option<String>,
    /// This window did not sign up: the password proves who confirms. Posted as `password`.
    pub wants_password: bool,
    pub problem: Option<Problem>,
}

/// Where a letter for a forgotten password is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Forgot {
    /// Posts to [`page::FORGOT`].
    pub csrf: String,
    /// As it was typed.
    pub email: String,
    pub next: String,
    /// It was asked for; whether a letter goes out is not told.
    pub is_sent: bool,
    pub problem: Option<Problem>,
}

/// That letter's link was followed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPassword {
    /// Posts to [`page::RESET`].
    pub csrf: String,
    /// The link's own token, posted back as `token`.
    pub token: String,
    /// Its local part hidden.
    pub email: String,
    pub problem: Option<Problem>,
}

/// An app asks to be signed in as the person whose browser this is.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorize {
    /// Where the form posts to.
    pub action: String,
    pub csrf: String,
    /// Further hidden fields: name and value.
    pub fields: Vec<(String, String)>,
    pub device: String,
    pub whence: Whence,
    pub email: String,
    /// The way to be somebody else; a path of this site.
    pub other_account: Option<String>,
    pub problem: Option<Problem>,
}

/// An app asks for somebody who is not signed in here, and they chose a service in the app.
#[derive(Clone, Debug, PartialEq)]
pub struct ToProvider {
    pub csrf: String,
    pub provider: Provider,
    pub device: String,
    /// Where the sign-in leads then; a path of this site.
    pub next: String,
    /// To the other ways in; a path of this site.
    pub other_ways: String,
}

/// The app may go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorized {
    pub device: String,
    /// `compymac://…`, or the app's address on this computer.
    pub link: String,
    /// To be pasted into the app when the link does not open it.
    pub code: String,
}

/// Something did not work, and there is a way on.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    pub problem: Problem,
    /// Address and words of the way on; the start page if `None`.
    pub way_on: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct PageProps {
    pub notice: Rc<Notice>,
}

#[component]
pub fn Page(props: &PageProps) -> Html {
    html! {
        <div class="app" data-place="outside">
            {
                match &*props.notice {
                    Notice::VerifyLink(verify) => verify_link(verify),
                    Notice::Forgot(forgot) => forgotten(forgot),
                    Notice::NewPassword(new) => new_password(new),
                    Notice::PasswordChanged => password_changed(),
                    Notice::LetterAsk(asked) => letter::ask(asked),
                    Notice::LetterSent(sent) => letter::sent(sent),
                    Notice::LetterLink(link) => letter::opened(link),
                    Notice::Newcomer(newcomer) => letter::newcomer(newcomer),
                    Notice::Letters(letters) => letters::choice(letters),
                    Notice::SecondStep(step) => safety::second_step(step),
                    Notice::Security(security) => safety::security(security),
                    Notice::SetUp(set_up) => safety::set_up(set_up),
                    Notice::RecoveryCodes(codes) => safety::recovery_codes(codes),
                    Notice::Prove(prove) => safety::prove(prove),
                    Notice::Keep(kept) => rights::keep(kept),
                    Notice::EmailLink(link) => rights::email_link(link),
                    Notice::EmailUndo(undo) => rights::email_undo(undo),
                    Notice::Told(told) => rights::told(told),
                    Notice::Authorize(authorize) => ask(authorize),
                    Notice::ToProvider(way) => to_provider(way),
                    Notice::Authorized(authorized) => done(authorized),
                    Notice::DeviceCodeAsk(asked) => device_code::ask(asked),
                    Notice::DeviceCodeFound(found) => device_code::found(found),
                    Notice::DeviceCodeAnswered(answered) => device_code::answered(answered),
                    Notice::Work(asked) => work::ask(asked),
                    Notice::Failed(failed) => fail(failed),
                }
            }
        </div>
    }
}

fn verify_link(verify: &VerifyLink) -> Html {
    html! {
        <Gate heading="Confirm your e-mail address" problem={verify.problem.clone()}>
            <p class="gate-text">
                { "Confirm that " }
                if let Some(email) = &verify.email {
                    <bdi><strong>{ email }</strong></bdi>
                } else {
                    { "this address" }
                }
                { " is yours, and you are signed in." }
            </p>
            <PostForm action={page::VERIFY} csrf={verify.csrf.clone()} class="fields">
                <input type="hidden" name="token" value={verify.token.clone()} />
                if verify.wants_password {
                    { own_password_field("The password that you chose") }
                }
                { stay_field(false) }
                <button class="button button-main button-wide" data-testid="confirm">{ "Confirm" }</button>
            </PostForm>
        </Gate>
    }
}

fn forgotten(forgot: &Forgot) -> Html {
    let back = page::leading_on(page::SIGN_IN, &forgot.next);
    if forgot.is_sent {
        return html! {
            <Gate heading="Check your mail">
                <p class="gate-text" data-testid="forgot-sent">
                    { "If there is an account for " }<bdi><strong>{ &forgot.email }</strong></bdi>
                    { ", a letter is on its way to it. Its link works for 30 minutes." }
                </p>
                <p class="gate-foot"><a href={back}>{ "Back to sign in" }</a></p>
            </Gate>
        };
    }
    html! {
        <Gate heading="Forgotten password" problem={forgot.problem.clone()}>
            <p class="gate-text">{ "We send you a letter. Its link lets you choose a new password." }</p>
            <PostForm action={page::FORGOT} csrf={forgot.csrf.clone()} class="fields">
                <input type="hidden" name="next" value={forgot.next.clone()} />
                { email_field(NodeRef::default(), &forgot.email) }
                <button class="button button-main button-wide" data-testid="send-letter">{ "Send the letter" }</button>
            </PostForm>
            <p class="gate-foot"><a href={back}>{ "Back to sign in" }</a></p>
        </Gate>
    }
}

fn new_password(new: &NewPassword) -> Html {
    html! {
        <Gate heading="Choose a new password" problem={new.problem.clone()}>
            <p class="gate-text">
                { "For " }<bdi><strong>{ &new.email }</strong></bdi>
                { ". Every device is signed out, and signs in with the new one." }
            </p>
            <PostForm action={page::RESET} csrf={new.csrf.clone()} class="fields">
                <input type="hidden" name="token" value={new.token.clone()} />
                <PasswordField field={NodeRef::default()} is_new=true />
                <button class="button button-main button-wide" data-testid="change-password">{ "Change the password" }</button>
            </PostForm>
        </Gate>
    }
}

fn password_changed() -> Html {
    html! {
        <Gate heading="Your password is changed">
            <p class="gate-text">{ "Every device was signed out. Please sign in with the new password." }</p>
            <a class="button button-main button-wide" href={page::SIGN_IN} data-testid="to-sign-in">{ "Sign in" }</a>
        </Gate>
    }
}

fn ask(authorize: &Authorize) -> Html {
    html! {
        <Gate heading="Sign in to the app?" problem={authorize.problem.clone()}>
            <p class="gate-text">
                { "Continue to CompyMac on " }<bdi><strong>{ &authorize.device }</strong></bdi>
                { " as " }<bdi><strong>{ &authorize.email }</strong></bdi>{ "?" }
            </p>
            { whence::facts(&authorize.whence) }
            <PostForm action={authorize.action.clone()} csrf={authorize.csrf.clone()} class="fields">
                for (name, value) in &authorize.fields {
                    <input type="hidden" name={name.clone()} value={value.clone()} />
                }
                <button class="button button-main button-wide" name="answer" value="yes" data-testid="authorize">
                    { "Continue" }
                </button>
                <button class="button button-wide" name="answer" value="no">
                    { "Cancel" }
                </button>
            </PostForm>
            <p class="gate-small">{ "Only go on if you have just started this on that computer." }</p>
            if let Some(path) = &authorize.other_account {
                <p class="gate-foot"><a href={path.clone()}>{ "Use another account" }</a></p>
            }
        </Gate>
    }
}

fn to_provider(way: &ToProvider) -> Html {
    let ToProvider { provider, device, .. } = way;
    html! {
        <Gate heading="Sign in to go on">
            <p class="gate-text">
                { "CompyMac on " }<bdi><strong>{ device }</strong></bdi>
                { format!(" asks you to sign in with {}.", provider.name) }
            </p>
            <PostForm action={page::provider_start(&provider.id)} csrf={way.csrf.clone()}>
                <input type="hidden" name="next" value={way.next.clone()} />
                <button class="button button-main button-wide" data-testid={format!("provider-{}", provider.id)}>
                    { format!("Continue with {}", provider.name) }
                </button>
            </PostForm>
            <p class="gate-small">{ "Only go on if you have just started this on that computer." }</p>
            <p class="gate-foot"><a href={way.other_ways.clone()}>{ "Sign in another way" }</a></p>
        </Gate>
    }
}

fn done(authorized: &Authorized) -> Html {
    html! {
        <Gate heading="Back to the app">
            <p class="gate-text">
                { "You are signed in on " }<bdi><strong>{ &authorized.device }</strong></bdi>
                { ". The app goes on when it opens." }
            </p>
            <a class="button button-main button-wide" href={authorized.link.clone()} data-testid="open-app">
                { icon(Sign::Computer) }{ "Open CompyMac" }
            </a>
            <div class="labelled">
                <p>{ "It does not open? Copy this code into the app:" }</p>
                <code class="code-copy" dir="ltr" data-testid="code-copy">{ &authorized.code }</code>
            </div>
            <p class="gate-small">{ "The code works once, and only for a minute." }</p>
        </Gate>
    }
}

fn fail(failed: &Failed) -> Html {
    let (address, words) = failed
        .way_on
        .clone()
        .unwrap_or_else(|| (Place::Home.path(), "Go to the start page".to_owned()));
    html! {
        <Gate heading="That did not work" problem={Some(failed.problem.clone())}>
            <a class="button button-wide" href={address} data-testid="way-on">{ words }</a>
        </Gate>
    }
}
