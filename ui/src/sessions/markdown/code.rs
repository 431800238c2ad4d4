//! A block of code: always from left to right, with its own scrolling, copied by one button once it is whole.

use crate::controls::copy::CopyButton;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct CodeProps {
    pub text: AttrValue,
    pub language: AttrValue,
    pub is_growing: bool,
}

#[component]
pub fn Code(props: &CodeProps) -> Html {
    let label = if props.language.is_empty() {
        "Code".to_owned()
    } else {
        format!("Code, {}", props.language)
    };
    html! {
        <figure class="code" dir="ltr">
            <figcaption>
                <span>{ props.language.clone() }</span>
                if !props.is_growing {
                    <CopyButton text={props.text.clone()} />
                }
            </figcaption>
            <pre tabindex="0" role="group" aria-label={label}><code>{ props.text.clone() }</code></pre>
        </figure>
    }
}
