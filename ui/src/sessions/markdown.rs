//! Markdown as nodes: what a reply says is text and structure, never markup of its own.
//!
//! **Invariant:** raw HTML is shown as the text it is; only the links that [`address`] allows are links; no picture is
//! fetched from elsewhere.

pub mod address;
pub mod split;

mod build;
mod code;

use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct MarkdownProps {
    pub text: AttrValue,
    /// More may come.
    pub is_growing: bool,
}

#[component]
pub fn Markdown(props: &MarkdownProps) -> Html {
    let blocks = split::split(&props.text);
    let last = blocks.len().saturating_sub(1);
    html! {
        <>
            for (index, source) in blocks.into_iter().enumerate() {
                <Block
                    key={index}
                    source={AttrValue::from(source.to_owned())}
                    is_growing={props.is_growing && index == last}
                />
            }
        </>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct BlockProps {
    source: AttrValue,
    is_growing: bool,
}

/// Drawn again only when its own text changes.
#[component]
fn Block(props: &BlockProps) -> Html {
    html! { <div class="block">{ build::nodes(&props.source, props.is_growing) }</div> }
}
