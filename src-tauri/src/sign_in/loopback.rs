//! The way home where links to this app lead nowhere (RFC 8252 §7.3): a door on this computer that one answer may enter.
//!
//! **Invariant:** listens on 127.0.0.1 only, closes after the first answer to this sign-in or with its lifetime, and
//! shows nothing of what it was sent. Any page may knock here, and none that does not know the state shuts the door.

use super::pending::LIFETIME;
use crate::deep_link::{self, Callback};
use std::io;
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A browser's request for a link of ours, with its headers.
const REQUEST_BYTES: usize = 16 * 1024;
/// Whoever does not finish a request by then is no browser.
const PATIENCE: Duration = Duration::from_secs(5);

const WELCOME: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncache-control: no-store\r\n\
    content-security-policy: default-src 'none'\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n\
    <!doctype html><meta charset=utf-8><title>CompyMac</title>\
    <h1>Back to CompyMac</h1><p>You can close this tab and go on in the app.</p>\n";
const NOTHING: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[derive(Debug)]
pub struct Loopback {
    listener: TcpListener,
    port: u16,
}

impl Loopback {
    pub async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    pub fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}/cb", self.port)
    }

    /// The first answer to the sign-in with this state; `None` when it takes too long.
    pub async fn answer(self, state: &str) -> Option<Callback> {
        let lifetime = Duration::from_millis(LIFETIME.unsigned_abs());
        timeout(lifetime, self.first_good(state)).await.unwrap_or(None)
    }

    /// One at a time, each for five seconds at most: this door has one visitor.
    async fn first_good(&self, state: &str) -> Option<Callback> {
        loop {
            let (stream, _) = self.listener.accept().await.ok()?;
            if let Ok(Some(callback)) = timeout(PATIENCE, self.visit(stream, state)).await {
                return Some(callback);
            }
        }
    }

    async fn visit(&self, mut stream: TcpStream, state: &str) -> Option<Callback> {
        let request = read_head(&mut stream).await?;
        let callback = self
            .read(&request)
            .filter(|callback| state.as_bytes().ct_eq(callback.state.as_bytes()).into());
        let words = if callback.is_some() { WELCOME } else { NOTHING };
        // Whether the browser hears it changes nothing for the app.
        let _ = stream.write_all(words.as_bytes()).await;
        let _ = stream.shutdown().await;
        callback
    }

    /// The host must be the one in the address: another name that leads here belongs to somebody else (DNS rebinding).
    fn read(&self, request: &str) -> Option<Callback> {
        let mut lines = request.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (Some("GET"), Some(target)) = (words.next(), words.next()) else {
            return None;
        };
        let host = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("host").then(|| value.trim())
        });
        if host != Some(format!("127.0.0.1:{}", self.port).as_str()) {
            return None;
        }
        deep_link::callback(target.strip_prefix("/cb?")?)
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let count = stream.read(&mut piece).await.ok()?;
        head.extend_from_slice(piece.get(..count)?);
        if head.windows(4).any(|window| window == b"\r\n\r\n") {
            return String::from_utf8(head).ok();
        }
        if count == 0 || head.len() > REQUEST_BYTES {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deep_link::Answer;

    async fn ask(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn one_good_answer_enters_and_the_door_closes() {
        let door = Loopback::open().await.unwrap();
        let port = door.port;
        let waiting = tokio::spawn(async move { door.answer("s").await });
        for request in [
            format!("GET /other?code=c&state=s&iss=i HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            "GET /cb?code=c&state=s&iss=i HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
            format!("POST /cb?code=c&state=s&iss=i HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            format!("GET /cb?code=c&state=guessed&iss=i HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            format!("GET /cb?code=c HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            "GET /cb?code=c&state=s&iss=i HTTP/1.1\r\n\r\n".to_owned(),
        ] {
            assert!(ask(port, &request).await.starts_with("HTTP/1.1 404"), "{request}");
        }
        let good = format!("GET /cb?code=hush&state=s&iss=i HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        let answer = ask(port, &good).await;
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("hush"));
        let callback = waiting.await.unwrap().unwrap();
        assert!(matches!(callback.answer, Answer::Code(code) if code == "hush"));
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    }

    #[tokio::test]
    async fn who_says_nothing_or_too_much_keeps_the_browser_waiting_for_a_moment_alone() {
        let door = Loopback::open().await.unwrap();
        let port = door.port;
        let waiting = tokio::spawn(async move { door.answer("s").await });
        let mut endless = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let head = format!("GET /cb?code={}", "c".repeat(2 * REQUEST_BYTES));
        // it may be sent away before it has said all
        let _ = endless.write_all(head.as_bytes()).await;
        let silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let good = format!("GET /cb?code=c&state=s&iss=i HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        let answer = timeout(2 * PATIENCE, ask(port, &good)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(waiting.await.unwrap().is_some());
        drop((endless, silent));
    }
}
