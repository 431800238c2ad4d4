//! A real form: posts to the server by itself; once the app runs, the app may take it over.

use crate::state::Stage;
use wasm_bindgen::JsCast as _;
use web_sys::{HtmlInputElement, HtmlTextAreaElement};
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct PostFormProps {
    pub action: AttrValue,
    pub csrf: AttrValue,
    /// What the app does instead of posting.
    #[prop_or_default]
    pub onpost: Option<Callback<()>>,
    #[prop_or_default]
    pub class: Classes,
    #[prop_or_default]
    pub testid: Option<AttrValue>,
    pub children: Html,
}

#[component]
pub fn PostForm(props: &PostFormProps) -> Html {
    let stage = use_context::<Stage>();
    let onpost = props.onpost.clone();
    let onsubmit = Callback::from(move |event: SubmitEvent| {
        // Without a body to ask, the form posts by itself.
        let can_ask = stage.as_ref().is_some_and(|stage| stage.handle.is_some());
        if let Some(onpost) = onpost.as_ref().filter(|_| can_ask) {
            event.prevent_default();
            onpost.emit(());
        }
    });
    html! {
        <form
            method="post"
            action={props.action.clone()}
            class={props.class.clone()}
            data-testid={props.testid.clone()}
            {onsubmit}
        >
            <input type="hidden" name="csrf" value={props.csrf.clone()} />
            { props.children.clone() }
        </form>
    }
}

/// What stands in the field now.
pub fn value_of(field: &NodeRef) -> String {
    let Some(node) = field.get() else {
        return String::new();
    };
    if let Some(input) = node.dyn_ref::<HtmlInputElement>() {
        return input.value();
    }
    node.dyn_ref::<HtmlTextAreaElement>()
        .map(HtmlTextAreaElement::value)
        .unwrap_or_default()
}
