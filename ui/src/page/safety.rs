//! The pages that keep an account safe: the second step, and how the account stands. They run no script but the
//! one that talks to passkeys, and the desktop opens them in the system's browser: what changes how one signs in has one
//! implementation.

use super::accounts::{Accounts, accounts_section};
use super::fields::{Keyboard, code_field, own_password_field};
use super::letters;
use super::passkeys::{self, Passkey};
use super::rights::{Rights, email_section, export_section, leaving_section};
use crate::auth::gate::{Gate, PasswordField};
use crate::controls::{PostForm, qr};
use protocol::Problem;
use protocol::routes::page;
use protocol::view::Picture;
use yew::prelude::*;

/// A sign-in whose first step was proven.
#[derive(Clone, Debug, PartialEq)]
pub struct SecondStep {
    /// Posts `code` and `next` to [`page::SECOND_STEP`].
    pub csrf: String,
    pub next: String,
    pub problem: Option<Problem>,
}

/// How an account stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Security {
    pub csrf: String,
    pub email: String,
    pub has_password: bool,
    /// Tips by letter.
    pub wants_tips: bool,
    /// Recovery codes that are left; `None`: there is no second step.
    pub codes_left: Option<i64>,
    /// `None`: this site has none.
    pub passkeys: Option<Vec<Passkey>>,
    /// Without a fresh proof nothing can be changed.
    pub is_fresh: bool,
    /// Devices that are signed in besides this one.
    pub others: usize,
    pub accounts: Accounts,
    pub rights: Rights,
    pub events: Vec<Event>,
    pub problem: Option<Problem>,
    /// What was just done, in words.
    pub done: Option<String>,
}

/// Something that happened at the account's door.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// As the audit names it.
    pub name: String,
    pub is_done: bool,
    /// How, and where it was refused, why.
    pub reason: String,
    pub when: String,
    /// The network that it came from.
    pub prefix: String,
    /// By whoever runs the server.
    pub is_by_operator: bool,
    /// How often on that day.
    pub times: i64,
}

/// What an authenticator app has to know.
#[derive(Clone, Debug, PartialEq)]
pub struct SetUp {
    pub csrf: String,
    pub picture: Picture,
    /// For typing, where the picture cannot be taken.
    pub secret: String,
    pub problem: Option<Problem>,
}

/// Shows that it is still the same person.
#[derive(Clone, Debug, PartialEq)]
pub struct Prove {
    pub csrf: String,
    pub has_password: bool,
    pub has_second_step: bool,
    pub has_passkey: bool,
    pub problem: Option<Problem>,
}

pub fn second_step(step: &SecondStep) -> Html {
    html! {
        <Gate heading="One more step" problem={step.problem.clone()}>
            <p class="gate-text">
                { "Please give the six digits that your authenticator app shows. Without your phone, use one of your recovery codes." }
            </p>
            <PostForm action={page::SECOND_STEP} csrf={step.csrf.clone()} class="fields">
                <input type="hidden" name="next" value={step.next.clone()} />
                { code_field(Keyboard::Letters) }
                <button class="button button-main button-wide" data-testid="second-step">{ "Sign in" }</button>
            </PostForm>
            <p class="gate-foot"><a href={page::leading_on(page::SIGN_IN, &step.next)}>{ "Start again" }</a></p>
        </Gate>
    }
}

pub fn security(security: &Security) -> Html {
    html! {
        <Gate heading="Security" lede={security.email.clone()} problem={security.problem.clone()}>
            if let Some(done) = &security.done {
                <p class="gate-text" role="status" data-testid="done">{ done }</p>
            }
            if !security.is_fresh {
                <p class="gate-text">{ "To change anything here, please show first that it is you." }</p>
                <a class="button button-main button-wide" href={page::PROVE} data-testid="prove">{ "Show that it is me" }</a>
            }
            { passkeys::section(security) }
            { second_step_section(security) }
            { password_section(security) }
            { accounts_section(security) }
            { devices_section(security) }
            { email_section(security) }
            { letters::section(security) }
            { export_section(security) }
            { leaving_section(security) }
            { events(&security.events) }
            <p class="gate-foot"><a href={page::SETTINGS}>{ "Back to settings" }</a></p>
        </Gate>
    }
}

fn second_step_section(security: &Security) -> Html {
    let csrf = &security.csrf;
    html! {
        <section class="fields" aria-labelledby="second-step">
            <h2 id="second-step">{ "Second step" }</h2>
            {
                match security.codes_left {
                    None => html! {
                        <>
                            <p>{ "Off. With it on, signing in asks for a code from an app on your phone too, so that a stolen password alone is worth nothing. Turning it on signs out every other device." }</p>
                            if security.is_fresh {
                                <PostForm action={page::SECOND_STEP_BEGIN} csrf={csrf.clone()}>
                                    <button class="button button-wide" data-testid="second-step-begin">{ "Set it up" }</button>
                                </PostForm>
                            }
                        </>
                    },
                    Some(left) => html! {
                        <>
                            <p data-testid="codes-left">{ format!("On. Recovery codes left: {left}.") }</p>
                            if security.is_fresh {
                                <PostForm action={page::FORM_RECOVERY_CODES} csrf={csrf.clone()}>
                                    <button class="button button-wide">{ "Make ten new recovery codes" }</button>
                                </PostForm>
                                <PostForm action={page::FORM_SECOND_STEP_OFF} csrf={csrf.clone()}>
                                    <button class="button button-danger button-wide">{ "Turn it off" }</button>
                                </PostForm>
                            }
                        </>
                    },
                }
            }
        </section>
    }
}

fn password_section(security: &Security) -> Html {
    let words = if security.has_password {
        "A new password signs out every other device."
    } else {
        "You have none: you sign in another way. You can choose one as well."
    };
    html! {
        <section class="fields" aria-labelledby="own-password">
            <h2 id="own-password">{ "Password" }</h2>
            <p>{ words }</p>
            if security.is_fresh {
                <PostForm action={page::FORM_PASSWORD} csrf={security.csrf.clone()} class="fields">
                    <PasswordField field={NodeRef::default()} is_new=true />
                    <button class="button button-wide" data-testid="change-password">{ "Change the password" }</button>
                </PostForm>
            }
        </section>
    }
}

fn devices_section(security: &Security) -> Html {
    let words = match security.others {
        0 => "You are signed in on this device alone.".to_owned(),
        1 => "You are signed in on one more device than this.".to_owned(),
        others => format!("You are signed in on {others} more devices than this."),
    };
    html! {
        <section class="fields" aria-labelledby="own-devices">
            <h2 id="own-devices">{ "Devices" }</h2>
            <p data-testid="others">{ words }</p>
            if security.is_fresh && security.others > 0 {
                <PostForm action={page::FORM_SIGN_OUT_OTHERS} csrf={security.csrf.clone()}>
                    <button class="button button-danger button-wide">
                        { "Sign out all others" }
                    </button>
                </PostForm>
            }
        </section>
    }
}

fn events(events: &[Event]) -> Html {
    html! {
        <section class="fields" aria-labelledby="events" data-testid="events">
            <h2 id="events">{ "The last 90 days" }</h2>
            if events.is_empty() {
                <p>{ "Nothing has happened." }</p>
            }
            <ul class="events">
                for event in events {
                    <li data-done={event.is_done.to_string()}>
                        <span>{ in_words(event) }</span>
                        <small>
                            { &event.when }
                            if !event.prefix.is_empty() {
                                { " · " }<bdi dir="ltr">{ &event.prefix }</bdi>
                            }
                        </small>
                    </li>
                }
            </ul>
        </section>
    }
}

fn in_words(event: &Event) -> String {
    let what = match event.name.as_str() {
        "sign_in" => "Signing in",
        "sign_up" => "Signing up",
        "sign_out" => "Signing out",
        "sign_out_others" => "Signing out all other devices",
        "verify" => "Confirming the address",
        "refresh" => "Staying signed in",
        "forgot" => "Asking for a new password",
        "reset" => "Choosing a new password by letter",
        "password" => "Changing the password",
        "prove" => "Showing that it is you",
        "letter" => "Asking for a letter to sign in by",
        "authorize" => "Letting an app in",
        "second_step_on" => "Turning the second step on",
        "second_step_off" => "Turning the second step off",
        "account_connected" => "Connecting another way to sign in",
        "account_disconnected" => "Taking a way to sign in away",
        "account_taken_back" => "Losing a way to sign in, as its service said",
        "relay_off" => "Hearing that your address gets no letters",
        "relay_on" => "Hearing that your address gets letters again",
        "passkey_added" => "Adding a passkey",
        "passkey_renamed" => "Renaming a passkey",
        "passkey_removed" => "Removing a passkey",
        "leave" => "Asking for the account to be deleted",
        "keep" => "Keeping the account",
        "export" => "Asking for a copy of your data",
        "export_fetched" => "Downloading the copy of your data",
        "email_asked" => "Asking for another e-mail address",
        "email_agreed" => "Agreeing to another e-mail address",
        "email_stopped" => "Calling off the change of the e-mail address",
        "email_changed" => "Changing the e-mail address",
        "email_undone" => "Taking the e-mail address back",
        "recovery_codes" => "Making new recovery codes",
        "tips_on" => "Turning tips by letter on",
        "tips_off" => "Turning tips by letter off",
        "user_made" => "Making the account",
        "user_locked" => "Closing the account",
        "user_unlocked" => "Opening the account again",
        other => other,
    };
    let how = match event.reason.as_str() {
        // why an operator did it is in words of their own, for their own
        _ if event.is_by_operator => " by whoever runs this server".to_owned(),
        "" | "itself" => String::new(),
        reason => format!(" ({})", reason.replace('_', " ")),
    };
    let times = match event.times {
        ..=1 => String::new(),
        times => format!(", {times} times on that day"),
    };
    if event.is_done {
        format!("{what}{how}{times}")
    } else {
        format!("Refused: {}{how}{times}", what.to_lowercase())
    }
}

pub fn set_up(set_up: &SetUp) -> Html {
    html! {
        <Gate heading="Set up the second step" problem={set_up.problem.clone()}>
            <p class="gate-text">{ "Take this picture with an authenticator app on your phone." }</p>
            { qr(&set_up.picture, "QR code for your authenticator app") }
            <div class="labelled">
                <p>{ "No camera? Type this into the app:" }</p>
                <code class="code-copy" dir="ltr" data-testid="secret">{ &set_up.secret }</code>
            </div>
            <PostForm action={page::FORM_SECOND_STEP_ON} csrf={set_up.csrf.clone()} class="fields">
                { code_field(Keyboard::Digits) }
                <p class="hint">{ "The six digits that the app shows now." }</p>
                <button class="button button-main button-wide" data-testid="second-step-on">{ "Turn it on" }</button>
            </PostForm>
            <p class="gate-foot"><a href={page::SECURITY}>{ "Not now" }</a></p>
        </Gate>
    }
}

pub fn recovery_codes(codes: &[String]) -> Html {
    html! {
        <Gate heading="Your recovery codes">
            <p class="gate-text">
                { "Each of these signs you in once when your phone is not there. Print them or write them down: they are not shown again." }
            </p>
            <ul class="codes" dir="ltr" data-testid="recovery-codes">
                for code in codes {
                    <li><code>{ code }</code></li>
                }
            </ul>
            <a class="button button-main button-wide" href={page::SECURITY} data-testid="codes-kept">{ "I have kept them" }</a>
        </Gate>
    }
}

pub fn prove(prove: &Prove) -> Html {
    let can_prove = prove.has_password || prove.has_second_step;
    let otherwise = if prove.has_passkey {
        "Without it, please sign out and in again, and come back here within ten minutes."
    } else {
        "Your account has no password. Please sign out and in again, and come back here within ten minutes."
    };
    html! {
        <Gate heading="Is it you?" problem={prove.problem.clone()}>
            if can_prove || prove.has_passkey {
                <p class="gate-text">{ "For the next ten minutes you can change how your account is protected." }</p>
            }
            if prove.has_passkey {
                { passkeys::proof(&prove.csrf) }
            }
            if can_prove {
                <PostForm action={page::PROVE} csrf={prove.csrf.clone()} class="fields">
                    if prove.has_password {
                        { own_password_field("Password") }
                    }
                    if prove.has_second_step {
                        { code_field(Keyboard::Letters) }
                    }
                    <button class="button button-main button-wide" data-testid="prove">{ "Go on" }</button>
                </PostForm>
            } else {
                <p class="gate-text">{ otherwise }</p>
                <PostForm action={page::FORM_SIGN_OUT} csrf={prove.csrf.clone()}>
                    <button class="button button-wide" data-testid="sign-out">{ "Sign out" }</button>
                </PostForm>
            }
            <p class="gate-foot"><a href={page::SECURITY}>{ "Back" }</a></p>
        </Gate>
    }
}
