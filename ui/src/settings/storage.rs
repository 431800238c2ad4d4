//! What this computer holds, and where it keeps what signs it in.

use crate::controls::{Consent, problem_line};
use crate::state::Stage;
use protocol::Problem;
use protocol::ipc::{self, AppAct, CacheLimit, SecretStore};
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
                    Ok(storage) => {
                        held.set(Some(storage));
                        problem.set(None);
                    }
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
                    <dd data-testid="held">{ kept(held) }</dd>
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
                { limits(&props.stage, held.limit, &load) }
                { clearing(&props.stage, &load) }
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

/// Lets the app do this, and looks again.
fn does<E: 'static>(stage: &Stage, load: &Callback<()>, act: AppAct) -> Callback<E> {
    let (stage, load) = (stage.clone(), load.clone());
    Callback::from(move |_: E| {
        let load = load.clone();
        stage.act_then(act, move || load.emit(()));
    })
}

/// How much is kept at most.
fn limits(stage: &Stage, chosen: CacheLimit, load: &Callback<()>) -> Html {
    html! {
        <>
            <p id="limit">{ "Keep at most" }</p>
            <div class="choices" role="radiogroup" aria-labelledby="limit">
                for limit in CacheLimit::ALL {
                    <label class="choice" key={word(limit)}>
                        <input
                            type="radio"
                            name="limit"
                            checked={chosen == limit}
                            data-testid={format!("limit-{}", word(limit))}
                            onchange={does::<Event>(stage, load, AppAct::Limit(limit))}
                        />
                        <span>{ size(limit.bytes()) }</span>
                    </label>
                }
            </div>
            <p class="hint">
                { "Beyond that, what you opened longest ago is removed from this computer first. The server keeps it. The space on the disk is used again; clearing gives it back." }
            </p>
        </>
    }
}

const fn word(limit: CacheLimit) -> &'static str {
    match limit {
        CacheLimit::Small => "small",
        CacheLimit::Usual => "usual",
        CacheLimit::Large => "large",
    }
}

fn clearing(stage: &Stage, load: &Callback<()>) -> Html {
    html! {
        <div class="choices">
            <button
                type="button"
                class="button"
                data-testid="clear-cache"
                onclick={does::<MouseEvent>(stage, load, AppAct::ClearCache)}
            >
                { "Clear what is kept here…" }
            </button>
        </div>
    }
}

/// Of what was put aside.
fn what_becomes_of_it(stage: &Stage, load: &Callback<()>) -> Html {
    let show = does::<MouseEvent>(stage, load, AppAct::ShowAside);
    let remove = does::<MouseEvent>(stage, load, AppAct::RemoveAside);
    html! {
        <div class="choices">
            <button type="button" class="button" data-testid="show-aside" onclick={show}>{ "Show the folder" }</button>
            <button type="button" class="button button-danger" data-testid="remove-aside" onclick={remove}>
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
    format!(
        "{}, {} of {} messages, {} of {}",
        counted(held.sessions, "session"),
        grouped(held.messages),
        grouped(held.most_messages),
        size(held.cache_bytes),
        size(held.most_bytes),
    )
}

fn counted(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KB", bytes / 1024),
        1_048_576..1_073_741_824 => format!("{} MB", bytes / 1_048_576),
        _ => {
            let tenths = bytes / (1_073_741_824 / 10);
            match tenths % 10 {
                0 => format!("{} GB", tenths / 10),
                tenth => format!("{}.{tenth} GB", tenths / 10),
            }
        }
    }
}

/// With a comma after each three digits from the end.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (left, digit) in (0..digits.len()).rev().zip(digits.chars()) {
        text.push(digit);
        if left > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_can_be_read() {
        let counts = [0, 999, 1_000, 125_000, 8_000_000].map(grouped);
        assert_eq!(counts, ["0", "999", "1,000", "125,000", "8,000,000"]);
        let limits = CacheLimit::ALL.map(|limit| size(limit.bytes()));
        assert_eq!(limits, ["256 MB", "2 GB", "16 GB"]);
        assert_eq!(size(1_610_612_736), "1.5 GB");
    }
}
