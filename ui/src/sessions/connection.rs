//! How it stands with the server: a line that is always there, and a bar when it lasts.

use crate::controls::time::clock;
use crate::controls::{Link, Sign, icon};
use crate::state::Place;
use gloo_timers::callback::Timeout;
use protocol::view::{Body, Connection, Obstacle};
use yew::prelude::*;

/// A connection that comes back within this was never worth a word.
const PATIENCE_MILLIS: u32 = 5000;

/// The hour of the last sync is told by this computer's clock, so only where script runs.
pub fn connection_line(connection: Connection, is_awake: bool) -> Html {
    let (state, text) = match connection {
        Connection::Online => ("online", "Online".to_owned()),
        Connection::Connecting => ("connecting", "Connecting…".to_owned()),
        Connection::Offline { since: Some(since) } if is_awake => {
            ("offline", format!("Offline · last synced {}", clock(since)))
        }
        Connection::Offline { .. } => ("offline", "Offline".to_owned()),
        Connection::SignedOut => ("signed_out", "Signed out by the server".to_owned()),
        Connection::Stopped { by } => ("stopped", format!("Stopped · {}", in_short(by))),
    };
    html! {
        <p class="connection" data-testid="connection" data-state={state}>
            <span class="dot" aria-hidden="true" /><span>{ text }</span>
        </p>
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct ReconnectingProps {
    pub body: Body,
    pub connection: Connection,
}

#[component]
pub fn Reconnecting(props: &ReconnectingProps) -> Html {
    let is_long = use_state(|| false);
    let is_away = matches!(
        props.connection,
        Connection::Connecting | Connection::Offline { .. }
    );
    {
        let is_long = is_long.clone();
        use_effect_with(is_away, move |is_away| {
            let timer = if *is_away {
                Some(Timeout::new(PATIENCE_MILLIS, move || is_long.set(true)))
            } else {
                is_long.set(false);
                None
            };
            move || drop(timer)
        });
    }
    match props.connection {
        Connection::SignedOut => html! {
            <div class="bar bar-warn" role="alert">
                { icon(Sign::Key) }
                <span>{ "The server asks you to sign in again. You can read and write meanwhile." }</span>
                { sign_in_again(props.body) }
            </div>
        },
        Connection::Stopped { by } => html! {
            <div class="bar bar-warn" role="alert" data-testid="stopped">
                { icon(Sign::Warning) }
                <span>{ in_full(by, props.body) }</span>
                if props.body == Body::Browser {
                    <a href={Place::Home.path()}>{ "Load the page anew" }</a>
                }
            </div>
        },
        Connection::Connecting | Connection::Offline { .. } if *is_long => html! {
            <div class="bar">
                { icon(Sign::Offline) }
                <span>{ "Reconnecting… messages you send will wait" }</span>
            </div>
        },
        Connection::Connecting | Connection::Offline { .. } | Connection::Online => Html::default(),
    }
}

const fn in_short(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::Disk => "the disk is full",
        Obstacle::Unwanted => "an update is needed",
        Obstacle::Resets => "cannot get in step",
    }
}

/// What there is to do about it, and what becomes of what was written.
const fn in_full(obstacle: Obstacle, body: Body) -> &'static str {
    match (obstacle, body) {
        (Obstacle::Disk, _) => {
            "This computer’s disk is full, or cannot be written. You can go on reading. What is new elsewhere appears, and \
             what waits is sent, once you have made room."
        }
        (Obstacle::Unwanted, Body::Desktop) => {
            "The server does not work with this version of the app any more. You can go on reading, and what you wrote is \
             kept. Please update the app."
        }
        (Obstacle::Unwanted, Body::Browser) => {
            "The server does not work with this page any more, since it is an older version. What you wrote is kept."
        }
        (Obstacle::Resets, Body::Desktop) => {
            "This computer and the server cannot get in step. You can go on reading, and what you wrote is kept. It is tried \
             again in ten minutes. If it stays so, please tell whoever runs the server."
        }
        (Obstacle::Resets, Body::Browser) => {
            "This page and the server cannot get in step. What you wrote is kept. If it stays so, please tell whoever runs \
             the server."
        }
    }
}

/// A browser's page is fetched anew, since its forms carry the token of the sign-in that ended.
fn sign_in_again(body: Body) -> Html {
    match body {
        Body::Browser => html! { <a href={Place::SignIn.path()}>{ "Sign in" }</a> },
        Body::Desktop => html! { <Link to={Place::SignIn}>{ "Sign in" }</Link> },
    }
}
