//! A list of stolen passwords on loopback, that can fail on command.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// What the list does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Answers,
    /// 500.
    Broken,
    /// Takes the question and says nothing.
    Hangs,
    /// Bytes that are no text, without end in sight.
    Noise,
}

#[derive(Debug, Default)]
struct Inner {
    hashes: Vec<String>,
    asked: Vec<(String, bool)>,
    mood: Mood,
}

#[derive(Debug)]
pub struct BreachList {
    address: String,
    inner: Arc<Mutex<Inner>>,
    serving: AbortHandle,
}

impl BreachList {
    /// `hashes`: SHA-1, as hexadecimal digits.
    pub async fn of(hashes: &[&str]) -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            hashes: hashes.iter().map(|hash| hash.to_uppercase()).collect(),
            ..Inner::default()
        }));
        let router = Router::new()
            .route("/range/{told}", get(answer))
            .with_state(Arc::clone(&inner));
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap_or_else(|error| panic!("opening a list of stolen passwords: {error}"));
        let address = listener
            .local_addr()
            .unwrap_or_else(|error| panic!("reading the list's address: {error}"));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address: format!("http://{address}/range/"),
            inner,
            serving: serving.abort_handle(),
        }
    }

    /// As the setting takes it.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn be(&self, mood: Mood) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).mood = mood;
    }

    /// What it was asked, and whether with the wish to be answered at length.
    pub fn asked(&self) -> Vec<(String, bool)> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.asked.clone()
    }
}

impl Drop for BreachList {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(inner): State<Arc<Mutex<Inner>>>,
    Path(told): Path<String>,
    headers: HeaderMap,
) -> Response {
    let (mood, lines) = {
        let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner
            .asked
            .push((told.clone(), headers.contains_key("add-padding")));
        let rests = inner.hashes.iter().filter_map(|hash| hash.strip_prefix(&told));
        let mut lines: Vec<String> = rests.map(|rest| format!("{rest}:7")).collect();
        lines.push(format!("{}:0", "0".repeat(35)));
        (inner.mood, lines.join("\r\n"))
    };
    match mood {
        Mood::Answers => lines.into_response(),
        Mood::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::Hangs => std::future::pending().await,
        Mood::Noise => vec![0xff_u8; 4 * 1024 * 1024].into_response(),
    }
}
