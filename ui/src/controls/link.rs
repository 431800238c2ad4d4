//! A link to a place of the app: a real address that the app follows itself once it runs.

use crate::state::{Place, Stage};
use protocol::routes::page;
use protocol::view::Body;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct LinkProps {
    pub to: Place,
    /// At the door: where one goes on after signing in.
    #[prop_or_default]
    pub next: AttrValue,
    #[prop_or_default]
    pub class: Classes,
    #[prop_or_default]
    pub testid: Option<AttrValue>,
    /// The place where one is.
    #[prop_or_default]
    pub is_current: bool,
    #[prop_or_default]
    pub label: Option<AttrValue>,
    pub children: Html,
}

#[component]
pub fn Link(props: &LinkProps) -> Html {
    let stage = use_context::<Stage>();
    let (to, path) = (props.to, page::leading_on(&props.to.path(), &props.next));
    let href = path.clone();
    let onclick = Callback::from(move |event: MouseEvent| {
        let wants_own_window =
            event.ctrl_key() || event.meta_key() || event.shift_key() || event.button() != 0;
        if let Some(stage) = stage.as_ref().filter(|_| !wants_own_window) {
            event.prevent_default();
            stage.go_by(to, &path);
        }
    });
    html! {
        <a
            {href}
            class={props.class.clone()}
            data-testid={props.testid.clone()}
            aria-current={props.is_current.then_some("page")}
            aria-label={props.label.clone()}
            title={props.label.clone()}
            {onclick}
        >
            { props.children.clone() }
        </a>
    }
}

/// A link to a page that the server draws alone: the desktop opens it in the system's browser.
pub fn outward(stage: &Stage, server: &str, path: &str, testid: &'static str, words: &str) -> Html {
    let onclick = (stage.body == Body::Desktop).then(|| {
        let (stage, url) = (stage.clone(), format!("{server}{path}"));
        Callback::from(move |event: MouseEvent| {
            event.prevent_default();
            let url = url.clone();
            stage.attempt(|body| body.open_link(url));
        })
    });
    html! { <a href={path.to_owned()} data-testid={testid} {onclick}>{ words }</a> }
}
