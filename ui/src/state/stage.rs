//! What every component may use: the body, the way to change the scene, and the way to another place.

use super::{Action, Place, Scene};
use crate::backend::{Answer, Backend, Handle};
use protocol::Problem;
use protocol::ipc::AppAct;
use protocol::view::Body;
use std::cell::OnceCell;
use std::rc::Rc;
use wasm_bindgen::JsValue;
use yew::platform::spawn_local;
use yew::{AttrValue, UseReducerDispatcher};

#[derive(Clone, PartialEq)]
pub struct Stage {
    /// `None` while the server draws the page: then nothing can be asked.
    pub handle: Option<Handle>,
    pub body: Body,
    /// Hidden field of every form.
    pub csrf: AttrValue,
    pub dispatch: UseReducerDispatcher<Scene>,
    pub ahead: Ahead,
}

/// Whoever asks for what a place shows, once they are there: they begin before the place is drawn.
#[derive(Clone, Default)]
pub struct Ahead(Rc<OnceCell<Asks>>);

type Asks = Box<dyn Fn(Place)>;

impl Ahead {
    pub(super) fn is(&self, asks: Asks) {
        // The page begins once.
        let _ = self.0.set(asks);
    }

    pub(super) fn arrive(&self, place: Place) {
        if let Some(asks) = self.0.get() {
            asks(place);
        }
    }
}

impl PartialEq for Ahead {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ahead")
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stage({:?})", self.body)
    }
}

impl Stage {
    pub fn tell(&self, action: Action) {
        self.dispatch.dispatch(action);
    }

    /// Goes there and leaves a step in the history.
    pub fn go(&self, place: Place) {
        self.go_by(place, &place.path());
    }

    /// The same, by an address of that place with a query.
    pub fn go_by(&self, place: Place, path: &str) {
        let pathname = place.path();
        if let Some(window) = web_sys::window() {
            let is_there = window.location().pathname().is_ok_and(|now| now == pathname);
            if !is_there && let Ok(history) = window.history() {
                // Refused only in documents without an origin; the place changes all the same.
                let _ = history.push_state_with_url(&JsValue::NULL, "", Some(path));
            }
        }
        self.turn_to(place);
    }

    /// The same, where the history has it already. The body answers while the place is drawn.
    pub fn turn_to(&self, place: Place) {
        self.ahead.arrive(place);
        self.tell(Action::Go(place));
    }

    /// Asks the body; `then` gets its answer.
    pub fn ask<T: 'static>(
        &self,
        call: impl FnOnce(&dyn Backend) -> Answer<T>,
        then: impl FnOnce(&Self, Result<T, Problem>) + 'static,
    ) {
        let Some(handle) = &self.handle else { return };
        let answer = call(&**handle);
        let stage = self.clone();
        spawn_local(async move {
            let answer = answer.await;
            then(&stage, answer);
        });
    }

    /// Lets the app do something, and tells what it says of it.
    pub fn act(&self, act: AppAct) {
        self.act_then(act, || {});
    }

    /// The same, and this once it is over, however it went.
    pub fn act_then(&self, act: AppAct, then: impl FnOnce() + 'static) {
        self.ask(
            |body| body.act(act),
            |stage, answer| {
                match answer {
                    Ok(said) if said.is_empty() => {}
                    Ok(said) => stage.tell(Action::Note(said)),
                    Err(problem) => stage.tell(Action::Trouble(problem)),
                }
                then();
            },
        );
    }

    /// Asks for something to be done; a refusal is shown at the edge of the window.
    pub fn attempt<T: 'static>(&self, call: impl FnOnce(&dyn Backend) -> Answer<T>) {
        self.ask(call, |stage, answer| {
            if let Err(problem) = answer {
                stage.tell(Action::Trouble(problem));
            }
        });
    }
}
