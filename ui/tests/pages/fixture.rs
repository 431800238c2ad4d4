//! Every screen in every state that can be drawn from data alone, with a clock that stands still.

use protocol::auth::{Device, Email, Me, Provider};
use protocol::run::Status;
use protocol::sync::Role;
use protocol::view::{
    Body, Boot, Connection, Delivery, MessageView, Obstacle, SessionRow, Transcript, TranscriptState, Typed,
};
use protocol::{Code, DeviceId, MessageId, MutationId, Problem, RunId, SessionId, UserId};

pub const NOW: i64 = 1_790_000_000_000;
const MINUTE: i64 = 60_000;

/// A screen: its name, its address, and what it is drawn from.
#[derive(Debug)]
pub struct Screen {
    pub name: &'static str,
    pub path: String,
    pub boot: Boot,
}

pub fn boot(body: Body) -> Boot {
    Boot {
        body,
        csrf: "form-token".to_owned(),
        providers: vec![
            Provider {
                id: "google".to_owned(),
                name: "Google".to_owned(),
            },
            Provider {
                id: "github".to_owned(),
                name: "GitHub".to_owned(),
            },
        ],
        me: None,
        list: Vec::new(),
        open: None,
        devices: Vec::new(),
        problem: None,
        typed: Typed::default(),
        server: "https://compymac.example".to_owned(),
        version: "0.1.0".to_owned(),
        connection: Connection::Online,
        now: NOW,
    }
}

pub fn email() -> Email {
    Email::parse("ana.ruiz@example.org").expect("a sound address")
}

pub fn signed_in() -> Boot {
    Boot {
        me: Some(Me {
            user: UserId::fresh(),
            device: DeviceId::fresh(),
            email: email(),
            name: Some("Ana Ruiz".to_owned()),
        }),
        list: list(),
        ..boot(Body::Browser)
    }
}

pub fn row(title: &str, preview: &str, minutes: i64) -> SessionRow {
    SessionRow {
        id: SessionId::fresh(),
        title: title.to_owned(),
        title_seq: 1,
        preview: preview.to_owned(),
        archived: false,
        running: false,
        waiting: 0,
        messages: 2,
        kept: false,
        last_active: NOW - minutes * MINUTE,
        created_at: NOW - 2 * minutes * MINUTE,
    }
}

fn list() -> Vec<SessionRow> {
    vec![
        SessionRow {
            running: true,
            ..row("Fix flaky login test", "I’ll start by running it 20 times.", 0)
        },
        SessionRow {
            waiting: 1,
            ..row("Migrate the database", "Please check the plan once more", 4)
        },
        row(
            "Release 1.2",
            "The changelog is ready; two entries need your word.",
            63,
        ),
        row("", "", 120),
        row("قراءة ورقة بحثية", "ملخص الفصل الثالث", 26 * 60),
        row(
            "A very long title that does not fit into the list and so has to be cut off somewhere",
            "And its preview is long too, long enough to be cut",
            3 * 24 * 60,
        ),
        row(
            "Notes on token rotation",
            "Rotate on use, with a grace of ten seconds.",
            9 * 24 * 60,
        ),
        row("Plan the offsite", "Three places, with trains.", 200 * 24 * 60),
    ]
}

pub fn message(role: Role, content: &str, minutes: i64) -> MessageView {
    MessageView {
        id: MessageId::fresh(),
        role,
        content: content.to_owned(),
        status: Status::Complete,
        delivery: Delivery::Sent,
        run: None,
        error: None,
        created_at: NOW - minutes * MINUTE,
    }
}

pub const REPLY: &str = r#"I'll start by running it 20 times. **3 of 20 fail**, always in `login_waits_for_cookie`.

## What happens

1. The page posts the form.
2. The test reads the cookie *before* the answer is there.

   That is the race.
3. It passes when the machine is quick.

```rust
#[tokio::test]
async fn login_waits_for_cookie() {
    let answer = client.post("/login").form(&[("user", "ana")]).send().await?;
    assert_eq!(answer.status(), 303);
}
```

```diff
@@ -12,7 +12,7 @@
 async fn login_waits_for_cookie() {
-    sleep(Duration::from_millis(50)).await;
+    cookie.wait_for("session").await;
 }
```

| run | time | result |
|:----|-----:|:------:|
| 1 | 4.2 s | passed |
| 2 | 0.3 s | failed |

> A test that waits for a condition is slower only when it fails.

- [x] reproduce
- [ ] mend, see [the guide](https://docs.example/guide) or [https://bank.example](https://evil.example/x)

![A chart](https://tracker.example/pixel.png)

<script>alert("not run")</script>
"#;

pub fn opened(messages: Vec<MessageView>, row: SessionRow) -> Transcript {
    Transcript {
        session: row,
        state: TranscriptState::Ready,
        messages,
        has_earlier: false,
        unanswered: None,
    }
}

pub fn session(name: &'static str, open: Transcript) -> Screen {
    let path = protocol::routes::page::session(open.session.id);
    let mut boot = signed_in();
    boot.list.insert(0, open.session.clone());
    boot.open = Some(open);
    Screen { name, path, boot }
}

fn running() -> Screen {
    let reply = MessageView {
        status: Status::Streaming,
        run: Some(RunId::fresh()),
        ..message(
            Role::Assistant,
            "The cause is a race between the form's answer and the",
            0,
        )
    };
    let ask = message(Role::User, "The login test fails 1 in 5. Why?", 1);
    let row = SessionRow {
        running: true,
        ..row("Fix flaky login test", "The cause is a race", 0)
    };
    session("running", opened(vec![ask, reply], row))
}

fn troubled() -> Screen {
    let ended = |status, error: Option<&str>| MessageView {
        status,
        error: error.map(str::to_owned),
        ..message(Role::Assistant, "I had just begun to say that", 30)
    };
    let undelivered = |delivery, text: &str| MessageView {
        delivery,
        ..message(Role::User, text, 1)
    };
    let refused = Problem::new(Code::SessionDeleted);
    let messages = vec![
        message(Role::User, "Say something long", 31),
        ended(Status::Cancelled, None),
        ended(
            Status::Failed,
            Some("The agent could not be reached. Please send your message again."),
        ),
        ended(Status::Interrupted, None),
        undelivered(
            Delivery::Waiting {
                mutation: MutationId::fresh(),
            },
            "Written on the train",
        ),
        undelivered(
            Delivery::NotSent {
                mutation: MutationId::fresh(),
                problem: refused,
            },
            "Written too late",
        ),
    ];
    let mut screen = session("troubled", opened(messages, row("Trouble of every kind", "", 1)));
    screen.boot.connection = Connection::Offline {
        since: Some(NOW - 7 * MINUTE),
    };
    screen
}

/// Nothing comes and goes, for this reason.
pub fn stopped(name: &'static str, by: Obstacle, body: Body) -> Screen {
    let said = message(Role::User, "Keep this for later.", 60);
    let mut screen = session(name, opened(vec![said], row("Release 1.2", "", 60)));
    screen.boot.body = body;
    screen.boot.connection = Connection::Stopped { by };
    screen
}

/// The server wants a new sign-in; reading and writing go on.
fn signed_out_by_the_server() -> Screen {
    let ask = message(Role::User, "What is written here waits.", 2);
    let mut screen = session(
        "signed-out-elsewhere",
        opened(vec![ask], row("Release 1.2", "", 2)),
    );
    screen.boot.connection = Connection::SignedOut;
    screen
}

fn conversation() -> Screen {
    let long = "Here is the log, with a very long line: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\n<b>and a tag</b>";
    let messages = vec![
        message(Role::User, "The login test fails 1 in 5. Why?", 62),
        message(Role::Assistant, REPLY, 61),
        message(Role::User, long, 5),
        message(
            Role::Assistant,
            "هذا سطر من اليمين إلى اليسار مع `code` في وسطه.",
            4,
        ),
    ];
    let mut open = opened(
        messages,
        row("Fix flaky login test", "I’ll start by running it", 0),
    );
    open.has_earlier = true;
    session("conversation", open)
}

fn devices() -> Vec<Device> {
    let device = |name: &str, os: &str, place: Option<&str>, is_this, minutes: i64| Device {
        id: DeviceId::fresh(),
        name: name.to_owned(),
        os: os.to_owned(),
        // a browser has no version of ours
        version: if os.is_empty() { "" } else { "0.1.0" }.to_owned(),
        place: place.map(str::to_owned),
        is_this,
        created_at: NOW - 9 * 24 * 60 * MINUTE,
        last_active: NOW - minutes * MINUTE,
    };
    vec![
        device("ana’s laptop", "linux", Some("Lisbon, Portugal"), false, 200),
        device("Firefox on Linux", "", Some("Lisbon, Portugal"), true, 0),
        device("Studio", "macos", None, false, 4 * 24 * 60),
    ]
}

fn outside(name: &'static str, path: &str, boot: Boot) -> Screen {
    Screen {
        name,
        path: path.to_owned(),
        boot,
    }
}

pub fn screens() -> Vec<Screen> {
    let mut screens = outside_screens();
    screens.extend(session_screens());
    screens.extend([
        outside("home", "/", signed_in()),
        outside(
            "home-empty",
            "/",
            Boot {
                list: Vec::new(),
                ..signed_in()
            },
        ),
        outside(
            "archived",
            "/archived",
            Boot {
                list: vec![archived()],
                ..signed_in()
            },
        ),
        outside(
            "settings",
            "/settings",
            Boot {
                devices: devices(),
                ..signed_in()
            },
        ),
        outside("home-offline", "/", offline()),
        outside("missing", "/nowhere", signed_in()),
    ]);
    screens
}

fn outside_screens() -> Vec<Screen> {
    let refused = Boot {
        problem: Some(Problem::new(Code::InvalidCredentials)),
        typed: Typed {
            email: email().to_string(),
            ..Typed::default()
        },
        ..boot(Body::Browser)
    };
    let mailed = Boot {
        typed: refused.typed.clone(),
        ..boot(Body::Browser)
    };
    vec![
        outside("sign-in", "/sign-in", boot(Body::Browser)),
        outside("sign-in-refused", "/sign-in", refused),
        outside(
            "sign-in-desktop",
            "/sign-in",
            Boot {
                csrf: String::new(),
                ..boot(Body::Desktop)
            },
        ),
        outside("no-keychain", "/sign-in", no_keychain()),
        outside("sign-up", "/sign-up", boot(Body::Browser)),
        outside("check-mail", "/check-mail", mailed),
    ]
}

/// One message waits in the list to be sent.
fn offline() -> Boot {
    Boot {
        connection: Connection::Offline {
            since: Some(NOW - 7 * MINUTE),
        },
        ..signed_in()
    }
}

/// A computer that offers no place for what keeps somebody signed in.
fn no_keychain() -> Boot {
    Boot {
        csrf: String::new(),
        problem: Some(Problem::new(Code::KeychainUnavailable)),
        ..boot(Body::Desktop)
    }
}

fn archived() -> SessionRow {
    SessionRow {
        archived: true,
        ..row("Old plans", "Done with.", 60)
    }
}

fn session_screens() -> Vec<Screen> {
    let state = |state, name| {
        let mut open = opened(Vec::new(), row("Release 1.2", "The changelog is ready", 60));
        open.state = state;
        session(name, open)
    };
    let ask = message(Role::User, "Keep this for later.", 60);
    vec![
        session("archived-session", opened(vec![ask], archived())),
        conversation(),
        running(),
        troubled(),
        stopped("full-disk", Obstacle::Disk, Body::Desktop),
        stopped("outdated-app", Obstacle::Unwanted, Body::Desktop),
        stopped("outdated-page", Obstacle::Unwanted, Body::Browser),
        signed_out_by_the_server(),
        state(TranscriptState::Ready, "new-session"),
        state(TranscriptState::Loading, "loading"),
        state(TranscriptState::NotHere, "not-here"),
    ]
}
