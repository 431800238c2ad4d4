//! The work before a sign-up, where many sign up at once: a script does it and goes on by itself.

use crate::auth::gate::Gate;
use crate::controls::PostForm;
use protocol::Problem;
use protocol::routes::page;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Posts to [`page::FORM_SIGN_UP`], as what follows.
    pub csrf: String,
    pub next: String,
    /// What was typed, folded up.
    pub folded: String,
    pub challenge: String,
    /// How hard it is.
    pub bits: u64,
    /// Until sign-ups need no work again.
    pub minutes: u32,
    /// Why what was done before counts for nothing.
    pub problem: Option<Problem>,
}

pub fn ask(work: &Work) -> Html {
    let minutes = match work.minutes {
        1 => "a minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    };
    html! {
        <Gate heading="One moment" problem={work.problem.clone()}>
            <p class="gate-text" role="status">
                { "Many accounts are being made just now, so your browser has to do a little work for yours. \
                   It takes some seconds and goes on by itself." }
            </p>
            <PostForm action={page::FORM_SIGN_UP} csrf={work.csrf.clone()} class="work">
                <input type="hidden" name="next" value={work.next.clone()} />
                <input type="hidden" name="folded" value={work.folded.clone()} />
                <input type="hidden" name="challenge" value={work.challenge.clone()} />
                <input type="hidden" name="bits" value={work.bits.to_string()} />
                <input type="hidden" name="answer" value="" />
            </PostForm>
            <noscript>
                <p class="gate-text">
                    { format!(
                        "Your browser runs no script here. Please wait {minutes} and sign up again, or sign up in another browser."
                    ) }
                </p>
            </noscript>
            <p class="gate-foot"><a href={page::leading_on(page::SIGN_IN, &work.next)}>{ "Other ways to sign in" }</a></p>
        </Gate>
    }
}
