//! What people may ask for of their account as a whole: a copy of everything, another address, and that it goes. Sections
//! of the security page, and the pages that letters and sign-ins lead to. They run no script.

use super::safety::Security;
use crate::auth::gate::Gate;
use crate::controls::PostForm;
use protocol::routes::page;
use protocol::{Problem, limits};
use yew::prelude::*;

/// How what was asked for stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rights {
    pub export: Export,
    /// Another address that was asked for, and does not hold yet.
    pub change: Option<Change>,
}

/// A copy of everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Export {
    #[default]
    None,
    /// It is being made.
    Waiting,
    Ready {
        path: String,
        /// Bytes in words.
        size: String,
        until: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub new: String,
    pub has_old_agreed: bool,
    pub has_new_agreed: bool,
    pub until: String,
}

/// A sign-in to an account that is to be deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    /// Posts `next` to [`page::KEEP`].
    pub csrf: String,
    /// Where the sign-in was going.
    pub next: String,
    pub email: String,
    pub until: String,
    pub problem: Option<Problem>,
}

/// A letter's link about another address was followed: only a button answers.
#[derive(Clone, Debug, PartialEq)]
pub struct EmailLink {
    /// Posts to [`page::EMAIL_LINK`], with `answer`.
    pub csrf: String,
    /// The link's own token, posted back as `token`.
    pub token: String,
    pub new: String,
    /// The letter came to the address that the account has now, which may also refuse.
    pub is_old: bool,
    pub problem: Option<Problem>,
}

/// The link that takes a change back was followed.
#[derive(Clone, Debug, PartialEq)]
pub struct EmailUndo {
    /// Posts to [`page::EMAIL_UNDO`].
    pub csrf: String,
    pub token: String,
    pub old: String,
    pub problem: Option<Problem>,
}

/// Something was done, and there is a way on.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub heading: String,
    pub text: String,
    /// Address and words.
    pub way_on: (String, String),
}

pub fn export_section(security: &Security) -> Html {
    let csrf = &security.csrf;
    html! {
        <section class="fields" aria-labelledby="export">
            <h2 id="export">{ "Your data" }</h2>
            {
                match &security.rights.export {
                    Export::None => html! {
                        <>
                            <p>{ "A copy of everything you have here, as files that people and programs can read: sessions, messages, files of your sessions, and what is known about your account." }</p>
                            if security.is_fresh {
                                <PostForm action={page::FORM_EXPORT} csrf={csrf.clone()}>
                                    <button class="button button-wide" data-testid="export">{ "Ask for a copy" }</button>
                                </PostForm>
                            }
                        </>
                    },
                    Export::Waiting => html! {
                        <p>{ "Your copy is being made. We send you a letter when it is ready." }</p>
                    },
                    Export::Ready { path, size, until } => html! {
                        <>
                            <p data-testid="export-ready">{ format!("Your copy is ready: {size}. It is kept until {until}.") }</p>
                            if security.is_fresh {
                                <a class="button button-wide" href={path.clone()} download="" data-testid="export-fetch">{ "Download it" }</a>
                            }
                        </>
                    },
                }
            }
        </section>
    }
}

pub fn email_section(security: &Security) -> Html {
    let csrf = &security.csrf;
    html! {
        <section class="fields" aria-labelledby="own-email" data-testid="email-section">
            <h2 id="own-email">{ "E-mail address" }</h2>
            if let Some(change) = &security.rights.change {
                <p data-testid="email-waiting">
                    { "To be changed to " }<bdi><strong>{ &change.new }</strong></bdi>
                    { format!(". {} The links work until {}.", awaited(change), change.until) }
                </p>
                <PostForm action={page::FORM_EMAIL_STOP} csrf={csrf.clone()}>
                    <button class="button button-wide">{ "Call the change off" }</button>
                </PostForm>
            } else {
                <p>{ "You sign in with it, and letters go there. Both the old and the new address are asked before it changes." }</p>
                if security.is_fresh {
                    <PostForm action={page::FORM_EMAIL} csrf={csrf.clone()} class="fields">
                        { address_field("New address", "new-email") }
                        <button class="button button-wide" data-testid="change-email">{ "Change the address" }</button>
                    </PostForm>
                }
            }
        </section>
    }
}

fn awaited(change: &Change) -> &'static str {
    match (change.has_old_agreed, change.has_new_agreed) {
        (true, false) => "The old address has agreed; the letter to the new one is still to be answered.",
        (false, true) => "The new address has agreed; the letter to the old one is still to be answered.",
        (false, false) | (true, true) => {
            "We have written to both addresses; both letters are to be answered."
        }
    }
}

fn address_field(label: &'static str, testid: &'static str) -> Html {
    html! {
        <label class="labelled">
            <span>{ label }</span>
            <input
                class="field"
                type="email"
                name="email"
                autocomplete="off"
                spellcheck="false"
                dir="ltr"
                maxlength={limits::EMAIL_BYTES.to_string()}
                required=true
                data-testid={testid}
            />
        </label>
    }
}

pub fn leaving_section(security: &Security) -> Html {
    html! {
        <section class="fields" aria-labelledby="leave">
            <h2 id="leave">{ "Delete the account" }</h2>
            <p>{ "Every device is signed out at once. For 14 days you can still come back by signing in; then everything is gone for good: sessions, messages, files and the account itself." }</p>
            if security.is_fresh {
                <PostForm action={page::FORM_LEAVE} csrf={security.csrf.clone()} class="fields">
                    { address_field("To be sure, type your e-mail address", "leave-email") }
                    <button class="button button-danger button-wide" data-testid="leave">{ "Delete my account" }</button>
                </PostForm>
            }
        </section>
    }
}

pub fn keep(keep: &Keep) -> Html {
    html! {
        <Gate heading="Keep your account?" problem={keep.problem.clone()}>
            <p class="gate-text" data-testid="leaving-until">
                { "The account of " }<bdi><strong>{ &keep.email }</strong></bdi>
                { format!(" will be deleted on {}, as you asked. Until then you can keep it.", keep.until) }
            </p>
            <PostForm action={page::KEEP} csrf={keep.csrf.clone()} class="fields">
                <input type="hidden" name="next" value={keep.next.clone()} />
                <button class="button button-main button-wide" data-testid="keep">{ "Keep it and sign in" }</button>
            </PostForm>
            <p class="gate-foot"><a href={page::SIGN_IN} data-testid="keep-not">{ "Leave it to be deleted" }</a></p>
        </Gate>
    }
}

pub fn email_link(link: &EmailLink) -> Html {
    let words = if link.is_old {
        "The e-mail address of your account is to be changed to "
    } else {
        "An account is to have this address: "
    };
    html! {
        <Gate heading="Change the e-mail address?" problem={link.problem.clone()}>
            <p class="gate-text">{ words }<bdi><strong>{ &link.new }</strong></bdi>{ "." }</p>
            <PostForm action={page::EMAIL_LINK} csrf={link.csrf.clone()} class="fields" testid="email-link-form">
                <input type="hidden" name="token" value={link.token.clone()} />
                <button class="button button-main button-wide" name="answer" value="yes" data-testid="email-agree">{ "I agree" }</button>
                <button class="button button-wide" name="answer" value="no">{ "No, leave it as it is" }</button>
            </PostForm>
            <p class="gate-small">{ "Only agree if you asked for this yourself." }</p>
        </Gate>
    }
}

pub fn email_undo(undo: &EmailUndo) -> Html {
    html! {
        <Gate heading="Take the change back?" problem={undo.problem.clone()}>
            <p class="gate-text">
                { "Your account gets " }<bdi><strong>{ &undo.old }</strong></bdi>
                { " back as its e-mail address. Every device is signed out, and you choose a new password by a letter." }
            </p>
            <PostForm action={page::EMAIL_UNDO} csrf={undo.csrf.clone()} class="fields">
                <input type="hidden" name="token" value={undo.token.clone()} />
                <button class="button button-main button-wide" data-testid="email-undo">{ "Take it back" }</button>
            </PostForm>
        </Gate>
    }
}

pub fn told(told: &Told) -> Html {
    let (address, words) = &told.way_on;
    html! {
        <Gate heading={told.heading.clone()}>
            <p class="gate-text" role="status" data-testid="told">{ &told.text }</p>
            <a class="button button-wide" href={address.clone()} data-testid="way-on">{ words }</a>
        </Gate>
    }
}
