//! Requests that say that they are for another host, in their target or in `Host`: nothing of that reaches a letter.

use harness::mailbox::Letter;
use harness::{Client, Person, Stack, browser, soon};
use protocol::routes::{self, page};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const FORM: &str = "application/x-www-form-urlencoded";

/// How a request lies: what its target begins with (RFC 9112 §3.2.2), and its `Host`.
#[derive(Clone, Copy, Debug)]
struct Lie<'a> {
    before: &'a str,
    host: &'a str,
}

/// Posts by hand, as no client would let one, with everything else as this browser sends it. Gives the whole answer.
async fn post(
    stack: &Stack,
    client: &Client,
    lie: Lie<'_>,
    path: &str,
    (kind, body): (&str, &str),
) -> String {
    let credential = client.credential_headers();
    let cookies = credential.get("cookie").and_then(|value| value.to_str().ok());
    let request = format!(
        "POST {}{path} HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\nSec-Fetch-Site: same-origin\r\nCookie: {}\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        lie.before,
        lie.host,
        stack.url(),
        cookies.unwrap_or_default(),
        body.len(),
    );
    let address = stack.server.own_address();
    let mut connection = TcpStream::connect(address).await.expect("a connection");
    connection.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    soon("an answer", connection.read_to_end(&mut answer))
        .await
        .expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_served(answer: &str, what: &str) {
    let status = answer.split(' ').nth(1).unwrap_or_default();
    assert!(
        status.starts_with('2') || status.starts_with('3'),
        "{what}: {answer}"
    );
    assert!(!answer.contains("evil.example"), "{what}: {answer}");
}

/// Fills in the form on a page and posts it so.
async fn submit(stack: &Stack, client: &Client, lie: Lie<'_>, (at, action): (&str, &str), email: &str) {
    let mut fields = client.get(at).await.form(action).hidden;
    fields.push(("email".to_owned(), email.to_owned()));
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&fields)
        .finish();
    let answer = post(stack, client, lie, action, (FORM, &body)).await;
    is_served(&answer, &format!("{lie:?} at {action}"));
}

#[tokio::test]
async fn another_host_in_the_target_or_in_host_is_in_no_letter() {
    let stack = Stack::start().await;
    let url = stack.url();
    let own = url.trim_start_matches("http://");
    let lies = [
        ("", "evil.example"),
        ("http://evil.example", own),
        ("http://evil.example", "evil.example"),
        ("http://evil.example", "evil.example:6666"),
    ];
    for (before, host) in lies {
        let lie = Lie { before, host };
        let (person, owner) = Person::join(&stack).await;
        let (newcomer, new) = (Person::fresh(), Person::fresh().email);
        let who = person.email.as_str();
        let body = json!({"email": newcomer.email, "password": newcomer.password}).to_string();
        let window = browser(&stack);
        let joined = post(&stack, &window, lie, routes::SIGN_UP, ("application/json", &body)).await;
        is_served(&joined, &format!("{lie:?} at sign-up"));
        submit(&stack, &window, lie, (page::FORGOT, page::FORGOT), who).await;
        submit(&stack, &window, lie, (page::LETTER_ASK, page::LETTER_ASK), who).await;
        let change = (page::SECURITY, page::FORM_EMAIL);
        submit(&stack, &owner, lie, change, new.as_str()).await;
        let letters: [Letter; 5] = [
            stack.letter_to(newcomer.email.as_str(), 1).await,
            stack.letter_about(who, "Choose a new password").await,
            stack.letter_about(who, "Sign in").await,
            stack.letter_about(who, "to be changed").await,
            stack.letter_about(new.as_str(), "Confirm your new").await,
        ];
        for letter in letters {
            let link = letter.link.as_ref();
            assert!(
                link.is_some_and(|link| link.starts_with(&url)),
                "{lie:?}: {link:?}"
            );
            for said in [&letter.source, &letter.text] {
                assert!(!said.contains("evil.example"), "{lie:?}: {said}");
            }
        }
    }
}
