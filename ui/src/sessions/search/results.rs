//! What was found: by session, with what fits marked.

use super::Choice;
use crate::controls::when;
use protocol::UnixMillis;
use protocol::search::{Found, FoundSession, Hit, Piece};
use protocol::sync::Role;
use protocol::view::Body;
use yew::prelude::*;

pub fn option_id(number: usize) -> String {
    format!("found-{number}")
}

/// For the line that is read out.
pub fn summary(typed: &str, found: &Found, body: Body) -> String {
    match (found.count(), body) {
        _ if typed.trim().is_empty() => "Type a word, or \"several in quotes\"".to_owned(),
        (0, Body::Desktop) => "Nothing found in the sessions on this computer.".to_owned(),
        (0, Body::Browser) => "Nothing found in what this page has loaded.".to_owned(),
        (1, _) => "1 result".to_owned(),
        (count, _) if found.has_more => format!("The best {count} results"),
        (count, _) => format!("{count} results"),
    }
}

pub fn groups(found: &Found, active: usize, now: UnixMillis, pick: &Callback<Choice>) -> Html {
    let mut number = 0;
    let mut next = || {
        number += 1;
        number - 1
    };
    let mut groups = Vec::new();
    for session in &found.sessions {
        let head = head(session, now);
        let label = format!("found-in-{}", session.id);
        let head = if session.is_titled_so {
            option(next(), active, (session.id, None), pick, "found found-head", head)
        } else {
            html! { <div class="found-head">{ head }</div> }
        };
        let hits: Vec<Html> = session
            .hits
            .iter()
            .map(|hit| {
                let choice = (session.id, Some(hit.message));
                option(next(), active, choice, pick, "found", said(hit, now))
            })
            .collect();
        groups.push(html! {
            <div role="group" aria-labelledby={label}>{ head }{ hits }</div>
        });
    }
    Html::from_iter(groups)
}

fn option(
    number: usize,
    active: usize,
    choice: Choice,
    pick: &Callback<Choice>,
    class: &'static str,
    inside: Html,
) -> Html {
    html! {
        <div
            {class}
            id={option_id(number)}
            role="option"
            aria-selected={(number == active).to_string()}
            data-testid="found"
            onmousedown={Callback::from(|event: MouseEvent| event.prevent_default())}
            onclick={pick.reform(move |_: MouseEvent| choice)}
        >
            { inside }
        </div>
    }
}

fn head(session: &FoundSession, now: UnixMillis) -> Html {
    let is_untitled = session.title.is_empty();
    html! {
        <>
            <span
                id={format!("found-in-{}", session.id)}
                class={classes!("found-title", is_untitled.then_some("is-untitled"))}
                dir="auto"
            >
                if is_untitled {
                    { "New session" }
                }
                { pieces(&session.title) }
            </span>
            if session.archived {
                <span class="chip">{ "Archived" }</span>
            }
            <span class="found-time">{ when(session.last_active, now) }</span>
        </>
    }
}

fn said(hit: &Hit, now: UnixMillis) -> Html {
    let who = match hit.role {
        Role::User => "You",
        Role::Assistant => "CompyMac",
        Role::System => "Note",
    };
    html! {
        <>
            <span class="found-who">
                { who }
                if hit.ord.is_none() {
                    { " · Waiting to send" }
                }
                <span class="found-time">{ when(hit.created_at, now) }</span>
            </span>
            <span class="found-text" dir="auto">{ pieces(&hit.snippet) }</span>
        </>
    }
}

fn pieces(pieces: &[Piece]) -> Html {
    let piece = |piece: &Piece| {
        if piece.is_hit {
            html! { <mark>{ piece.text.clone() }</mark> }
        } else {
            Html::from(piece.text.clone())
        }
    };
    pieces.iter().map(piece).collect()
}
