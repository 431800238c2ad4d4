//! The pages that are no part of the app, in their states.

use super::fixture::email;
use protocol::{Code, Problem};
use ui::page::{Authorize, Authorized, Failed, Forgot, NewPassword, Notice, VerifyLink};

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
        is_sent,
        problem: None,
    };
    let new_password = NewPassword {
        csrf: "form-token".to_owned(),
        token: "link-token".to_owned(),
        email: "a•••@example.org".to_owned(),
        problem: Some(Problem::new(Code::WeakPassword)),
    };
    vec![
        ("forgot", Notice::Forgot(forgot(false))),
        ("forgot-sent", Notice::Forgot(forgot(true))),
        ("new-password", Notice::NewPassword(new_password)),
        ("password-changed", Notice::PasswordChanged),
        ("verify-link", Notice::VerifyLink(verify)),
        ("authorize", Notice::Authorize(authorize)),
        ("authorized", Notice::Authorized(authorized)),
        (
            "failed",
            Notice::Failed(Failed {
                problem: Problem::new(Code::NotFound),
                way_on: None,
            }),
        ),
    ]
}
