//! A prompt that a link brought, where a session begins: in the field if nothing else is, and offered otherwise.
//!
//! **Invariant:** it sends nothing, takes the place of nothing that somebody wrote unless they say so, and is kept nowhere before they
//! write in it. Where it stands, a line says where it came from.

use super::{Draft, fit};
use crate::controls::form::value_of;
use crate::controls::{Sign, icon};
use crate::state::{Action, Linked};
use std::rc::Rc;
use web_sys::{HtmlElement, HtmlTextAreaElement};
use yew::prelude::*;

/// Where the newest one is.
#[derive(Clone, PartialEq)]
enum Stand {
    Nowhere,
    /// In the field, as it came.
    Written(AttrValue),
    /// Something else is in the field.
    Offered(AttrValue),
}

/// What the composer knows of it.
#[derive(Clone)]
pub(super) struct Brought {
    linked: Linked,
    stand: UseStateHandle<Stand>,
    field: NodeRef,
    draft: Rc<Draft>,
    /// The line that says where it came from.
    line: NodeRef,
}

/// `is_back`: what was being written stands in the field again, if anything was.
#[hook]
pub(super) fn use_linked(field: &NodeRef, draft: &Rc<Draft>, linked: &Linked, is_back: bool) -> Brought {
    let brought = Brought {
        linked: linked.clone(),
        stand: use_state_eq(|| Stand::Nowhere),
        field: field.clone(),
        draft: draft.clone(),
        line: use_node_ref(),
    };
    let coming = brought.clone();
    use_effect_with(
        (linked.brought.clone(), is_back),
        move |(prompt, is_back)| match prompt.as_ref().filter(|_| *is_back) {
            None => coming.stand.set(Stand::Nowhere),
            Some(prompt) if coming.is_field_free() => coming.put_in(prompt),
            Some(prompt) => coming.stand.set(Stand::Offered(prompt.clone())),
        },
    );
    let line = brought.line.clone();
    use_effect_with(Stand::clone(&brought.stand), move |stand| {
        // And not the field: a key that is on its way as the link comes would send what nobody has read.
        if let (Stand::Written(_), Some(line)) = (stand, line.cast::<HtmlElement>()) {
            let _ = line.focus();
        }
    });
    brought
}

impl Brought {
    fn is_written(&self) -> bool {
        matches!(*self.stand, Stand::Written(_))
    }

    /// Nobody has written anything there.
    fn is_field_free(&self) -> bool {
        let text = value_of(&self.field);
        text.is_empty() || matches!(&*self.stand, Stand::Written(prompt) if **prompt == *text)
    }

    fn put_in(&self, prompt: &AttrValue) {
        if let Some(area) = self.field.cast::<HtmlTextAreaElement>() {
            area.set_value(prompt);
            fit(&area);
            area.set_scroll_top(0);
            self.stand.set(Stand::Written(prompt.clone()));
        }
    }

    /// The field holds this now; nothing, where it was sent.
    pub(super) fn written(&self, text: &str) {
        let linked = self.linked.written(self.is_written(), text);
        if linked != self.linked {
            self.draft.stage.tell(Action::Linked(linked));
        }
    }

    /// Above the field.
    pub(super) fn said(&self) -> Html {
        html! {
            <>
                if self.is_written() || self.linked.is_draft {
                    <p ref={self.line.clone()} class="from-link" tabindex="-1" data-testid="from-link">
                        { icon(Sign::Warning) }
                        { "This prompt came from a link. Read it before you send it." }
                    </p>
                }
                if let Stand::Offered(prompt) = &*self.stand {
                    { self.offer(prompt) }
                }
            </>
        }
    }

    fn offer(&self, prompt: &AttrValue) -> Html {
        let take = {
            let (brought, prompt) = (self.clone(), prompt.clone());
            Callback::from(move |_: MouseEvent| {
                // What was written stays kept until somebody writes in what takes its place.
                brought.draft.now();
                brought.put_in(&prompt);
            })
        };
        let leave = {
            let brought = self.clone();
            Callback::from(move |_: MouseEvent| {
                super::focus_here();
                brought.draft.stage.tell(Action::Linked(brought.linked.left()));
            })
        };
        html! {
            <div class="from-link" data-testid="link-offer">
                <span>{ "A link brought a prompt. Use it instead of what you wrote?" }</span>
                <button type="button" class="button" data-testid="use-linked" onclick={take}>{ "Use it" }</button>
                <button type="button" class="button button-quiet" data-testid="leave-linked" onclick={leave}>
                    { "Leave it" }
                </button>
            </div>
        }
    }
}
