//! The polite live region: what a screen reader is told without being asked. Trouble has `role="alert"` where it shows.
//!
//! **Invariant:** never a reply word by word; only that it ended or failed.

use yew::prelude::*;

pub fn announce(said: &str) -> Html {
    html! { <div class="unseen" role="status" aria-live="polite">{ said.to_owned() }</div> }
}
