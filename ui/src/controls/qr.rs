//! A QR code, as it was drawn where the page was asked for.

use protocol::view::Picture;
use yew::prelude::*;

/// `label` says of what it is, to whoever does not see it.
pub fn qr(picture: &Picture, label: &'static str) -> Html {
    let Picture { side, path } = picture;
    html! {
        <svg class="qr" viewBox={format!("-4 -4 {0} {0}", side + 8)} role="img" aria-label={label} shape-rendering="crispEdges">
            <path class="qr-paper" d={format!("M-4-4h{0}v{0}h-{0}z", side + 8)} />
            <path class="qr-ink" d={path.clone()} />
        </svg>
    }
}
