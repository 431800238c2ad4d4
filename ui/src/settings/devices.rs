//! The devices that are signed in: this one first, each to be signed out from here.

use crate::controls::{PostForm, Sign, icon, when};
use crate::state::{Action, Stage};
use protocol::UnixMillis;
use protocol::auth::Device;
use protocol::routes::page;
use std::rc::Rc;
use sync_client::order;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct DevicesProps {
    pub stage: Stage,
    pub devices: Option<Rc<Vec<Device>>>,
    pub now: UnixMillis,
}

#[component]
pub fn Devices(props: &DevicesProps) -> Html {
    let Some(devices) = &props.devices else {
        return html! {
            <section aria-labelledby="devices">
                <h2 id="devices">{ "Devices" }</h2>
                <p class="hint">{ "Your devices show here once you are online." }</p>
            </section>
        };
    };
    // This one first, and then whichever was used last.
    let age = |device: &Device| u128::from(device.last_active.abs_diff(i64::MAX));
    let devices = order::by(Vec::clone(devices), |device| {
        (i64::from(!device.is_this), age(device))
    });
    html! {
        <section aria-labelledby="devices">
            <h2 id="devices">{ "Devices" }</h2>
            <ul class="devices" data-testid="devices">
                for device in devices {
                    <Row key={device.id.to_string()} stage={props.stage.clone()} device={device.clone()} now={props.now} />
                }
            </ul>
        </section>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct RowProps {
    stage: Stage,
    device: Device,
    now: UnixMillis,
}

#[component]
fn Row(props: &RowProps) -> Html {
    let device = &props.device;
    let id = device.id;
    let stage = props.stage.clone();
    let onpost = Callback::from(move |()| {
        stage.ask(
            |body| body.revoke(id),
            move |stage, answer| match answer {
                Ok(()) => {
                    stage.tell(Action::Note("That device is signed out.".to_owned()));
                    stage.ask(
                        |body| body.devices(),
                        |stage, answer| {
                            if let Ok(devices) = answer {
                                stage.tell(Action::Devices(devices));
                            }
                        },
                    );
                }
                Err(problem) => stage.tell(Action::Trouble(problem)),
            },
        );
    });
    html! {
        <li class="device" data-testid="device-row" data-this={device.is_this.to_string()}>
            { icon(if is_app(device) { Sign::Computer } else { Sign::Globe }) }
            <div class="device-about">
                <p class="device-name"><bdi>{ &device.name }</bdi>
                    if device.is_this {
                        <span class="chip">{ "This device" }</span>
                    }
                </p>
                <p class="hint">
                    { about(device) }
                    { "Active " }{ when(device.last_active, props.now) }
                    if let Some(place) = &device.place {
                        { " · Signed in from " }<bdi data-testid="place">{ place }</bdi>
                    }
                </p>
            </div>
            if !device.is_this {
                <PostForm
                    action={page::with_id(page::FORM_SIGN_OUT_DEVICE, id)}
                    csrf={props.stage.csrf.clone()}
                    {onpost}
                >
                    <button class="button" data-testid="revoke">{ "Sign out" }</button>
                </PostForm>
            }
        </li>
    }
}

/// Only the app has a version of its own; a browser's name says all that is known of it.
fn is_app(device: &Device) -> bool {
    !device.version.is_empty()
}

fn about(device: &Device) -> String {
    if !is_app(device) {
        return String::new();
    }
    let system = match device.os.as_str() {
        "linux" => "Linux",
        "macos" => "macOS",
        "windows" => "Windows",
        other => other,
    };
    format!("{system} · {} · ", device.version)
}
