//! The page to read letters, and the same as JSON: plain HTML, no script, a letter's own HTML in a sandbox.

use crate::{Letter, Shelf};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use std::fmt::Write as _;
use std::sync::Arc;

/// Links in a letter open in a new tab that is not sandboxed, since following them is what the page is for.
const SANDBOX: &str = "allow-popups allow-popups-to-escape-sandbox";

pub(crate) fn router(shelf: Arc<Shelf>) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/letters", get(letters))
        .route("/letters/{id}", get(letter))
        .route("/letters/{id}/html", get(letter_html))
        .with_state(shelf)
}

#[derive(Deserialize)]
struct Filter {
    to: Option<String>,
    /// Answers once there are so many letters, or after a while with those that came.
    #[serde(default)]
    wait: usize,
}

/// All letters, or those to one address, as JSON, oldest first.
async fn letters(State(shelf): State<Arc<Shelf>>, Query(filter): Query<Filter>) -> Json<Vec<Letter>> {
    Json(match filter.to {
        Some(address) => shelf
            .wait_for(&address, filter.wait)
            .await
            .unwrap_or_else(|_| shelf.to(&address)),
        None => shelf.all(),
    })
}

async fn list(State(shelf): State<Arc<Shelf>>) -> Response {
    let letters = shelf.all();
    let mut body = String::from("<h1>Mailbox</h1>");
    if letters.is_empty() {
        body.push_str("<p>No letters yet. Sign up, and the confirmation letter appears here.</p>");
    }
    body.push_str("<ul>");
    for letter in letters.iter().rev() {
        let _ = write!(
            body,
            "<li><a href=\"/letters/{}\">{}</a> <small>to {}</small></li>",
            letter.id,
            escape(&letter.subject),
            escape(&letter.to.join(", "))
        );
    }
    body.push_str("</ul>");
    sheet("Mailbox", &body, true)
}

async fn letter(State(shelf): State<Arc<Shelf>>, Path(id): Path<usize>) -> Response {
    let Some(letter) = find(&shelf, id) else {
        return (StatusCode::NOT_FOUND, Html("There is no such letter.")).into_response();
    };
    let mut body = format!(
        "<p><a href=\"/\">All letters</a></p><h1>{}</h1><p><small>from {} to {}</small></p>",
        escape(&letter.subject),
        escape(&letter.from),
        escape(&letter.to.join(", "))
    );
    if letter.html.is_some() {
        let _ = write!(
            body,
            "<iframe title=\"The letter\" sandbox=\"{SANDBOX}\" src=\"/letters/{id}/html\"></iframe>"
        );
    }
    let _ = write!(body, "<pre>{}</pre>", escape(&letter.text));
    if let Some(link) = &letter.link {
        let link = escape(link);
        let _ = write!(
            body,
            "<p>Link: <a href=\"{link}\" rel=\"noreferrer\">{link}</a></p>"
        );
    }
    let _ = write!(
        body,
        "<details><summary>Source</summary><pre>{}</pre></details>",
        escape(&letter.source)
    );
    sheet(&letter.subject, &body, false)
}

async fn letter_html(State(shelf): State<Arc<Shelf>>, Path(id): Path<usize>) -> Response {
    let Some(html) = find(&shelf, id).and_then(|letter| letter.html) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let policy = format!("sandbox {SANDBOX}; default-src 'none'; img-src data:; style-src 'unsafe-inline'");
    (
        [(header::CONTENT_SECURITY_POLICY, policy)],
        Html(format!("<base target=\"_blank\">{html}")),
    )
        .into_response()
}

fn find(shelf: &Shelf, id: usize) -> Option<Letter> {
    shelf.all().into_iter().find(|letter| letter.id == id)
}

fn sheet(title: &str, body: &str, refreshes: bool) -> Response {
    let refresh = if refreshes {
        "<meta http-equiv=\"refresh\" content=\"3\">"
    } else {
        ""
    };
    let style = "body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}\
        iframe{width:100%;height:26rem;border:1px solid #8888;background:#fff}\
        pre{white-space:pre-wrap;overflow-wrap:anywhere}li{margin:.5rem 0}:root{color-scheme:light dark}";
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{}</title>{refresh}<style>{style}</style><body>{body}</body></html>",
        escape(title)
    );
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
