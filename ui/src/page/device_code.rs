//! The pages on which a code is typed that a program without a browser shows. They run no script.

use super::whence::{self, Whence};
use crate::auth::gate::Gate;
use crate::controls::PostForm;
use protocol::Problem;
use protocol::routes::page;
use yew::prelude::*;

/// Where the code is typed.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceCodeAsk {
    /// Posts to [`page::DEVICE_CODE`].
    pub csrf: String,
    /// As it was typed.
    pub code: String,
    pub problem: Option<Problem>,
}

/// A code that is waited for, and the question.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceCodeFound {
    /// Posts to [`page::DEVICE_CODE`], with `answer`: `yes` or `no`.
    pub csrf: String,
    pub code: String,
    pub device: String,
    pub whence: Whence,
    pub email: String,
}

/// It was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceCodeAnswered {
    pub device: String,
    pub is_allowed: bool,
    /// Before, by the same browser.
    pub is_again: bool,
}

impl DeviceCodeAnswered {
    /// Also the page's title.
    pub const fn heading(&self) -> &'static str {
        match (self.is_again, self.is_allowed) {
            (true, _) => "You have answered already",
            (false, true) => "It is signed in",
            (false, false) => "It was not signed in",
        }
    }
}

pub fn ask(asked: &DeviceCodeAsk) -> Html {
    html! {
        <Gate heading="Sign in another device" problem={asked.problem.clone()}>
            <p class="gate-text">{ "Type the code that it shows." }</p>
            <PostForm action={page::DEVICE_CODE} csrf={asked.csrf.clone()} class="fields">
                <label class="labelled">
                    <span>{ "Code" }</span>
                    <input
                        class="field mono"
                        name="code"
                        value={asked.code.clone()}
                        placeholder="XXXX-XXXX"
                        autocomplete="off"
                        autocapitalize="characters"
                        spellcheck="false"
                        dir="ltr"
                        maxlength="32"
                        required=true
                        data-testid="code"
                    />
                </label>
                <button class="button button-main button-wide" data-testid="look">{ "Go on" }</button>
            </PostForm>
            <p class="gate-small">{ "Only type a code that you see on a device of your own. CompyMac never sends you one." }</p>
        </Gate>
    }
}

pub fn found(found: &DeviceCodeFound) -> Html {
    html! {
        <Gate heading="Sign in that device?">
            <p class="gate-text">
                <bdi><strong>{ &found.device }</strong></bdi>{ " wants to be signed in as " }
                <bdi><strong>{ &found.email }</strong></bdi>{ "." }
            </p>
            { whence::facts(&found.whence) }
            <PostForm action={page::DEVICE_CODE} csrf={found.csrf.clone()} class="fields">
                <input type="hidden" name="code" value={found.code.clone()} />
                <button class="button button-main button-wide" name="answer" value="yes" data-testid="allow">{ "Sign it in" }</button>
                <button class="button button-wide" name="answer" value="no" data-testid="refuse">{ "Cancel" }</button>
            </PostForm>
            <p class="gate-small">{ "Did somebody send you this code? Then cancel: it would sign them in as you." }</p>
        </Gate>
    }
}

pub fn answered(answered: &DeviceCodeAnswered) -> Html {
    let (testid, what) = match (answered.is_again, answered.is_allowed) {
        (true, true) => (
            "allowed-already",
            " was let in by this code. You can sign it out again.",
        ),
        (true, false) => (
            "refused-already",
            " was refused. To let it in after all, have it show a new code.",
        ),
        (false, true) => (
            "allowed",
            " goes on by itself in a moment. You can close this page.",
        ),
        (false, false) => ("refused", " is told so. Nothing was changed."),
    };
    let (address, way_on) = if answered.is_allowed {
        (page::SETTINGS, "See all your devices")
    } else {
        (page::HOME, "Go to the start page")
    };
    html! {
        <Gate heading={answered.heading()}>
            <p class="gate-text" data-testid={testid}><bdi><strong>{ &answered.device }</strong></bdi>{ what }</p>
            <p class="gate-foot"><a href={address}>{ way_on }</a></p>
        </Gate>
    }
}
