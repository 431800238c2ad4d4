//! When and from where something was asked, for whoever is to answer it.

use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whence {
    /// The network, and the place where that is known.
    pub asked_from: String,
    pub minutes_ago: i64,
}

pub fn facts(whence: &Whence) -> Html {
    let ago = match whence.minutes_ago {
        ..=0 => "just now".to_owned(),
        1 => "a minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    };
    html! {
        <dl class="facts">
            <dt>{ "It asked" }</dt>
            <dd>{ ago }</dd>
            <dt>{ "From the network" }</dt>
            <dd dir="auto" data-testid="asked-from">{ &whence.asked_from }</dd>
        </dl>
    }
}
