//! Where a session begins, and the page of the archive.

use super::composer::Composer;
use crate::controls::problem_line;
use crate::state::{Linked, Stage};
use protocol::Problem;
use yew::prelude::*;

pub fn home(stage: &Stage, problem: Option<&Problem>, typed: AttrValue, linked: &Linked) -> Html {
    html! {
        <div class="welcome">
            <h1>{ "What should we work on?" }</h1>
            { problem_line(problem) }
            <Composer stage={stage.clone()} {typed} linked={linked.clone()} />
        </div>
    }
}

pub fn archive() -> Html {
    html! {
        <div class="quiet">
            <h1>{ "Archived sessions" }</h1>
            <p>{ "Nothing is lost here: open one to read it, or bring it back to the list." }</p>
        </div>
    }
}

pub fn nowhere() -> Html {
    html! {
        <div class="quiet">
            <h1>{ "There is nothing at this address" }</h1>
            <p>{ "It may have been mistyped. Your sessions are in the list." }</p>
        </div>
    }
}
