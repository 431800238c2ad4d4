//! Work before a sign-up: asked for while many sign up at once, from one network or from everywhere, and of nobody else.

use harness::{Answer, Client, DeviceClient, Person, Stack, browser};
use http::Method;
use protocol::auth::{Password, SignUp, Work};
use protocol::routes::{self, page};
use protocol::{Code, Problem};
use sync_client::work::solve;

/// As people get it, but for work that a test has time for.
async fn pressed_by(all_together: &str) -> Stack {
    Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with("TRUSTED_PROXIES", "127.0.0.0/8")
        .with("SIGN_UPS_AN_HOUR", all_together)
        .with("SIGN_UP_WORK", "10")
        .start()
        .await
}

/// A network of its own for each number, none of them anybody's (RFC 2544).
fn network(number: usize) -> String {
    format!("198.19.{number}.1")
}

async fn sign_up(stack: &Stack, person: &Person, work: Option<Work>, from: usize) -> Answer {
    let client = Client::native(&stack.url());
    let ask = SignUp {
        email: person.email.clone(),
        password: Password::typed(&person.password),
        name: None,
        work,
    };
    let request = client.bare(Method::POST, routes::SIGN_UP);
    client
        .send(request.header("X-Forwarded-For", network(from)).json(&ask))
        .await
}

/// The first of this network pass freely.
async fn press(stack: &Stack, from: usize) {
    for _ in 0..5 {
        sign_up(stack, &Person::fresh(), None, from).await.succeeds();
    }
}

fn done(problem: &Problem) -> Work {
    let challenge = problem.challenge.clone().expect("a challenge");
    let answer = solve(&challenge, problem.limit.expect("how hard")).expect("not too hard");
    Work { challenge, answer }
}

#[tokio::test]
async fn a_network_that_makes_many_accounts_works_for_each_and_no_other_does() {
    let stack = pressed_by("1000").await;
    press(&stack, 1).await;
    let person = Person::fresh();
    let refused = sign_up(&stack, &person, None, 1)
        .await
        .refused(Code::WorkRequired);
    assert_eq!(refused.limit, Some(10));
    assert_eq!(refused.challenge.as_deref().map(str::len), Some(64));
    assert!(refused.retry_after.is_some_and(|seconds| seconds <= 3600));
    sign_up(&stack, &Person::fresh(), None, 2).await.succeeds();

    let work = done(&refused);
    sign_up(&stack, &person, Some(work.clone()), 1).await.succeeds();
    let letter = stack.letter_to(person.email.as_str(), 1).await;
    assert!(letter.code.is_some());
    let again = sign_up(&stack, &person, Some(work), 1).await;
    let again = again.refused(Code::WorkRequired);
    assert!(again.detail.is_some_and(|detail| detail.contains("used already")));

    let metrics = Client::native(&stack.url()).get(routes::METRICS).await.text();
    for said in [
        r#"sign_up_work_total{result="asked"} 1"#,
        r#"sign_up_work_total{result="done"} 1"#,
        r#"sign_up_work_total{result="refused"} 1"#,
    ] {
        assert!(metrics.contains(said), "{said} in {metrics}");
    }
}

#[tokio::test]
async fn work_that_is_not_what_was_asked_for_opens_nothing() {
    let stack = pressed_by("1000").await;
    press(&stack, 1).await;
    let (person, other) = (Person::fresh(), Person::fresh());
    let asked = async |person: &Person| {
        let refused = sign_up(&stack, person, None, 1).await;
        refused.refused(Code::WorkRequired)
    };
    let work = done(&asked(&person).await);
    let of_another = done(&asked(&other).await);
    let with = |challenge: &str, answer: &str| Work {
        challenge: challenge.to_owned(),
        answer: answer.to_owned(),
    };
    // the numbers before the first that is right are all wrong
    let before = work.answer.parse::<u64>().expect("a number").saturating_sub(1);
    let mut easier = work.challenge.clone();
    easier.replace_range(10..12, "AA");
    for (name, wrong) in [
        ("of another address", of_another),
        ("no answer", with(&work.challenge, "")),
        ("words", with(&work.challenge, "please")),
        ("a number too few", with(&work.challenge, &format!("{before}"))),
        (
            "the same number otherwise",
            with(&work.challenge, &format!("+{}", work.answer)),
        ),
        ("an easier one", with(&easier, "0")),
        ("one of its own", with(&"A".repeat(64), "0")),
        ("nothing", with("", "0")),
    ] {
        if work.answer == "0" && name == "a number too few" {
            continue;
        }
        let answer = sign_up(&stack, &person, Some(wrong), 1).await;
        let problem = answer.refused(Code::WorkRequired);
        assert!(problem.detail.is_some(), "{name}: what was wrong is said");
    }
    sign_up(&stack, &person, Some(work), 1).await.succeeds();
}

#[tokio::test]
async fn a_server_that_many_sign_up_at_asks_everybody() {
    let stack = pressed_by("2").await;
    for from in 1..=2 {
        sign_up(&stack, &Person::fresh(), None, from).await.succeeds();
    }
    let person = Person::fresh();
    let refused = sign_up(&stack, &person, None, 3)
        .await
        .refused(Code::WorkRequired);
    sign_up(&stack, &person, Some(done(&refused)), 3).await.succeeds();
}

#[tokio::test]
async fn work_does_not_open_the_door_for_ever() {
    let stack = pressed_by("1000").await;
    press(&stack, 1).await;
    let mut last = None;
    for _ in 5..=20 {
        let person = Person::fresh();
        let refused = sign_up(&stack, &person, None, 1)
            .await
            .refused(Code::WorkRequired);
        last = Some(sign_up(&stack, &person, Some(done(&refused)), 1).await);
    }
    last.expect("the one after twenty").refused(Code::RateLimited);
}

#[tokio::test]
async fn the_form_asks_for_work_by_a_page_and_nothing_has_to_be_typed_again() {
    let stack = pressed_by("1").await;
    sign_up(&stack, &Person::fresh(), None, 1).await.succeeds();
    let (person, window) = (Person::fresh(), browser(&stack));
    let form = window.get(page::SIGN_UP).await;
    let fields = [
        ("email", person.email.as_str()),
        ("password", person.password.as_str()),
    ];
    let asked = window.submit(&form, page::FORM_SIGN_UP, &fields).await;
    assert_eq!(asked.status, 403, "{asked:?}");
    let text = asked.text();
    assert!(!text.contains(&person.password), "a password is in no page");
    assert!(
        text.contains("<noscript>") && text.contains("/app/work-"),
        "{text}"
    );
    // a browser without a script has no number to send
    let blind = window.submit(&asked, page::FORM_SIGN_UP, &[]).await;
    assert_eq!(blind.status, 403, "{blind:?}");
    assert_eq!(stack.number("select count(*) from users").await, 1);

    let form = blind.form(page::FORM_SIGN_UP);
    let field = |name| form.field(name).expect("a field").to_owned();
    let answer = solve(&field("challenge"), field("bits").parse().expect("a number")).expect("work");
    let next = window
        .submit(&blind, page::FORM_SIGN_UP, &[("answer", &answer)])
        .await;
    next.succeeds();
    assert!(next.text().contains(person.email.as_str()), "{next:?}");
    let code = stack.letter_to(person.email.as_str(), 1).await.code;
    let fields = [("code", code.as_deref().expect("a code"))];
    window.submit(&next, page::FORM_CHECK_MAIL, &fields).await;
    assert_eq!(window.me().await.email, person.email);
    // with the password that was typed before the work
    person.browser(&stack).await;
}

#[tokio::test]
async fn a_device_does_the_work_by_itself() {
    let stack = pressed_by("1").await;
    sign_up(&stack, &Person::fresh(), None, 1).await.succeeds();
    let person = Person::fresh();
    let device = DeviceClient::fresh(&stack.url()).await;
    let password = Password::typed(&person.password);
    device
        .sign_up(person.email.clone(), password)
        .await
        .expect("signing up");
    let code = stack.letter_to(person.email.as_str(), 1).await.code;
    let me = device.verify(person.email.clone(), code.expect("a code")).await;
    assert_eq!(me.expect("confirming").email, person.email);
}
