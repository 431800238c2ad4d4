//! A computer without a keychain: its owner says what keeps them signed in instead.

use crate::state::{Action, Stage};
use protocol::ipc::SecretStore;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct ConsentProps {
    pub stage: Stage,
    /// In use now.
    #[prop_or_default]
    pub chosen: Option<SecretStore>,
    pub onchosen: Callback<()>,
}

#[component]
pub fn Consent(props: &ConsentProps) -> Html {
    let choose = |to: SecretStore| {
        let (stage, onchosen) = (props.stage.clone(), props.onchosen.clone());
        Callback::from(move |_: MouseEvent| {
            let onchosen = onchosen.clone();
            stage.ask(
                |body| body.consent(to),
                move |stage, answer| match answer {
                    Ok(()) => onchosen.emit(()),
                    Err(problem) => stage.tell(Action::Trouble(problem)),
                },
            );
        })
    };
    html! {
        <div class="consent">
            <p>
                { "Without a keychain, a file can keep you signed in. It is weaker: whoever can read this disk can use it. " }
                { "Or you sign in again each time the app starts." }
            </p>
            <div class="gate-row">
                if props.chosen != Some(SecretStore::File) {
                    <button type="button" class="button" data-testid="consent-file" onclick={choose(SecretStore::File)}>
                        { "Keep it in a file" }
                    </button>
                }
                if props.chosen != Some(SecretStore::Memory) {
                    <button type="button" class="button" onclick={choose(SecretStore::Memory)}>
                        { "Sign in each time" }
                    </button>
                }
            </div>
        </div>
    }
}
