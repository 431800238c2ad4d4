//! Looking for something in everything that is here: a dialog over the page, opened by its button, Ctrl+K or
//! Ctrl+Shift+F. What is chosen opens its session and goes to its message. Within one session it is the bar of `find.rs`
//! that is shown of the same, and every step leads on.
//!
//! **Invariant:** only where script runs; the server draws neither the button nor the dialog.

pub mod results;

use super::find;
use crate::controls::found::by_id;
use crate::controls::keys::{is_of_a_word, is_plain_enter, key_of};
use crate::controls::{Sign, icon};
use crate::state::{Action, Place, Sought, Stage};
use protocol::search::Found;
use protocol::view::Body;
use protocol::{MessageId, SessionId, UnixMillis};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use web_sys::{Element, HtmlDialogElement, HtmlInputElement, ScrollIntoViewOptions, ScrollLogicalPosition};
use yew::prelude::*;

const DIALOG: &str = "search";
const FIELD: &str = "search-input";
const RESULTS: &str = "search-results";
/// More is not looked at (`sync-client/src/search/query.rs`).
const CHARACTERS: &str = "256";

/// For the head of the list.
pub fn search_button() -> Html {
    html! {
        <button
            type="button"
            class="button button-quiet search-button"
            data-testid="search"
            aria-label="Search"
            title="Search (Ctrl+K)"
            onclick={Callback::from(|_: MouseEvent| open())}
        >
            { icon(Sign::Search) }<span>{ "Search" }</span>
        </button>
    }
}

/// Opens the dialog if there is one, to look through everything; what was typed last is there to be typed over.
pub fn open() {
    let Some(dialog) = by_id::<HtmlDialogElement>(DIALOG) else {
        return;
    };
    if !dialog.open() {
        // Refused only for a dialog that is open already or is not in the document.
        let _ = dialog.show_modal();
    }
    if let Some(field) = by_id::<HtmlInputElement>(FIELD) {
        let _ = field.focus();
        field.select();
    }
}

/// The focus goes back to where it was.
fn shut() {
    if let Some(dialog) = by_id::<HtmlDialogElement>(DIALOG) {
        dialog.close();
    }
}

/// What one may choose: a session, or a message in it.
pub type Choice = (SessionId, Option<MessageId>);

fn choices(found: &Found) -> Vec<Choice> {
    let mut choices = Vec::new();
    for session in &found.sessions {
        if session.is_titled_so {
            choices.push((session.id, None));
        }
        let hits = session.hits.iter();
        choices.extend(hits.map(|hit| (session.id, Some(hit.message))));
    }
    choices
}

/// What is shown: the answer to what was typed, and the choice that Enter takes.
#[derive(Clone, Debug, Default, PartialEq)]
struct View {
    typed: String,
    found: Rc<Found>,
    active: usize,
    /// Steps that were taken, also those that led nowhere else.
    steps: usize,
}

enum Turn {
    Found(String, Found),
    Down,
    Up,
}

impl Reducible for View {
    type Action = Turn;

    fn reduce(self: Rc<Self>, turn: Turn) -> Rc<Self> {
        let count = self.found.count();
        let step = |by: usize| {
            Rc::new(Self {
                active: (self.active + by) % count.max(1),
                steps: self.steps + 1,
                ..Self::clone(&self)
            })
        };
        match turn {
            // Asked again for the same, it stays where one was.
            Turn::Found(typed, found) if typed == self.typed && found == *self.found => self,
            Turn::Found(typed, found) => Rc::new(Self {
                typed,
                found: Rc::new(found),
                active: 0,
                steps: self.steps,
            }),
            Turn::Down => step(1),
            Turn::Up => step(count.saturating_sub(1)),
        }
    }
}

/// One question at a time, and always the newest.
#[derive(Default)]
struct Asking {
    is_busy: Cell<bool>,
    wanted: RefCell<(String, Option<SessionId>)>,
}

fn ask(stage: &Stage, asking: &Rc<Asking>, view: UseReducerDispatcher<View>) {
    if asking.is_busy.replace(true) {
        return;
    }
    let asked = asking.wanted.borrow().clone();
    let (asking, (typed, within)) = (asking.clone(), asked.clone());
    stage.ask(
        |body| body.search(typed, within),
        move |stage, answer| {
            asking.is_busy.set(false);
            let is_newest = *asking.wanted.borrow() == asked;
            match answer {
                Ok(found) => view.dispatch(Turn::Found(asked.0, found)),
                Err(problem) => stage.tell(Action::Trouble(problem)),
            }
            if !is_newest {
                ask(stage, &asking, view);
            }
        },
    );
}

fn choose(stage: &Stage, (session, message): Choice) {
    shut();
    stage.go(Place::Session(session));
    if let Some(message) = message {
        stage.tell(Action::Seek(Sought { session, message }));
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct SearchProps {
    pub stage: Stage,
    /// The session whose messages alone are looked through, in its bar.
    #[prop_or_default]
    pub within: Option<SessionId>,
    pub now: UnixMillis,
}

#[component]
pub fn Search(props: &SearchProps) -> Html {
    let view = use_reducer(View::default);
    let asking = use_memo((), |()| Rc::new(Asking::default()));
    let within = props.within;
    {
        let (stage, view) = (props.stage.clone(), view.clone());
        // Another text begins at the best, though it may find the same.
        let led_by = (view.steps, view.typed.clone(), view.found.clone());
        use_effect_with(led_by, move |_| match within {
            None => show(view.active),
            Some(session) => lead(&stage, session, &view),
        });
    }
    let look = {
        let (stage, view) = (props.stage.clone(), view.dispatcher());
        Callback::from(move |()| {
            let Some(field) = by_id::<HtmlInputElement>(field_of(within)) else {
                return;
            };
            asking.wanted.replace((field.value(), within));
            ask(&stage, &asking, view.clone());
        })
    };
    let oninput = look.reform(|_: InputEvent| ());
    // What is here may have changed since it was open last.
    let onfocus = look.reform(|_: FocusEvent| ());
    let pick = {
        let stage = props.stage.clone();
        Callback::from(move |choice: Choice| choose(&stage, choice))
    };
    let onkeydown = {
        let (view, pick) = (view.clone(), pick.clone());
        Callback::from(move |event: KeyboardEvent| strike(&event, &view, &pick, within.is_some()))
    };
    let count = view.found.count();
    let is_list = within.is_none();
    let field = html! {
        <input
            id={field_of(within)}
            class="search-field"
            type="text"
            enterkeyhint="search"
            role={is_list.then_some("combobox")}
            aria-label={if is_list { scope(props.stage.body) } else { "Find in this session" }}
            aria-autocomplete={is_list.then_some("list")}
            aria-expanded={is_list.then(|| (count > 0).to_string())}
            aria-controls={is_list.then_some(RESULTS)}
            aria-activedescendant={(is_list && count > 0).then(|| results::option_id(view.active))}
            placeholder={if is_list { "Search sessions and messages" } else { "Find in this session" }}
            maxlength={CHARACTERS}
            autocomplete="off"
            spellcheck="false"
            dir="auto"
            data-testid={field_of(within)}
            {oninput}
            {onfocus}
            {onkeydown}
        />
    };
    if !is_list {
        let standing = find::standing(&view.typed, &view.found, view.active);
        return find::view(field, standing, step(&view, false), step(&view, true));
    }
    html! {
        <dialog id={DIALOG} class="search" aria-label="Search" onclick={leave()}>
            <div class="search-head">
                { icon(Sign::Search) }
                { field }
                <button type="button" class="button button-quiet" onclick={Callback::from(|_: MouseEvent| shut())}>
                    { "Close" }
                </button>
            </div>
            <div id={RESULTS} class="search-results" role="listbox" aria-label="Results">
                { results::groups(&view.found, view.active, props.now, &pick) }
            </div>
            <p class="search-foot">
                <span role="status" data-testid="search-status">
                    { results::summary(&view.typed, &view.found, props.stage.body) }
                </span>
                <span>{ scope(props.stage.body) }</span>
            </p>
        </dialog>
    }
}

const fn field_of(within: Option<SessionId>) -> &'static str {
    if within.is_some() { find::field_id() } else { FIELD }
}

/// Where it is looked.
const fn scope(body: Body) -> &'static str {
    match body {
        Body::Desktop => "Searching the sessions on this computer",
        Body::Browser => "Searching what this page has loaded",
    }
}

/// A button's step down or up.
fn step(view: &UseReducerHandle<View>, is_down: bool) -> Callback<MouseEvent> {
    let view = view.dispatcher();
    Callback::from(move |_| view.dispatch(if is_down { Turn::Down } else { Turn::Up }))
}

/// Marks what was found in the session, and goes to the one that one is at.
fn lead(stage: &Stage, session: SessionId, view: &View) {
    find::keep(&view.found);
    // An answer may come after it was shut.
    let message = find::message(&view.found, view.active).filter(|_| find::is_open());
    if let Some(message) = message {
        stage.tell(Action::Seek(Sought { session, message }));
    }
}

fn strike(event: &KeyboardEvent, view: &UseReducerHandle<View>, pick: &Callback<Choice>, is_bar: bool) {
    if is_of_a_word(event) {
        return;
    }
    match key_of(event).as_deref() {
        Some("ArrowDown") => view.dispatch(Turn::Down),
        Some("ArrowUp") => view.dispatch(Turn::Up),
        Some("Enter") if is_bar => view.dispatch(if event.shift_key() { Turn::Up } else { Turn::Down }),
        // Around the bar it goes by the session's own order (`conversation.rs`).
        Some("Escape") if !is_bar => shut(),
        Some("Enter") if is_plain_enter(event) => {
            if let Some(choice) = choices(&view.found).get(view.active) {
                pick.emit(*choice);
            }
        }
        _ => return,
    }
    event.prevent_default();
}

/// A click beside the dialog is one on the dialog itself: all that is in it lies above.
fn leave() -> Callback<MouseEvent> {
    Callback::from(|event: MouseEvent| {
        let target = event.target_dyn_into::<Element>();
        if target.is_some_and(|target| target.id() == DIALOG) {
            shut();
        }
    })
}

fn show(active: usize) {
    if let Some(option) = by_id::<Element>(&results::option_id(active)) {
        let options = ScrollIntoViewOptions::new();
        options.set_block(ScrollLogicalPosition::Nearest);
        option.scroll_into_view_with_scroll_into_view_options(&options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::search::{FoundSession, Hit};
    use protocol::sync::Role;

    fn found() -> Found {
        let hit = || Hit {
            message: MessageId::fresh(),
            ord: Some(1),
            role: Role::User,
            snippet: Vec::new(),
            created_at: 0,
        };
        let session = |is_titled_so, hits| FoundSession {
            id: SessionId::fresh(),
            title: Vec::new(),
            is_titled_so,
            archived: false,
            last_active: 0,
            hits,
        };
        Found {
            sessions: vec![session(true, vec![hit()]), session(false, vec![hit()])],
            has_more: false,
        }
    }

    #[test]
    fn the_choices_stand_in_the_order_in_which_they_are_counted() {
        let found = found();
        let kinds: Vec<bool> = choices(&found)
            .iter()
            .map(|(_, message)| message.is_some())
            .collect();
        assert_eq!(kinds, [false, true, true]);
        assert_eq!(kinds.len(), found.count());
    }

    #[test]
    fn the_arrows_go_round_and_a_new_answer_begins_at_the_best() {
        let view = Rc::new(View::default()).reduce(Turn::Down).reduce(Turn::Up);
        assert_eq!(view.active, 0, "where there is nothing to go to");
        let found = found();
        let view = view.reduce(Turn::Found("a".to_owned(), found.clone()));
        let view = view.reduce(Turn::Up);
        assert_eq!(view.active, 2);
        let same = view.clone().reduce(Turn::Found("a".to_owned(), found.clone()));
        assert_eq!(same.active, 2);
        assert_eq!(view.clone().reduce(Turn::Down).active, 0);
        assert_eq!(view.reduce(Turn::Found("ab".to_owned(), found)).active, 0);
    }
}
