//! The accounts of this computer, on the desktop: the ones to go to, and the door for one more.

use super::PostForm;
use super::form::value_of;
use crate::state::{Action, Stage};
use protocol::UnixMillis;
use protocol::ipc::{Going, KeptAccount, KeptAccounts};
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct AccountsProps {
    pub stage: Stage,
    /// Where one may be added; none is, where there is no server.
    #[prop_or_default]
    pub server: Option<AttrValue>,
    /// How much the list shows that waits to be sent: where that changes, the accounts are asked for again.
    #[prop_or_default]
    pub unsent: u32,
    /// And with the clock, for what the list does not show.
    #[prop_or_default]
    pub now: UnixMillis,
}

#[component]
pub fn Accounts(props: &AccountsProps) -> Html {
    let kept = use_state(KeptAccounts::default);
    {
        let (stage, kept) = (props.stage.clone(), kept.clone());
        use_effect_with((props.unsent, props.now), move |_| {
            stage.ask(
                |body| body.accounts(None),
                move |stage, answer| match answer {
                    Ok(accounts) => kept.set(accounts),
                    Err(problem) => stage.tell(Action::Trouble(problem)),
                },
            );
        });
    }
    html! {
        <>
            if !kept.waits.is_empty() {
                <p data-testid="account-waits">{ &kept.waits }</p>
            }
            for account in &kept.others {
                { row(account, &props.stage) }
            }
            if let Some(server) = props.server.clone() {
                <Door stage={props.stage.clone()} {server} />
            }
        </>
    }
}

/// Where it goes, this page is gone with the answer.
fn go(stage: &Stage, to: Going) {
    stage.attempt(|body| body.accounts(Some(to)));
}

fn row(account: &KeptAccount, stage: &Stage) -> Html {
    let (name, stage) = (account.name.clone(), stage.clone());
    let onclick = Callback::from(move |_: MouseEvent| go(&stage, Going::To(name.clone())));
    html! {
        <div>
            <button type="button" class="button button-wide" data-testid="account-row" {onclick}>
                { "Switch to " }<bdi>{ &account.whose }</bdi>
            </button>
            <span class="hint" dir="ltr">{ &account.about }</span>
        </div>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct DoorProps {
    stage: Stage,
    server: AttrValue,
}

/// By itself: what is typed here stays where the rest is drawn anew.
#[component]
fn Door(props: &DoorProps) -> Html {
    let server = use_node_ref();
    let onpost = {
        let (stage, server) = (props.stage.clone(), server.clone());
        Callback::from(move |()| go(&stage, Going::Add(value_of(&server))))
    };
    html! {
        <PostForm action="" csrf="" class="choices one-more" {onpost}>
            <label class="labelled">
                <span>{ "Server" }</span>
                <input ref={server} class="field" value={props.server.clone()} required=true data-testid="server" />
            </label>
            <button class="button" data-testid="add-account">{ "Add another account" }</button>
        </PostForm>
    }
}
