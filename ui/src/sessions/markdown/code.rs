//! A block of code: always from left to right, with its own scrolling, copied by one button once it is whole.

use super::colour;
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
            <pre tabindex="0" role="group" aria-label={label}><code>{ coloured(props) }</code></pre>
        </figure>
    }
}

/// In one colour while it grows: what a half of it would be taken for changes with the next word.
fn coloured(props: &CodeProps) -> Html {
    if props.is_growing {
        return html! { { props.text.clone() } };
    }
    let pieces = colour::pieces(&props.text, &props.language);
    pieces
        .into_iter()
        .map(|(text, class)| match class {
            None => html! { { text.to_owned() } },
            Some(class) => html! { <span {class}>{ text.to_owned() }</span> },
        })
        .collect()
}
