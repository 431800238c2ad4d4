//! The headers of every answer: what a browser may do with it, and the request's id.

use crate::config::Config;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};

/// Fixed at start, cloned for each answer.
#[derive(Clone, Debug)]
pub struct Headers {
    fixed: Vec<(HeaderName, HeaderValue)>,
}

impl Headers {
    pub fn for_config(config: &Config) -> anyhow::Result<Self> {
        let origin = config.origin();
        let socket = origin.replacen("http", "ws", 1);
        let policy = format!(
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self' {socket}; manifest-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; \
             form-action 'self'"
        );
        let mut fixed = vec![
            (header::CONTENT_SECURITY_POLICY, HeaderValue::try_from(policy)?),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            // Links here carry one-time secrets; no address is told to anyone.
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                HeaderValue::from_static("same-origin"),
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                HeaderValue::from_static("same-origin"),
            ),
            (
                HeaderName::from_static("permissions-policy"),
                HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
            ),
        ];
        if origin.starts_with("https") {
            let two_years = HeaderValue::from_static("max-age=63072000; includeSubDomains");
            fixed.push((header::STRICT_TRANSPORT_SECURITY, two_years));
        }
        Ok(Self { fixed })
    }

    /// Adds them where a handler has not set its own.
    pub fn add_to(&self, response: &mut Response) {
        let headers = response.headers_mut();
        for (name, value) in &self.fixed {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
}

/// Middleware: the headers above on every answer, errors and files included, but on a socket's.
pub async fn add(
    axum::extract::State(headers): axum::extract::State<Headers>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    // A socket is no document, and each time that a device comes back it would be told anew.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers.add_to(&mut response);
    }
    response
}
