//! Short notes at the edge of the window; one of them can take back what it tells of.

use super::{Sign, icon};
use crate::state::scene::Flash;
use crate::state::{Action, Place, Stage};
use gloo_timers::callback::Timeout;
use yew::prelude::*;

/// As long as an undo is good for; trouble is read as slowly.
const LONG_MILLIS: u32 = 10_000;
const SHORT_MILLIS: u32 = 4000;

pub fn flashes(flashes: &[Flash]) -> Html {
    html! {
        <div class="flashes">
            for flash in flashes {
                <Note key={flash.number} flash={flash.clone()} />
            }
        </div>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct NoteProps {
    flash: Flash,
}

#[component]
fn Note(props: &NoteProps) -> Html {
    let stage = use_context::<Stage>();
    let Flash {
        number,
        text,
        is_trouble,
        undo,
    } = props.flash.clone();
    let leaving = stage.clone();
    use_effect_with((), move |()| {
        let millis = if is_trouble || undo.is_some() {
            LONG_MILLIS
        } else {
            SHORT_MILLIS
        };
        let timer = Timeout::new(millis, move || {
            if let Some(stage) = leaving {
                stage.tell(Action::DropFlash(number));
            }
        });
        move || drop(timer)
    });
    let take_back = undo.map(|(mutation, session)| {
        Callback::from(move |_: MouseEvent| {
            let Some(stage) = &stage else { return };
            stage.tell(Action::DropFlash(number));
            stage.ask(
                |body| body.undo(mutation),
                move |stage, answer| match answer {
                    Ok(()) => stage.go(Place::Session(session)),
                    Err(problem) => stage.tell(Action::Trouble(problem)),
                },
            );
        })
    });
    html! {
        <div
            class={classes!("flash", is_trouble.then_some("flash-trouble"))}
            role={if is_trouble { "alert" } else { "status" }}
            data-testid="flash"
        >
            if is_trouble {
                { icon(Sign::Warning) }
            }
            <span>{ text }</span>
            if let Some(onclick) = take_back {
                <button type="button" class="button button-quiet" data-testid="undo" {onclick}>{ "Undo" }</button>
            }
        </div>
    }
}
