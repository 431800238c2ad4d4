//! Fields that several of the pages without a script have.

use protocol::limits;
use yew::prelude::*;

/// What a code is typed with, where the screen is the keyboard too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyboard {
    /// An authenticator app's code.
    Digits,
    /// A letter's code, or a recovery code where one may be.
    Letters,
}

/// Where a code is typed.
pub fn code_field(keyboard: Keyboard) -> Html {
    html! {
        <label class="labelled">
            <span>{ "Code" }</span>
            <input
                class="field mono"
                name="code"
                autocomplete="one-time-code"
                inputmode={(keyboard == Keyboard::Digits).then_some("numeric")}
                autocapitalize="characters"
                spellcheck="false"
                dir="ltr"
                maxlength="32"
                required=true
                data-testid="code"
            />
        </label>
    }
}

/// The password that the account has.
pub fn own_password_field(label: &'static str) -> Html {
    html! {
        <label class="labelled">
            <span>{ label }</span>
            <input
                class="field"
                type="password"
                name="password"
                autocomplete="current-password"
                maxlength={limits::PASSWORD_CHARS.end().to_string()}
                required=true
                data-testid="password"
            />
        </label>
    }
}
