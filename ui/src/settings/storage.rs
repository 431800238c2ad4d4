//! What this computer holds, and where it keeps what signs it in.

use crate::controls::{Consent, problem_line};
use crate::state::Stage;
use protocol::Problem;
use protocol::ipc::{self, AppAct, SecretStore};
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct StorageProps {
    pub stage: Stage,
}

#[component]
pub fn Storage(props: &StorageProps) -> Html {
    let held = use_state(|| None::<ipc::Storage>);
    let problem = use_state(|| None::<Problem>);
    let load = {
        let (stage, held, problem) = (props.stage.clone(), held.clone(), problem.clone());
        Callback::from(move |()| {
            let (held, problem) = (held.clone(), problem.clone());
            stage.ask(
                |body| body.storage(),
                move |_, answer| match answer {
                    Ok(storage) => held.set(Some(storage)),
                    Err(refusal) => problem.set(Some(refusal)),
                },
            );
        })
    };
    {
        let load = load.clone();
        use_effect_with((), move |()| load.emit(()));
    }
    html! {
        <section aria-labelledby="storage" data-testid="storage">
            <h2 id="storage">{ "On this computer" }</h2>
            { problem_line(problem.as_ref()) }
            if let Some(held) = &*held {
                <dl class="facts">
                    <dt>{ "Kept for offline" }</dt>
                    <dd>{ kept(held) }</dd>
                    <dt>{ "That copy is" }</dt><dd data-testid="protection">{ &held.protection }</dd>
                    if held.kept > 0 {
                        <dt>{ "Always kept on this computer" }</dt>
                        <dd data-testid="kept">{ counted(held.kept, "session") }</dd>
                    }
                    if let Some(aside) = &held.aside {
                        <dt>{ "Could not be opened" }</dt>
                        <dd data-testid="aside">
                            { counted(aside.files, "file") }{ " with unsent messages, kept aside: " }
                            { size(aside.bytes) }{ " in " }<bdi>{ &aside.folder }</bdi>
                        </dd>
                    }
                    <dt>{ "Waiting to send" }</dt><dd>{ held.waiting }</dd>
                    <dt>{ "Your sign-in is kept" }</dt><dd data-testid="secret-store">{ store(held.secrets) }</dd>
                </dl>
                if held.aside.is_some() {
                    { what_becomes_of_it(&props.stage, &load) }
                }
                if held.is_paused {
                    <p class="hint">{ "The rest is loaded once the connection is not metered and the battery is not being spared." }</p>
                }
                if held.secrets != Some(SecretStore::Keychain) {
                    <Consent stage={props.stage.clone()} chosen={held.secrets} onchosen={load} />
                }
            }
        </section>
    }
}

/// Of what was put aside.
fn what_becomes_of_it(stage: &Stage, load: &Callback<()>) -> Html {
    let act = |act: AppAct| {
        let (stage, load) = (stage.clone(), load.clone());
        Callback::from(move |_: MouseEvent| {
            let load = load.clone();
            stage.act_then(act, move || load.emit(()));
        })
    };
    html! {
        <div class="choices">
            <button type="button" class="button" data-testid="show-aside" onclick={act(AppAct::ShowAside)}>
                { "Show the folder" }
            </button>
            <button type="button" class="button button-danger" data-testid="remove-aside" onclick={act(AppAct::RemoveAside)}>
                { "Remove what is aside…" }
            </button>
        </div>
    }
}

const fn store(secrets: Option<SecretStore>) -> &'static str {
    match secrets {
        Some(SecretStore::Keychain) => "in this computer’s keychain",
        Some(SecretStore::File) => "in a file that only you may read",
        Some(SecretStore::Memory) => "only while the app runs",
        None => "nowhere yet: this computer has no keychain",
    }
}

fn kept(held: &ipc::Storage) -> String {
    let (sessions, messages) = (
        counted(held.sessions, "session"),
        counted(held.messages, "message"),
    );
    format!("{sessions}, {messages}, {}", size(held.cache_bytes))
}

fn counted(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KB", bytes / 1024),
        _ => format!("{} MB", bytes / 1_048_576),
    }
}
