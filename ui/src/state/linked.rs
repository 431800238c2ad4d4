//! A prompt that a link brought, and what has become of it.
//!
//! **Invariant:** pure, and of this page alone: what nobody has written in is kept nowhere, and goes with the page.

use yew::AttrValue;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Linked {
    /// The newest one, until somebody writes in it, sends it or leaves it.
    pub brought: Option<AttrValue>,
    /// What is being written where a session begins was a link's at first.
    pub is_draft: bool,
}

impl Linked {
    /// The field holds this text from now on; `stood`: until now it held the prompt as it came. What was sent leaves no text.
    #[must_use]
    pub fn written(&self, stood: bool, text: &str) -> Self {
        Self {
            brought: self.brought.clone().filter(|_| !stood),
            is_draft: (stood || self.is_draft) && !text.is_empty(),
        }
    }

    /// Nobody wants it.
    #[must_use]
    pub fn left(&self) -> Self {
        Self {
            brought: None,
            is_draft: self.is_draft,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brought() -> Linked {
        Linked {
            brought: Some(AttrValue::from("List the files")),
            is_draft: false,
        }
    }

    #[test]
    fn whoever_writes_in_a_prompt_is_told_where_it_came_from_until_nothing_of_it_is_left() {
        let draft = brought().written(true, "List all files");
        assert_eq!((draft.brought.as_ref(), draft.is_draft), (None, true));
        assert!(draft.written(false, "List").is_draft);
        assert_eq!(draft.written(false, ""), Linked::default());
        assert_eq!(
            brought().written(true, ""),
            Linked::default(),
            "it was sent as it came"
        );
    }

    #[test]
    fn whoever_writes_something_else_meanwhile_still_has_the_prompt() {
        assert_eq!(brought().written(false, "My own words"), brought());
        assert_eq!(brought().written(false, ""), brought());
        let newer = Linked {
            is_draft: true,
            ..brought()
        };
        assert_eq!(newer.written(false, ""), brought(), "another one came since");
        let left = newer.left();
        assert_eq!((left.brought, left.is_draft), (None, true));
    }
}
