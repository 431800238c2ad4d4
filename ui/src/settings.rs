//! The room of settings: who one is, how it looks, which devices are signed in, what this computer holds.

mod account;
mod app;
mod appearance;
mod devices;
mod storage;

use crate::controls::shortcuts::toggle_shortcuts;
use crate::controls::{Accounts, Link, Sign, icon, problem_line};
use crate::state::{Place, Scene, Stage};
use protocol::ipc::AppAct;
use protocol::view::Body;
use std::rc::Rc;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct SettingsProps {
    pub scene: Rc<Scene>,
    pub stage: Stage,
}

#[component]
pub fn Settings(props: &SettingsProps) -> Html {
    let (scene, stage) = (&props.scene, &props.stage);
    html! {
        <div class="settings">
            <header class="head head-plain">
                <Link to={Place::Home} class="button button-quiet head-back" label="Sessions">{ icon(Sign::Back) }</Link>
                <h1>{ "Settings" }</h1>
            </header>
            { problem_line(scene.problem.as_ref()) }
            <account::Account stage={stage.clone()} me={scene.me.clone()} server={scene.server.clone()} />
            <devices::Devices stage={stage.clone()} devices={scene.devices.clone()} now={scene.now} />
            if stage.body == Body::Desktop {
                <section aria-labelledby="accounts" data-testid="settings-accounts">
                    <h2 id="accounts">{ "Accounts on this computer" }</h2>
                    <p class="hint">
                        { "Only the account on the screen is kept in step and tells of replies. The others catch up when you switch to them." }
                    </p>
                    <Accounts stage={stage.clone()} server={scene.server.clone()} unsent={unsent(scene)} now={scene.now} />
                </section>
                <app::App stage={stage.clone()} />
                <storage::Storage stage={stage.clone()} />
            }
            if scene.is_awake {
                <appearance::Appearance />
                <section aria-labelledby="keys">
                    <h2 id="keys">{ "Keyboard" }</h2>
                    <button
                        type="button"
                        class="button"
                        data-testid="show-shortcuts"
                        onclick={Callback::from(|_: MouseEvent| toggle_shortcuts())}
                    >
                        { "Show shortcuts" }
                    </button>
                </section>
            }
            <section aria-labelledby="about">
                <h2 id="about">{ "About" }</h2>
                <dl class="facts">
                    <dt>{ "Version" }</dt><dd dir="ltr">{ &scene.version }</dd>
                    <dt>{ "Server" }</dt><dd dir="ltr">{ &scene.server }</dd>
                </dl>
                if stage.body == Body::Desktop {
                    { diagnostics(stage) }
                }
            </section>
        </div>
    }
}

/// What waits to be sent in the sessions that are listed.
fn unsent(scene: &Scene) -> u32 {
    let rows = scene.active.iter().flat_map(|rows| rows.iter());
    rows.map(|row| row.waiting).sum()
}

fn diagnostics(stage: &Stage) -> Html {
    let stage = stage.clone();
    let onclick = Callback::from(move |_: MouseEvent| stage.act(AppAct::CopyDiagnostics));
    html! {
        <button type="button" class="button" data-testid="copy-diagnostics" {onclick}>
            { icon(Sign::Copy) }{ "Copy diagnostics" }
        </button>
    }
}
