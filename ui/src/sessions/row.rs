//! One line of the list: a session, or the field for its new name.

use super::acts;
use crate::controls::form::value_of;
use crate::controls::keys::{is_plain_enter, key_of};
use crate::controls::{Link, Sign, icon, when};
use crate::state::{Place, Stage};
use protocol::view::SessionRow;
use protocol::{UnixMillis, limits};
use std::rc::Rc;
use web_sys::HtmlInputElement;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct RowProps {
    pub row: Rc<SessionRow>,
    pub is_current: bool,
    pub now: UnixMillis,
}

/// Its button's clicks are heard by the list.
#[component]
pub fn Row(props: &RowProps) -> Html {
    let row = &props.row;
    let label = format!("Menu of {}", title_of(row));
    html! {
        <li data-testid="session-row" data-session={row.id.to_string()}>
            <Link to={Place::Session(row.id)} class="row" is_current={props.is_current}>
                <span class={classes!("row-title", row.title.is_empty().then_some("is-untitled"))} dir="auto">
                    { title_of(row) }
                </span>
                <span class="row-about">
                    if row.running {
                        <span class="row-state"><span class="ring" />{ "Running" }</span>
                    } else if row.waiting > 0 {
                        <span class="row-state">{ icon(Sign::Clock) }{ "Waiting to send" }</span>
                    } else {
                        { when(row.last_active, props.now) }
                    }
                    <span class="row-preview" dir="auto">{ &row.preview }</span>
                </span>
            </Link>
            <button
                type="button"
                class="row-more needs-script"
                // reached from the row by Shift+F10; a second stop on every row would make the way through them twice as long
                tabindex={if props.is_current { "0" } else { "-1" }}
                aria-haspopup="menu"
                aria-label={label}
                title="Menu (Shift+F10)"
                data-testid="row-menu"
            >
                { icon(Sign::More) }
            </button>
        </li>
    }
}

/// What a session is called until it has a title.
pub fn title_of(row: &SessionRow) -> String {
    if row.title.is_empty() {
        "New session".to_owned()
    } else {
        row.title.clone()
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct NewNameProps {
    pub stage: Stage,
    pub row: Rc<SessionRow>,
    pub ondone: Callback<()>,
}

/// The field in the row's place. Enter and leaving it keep the name, Escape does not.
#[component]
pub fn NewName(props: &NewNameProps) -> Html {
    let field = use_node_ref();
    let is_done = use_mut_ref(|| false);
    {
        let (field, title) = (field.clone(), props.row.title.clone());
        use_effect_with((), move |()| {
            if let Some(field) = field.cast::<HtmlInputElement>() {
                field.set_value(&title);
                let _ = field.focus();
                field.select();
            }
        });
    }
    let finish = {
        let (stage, row, field) = (props.stage.clone(), props.row.clone(), field.clone());
        let ondone = props.ondone.clone();
        move |is_wanted: bool| {
            // Taking the field away takes its focus away too.
            if std::mem::replace(&mut *is_done.borrow_mut(), true) {
                return;
            }
            if is_wanted {
                acts::rename(&stage, &row, &value_of(&field));
            }
            ondone.emit(());
        }
    };
    let onblur = {
        let finish = finish.clone();
        Callback::from(move |_: FocusEvent| finish(true))
    };
    let onkeydown = Callback::from(move |event: KeyboardEvent| {
        // The list's own keys are not meant here.
        event.stop_propagation();
        if is_plain_enter(&event) {
            event.prevent_default();
            finish(true);
        } else if key_of(&event).as_deref() == Some("Escape") && !event.is_composing() {
            finish(false);
        }
    });
    html! {
        <li class="row-rename" data-session={props.row.id.to_string()}>
            <input
                ref={field}
                class="field"
                aria-label="Title"
                data-testid="row-rename"
                maxlength={limits::TITLE_CHARS.to_string()}
                autocomplete="off"
                dir="auto"
                {onblur}
                {onkeydown}
            />
        </li>
    }
}
