//! The pages that are no part of the app, in their states.

use super::fixture::email;
use protocol::auth::Provider;
use protocol::view::Picture;
use protocol::{Code, Problem};
use ui::page::{
    Accounts, Authorize, Authorized, Change, Connected, DeviceCodeAnswered, DeviceCodeAsk, DeviceCodeFound,
    EmailLink, EmailUndo, Event, Export, Failed, Forgot, Keep, LetterAsk, LetterLink, LetterSent, Letters,
    NewPassword, Newcomer, Notice, Passkey, Prove, Rights, SecondStep, Security, SetUp, ToProvider, Told,
    VerifyLink, Whence, Work,
};

pub fn notices() -> Vec<(&'static str, Notice)> {
    let verify = VerifyLink {
        csrf: "form-token".to_owned(),
        token: "link-token".to_owned(),
        email: Some(email().to_string()),
        wants_password: true,
        problem: None,
    };
    let authorize = Authorize {
        action: "/oauth/authorize".to_owned(),
        csrf: "form-token".to_owned(),
        fields: vec![("request".to_owned(), "reference".to_owned())],
        device: "ana’s laptop".to_owned(),
        whence: whence(),
        email: email().to_string(),
        other_account: None,
        problem: None,
    };
    let authorized = Authorized {
        device: "ana’s laptop".to_owned(),
        link: "compymac://auth/callback?code=1&state=2".to_owned(),
        code: "1.2".to_owned(),
    };
    let forgot = |is_sent| Forgot {
        csrf: "form-token".to_owned(),
        email: email().to_string(),
        next: "/".to_owned(),
        is_sent,
        problem: None,
    };
    let new_password = NewPassword {
        csrf: "form-token".to_owned(),
        token: "link-token".to_owned(),
        email: "a•••@example.org".to_owned(),
        problem: Some(Problem::new(Code::WeakPassword)),
    };
    let mut notices = vec![
        ("forgot", Notice::Forgot(forgot(false))),
        ("forgot-sent", Notice::Forgot(forgot(true))),
        ("new-password", Notice::NewPassword(new_password)),
        ("password-changed", Notice::PasswordChanged),
        ("verify-link", Notice::VerifyLink(verify)),
        ("authorize", Notice::Authorize(authorize)),
        ("to-provider", Notice::ToProvider(to_provider())),
        ("authorized", Notice::Authorized(authorized)),
        (
            "failed",
            Notice::Failed(Failed {
                problem: Problem::new(Code::NotFound),
                way_on: None,
            }),
        ),
    ];
    notices.push(("work", Notice::Work(work())));
    notices.extend(of_safety());
    notices.extend(of_device_codes());
    notices.extend(of_rights());
    notices
}

fn work() -> Work {
    Work {
        csrf: "form-token".to_owned(),
        next: "/".to_owned(),
        folded: "AAAA".to_owned(),
        challenge: "A".repeat(64),
        bits: 18,
        minutes: 12,
        problem: None,
    }
}

fn of_device_codes() -> Vec<(&'static str, Notice)> {
    let ask = DeviceCodeAsk {
        csrf: "form-token".to_owned(),
        code: "BCDF-GHJX".to_owned(),
        problem: Some(Problem::new(Code::InvalidOrExpiredLink)),
    };
    let found = DeviceCodeFound {
        csrf: "form-token".to_owned(),
        code: "BCDF-GHJK".to_owned(),
        device: "ana’s tower".to_owned(),
        whence: whence(),
        email: email().to_string(),
    };
    let answered = |is_allowed, is_again| {
        Notice::DeviceCodeAnswered(DeviceCodeAnswered {
            device: "ana’s tower".to_owned(),
            is_allowed,
            is_again,
        })
    };
    vec![
        ("device-code", Notice::DeviceCodeAsk(ask)),
        ("device-code-found", Notice::DeviceCodeFound(found)),
        ("device-code-allowed", answered(true, false)),
        ("device-code-refused", answered(false, false)),
        ("device-code-again", answered(true, true)),
    ]
}

fn of_safety() -> Vec<(&'static str, Notice)> {
    vec![
        ("letter-ask", Notice::LetterAsk(letter_ask())),
        ("letter-sent", Notice::LetterSent(letter_sent())),
        ("newcomer", Notice::Newcomer(newcomer())),
        ("letter-link", Notice::LetterLink(letter_link(false, None))),
        (
            "letter-code",
            Notice::LetterLink(letter_link(false, Some("7KM2QX9T"))),
        ),
        ("letters", Notice::Letters(letters(true, false))),
        ("letters-off", Notice::Letters(letters(false, true))),
        ("second-step", Notice::SecondStep(second_step())),
        ("security", Notice::Security(Box::new(security(None, false)))),
        (
            "security-fresh",
            Notice::Security(Box::new(security(Some(9), true))),
        ),
        ("set-up", Notice::SetUp(set_up())),
        ("recovery-codes", Notice::RecoveryCodes(codes())),
        ("prove", Notice::Prove(prove())),
    ]
}

fn of_rights() -> Vec<(&'static str, Notice)> {
    let until = || "10 December 2026, 12:00 UTC".to_owned();
    let asked = Rights {
        export: Export::Ready {
            path: "/settings/security/export/1".to_owned(),
            size: "12 MB".to_owned(),
            until: until(),
        },
        change: Some(Change {
            new: "ana.new@example.org".to_owned(),
            has_old_agreed: true,
            has_new_agreed: false,
            until: until(),
        }),
    };
    let security = Security {
        rights: asked,
        problem: Some(Problem::new(Code::Invalid).detail("That is not the address of this account.")),
        ..security(None, true)
    };
    let link = |is_old| EmailLink {
        csrf: "form-token".to_owned(),
        token: "link-token".to_owned(),
        new: "ana.new@example.org".to_owned(),
        is_old,
        problem: None,
    };
    let undo = EmailUndo {
        csrf: "form-token".to_owned(),
        token: "link-token".to_owned(),
        old: email().to_string(),
        problem: None,
    };
    let keep = Keep {
        csrf: "form-token".to_owned(),
        next: "/".to_owned(),
        email: email().to_string(),
        until: until(),
        problem: None,
    };
    let told = Told {
        heading: "Your account will be deleted".to_owned(),
        text: format!("It goes on {}. To keep it, sign in before then.", until()),
        way_on: ("/sign-in".to_owned(), "Go to sign in".to_owned()),
    };
    vec![
        ("security-asked", Notice::Security(Box::new(security))),
        ("keep", Notice::Keep(keep)),
        ("email-link-old", Notice::EmailLink(link(true))),
        ("email-link-new", Notice::EmailLink(link(false))),
        ("email-undo", Notice::EmailUndo(undo)),
        ("told", Notice::Told(told)),
    ]
}

fn second_step() -> SecondStep {
    SecondStep {
        csrf: "form-token".to_owned(),
        next: "/".to_owned(),
        problem: Some(Problem::new(Code::InvalidCredentials).detail("That code is not right.")),
    }
}

fn security(codes_left: Option<i64>, is_fresh: bool) -> Security {
    let event = |name: &str, is_done, reason: &str| Event {
        name: name.to_owned(),
        is_done,
        reason: reason.to_owned(),
        when: "3 May 2026, 12:00 UTC".to_owned(),
        prefix: "203.0.113.0/24".to_owned(),
        is_by_operator: false,
        times: 1,
    };
    Security {
        wants_tips: true,
        csrf: "form-token".to_owned(),
        email: email().to_string(),
        has_password: true,
        codes_left,
        passkeys: is_fresh.then(|| {
            let passkey = |name: &str, used: Option<&str>| Passkey {
                id: "018f0000-0000-7000-8000-000000000001".to_owned(),
                name: name.to_owned(),
                added: "3 May 2026, 12:00 UTC".to_owned(),
                used: used.map(str::to_owned),
            };
            vec![
                passkey("Laptop", Some("4 May 2026, 12:00 UTC")),
                passkey("<b>Key</b>", None),
            ]
        }),
        is_fresh,
        others: 2,
        accounts: Accounts {
            connected: vec![Connected {
                id: "0".to_owned(),
                name: "GitHub".to_owned(),
                email: "ana@example.org".to_owned(),
            }],
            others: vec![Provider {
                id: "google".to_owned(),
                name: "Google".to_owned(),
            }],
        },
        rights: Rights::default(),
        events: vec![
            event("sign_in", true, "password"),
            event("sign_in", false, "password: invalid_credentials"),
            event("second_step_on", true, "itself"),
            Event {
                is_by_operator: true,
                ..event("user_locked", true, "for her own good")
            },
            Event {
                times: 12,
                ..event("letter", true, "itself")
            },
        ],
        problem: None,
        done: is_fresh.then(|| "The second step is on.".to_owned()),
    }
}

/// Three corners, as such a picture has.
fn set_up() -> SetUp {
    let corner = |x: usize, y: usize| format!("M{x} {y}h7v7h-7zM{} {}h5v5h-5z", x + 1, y + 1);
    SetUp {
        csrf: "form-token".to_owned(),
        picture: Picture {
            side: 41,
            path: [corner(0, 0), corner(34, 0), corner(0, 34)].concat(),
        },
        secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned(),
        problem: None,
    }
}

fn codes() -> Vec<String> {
    (0..10).map(|number| format!("{number}K3M-7QX9T-2BCDF")).collect()
}

fn prove() -> Prove {
    Prove {
        csrf: "form-token".to_owned(),
        has_password: true,
        has_second_step: true,
        has_passkey: true,
        problem: None,
    }
}

fn to_provider() -> ToProvider {
    ToProvider {
        csrf: "form-token".to_owned(),
        provider: Provider {
            id: "google".to_owned(),
            name: "Google".to_owned(),
        },
        device: "ana’s laptop".to_owned(),
        next: "/oauth/authorize?request_uri=1".to_owned(),
        other_ways: "/sign-in?next=%2Foauth%2Fauthorize".to_owned(),
    }
}

fn letter_ask() -> LetterAsk {
    LetterAsk {
        csrf: "form-token".to_owned(),
        email: String::new(),
        next: "/".to_owned(),
        stays: false,
        problem: None,
    }
}

fn letter_sent() -> LetterSent {
    LetterSent {
        csrf: "form-token".to_owned(),
        email: email().to_string(),
        next: "/".to_owned(),
        stays: true,
        problem: None,
    }
}

fn newcomer() -> Newcomer {
    Newcomer {
        csrf: "form-token".to_owned(),
        email: email().to_string(),
        provider: "Microsoft".to_owned(),
        next: "/".to_owned(),
        stays: false,
        problem: None,
    }
}

fn letter_link(is_same_browser: bool, code: Option<&str>) -> LetterLink {
    LetterLink {
        csrf: "form-token".to_owned(),
        token: "link-token".to_owned(),
        email: "a•••@example.org".to_owned(),
        is_same_browser,
        code: code.map(str::to_owned),
        problem: None,
    }
}

fn letters(wants_tips: bool, is_done: bool) -> Letters {
    Letters {
        csrf: "form-token".to_owned(),
        action: "/letters/link-token".to_owned(),
        wants_tips,
        is_done,
    }
}

fn whence() -> Whence {
    Whence {
        asked_from: "Lisbon, Portugal (203.0.113.9)".to_owned(),
        minutes_ago: 2,
    }
}
