//! What an endpoint answers is in the document: whatever it is sent, and whoever asks.

use harness::{Answer, Client, Person, Stack};
use http::{Method, header};
use protocol::routes;
use serde_json::{Map, Value};
use uuid::Uuid;

/// An endpoint as the document has it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub method: Method,
    pub path: String,
    /// The type of the body that it takes.
    pub takes: Option<String>,
    responses: Map<String, Value>,
    needs_sign_in: bool,
}

pub(super) async fn endpoints(client: &Client) -> Vec<Endpoint> {
    let document: Value = client.get(routes::OPENAPI).await.expect();
    let paths = document.get("paths").and_then(Value::as_object).cloned();
    let mut all = Vec::new();
    for (path, item) in paths.expect("paths") {
        for (method, operation) in item.as_object().cloned().unwrap_or_default() {
            all.push(Endpoint {
                method: Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method"),
                path: path.clone(),
                takes: operation
                    .pointer("/requestBody/content")
                    .and_then(Value::as_object)
                    .and_then(|types| types.keys().next().cloned()),
                responses: operation
                    .get("responses")
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default(),
                needs_sign_in: operation.get("security").is_some(),
            });
        }
    }
    all
}

impl Endpoint {
    /// Why this answer is not in the document.
    fn fault(&self, answer: &Answer) -> Option<String> {
        let status = answer.status;
        let kind = format!("{}XX", status / 100);
        let said = self
            .responses
            .get(&status.to_string())
            .or_else(|| self.responses.get(&kind));
        let Some(said) = said else {
            return Some(format!("{status} is not in it"));
        };
        if status >= 500 && status != 503 {
            return Some(format!("{status}"));
        }
        let of_type = answer.header("content-type").unwrap_or_default();
        let of_type = of_type.split(';').next().unwrap_or_default();
        let types = said.get("content").and_then(Value::as_object);
        let is_said = types.is_none_or(|types| types.contains_key(of_type));
        (!is_said && !answer.text().is_empty()).then(|| format!("{status} as {of_type}: {types:?}"))
    }
}

/// With this in place of what the path leaves open.
pub(super) fn filled(path: &str, id: &str) -> String {
    let parts = path.split('/');
    let parts = parts.map(|part| if part.starts_with('{') { id } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Bodies that somebody may send: none, of a type that nobody takes, cut off, of another shape, too large.
fn bodies() -> Vec<(Option<&'static str>, String)> {
    let json = Some("application/json");
    vec![
        (None, String::new()),
        (Some("text/plain"), "hello".to_owned()),
        (json, "{\"a\":".to_owned()),
        (json, "[1]".to_owned()),
        (json, "{}".to_owned()),
        (Some("application/x-www-form-urlencoded"), "a=b&a=%ff".to_owned()),
        (json, format!("\"{}\"", "x".repeat(3 * 1024 * 1024))),
    ]
}

/// What does not fit the document when this endpoint is asked so.
async fn faults(endpoint: &Endpoint, client: &Client, is_in: bool, path: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (kind, body) in bodies() {
        let mut request = client.request(endpoint.method.clone(), path).body(body);
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let answer = client.try_send(request).await;
        let fault = match &answer {
            Err(error) => Some(format!("no answer: {error}")),
            Ok(answer) if is_in && endpoint.needs_sign_in && answer.status == 401 => {
                Some("whoever is signed in is not".to_owned())
            }
            Ok(answer) if !is_in && endpoint.needs_sign_in && answer.status < 400 => {
                Some("open to everybody".to_owned())
            }
            Ok(answer) => endpoint.fault(answer),
        };
        faults.extend(fault.map(|fault| format!("{} {path} {kind:?}: {fault}", endpoint.method)));
    }
    faults
}

#[tokio::test]
async fn whatever_an_endpoint_is_sent_its_answer_is_in_the_document() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let (_, laptop) = Person::join_natively(&stack).await;
    let nobody = Client::native(&stack.url());
    let all = endpoints(&nobody).await;
    assert!(all.len() > 30, "{} endpoints", all.len());
    assert!(all.iter().any(|endpoint| endpoint.needs_sign_in));
    let mut found = Vec::new();
    // signing out would leave nobody to ask the rest
    for endpoint in all.iter().filter(|endpoint| endpoint.path != routes::SIGN_OUT) {
        let ids = ["no id", "%00", &Uuid::nil().to_string()].map(|id| filled(&endpoint.path, id));
        let paths = if ids[0] == ids[1] { &ids[..1] } else { &ids[..] };
        for path in paths {
            for (client, is_in) in [(&nobody, false), (&browser, true), (&laptop, true)] {
                found.extend(faults(endpoint, client, is_in, path).await);
            }
        }
    }
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}
