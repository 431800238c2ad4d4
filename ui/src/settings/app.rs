//! What the app does on this computer besides being looked at.

use crate::state::{Action, Stage};
use protocol::ipc::Preferences;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct AppProps {
    pub stage: Stage,
}

#[component]
pub fn App(props: &AppProps) -> Html {
    let chosen = use_state(|| None::<Preferences>);
    let ask = {
        let (stage, chosen) = (props.stage.clone(), chosen.clone());
        Callback::from(move |to: Option<Preferences>| {
            let chosen = chosen.clone();
            stage.ask(
                |body| body.prefer(to),
                move |stage, answer| match answer {
                    Ok(now) => chosen.set(Some(now)),
                    Err(problem) => {
                        // What was clicked goes back to what is true.
                        chosen.set(*chosen);
                        stage.tell(Action::Trouble(problem));
                    }
                },
            );
        })
    };
    {
        let ask = ask.clone();
        use_effect_with((), move |()| ask.emit(None));
    }
    let Some(now) = *chosen else {
        return Html::default();
    };
    let choice = |label: &'static str, testid: &'static str, checked: bool, wanted: Preferences| {
        let onchange = ask.reform(move |_: Event| Some(wanted));
        html! {
            <label class="choice">
                <input type="checkbox" data-testid={testid} {checked} {onchange} />
                <span>{ label }</span>
            </label>
        }
    };
    html! {
        <section aria-labelledby="habits">
            <h2 id="habits">{ "The app" }</h2>
            <div class="choices">
                { choice("Tell me when a reply is ready", "notify", now.notify, Preferences { notify: !now.notify, ..now }) }
                { choice("And what it says", "notify-text", now.notify_text, Preferences { notify_text: !now.notify_text, ..now }) }
                { choice("Start when I sign in to this computer", "autostart", now.autostart, Preferences { autostart: !now.autostart, ..now }) }
                { choice("Stay in the tray when the window is closed", "tray", now.tray, Preferences { tray: !now.tray, ..now }) }
            </div>
        </section>
    }
}
