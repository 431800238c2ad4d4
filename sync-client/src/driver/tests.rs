//! A device against a server that answers by script: what is made of each answer, whoever wrote it.

use super::device_code::{DeviceCode, answered};
use super::{Computer, Device, Quota};
use crate::clock::Clock;
use crate::credentials::{Credential, CredentialStore, InMemory, Sealing};
use crate::engine::Failure;
use crate::http::{Call, Http};
use crate::proof::ProofKey;
use crate::store::Store;
use crate::tokens::{Keeper, Renewal};
use protocol::auth::{Email, Me, SignedIn, Tokens};
use protocol::oauth::DeviceCodeAnswer;
use protocol::sync::{Bootstrap, Cursor, Epoch, Session};
use protocol::view::{Connection, TranscriptState};
use protocol::{Code, DeviceId, Problem, SessionId, UserId, routes};
use std::future::ready;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const MIB: usize = 1024 * 1024;

fn answer(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Gives each request the next of these answers, and then listens no more; tells what it was asked.
async fn server(answers: Vec<Vec<u8>>) -> (Url, JoinHandle<Vec<String>>) {
    let (listener, address) = listen().await;
    let serving = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked.push(request(&mut stream).await);
            // Who does not read all of it may.
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
        asked
    });
    (address, serving)
}

async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address.parse().unwrap())
}

/// A request with its body.
async fn request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= length_in(head)
        {
            return text;
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "a request that was cut: {text}");
        read.extend_from_slice(&piece[..count]);
    }
}

fn length_in(head: &str) -> usize {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.map_or(0, |(_, value)| value.trim().parse().unwrap())
}

fn http(address: Url) -> Http {
    Http::new(address, Arc::new(Clock::start())).unwrap()
}

/// What a question that wants words in a list comes to.
async fn asked(address: Url) -> Failure {
    let answered = http(address).ask::<Vec<String>>(Call::get("/api/v1/words")).await;
    answered.unwrap_err().failure
}

#[tokio::test]
async fn what_cannot_be_read_is_a_cut_and_never_the_servers_word() {
    let deep = "[".repeat(200_000);
    let unreadable: [(&str, &str, &[u8]); 8] = [
        ("200 OK", JSON, b"[\"\xff\xfe\"]"),
        ("200 OK", JSON, b"[\"cut"),
        ("200 OK", JSON, b""),
        ("200 OK", JSON, deep.as_bytes()),
        ("200 OK", HTML, b"<h1>Welcome to the hotel</h1>"),
        ("401 Unauthorized", HTML, b"<h1>Pay at the hotel</h1>"),
        ("403 Forbidden", JSON, b"\xff"),
        ("404 Not Found", HTML, b"\xff\xfe"),
    ];
    for (status, kind, body) in unreadable {
        let (address, serving) = server(vec![answer(status, kind, body)]).await;
        let length = body.len();
        assert_eq!(asked(address).await, Failure::Cut, "{status}, {length} bytes");
        serving.await.unwrap();
    }
}

/// A token goes with most requests: it would go wherever an answer leads.
#[tokio::test]
async fn no_answer_leads_anywhere_else() {
    let elsewhere = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let there = elsewhere.local_addr().unwrap();
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let moved = format!("{status}\r\nLocation: http://{there}/");
        let (address, serving) = server(vec![answer(&moved, JSON, b"[]")]).await;
        assert_eq!(asked(address).await, Failure::Cut, "{status}");
        serving.await.unwrap();
        let came = elsewhere.accept().map(drop).unwrap_err();
        assert_eq!(came.kind(), ErrorKind::WouldBlock, "{status}");
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_left() {
    let (listener, address) = listen().await;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nConnection: close\r\n\r\n[");
        stream.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b' '; MIB];
        let mut sent = 0;
        // Until it is hung up on.
        while stream.write_all(&piece).await.is_ok() {
            sent += 1;
            assert!(sent < 256, "{sent} MiB were taken");
        }
    });
    assert_eq!(asked(address).await, Failure::Cut);
    serving.await.unwrap();
}

/// It would be asked for ever, were each name believed.
#[tokio::test]
async fn a_server_that_calls_itself_otherwise_each_time_is_asked_so_once() {
    let (listener, address) = listen().await;
    let names = Arc::new(AtomicU32::new(0));
    let told = names.clone();
    let serving = tokio::spawn(async move {
        let unproven = serde_json::to_vec(&Problem::new(Code::InvalidDpopProof)).unwrap();
        while told.load(Ordering::Relaxed) < 3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = request(&mut stream).await;
            let lie = if asked.contains(routes::OAUTH_METADATA) {
                let name = told.fetch_add(1, Ordering::Relaxed);
                let issuer = format!("{{\"issuer\":\"https://{name}.example\"}}");
                answer("200 OK", JSON, issuer.as_bytes())
            } else {
                answer("400 Bad Request", JSON, &unproven)
            };
            stream.write_all(&lie).await.unwrap();
        }
    });
    let key = ProofKey::fresh();
    let call = Call::get("/api/v1/words").proven_by(&key);
    let answered = http(address).ask::<Vec<String>>(call).await;
    assert_eq!(answered.unwrap_err().problem.code, Code::InvalidDpopProof);
    assert_eq!(names.load(Ordering::Relaxed), 1);
    serving.abort();
}

fn credential(refresh_token: &str) -> Credential {
    Credential {
        refresh_token: refresh_token.to_owned(),
        me: Me {
            user: UserId::fresh(),
            device: DeviceId::fresh(),
            email: Email::parse("ana@example.org").unwrap(),
            name: None,
        },
        key: None,
    }
}

/// The server's answer to a renewal of this one.
fn renewed(kept: &Credential, refresh_token: &str) -> Vec<u8> {
    let signed_in = SignedIn {
        me: kept.me.clone(),
        tokens: Some(Tokens {
            access_token: "access".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 600,
            refresh_token: refresh_token.to_owned(),
        }),
    };
    answer("200 OK", JSON, &serde_json::to_vec(&signed_in).unwrap())
}

#[tokio::test]
async fn only_invalid_grant_signs_out_and_nothing_else_changes_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let first = credential("first");
    let store = Arc::new(InMemory::default());
    store.save(&first).unwrap();
    let others: [(&str, &str, &[u8]); 8] = [
        ("500 Internal Server Error", HTML, b"<h1>Oh no</h1>"),
        ("503 Service Unavailable", JSON, b""),
        ("429 Too Many Requests", JSON, b"{}"),
        ("401 Unauthorized", HTML, b"<h1>Pay at the hotel</h1>"),
        ("400 Bad Request", JSON, b"{\"error\":\"invalid_client\"}"),
        ("400 Bad Request", JSON, b"{\"error\":\"invalid_request\"}"),
        ("200 OK", HTML, b"<h1>Welcome to the hotel</h1>"),
        ("302 Found\r\nLocation: /", JSON, b"{\"error\":\"none\"}"),
    ];
    for (status, kind, body) in others {
        let (address, serving) = server(vec![answer(status, kind, body)]).await;
        let keeper = Keeper::new(store.clone(), http(address), folder.path());
        assert_eq!(keeper.renew().await, Renewal::Failed, "{status}");
        assert_eq!(store.load().unwrap().as_ref(), Some(&first), "{status}");
        serving.await.unwrap();
    }
    let over = answer("400 Bad Request", JSON, b"{\"error\":\"invalid_grant\"}");
    let (address, serving) = server(vec![over]).await;
    let keeper = Keeper::new(store.clone(), http(address), folder.path());
    assert_eq!(keeper.renew().await, Renewal::Refused);
    assert_eq!(store.load().unwrap(), None);
    serving.await.unwrap();
}

/// Keeps what it has, whatever it is given.
struct Full(Credential);

impl CredentialStore for Full {
    fn load(&self) -> Result<Option<Credential>, Problem> {
        Ok(Some(self.0.clone()))
    }

    fn save(&self, _credential: &Credential) -> Result<(), Problem> {
        Err(Problem::new(Code::DiskFull))
    }

    fn clear(&self) -> Result<(), Problem> {
        panic!("nobody was signed out")
    }
}

#[tokio::test]
async fn a_renewal_that_cannot_be_kept_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let first = credential("first");
    let (address, serving) = server(vec![renewed(&first, "second")]).await;
    let keeper = Keeper::new(Arc::new(Full(first)), http(address), folder.path());
    assert_eq!(keeper.renew().await, Renewal::Failed);
    assert_eq!(keeper.present(), None, "it came with what could not be kept");
    serving.await.unwrap();
}

#[tokio::test]
async fn two_programs_with_one_sign_in_renew_it_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let first = credential("first");
    let store = Arc::new(InMemory::default());
    store.save(&first).unwrap();
    let (address, serving) = server(vec![renewed(&first, "second"), renewed(&first, "third")]).await;
    let program = || Keeper::new(store.clone(), http(address.clone()), folder.path());
    let (one, other) = (program(), program());
    let both = tokio::join!(one.renew(), other.renew());
    assert_eq!(both, (Renewal::Renewed, Renewal::Renewed));
    let asked = serving.await.unwrap();
    for (asked, token) in asked.iter().zip(["first", "second"]) {
        assert!(asked.contains(&format!("refresh_token={token}")), "{asked}");
    }
    assert_eq!(store.load().unwrap().unwrap().refresh_token, "third");
}

/// A server's answer to whoever asks for a code.
fn codes(verification_uri: &str, expires_in: u32) -> DeviceCodeAnswer {
    DeviceCodeAnswer {
        device_code: "of-this-program-alone".to_owned(),
        user_code: "BCDF-GHJK".to_owned(),
        verification_uri: verification_uri.to_owned(),
        expires_in,
        interval: 5,
    }
}

fn code_of(server: &Url, expires_in: u32) -> DeviceCode {
    let page = server.join("/device").unwrap();
    DeviceCode::read(codes(page.as_str(), expires_in), ProofKey::fresh(), server).unwrap()
}

fn refused_as(error: &str) -> Vec<u8> {
    let body = format!("{{\"error\":\"{error}\"}}");
    answer("400 Bad Request", JSON, body.as_bytes())
}

#[tokio::test]
async fn a_code_is_asked_about_at_the_servers_pace_until_it_is_answered_whoever_else_answers() {
    let signed_in = credential("first");
    let (address, serving) = server(vec![
        refused_as("authorization_pending"),
        refused_as("slow_down"),
        refused_as("authorization_pending"),
        answer("200 OK", HTML, b"<h1>Welcome to the hotel</h1>"),
        answer("503 Service Unavailable", JSON, b""),
        renewed(&signed_in, "first"),
    ])
    .await;
    let waits = Mutex::new(Vec::new());
    let wait = |pause: Duration| {
        waits.lock().unwrap().push(pause.as_secs());
        ready(())
    };
    let code = code_of(&address, 600);
    let admission = answered(&http(address), code, wait).await.unwrap();
    assert_eq!(admission.signed_in.me, signed_in.me);
    assert_eq!(*waits.lock().unwrap(), [5, 5, 10, 10, 20, 20]);
    for asked in serving.await.unwrap() {
        assert!(asked.contains("device_code=of-this-program-alone"), "{asked}");
        assert!(asked.contains("grant-type%3Adevice_code"), "{asked}");
        assert!(asked.to_lowercase().contains("\r\ndpop: "), "{asked}");
    }
}

#[tokio::test]
async fn how_a_code_ended_is_told_in_words() {
    for (error, code, words) in [
        ("access_denied", Code::ProviderCancelled, "refused in the browser"),
        ("expired_token", Code::InvalidOrExpiredLink, "not typed in time"),
        ("invalid_grant", Code::InvalidOrExpiredLink, "no longer valid"),
    ] {
        let (address, serving) = server(vec![refused_as(error)]).await;
        let asked = code_of(&address, 600);
        let told = answered(&http(address), asked, |_| ready(())).await.unwrap_err();
        assert_eq!(told.code, code, "{error}");
        assert!(told.sentence().contains(words), "{error}: {}", told.sentence());
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn a_code_whose_time_is_over_is_asked_about_no_more() {
    let (_unanswered, address) = listen().await;
    let code = code_of(&address, 0);
    let told = answered(&http(address), code, |_| ready(())).await.unwrap_err();
    assert!(told.sentence().contains("not typed in time"), "{told}");
}

#[test]
fn a_code_is_shown_only_where_it_can_be_typed_and_only_with_the_servers_own_address() {
    let server: Url = "https://compymac.dev/".parse().unwrap();
    let read = |answer| DeviceCode::read(answer, ProofKey::fresh(), &server);
    let code = read(codes("https://compymac.dev/device", 600)).unwrap();
    assert_eq!(code.address.as_str(), "https://compymac.dev/device");
    assert_eq!(code.user_code, "BCDF-GHJK");
    for elsewhere in [
        "https://evil.example/device",
        "http://compymac.dev/device",
        "https://compymac.dev.evil.example/device",
        "javascript:alert(1)",
        "/device",
        "",
    ] {
        let refused = read(codes(elsewhere, 600)).unwrap_err();
        assert_eq!(refused.code, Code::ProviderFailed, "{elsewhere}");
    }
    let long = "B".repeat(17);
    for code in ["", "BCDF\u{202e}GHJK", "BCDF GHJK", "<b>BCDF</b>", long.as_str()] {
        let answer = DeviceCodeAnswer {
            user_code: code.to_owned(),
            ..codes("https://compymac.dev/device", 600)
        };
        assert!(read(answer).is_err(), "{code}");
    }
}

/// A server that renews a sign-in and can do nothing else, and what it was asked.
async fn tired_server(kept: &Credential) -> (Url, Arc<Mutex<Vec<String>>>) {
    let (listener, address) = listen().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (noting, token) = (heard.clone(), renewed(kept, "second"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (noting, token) = (noting.clone(), token.clone());
            tokio::spawn(async move {
                let asked = request(&mut stream).await;
                let said = if asked.contains(routes::TOKEN) {
                    token
                } else {
                    answer("503 Service Unavailable", JSON, b"")
                };
                noting.lock().unwrap().push(asked);
                let _ = stream.write_all(&said).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (address, heard)
}

/// A cache that knows of one session by its row alone.
async fn with_a_row(folder: &Path, user: UserId) -> SessionId {
    let id = SessionId::fresh();
    let row = Session {
        id,
        seq: 1,
        title: "Log book".to_owned(),
        title_seq: 1,
        archived: false,
        last_ord: 9,
        preview: String::new(),
        running: false,
        last_active: 0,
        created_at: 0,
    };
    let first = Bootstrap {
        as_of: Cursor {
            epoch: Epoch::from_u128(1),
            seq: 1,
        },
        sessions: vec![row],
        histories: Vec::new(),
        more: None,
    };
    let store = Store::open(folder, Quota::default(), Sealing::Open).unwrap();
    store.apply_bootstrap(user, Box::new(first)).await.unwrap();
    store.close().await;
    id
}

/// A page looks again as often as it is told to.
#[tokio::test]
async fn what_is_not_here_is_not_asked_for_each_time_a_page_looks_while_the_server_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let signed_in = credential("first");
    let session = with_a_row(folder.path(), signed_in.me.user).await;
    let (address, heard) = tired_server(&signed_in).await;
    let kept = InMemory::default();
    kept.save(&signed_in).unwrap();
    let computer = Computer {
        name: "Laptop".to_owned(),
        os: "linux".to_owned(),
        version: "0.1.0".to_owned(),
    };
    let device = Device::open(folder.path(), address, computer, kept)
        .await
        .unwrap();
    let mut pushes = device.watch();
    while !matches!(device.connection(), Connection::Offline { .. }) {
        pushes.recv().await.unwrap();
    }
    for _ in 0..20 {
        let shown = device.show(session).await.unwrap();
        assert_eq!(shown.state, TranscriptState::NotHere);
    }
    // What would have been asked by then, was.
    assert!(device.devices().await.is_err());
    device.close().await;
    let messages = routes::messages(session);
    let heard = heard.lock().unwrap();
    assert!(!heard.iter().any(|asked| asked.contains(&messages)), "{heard:?}");
}
