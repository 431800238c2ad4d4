//! The accounts of this computer, on the desktop: the ones to go to, and the door for one more.

use super::PostForm;
use super::form::value_of;
use crate::state::{Action, Stage};
use protocol::ipc::{Going, KeptAccount};
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct AccountsProps {
    pub stage: Stage,
    /// Where one may be added; none is, where there is no server.
    #[prop_or_default]
    pub server: Option<AttrValue>,
}

#[component]
pub fn Accounts(props: &AccountsProps) -> Html {
    let kept = use_state(Vec::new);
    let server = use_node_ref();
    let ask = {
        let (stage, kept) = (props.stage.clone(), kept.clone());
        Callback::from(move |go: Option<Going>| {
            let kept = kept.clone();
            // Where it goes, this page is gone by then.
            stage.ask(
                |body| body.accounts(go),
                move |stage, answer| match answer {
                    Ok(accounts) => kept.set(accounts),
                    Err(problem) => stage.tell(Action::Trouble(problem)),
                },
            );
        })
    };
    {
        let ask = ask.clone();
        use_effect_with((), move |()| ask.emit(None));
    }
    let onpost = {
        let server = server.clone();
        ask.reform(move |()| Some(Going::Add(value_of(&server))))
    };
    html! {
        <>
            for account in kept.iter() {
                { row(account, &ask) }
            }
            if let Some(value) = props.server.clone() {
                <PostForm action="" csrf="" class="choices" {onpost}>
                    <input ref={server} class="field" aria-label="Server" {value} required=true data-testid="server" />
                    <button class="button" data-testid="add-account">{ "Add another account" }</button>
                </PostForm>
            }
        </>
    }
}

fn row(account: &KeptAccount, ask: &Callback<Option<Going>>) -> Html {
    let name = account.name.clone();
    let onclick = ask.reform(move |_: MouseEvent| Some(Going::To(name.clone())));
    html! {
        <p>
            <button type="button" class="button button-wide" data-testid="account-row" {onclick}>
                { "Switch to " }<bdi>{ &account.whose }</bdi>
            </button>
            <span class="hint" dir="ltr">{ &account.about }</span>
        </p>
    }
}
