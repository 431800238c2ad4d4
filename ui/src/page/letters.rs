//! Which letters one wants: the page of a letter's link, and the part of the security page. Neither runs a script.

use super::safety::Security;
use crate::auth::gate::Gate;
use crate::controls::PostForm;
use protocol::routes::page;
use yew::prelude::*;

/// A letter's link was followed: only its button acts, so that a mail scanner's visit does nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Letters {
    pub csrf: String,
    /// Where the form posts to.
    pub action: String,
    pub wants_tips: bool,
    /// It was just chosen so.
    pub is_done: bool,
}

pub fn choice(letters: &Letters) -> Html {
    html! {
        <Gate heading="Letters">
            if letters.is_done {
                <p class="gate-text" role="status" data-testid="done">
                    { if letters.wants_tips { "You get tips by letter again." } else { "You get no more tips by letter." } }
                </p>
            } else if letters.wants_tips {
                <p class="gate-text">{ "Now and then we send a tip by letter. Shall we stop?" }</p>
            } else {
                <p class="gate-text">{ "You get no tips by letter." }</p>
            }
            { button(&letters.action, &letters.csrf, letters.wants_tips) }
            <p class="gate-small">{ WHY }</p>
            <p class="gate-foot"><a href={page::HOME}>{ "Go to CompyMac" }</a></p>
        </Gate>
    }
}

const WHY: &str = "Letters about your account and how you get in are always sent: they tell you when somebody else tries, and let you back in.";

fn button(action: &str, csrf: &str, wants_tips: bool) -> Html {
    let (value, words) = if wants_tips {
        ("off", "Send me no more tips")
    } else {
        ("on", "Send me tips again")
    };
    html! {
        <PostForm action={action.to_owned()} csrf={csrf.to_owned()} class="fields">
            <input type="hidden" name="tips" value={value} />
            <button class="button button-wide" data-testid={format!("tips-{value}")}>{ words }</button>
        </PostForm>
    }
}

pub fn section(security: &Security) -> Html {
    html! {
        <section class="fields" aria-labelledby="letters">
            <h2 id="letters">{ "Letters" }</h2>
            <p>{ WHY }</p>
            <p>{ if security.wants_tips { "Now and then you get a tip by letter." } else { "You get no tips by letter." } }</p>
            if security.is_fresh {
                { button(page::FORM_LETTERS, &security.csrf, security.wants_tips) }
            }
        </section>
    }
}
