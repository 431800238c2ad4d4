//! Where a session begins, and the page of the archive.

use super::composer::Composer;
use crate::controls::ProblemLine;
use crate::state::Stage;
use protocol::Problem;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct HomeProps {
    pub stage: Stage,
    pub problem: Option<Problem>,
    pub typed: AttrValue,
}

#[component]
pub fn Home(props: &HomeProps) -> Html {
    html! {
        <div class="welcome">
            <h1>{ "What should we work on?" }</h1>
            <ProblemLine problem={props.problem.clone()} />
            <Composer stage={props.stage.clone()} typed={props.typed.clone()} />
        </div>
    }
}

#[component]
pub fn Archive() -> Html {
    html! {
        <div class="quiet">
            <h1>{ "Archived sessions" }</h1>
            <p>{ "Nothing is lost here: open one to read it, or bring it back to the list." }</p>
        </div>
    }
}

#[component]
pub fn Nowhere() -> Html {
    html! {
        <div class="quiet">
            <h1>{ "There is nothing at this address" }</h1>
            <p>{ "It may have been mistyped. Your sessions are in the list." }</p>
        </div>
    }
}
