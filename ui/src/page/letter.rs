//! The pages of signing in by a letter. They run no script.

use super::fields::{Keyboard, code_field};
use crate::auth::gate::{Gate, email_field, stay_field};
use crate::controls::PostForm;
use protocol::Problem;
use protocol::routes::page;
use yew::prelude::*;

/// Where the letter is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterAsk {
    /// Posts to [`page::LETTER_ASK`].
    pub csrf: String,
    /// As it was typed.
    pub email: String,
    pub next: String,
    /// The box at the door was ticked.
    pub stays: bool,
    pub problem: Option<Problem>,
}

/// It was asked for; whether a letter goes out is not told.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterSent {
    /// Posts to [`page::FORM_LETTER_CODE`].
    pub csrf: String,
    pub email: String,
    pub next: String,
    pub stays: bool,
    pub problem: Option<Problem>,
}

/// Somebody new by a provider that does not vouch for their address: the code that is sent there proves it. Whether there is an
/// account with it is not told.
#[derive(Clone, Debug, PartialEq)]
pub struct Newcomer {
    /// Posts to [`page::NEWCOMER`].
    pub csrf: String,
    pub email: String,
    /// What people call the provider.
    pub provider: String,
    pub next: String,
    pub stays: bool,
    pub problem: Option<Problem>,
}

/// The letter's link was followed: only a button signs anybody in, so that a mail scanner's visit does nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterLink {
    /// Posts to [`page::LETTER`].
    pub csrf: String,
    /// The link's own token, posted back as `token`.
    pub token: String,
    /// Its local part hidden.
    pub email: String,
    pub is_same_browser: bool,
    /// For the window that asked for the letter.
    pub code: Option<String>,
    pub problem: Option<Problem>,
}

pub fn ask(ask: &LetterAsk) -> Html {
    html! {
        <Gate heading="Sign in by letter" problem={ask.problem.clone()}>
            <p class="gate-text">{ "We send you a letter with a link and a code. Either signs you in, without your password." }</p>
            <PostForm action={page::LETTER_ASK} csrf={ask.csrf.clone()} class="fields" testid="letter-form">
                <input type="hidden" name="next" value={ask.next.clone()} />
                { email_field(NodeRef::default(), &ask.email) }
                { stay_field(ask.stays) }
                <button class="button button-main button-wide" data-testid="send-letter">{ "Send the letter" }</button>
            </PostForm>
            <p class="gate-foot"><a href={page::leading_on(page::SIGN_IN, &ask.next)}>{ "Back to sign in" }</a></p>
        </Gate>
    }
}

pub fn sent(sent: &LetterSent) -> Html {
    html! {
        <Gate heading="Check your mail" problem={sent.problem.clone()}>
            <p class="gate-text" data-testid="letter-sent">
                { "If there is an account for " }<bdi><strong>{ &sent.email }</strong></bdi>
                { ", a letter is on its way to it. Open its link, or type its code here. Both work for ten minutes." }
            </p>
            <PostForm action={page::FORM_LETTER_CODE} csrf={sent.csrf.clone()} class="fields">
                <input type="hidden" name="email" value={sent.email.clone()} />
                <input type="hidden" name="next" value={sent.next.clone()} />
                { code_field(Keyboard::Letters) }
                { stay_field(sent.stays) }
                <button class="button button-main button-wide" data-testid="enter">{ "Sign in" }</button>
            </PostForm>
            <p class="gate-foot"><a href={page::leading_on(page::LETTER_ASK, &sent.next)}>{ "Ask again" }</a></p>
        </Gate>
    }
}

pub fn newcomer(newcomer: &Newcomer) -> Html {
    html! {
        <Gate heading="Check your mail" problem={newcomer.problem.clone()}>
            <p class="gate-text" data-testid="newcomer">
                { &newcomer.provider }{ " names " }<bdi><strong>{ &newcomer.email }</strong></bdi>
                { " as your address and has not confirmed it. So we have sent a letter there. Type its code here; it works for ten minutes." }
            </p>
            <PostForm action={page::NEWCOMER} csrf={newcomer.csrf.clone()} class="fields">
                { code_field(Keyboard::Letters) }
                { stay_field(newcomer.stays) }
                <button class="button button-main button-wide" data-testid="enter">{ "Confirm" }</button>
            </PostForm>
            <div class="gate-foot gate-row">
                <PostForm action={page::NEWCOMER} csrf={newcomer.csrf.clone()}>
                    <button class="button button-quiet" name="answer" value="again" data-testid="again">{ "Send it again" }</button>
                </PostForm>
                <a class="button button-quiet" href={page::leading_on(page::SIGN_IN, &newcomer.next)}>{ "Sign in another way" }</a>
            </div>
        </Gate>
    }
}

pub fn opened(link: &LetterLink) -> Html {
    if let Some(code) = &link.code {
        return html! {
            <Gate heading="Your code">
                <p class="gate-text">{ "Type this into the window in which you asked for the letter, and nowhere else." }</p>
                <code class="code-copy" dir="ltr" data-testid="code-copy">{ code }</code>
                <p class="gate-small">{ "Did somebody send you here to read it to them? Then do not: it would sign them in as you." }</p>
            </Gate>
        };
    }
    html! {
        <Gate heading="Sign in" problem={link.problem.clone()}>
            <p class="gate-text">
                { "Sign in as " }<bdi><strong>{ &link.email }</strong></bdi>{ " in this browser?" }
            </p>
            <PostForm action={page::LETTER} csrf={link.csrf.clone()} class="fields">
                <input type="hidden" name="token" value={link.token.clone()} />
                { stay_field(false) }
                <button class="button button-main button-wide" name="answer" value="here" data-testid="enter">{ "Sign in here" }</button>
                if !link.is_same_browser {
                    <button class="button button-wide" name="answer" value="code" data-testid="show-code">
                        { "Show the code for the other window" }
                    </button>
                }
            </PostForm>
            if !link.is_same_browser {
                <p class="gate-small">{ "You asked for this letter in another window. If you did not ask for it at all, close this page." }</p>
            }
        </Gate>
    }
}
