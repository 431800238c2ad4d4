//! The polite live region: what a screen reader is told without being asked. Trouble has `role="alert"` where it shows.
//!
//! **Invariant:** never a reply word by word; only that it ended or failed.

use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct AnnounceProps {
    pub said: AttrValue,
}

#[component]
pub fn Announce(props: &AnnounceProps) -> Html {
    html! { <div class="unseen" role="status" aria-live="polite">{ props.said.clone() }</div> }
}
