//! Markdown as nodes: what a reply says is text and structure, never markup of its own.
//!
//! **Invariant:** raw HTML is shown as the text it is; only the links that [`address`] allows are links; no picture is
//! fetched from elsewhere.

pub mod address;
pub mod split;

mod build;
mod code;
mod colour;

use yew::prelude::*;

/// A text, block by block; `is_growing` where more may come.
pub fn markdown(text: &str, is_growing: bool) -> Html {
    let blocks = split::split(text);
    let last = blocks.len().saturating_sub(1);
    html! {
        <>
            for (index, source) in blocks.into_iter().enumerate() {
                <Block
                    key={index}
                    source={AttrValue::from(source.to_owned())}
                    is_growing={is_growing && index == last}
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
