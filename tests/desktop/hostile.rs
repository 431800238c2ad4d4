//! A server that means no good: whatever it answers, the app says in plain words that this came to nothing, opens nothing, asks
//! nobody else, and lives on.

use crate::leave_by;
use harness::{Person, Screen, Seat, until};
use protocol::auth::{Me, SignedIn, Tokens};
use protocol::oauth::{CLIENT_ID, REQUEST_URI};
use protocol::{DeviceId, UserId, routes};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const MIB: usize = 1024 * 1024;

/// Of what cannot be read as our server's.
const NOT_OURS: &str = "You are offline. This needs a connection.";
/// Of what can, and leads nowhere.
const NO_SENSE: &str = "The server's answer made no sense. Please try again.";

#[derive(Clone)]
enum Lie {
    Whole(Vec<u8>),
    /// For as long as anybody reads.
    Endless,
}

fn answer(status: &str, kind: &str, body: &[u8]) -> Lie {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    Lie::Whole([head.as_bytes(), body].concat())
}

fn told(status: &str, what: &Value) -> Lie {
    answer(status, JSON, what.to_string().as_bytes())
}

/// What is told of the hotel to whoever asks for anything.
fn portal() -> Lie {
    answer("200 OK", HTML, b"<h1>Welcome to the hotel</h1>")
}

/// What no server of ours answers; some of it leads to somebody else.
fn lies(there: SocketAddr) -> Vec<(&'static str, Lie)> {
    let moved = |status: &str| {
        let status = format!("{status}\r\nLocation: http://{there}/");
        answer(&status, JSON, b"[]")
    };
    let cut = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"me\":";
    vec![
        ("bad UTF-8", answer("200 OK", JSON, b"{\"me\":\"\xff\xfe\"}")),
        ("another page", portal()),
        ("depth", answer("200 OK", JSON, "[".repeat(200_000).as_bytes())),
        ("a cut", Lie::Whole(cut.as_bytes().to_vec())),
        ("a redirect", moved("302 Found")),
        ("a redirect with the body", moved("307 Temporary Redirect")),
        ("no end", Lie::Endless),
    ]
}

/// The server itself: for each address what was put there last.
struct Liar {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    lies: HashMap<&'static str, Lie>,
    asked: Vec<String>,
}

impl Liar {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a door");
        let liar = Self {
            address: listener.local_addr().expect("an address"),
            script: Arc::default(),
        };
        let script = liar.script.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone()));
            }
        });
        liar
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn says(&self, path: &'static str, lie: Lie) {
        script(&self.script).lies.insert(path, lie);
    }

    fn times_asked(&self, path: &str) -> usize {
        let script = script(&self.script);
        script.asked.iter().filter(|asked| *asked == path).count()
    }
}

fn script(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, told: Arc<Mutex<Script>>) {
    let Some(path) = asked_for(&mut stream).await else {
        return;
    };
    let lie = {
        let mut script = script(&told);
        let lie = script.lies.get(path.as_str()).cloned();
        script.asked.push(path);
        lie.unwrap_or_else(portal)
    };
    match lie {
        Lie::Whole(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Lie::Endless => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nConnection: close\r\n\r\n[");
            let _ = stream.write_all(head.as_bytes()).await;
            let piece = vec![b' '; MIB];
            while stream.write_all(&piece).await.is_ok() {}
        }
    }
    let _ = stream.shutdown().await;
}

/// The path of a request that was read to its end: what is left unread cuts its answer.
async fn asked_for(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= length_in(head)
        {
            let path = head.split(' ').nth(1)?.split('?').next()?;
            return Some(path.to_owned());
        }
        let mut piece = vec![0; 4096];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        read.extend_from_slice(piece.get(..count)?);
    }
}

fn length_in(head: &str) -> usize {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or_default()
}

/// Presses what makes the app ask there, and reads what it says of the answer.
async fn comes_to(screen: &Screen, liar: &Liar, press: &str, path: &str, said: &str) {
    let before = liar.times_asked(path);
    screen.click(press).await;
    until(&format!("the server to be asked for {path}"), async || {
        (liar.times_asked(path) > before).then_some(())
    })
    .await;
    screen.wait_text("problem", said).await;
}

async fn signing_in_comes_to_nothing(screen: &Screen, liar: &Liar, there: SocketAddr) {
    let person = Person::fresh();
    screen.fill("email", person.email.as_str()).await;
    screen.fill("password", &person.password).await;
    for (what, lie) in lies(there) {
        eprintln!("signing in: {what}");
        liar.says(routes::SIGN_IN, lie);
        comes_to(screen, liar, "sign-in", routes::SIGN_IN, NOT_OURS).await;
    }
}

async fn no_page_of_another_is_opened(screen: &Screen, seat: &Seat, liar: &Liar, there: SocketAddr) {
    for (what, lie) in lies(there) {
        eprintln!("through the browser: {what}");
        liar.says(routes::PAR, lie);
        comes_to(screen, liar, "provider-browser", routes::PAR, NOT_OURS).await;
    }
    let foreign = [
        format!("http://{there}/oauth/authorize"),
        format!("//{there}/"),
        "urn:x".to_owned(),
        REQUEST_URI.to_owned(),
        format!("{REQUEST_URI}two words"),
        format!("{REQUEST_URI}moc\u{202e}"),
        format!("{REQUEST_URI}{}", "x".repeat(64 * 1024)),
    ];
    for reference in foreign {
        let pushed = json!({"request_uri": reference, "expires_in": 600});
        liar.says(routes::PAR, told("201 Created", &pushed));
        comes_to(screen, liar, "provider-browser", routes::PAR, NO_SENSE).await;
    }
    assert_eq!(seat.opened(), Vec::<String>::new());
}

/// What else the answer says leads nowhere.
async fn only_the_servers_own_page_is_opened(screen: &Screen, seat: &Seat, liar: &Liar, there: SocketAddr) {
    let reference = format!("{REQUEST_URI}x&redirect_uri=http://{there}/");
    let elsewhere = format!("http://{there}/oauth/authorize");
    let pushed = json!({
        "request_uri": reference,
        "expires_in": 600,
        "authorization_endpoint": elsewhere,
        "issuer": elsewhere,
    });
    let created = format!("201 Created\r\nLocation: {elsewhere}");
    liar.says(routes::PAR, told(&created, &pushed));
    let address = leave_by(screen, seat, "provider-browser").await;
    let page = Url::parse(&address).expect("an address");
    assert_eq!(page.origin().ascii_serialization(), liar.url());
    assert_eq!(page.path(), routes::AUTHORIZE);
    let pairs: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    let expected = [("client_id", CLIENT_ID), ("request_uri", reference.as_str())];
    assert_eq!(
        pairs,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    screen.wait("waiting").await;
    screen.click("cancel-sign-in").await;
    screen.wait("sign-in-form").await;
}

/// It lets somebody in, and tells them nothing that is true from then on.
async fn whoever_is_in_is_told_that_they_are_offline(screen: &Screen, liar: &Liar) {
    let person = Person::fresh();
    let signed_in = SignedIn {
        me: Me {
            user: UserId::fresh(),
            device: DeviceId::fresh(),
            email: person.email.clone(),
            name: None,
        },
        tokens: Some(Tokens {
            access_token: "access".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 600,
            refresh_token: "refresh".to_owned(),
        }),
    };
    let signed_in = serde_json::to_value(signed_in).expect("what a server of ours answers");
    liar.says(routes::SIGN_IN, told("200 OK", &signed_in));
    liar.says(
        routes::BOOTSTRAP,
        answer("200 OK", JSON, b"{\"sessions\":[\"\xff\"]}"),
    );
    screen.fill("email", person.email.as_str()).await;
    screen.fill("password", &person.password).await;
    screen.click("sign-in").await;
    screen.wait("new-session").await;
    screen.wait_connection("offline").await;
    let before = liar.times_asked(routes::BOOTSTRAP);
    liar.says(routes::BOOTSTRAP, Lie::Endless);
    until("the server to be asked again", async || {
        (liar.times_asked(routes::BOOTSTRAP) > before).then_some(())
    })
    .await;
    // what is written meanwhile waits
    screen.click("new-session").await;
    screen.wait("transcript").await;
    screen.fill("composer-input", "Into the wind").await;
    screen.click("send").await;
    screen
        .wait_text_in("[data-delivery=\"waiting\"]", "Into the wind")
        .await;
    screen.wait_connection("offline").await;
}

#[tokio::test]
async fn an_app_before_a_server_that_lies_says_so_opens_nothing_and_lives_on() {
    let elsewhere = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("somebody else's door");
    elsewhere.set_nonblocking(true).expect("looking without waiting");
    let there = elsewhere.local_addr().expect("an address");
    let liar = Liar::start().await;
    let seat = Seat::before(liar.url()).await;
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
    signing_in_comes_to_nothing(&screen, &liar, there).await;
    no_page_of_another_is_opened(&screen, &seat, &liar, there).await;
    only_the_servers_own_page_is_opened(&screen, &seat, &liar, there).await;
    whoever_is_in_is_told_that_they_are_offline(&screen, &liar).await;
    let came = elsewhere.accept().map(drop).expect_err("nobody comes");
    assert_eq!(came.kind(), ErrorKind::WouldBlock);
    assert_eq!(seat.opened().len(), 1, "{:?}", seat.opened());
    assert_eq!(seat.copies(), 1);
}
