//! A button that copies, and says "Copied" only once it is true.

use super::{Sign, icon};
use crate::state::{Action, Stage};
use gloo_timers::callback::Timeout;
use protocol::{Code, Problem};
use wasm_bindgen_futures::JsFuture;
use yew::platform::spawn_local;
use yew::prelude::*;

/// How long "Copied" stays.
const SHOWN_MILLIS: u32 = 2000;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct CopyButtonProps {
    pub text: AttrValue,
    #[prop_or(AttrValue::Static("Copy"))]
    pub label: AttrValue,
    #[prop_or_default]
    pub class: Classes,
}

#[component]
pub fn CopyButton(props: &CopyButtonProps) -> Html {
    let stage = use_context::<Stage>();
    let is_copied = use_state(|| false);
    let timer = use_mut_ref(|| None::<Timeout>);
    let onclick = {
        let (is_copied, text) = (is_copied.clone(), props.text.clone());
        Callback::from(move |_: MouseEvent| {
            let (stage, is_copied, timer) = (stage.clone(), is_copied.clone(), timer.clone());
            let text = text.clone();
            spawn_local(async move {
                if write(&text).await {
                    is_copied.set(true);
                    let done = is_copied.clone();
                    *timer.borrow_mut() = Some(Timeout::new(SHOWN_MILLIS, move || done.set(false)));
                } else if let Some(stage) = stage {
                    let refused = "That could not be copied. Please select the text and copy it by hand.";
                    stage.tell(Action::Trouble(Problem::new(Code::Unavailable).detail(refused)));
                }
            });
        })
    };
    let (sign, label) = if *is_copied {
        (Sign::Check, AttrValue::Static("Copied"))
    } else {
        (Sign::Copy, props.label.clone())
    };
    html! {
        <button type="button" class={classes!("button", "button-quiet", "needs-script", is_copied.then_some("is-copied"), props.class.clone())} {onclick}>
            { icon(sign) }
            <span aria-live="polite">{ label }</span>
        </button>
    }
}

async fn write(text: &str) -> bool {
    let Some(window) = web_sys::window() else {
        return false;
    };
    JsFuture::from(window.navigator().clipboard().write_text(text))
        .await
        .is_ok()
}
