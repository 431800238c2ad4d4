//! Signing up and confirming the address: the letter, the link, the code.

use crate::email_change::while_held;
use harness::mailbox::path_of;
use harness::{Client, Person, SESSION_COOKIE, Stack, browser, native, until};
use http::Method;
use protocol::auth::{Client as Kind, Email, Me, SignUpStarted, SignedIn};
use protocol::{Code, routes};
use serde_json::json;

#[tokio::test]
async fn the_mailed_code_confirms_the_address_and_signs_in() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let me: Me = client.me().await;
    assert_eq!(me.email, person.email);
    assert!(client.cookie(SESSION_COOKIE).is_some());
}

#[tokio::test]
async fn a_native_client_confirms_with_the_code_and_gets_tokens() {
    let stack = Stack::start().await;
    let (person, client) = Person::join_natively(&stack).await;
    assert_eq!(client.me().await.email, person.email);
    assert_eq!(client.tokens().token_type, "Bearer");
}

#[tokio::test]
async fn a_code_works_only_for_whom_it_was_mailed_and_only_once() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    let started: SignUpStarted = person.sign_up(&client).await.expect();
    let code = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .code
        .expect("a code");

    // the code alone, without what the signing-up window holds
    let elsewhere = person.confirm(&browser(&stack), &code, None, Kind::Browser).await;
    elsewhere.refused(Code::InvalidOrExpiredLink);
    let forged = person
        .confirm(&browser(&stack), &code, Some("x".repeat(43)), Kind::Browser)
        .await;
    forged.refused(Code::InvalidOrExpiredLink);

    let binding = Some(started.binding);
    let typed = format!(" {}-{} ", &code[..4], code[4..].to_lowercase());
    person
        .confirm(&browser(&stack), &typed, binding.clone(), native("Laptop"))
        .await
        .expect::<SignedIn>();
    let again = person
        .confirm(&browser(&stack), &code, binding, native("Laptop"))
        .await;
    again.refused(Code::InvalidOrExpiredLink);
}

#[tokio::test]
async fn five_wrong_codes_burn_the_letter() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    let code = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .code
        .expect("a code");
    let wrong = if code == "00000000" {
        "11111111"
    } else {
        "00000000"
    };
    for _ in 0..5 {
        let refused = person.confirm(&client, wrong, None, Kind::Browser).await;
        refused.refused(Code::InvalidOrExpiredLink);
    }
    let right = person.confirm(&client, &code, None, Kind::Browser).await;
    right.refused(Code::InvalidOrExpiredLink);
}

#[tokio::test]
async fn a_letter_is_worth_nothing_after_its_day() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    let letter = stack.letter_to(person.email.as_str(), 1).await;
    let (code, link) = (letter.code.expect("a code"), letter.link.expect("a link"));
    let page = client.get(&path_of(&link)).await;
    stack
        .execute("update verification_tokens set expires = expires - interval '24 hours'")
        .await;
    let typed = person.confirm(&client, &code, None, Kind::Browser).await;
    typed.refused(Code::InvalidOrExpiredLink);
    // the page of the link was opened in time, its button pressed too late
    client.submit(&page, routes::page::VERIFY, &[]).await;
    client.get(routes::ME).await.refused(Code::SignInRequired);
    let late = client.get(&path_of(&link)).await;
    assert!(
        !late.text().contains("name=\"t\""),
        "no button is offered: {late:?}"
    );
}

#[tokio::test]
async fn five_wrong_passwords_burn_the_link_of_another_browser() {
    let stack = Stack::start().await;
    let (person, waiting) = (Person::fresh(), browser(&stack));
    person.sign_up(&waiting).await.succeeds();
    let letter = stack.letter_to(person.email.as_str(), 1).await;
    let (code, link) = (letter.code.expect("a code"), letter.link.expect("a link"));
    let other = browser(&stack);
    let page = other.get(&path_of(&link)).await;
    let press = async |password: &str| {
        let fields = [("password", password)];
        other.submit(&page, routes::page::VERIFY, &fields).await
    };
    for guess in 0..5 {
        press(&format!("a guess of number {guess}")).await;
    }
    press(&person.password).await;
    other.get(routes::ME).await.refused(Code::SignInRequired);
    // tries at the link and at the code are tries at one letter
    let typed = person.confirm(&waiting, &code, None, Kind::Browser).await;
    typed.refused(Code::InvalidOrExpiredLink);
}

#[tokio::test]
async fn twenty_at_once_with_one_code_sign_in_once() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    let started: SignUpStarted = person.sign_up(&client).await.expect();
    let code = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .code
        .expect("a code");
    let tries = (0..20).map(|_| {
        let (person, code, binding) = (person.clone(), code.clone(), started.binding.clone());
        let client = browser(&stack);
        async move {
            person
                .confirm(&client, &code, Some(binding), Kind::Browser)
                .await
                .status
        }
    });
    let statuses = futures_util::future::join_all(tries).await;
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
}

#[tokio::test]
async fn a_confirmation_holds_the_user_before_all_else() {
    let stack = Stack::start().await;
    let whose = |person: &Person| {
        format!(
            "(select id from users where email_key = '{}')",
            person.email.key()
        )
    };
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    let letter = stack.letter_to(person.email.as_str(), 1).await;
    let shown = client.get(&path_of(&letter.link.expect("a link"))).await;
    let pressing = client.submit(&shown, routes::page::VERIFY, &[]);
    while_held(&stack, &whose(&person), pressing).await;
    assert_eq!(client.me().await.email, person.email);

    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    let letter = stack.letter_to(person.email.as_str(), 1).await;
    let code = letter.code.expect("a code");
    let typing = person.confirm(&client, &code, None, Kind::Browser);
    while_held(&stack, &whose(&person), typing).await.succeeds();
}

#[tokio::test]
async fn a_letter_that_is_sent_again_holds_the_user_before_all_else() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    stack.letter_to(person.email.as_str(), 1).await;
    let user = format!(
        "(select id from users where email_key = '{}')",
        person.email.key()
    );
    let asking = async {
        let ask = json!({"email": person.email});
        client.post(routes::RESEND, &ask).await.succeeds();
        // it is written behind the answer
        stack.letter_to(person.email.as_str(), 2).await
    };
    let code = while_held(&stack, &user, asking).await.code.expect("a code");
    person
        .confirm(&client, &code, None, Kind::Browser)
        .await
        .succeeds();
}

#[tokio::test]
async fn looking_at_the_link_changes_nothing_however_often() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    let link = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .link
        .expect("a link");
    assert!(link.starts_with(&stack.url()), "{link}");

    let scanner = browser(&stack);
    for _ in 0..10 {
        let page = scanner.get(&path_of(&link)).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        let head = scanner.send(scanner.request(Method::HEAD, &path_of(&link))).await;
        assert_eq!(head.status, 200, "{head:?}");
    }
    assert!(
        scanner.cookie(SESSION_COOKIE).is_none(),
        "a scanner is signed in nowhere"
    );

    // the person's own click still works
    let page = client.get(&path_of(&link)).await;
    let done = client.submit(&page, routes::page::VERIFY, &[]).await;
    assert!(done.status == 303 || done.status == 200, "{done:?}");
    assert_eq!(client.me().await.email, person.email);
}

#[tokio::test]
async fn the_link_signs_in_only_the_browser_that_signed_up() {
    let stack = Stack::start().await;
    let (person, waiting) = (Person::fresh(), browser(&stack));
    person.sign_up(&waiting).await.succeeds();
    let link = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .link
        .expect("a link");

    let other = browser(&stack);
    let page = other.get(&path_of(&link)).await;
    let pressed = other.submit(&page, routes::page::VERIFY, &[]).await;
    other.follow(pressed).await;
    let stranger = other.get(routes::ME).await;
    stranger.refused(Code::SignInRequired);
    // the waiting window got in by nobody's click
    waiting.get(routes::ME).await.refused(Code::SignInRequired);
    // the mailbox alone is not enough: with it, the password of that sign-up is
    person
        .try_sign_in(&other, Kind::Browser)
        .await
        .refused(Code::InvalidCredentials);
    let page = other.get(&path_of(&link)).await;
    let fields = [("password", person.password.as_str())];
    other.submit(&page, routes::page::VERIFY, &fields).await;
    assert_eq!(other.me().await.email, person.email);
}

#[tokio::test]
async fn a_link_confirms_once_even_for_who_knows_the_password() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    let link = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .link
        .expect("a link");
    let other = browser(&stack);
    let (here, there) = (
        client.get(&path_of(&link)).await,
        other.get(&path_of(&link)).await,
    );
    client.submit(&here, routes::page::VERIFY, &[]).await;
    client.me().await;
    let fields = [("password", person.password.as_str())];
    other.submit(&there, routes::page::VERIFY, &fields).await;
    other.get(routes::ME).await.refused(Code::SignInRequired);
    client.me().await;
}

#[tokio::test]
async fn a_made_up_link_gets_a_clear_page_and_no_more() {
    let stack = Stack::start().await;
    let client = browser(&stack);
    for query in [
        "",
        "?id=x&t=y",
        "?id=018f0000-0000-7000-8000-000000000001&t=AAAA",
        "?t=%00",
    ] {
        let page = client.get(&format!("{}{query}", routes::page::VERIFY)).await;
        assert!(page.status < 500, "{page:?}");
        assert!(client.cookie(SESSION_COOKIE).is_none());
    }
}

#[tokio::test]
async fn a_known_address_gets_the_same_answer_and_another_letter() {
    let stack = Stack::start().await;
    let (known, _) = Person::join(&stack).await;
    let (first, second) = (browser(&stack), browser(&stack));
    let to_known = Person {
        password: "another-sound-passphrase-42".to_owned(),
        ..known.clone()
    }
    .sign_up(&first)
    .await;
    let to_unknown = Person::fresh().sign_up(&second).await;
    assert_eq!(to_known.status, to_unknown.status);
    let shape = |answer: &harness::Answer| answer.expect::<SignUpStarted>().binding.len();
    assert_eq!(shape(&to_known), shape(&to_unknown));
    let letter = stack.letter_to(known.email.as_str(), 2).await;
    assert!(
        letter.code.is_none(),
        "an owner is told, not asked to confirm: {}",
        letter.text
    );
    // and their password is still their own
    known.browser(&stack).await;
}

/// Neither to sign in nor to confirm, and whether or not the address was confirmed before.
#[tokio::test]
async fn who_is_locked_is_written_no_letter_when_somebody_signs_up_with_their_address() {
    let stack = Stack::start().await;
    let (joined, _) = Person::join(&stack).await;
    let waiting = Person::fresh();
    waiting.sign_up(&browser(&stack)).await.succeeds();
    let asks = async |person: &Person| {
        let window = browser(&stack);
        person.sign_up(&window).await.succeeds();
        let again = json!({"email": person.email});
        window.post(routes::RESEND, &again).await.succeeds();
    };
    for person in [&joined, &waiting] {
        stack.letter_to(person.email.as_str(), 1).await;
        stack
            .admin(&["users", "lock", person.email.as_str()])
            .await
            .succeeds();
        asks(person).await;
    }
    // theirs would have been written before these
    let other = Person::fresh();
    asks(&other).await;
    stack.letter_to(other.email.as_str(), 2).await;
    for person in [&joined, &waiting] {
        let letters = format!(
            "select count(*) from email_outbox where recipient = '{}'",
            person.email
        );
        assert_eq!(stack.number(&letters).await, 1, "the one of before");
    }
}

#[tokio::test]
async fn an_unconfirmed_address_is_spoken_of_only_in_the_window_that_signed_up() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    let started: SignUpStarted = person.sign_up(&client).await.expect();
    let guessing = Person {
        password: "wrong-but-long-enough".to_owned(),
        ..person.clone()
    };
    let other = Person::fresh();
    let elsewhere = Person {
        password: person.password.clone(),
        ..other
    };
    for (somebody, window) in [
        (&person, &browser(&stack)),
        (&guessing, &client),
        (&elsewhere, &client),
    ] {
        let refused = somebody.try_sign_in(window, Kind::Browser).await;
        refused.refused(Code::InvalidCredentials);
    }
    let told = person.try_sign_in(&client, Kind::Browser).await;
    told.refused(Code::EmailUnverified);
    let laptop = Client::native(&stack.url());
    let bound = person
        .try_sign_in_with(&laptop, Some(started.binding), native("Laptop"))
        .await;
    bound.refused(Code::EmailUnverified);
    // after the letter's day nothing is told any more
    stack
        .execute("update verification_tokens set expires = expires - interval '24 hours'")
        .await;
    let late = person.try_sign_in(&client, Kind::Browser).await;
    late.refused(Code::InvalidCredentials);
}

/// A refusal without its number, which differs each time.
fn told(answer: &harness::Answer) -> String {
    let mut problem = answer.problem();
    problem.request_id = None;
    format!("{problem:?}")
}

/// A stranger signs up with an address that is not theirs and tries to sign in with what they chose.
#[tokio::test]
async fn signing_up_and_then_in_tells_nobody_whether_there_is_an_account() {
    let stack = Stack::start().await;
    let (with_account, _) = Person::join(&stack).await;
    let (pending, free) = (Person::fresh(), Person::fresh());
    pending.sign_up(&browser(&stack)).await.succeeds();
    let mut heard = Vec::new();
    for owner in [&with_account, &pending, &free] {
        let stranger = Person {
            password: "walnut-ferry-copper-drizzle".to_owned(),
            ..owner.clone()
        };
        let guessing = Person {
            password: "another-ferry-of-copper".to_owned(),
            ..owner.clone()
        };
        let window = browser(&stack);
        let mut said = vec![stranger.sign_up(&window).await.status.to_string()];
        said.push(told(&stranger.try_sign_in(&window, Kind::Browser).await));
        said.push(told(&stranger.try_sign_in(&browser(&stack), Kind::Browser).await));
        said.push(told(&guessing.try_sign_in(&window, Kind::Browser).await));
        let page = window.get(routes::page::SIGN_IN).await;
        let fields = [
            ("email", owner.email.as_str()),
            ("password", stranger.password.as_str()),
        ];
        let form = window.submit(&page, routes::page::FORM_SIGN_IN, &fields).await;
        said.push(format!("{} {}", form.status, form.text().contains("check-mail")));
        said.push(told(
            &stranger.confirm(&window, "00000000", None, Kind::Browser).await,
        ));
        heard.push(said);
    }
    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[0], heard[2]);

    // nor whether its owner has come meanwhile
    let window = browser(&stack);
    let stranger = Person {
        password: "walnut-ferry-copper-drizzle".to_owned(),
        ..Person::fresh()
    };
    stranger.sign_up(&window).await.succeeds();
    stack
        .execute(&format!(
            "update verification_tokens set consumed_at = now() where identifier = '{0}';
             update users set email_verified = now() where email_key = '{0}'",
            stranger.email.key()
        ))
        .await;
    let same = stranger.try_sign_in(&window, Kind::Browser).await;
    same.refused(Code::EmailUnverified);
}

#[tokio::test]
async fn letters_go_to_the_address_that_is_kept_and_none_reads_like_anothers() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    let shouted = Person::with_address(&person.email.as_str().to_uppercase());
    shouted.sign_up(&browser(&stack)).await.succeeds();
    stack.letter_to(person.email.as_str(), 2).await;
    let others = "select count(distinct recipient) from email_outbox";
    assert_eq!(stack.number(others).await, 1, "one mailbox");
    // the sign for kelvin becomes a k in lower case
    let body = json!({"email": "mi\u{212a}e@example.org", "password": person.password});
    client
        .post(routes::SIGN_UP, &body)
        .await
        .refused(Code::InvalidEmail);
}

#[tokio::test]
async fn asking_again_sends_a_new_letter_and_the_newest_works() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    stack.letter_to(person.email.as_str(), 1).await;
    let answer = client.post(routes::RESEND, &json!({"email": person.email})).await;
    answer.succeeds();
    let newest = stack
        .letter_to(person.email.as_str(), 2)
        .await
        .code
        .expect("a code");
    person
        .confirm(&client, &newest, None, Kind::Browser)
        .await
        .expect::<SignedIn>();
    // an unknown address hears the same and gets nothing
    let unknown = Person::fresh();
    let same = browser(&stack)
        .post(routes::RESEND, &json!({"email": unknown.email}))
        .await;
    assert_eq!(same.status, answer.status);
    assert!(stack.mailbox.letters_to(unknown.email.as_str()).is_empty());
}

/// As a button that is pressed twice does, or a page that is loaded again: no press has heard what was answered to the other.
#[tokio::test]
async fn a_sign_up_sent_twice_is_one_letter_and_after_a_minute_the_link_of_either_works() {
    let stack = Stack::start().await;
    for pressed in 0..2 {
        let (person, window) = (Person::fresh(), browser(&stack));
        let form = window.get(routes::page::SIGN_UP).await;
        let fields = [
            ("email", person.email.as_str()),
            ("password", person.password.as_str()),
        ];
        let press = || window.submit(&form, routes::page::FORM_SIGN_UP, &fields);
        let (one, other) = tokio::join!(press(), press());
        one.succeeds();
        other.succeeds();
        let letters = format!(
            "select count(*) from email_outbox where recipient = '{}'",
            person.email
        );
        assert_eq!(stack.number(&letters).await, 1);
        stack
            .execute("update verification_tokens set created_at = created_at - interval '1 minute'")
            .await;
        press().await.succeeds();
        stack.letter_to(person.email.as_str(), 2).await;
        let letters = stack.mailbox.letters_to(person.email.as_str());
        let link = letters[pressed].link.as_deref().expect("a link");
        let opened = window.get(&path_of(link)).await;
        window.submit(&opened, routes::page::VERIFY, &[]).await;
        assert_eq!(window.me().await.email, person.email);
    }
}

/// Somebody may have chosen one before at a computer that is not theirs alone.
#[tokio::test]
async fn with_another_password_it_is_another_sign_up_in_the_same_browser_too() {
    let stack = Stack::start().await;
    let (person, window) = (Person::fresh(), browser(&stack));
    let form = window.get(routes::page::SIGN_UP).await;
    let mut links = Vec::new();
    for password in ["walnut-ferry-copper-drizzle", &person.password] {
        let fields = [("email", person.email.as_str()), ("password", password)];
        let sent = window.submit(&form, routes::page::FORM_SIGN_UP, &fields).await;
        sent.succeeds();
        let letter = stack.letter_to(person.email.as_str(), links.len() + 1).await;
        links.push(path_of(&letter.link.expect("a link")));
    }
    let press = async |link: &str| {
        let opened = window.get(link).await;
        window.submit(&opened, routes::page::VERIFY, &[]).await
    };
    press(&links[0]).await;
    assert!(!window.is_in(), "the password of that one is asked for");
    press(&links[1]).await;
    assert_eq!(window.me().await.email, person.email);
    person.browser(&stack).await;
}

#[tokio::test]
async fn a_bad_address_and_a_weak_password_are_named() {
    let stack = Stack::start().await;
    let client = browser(&stack);
    let try_with = async |email: &str, password: &str| {
        client
            .post(routes::SIGN_UP, &json!({"email": email, "password": password}))
            .await
    };
    for bad in [
        "",
        "ana",
        "ana@",
        "ana@localhost..",
        "a b@example.org",
        "a@b.c\r\nBcc: x@y.z",
    ] {
        let problem = try_with(bad, "plum-harbor-violet-anchor").await.problem();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            (Code::InvalidEmail, Some("email")),
            "{bad}"
        );
    }
    for weak in [
        "",
        "short",
        "password1234",
        "aaaaaaaaaaaaaaaa",
        "qwertyuiop12",
        "compymac1234",
    ] {
        let problem = try_with("weak@example.org", weak).await.problem();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            (Code::WeakPassword, Some("password")),
            "{weak}"
        );
        assert!(
            !problem.sentence().contains(weak) || weak.is_empty(),
            "a password is not repeated"
        );
    }
    let name_of_theirs = try_with("rosalind.franklin@example.org", "rosalind.franklin").await;
    name_of_theirs.refused(Code::WeakPassword);
    assert!(stack.mailbox.letters().is_empty());
}

#[tokio::test]
async fn a_password_of_one_megabyte_is_too_large_and_harms_nobody() {
    let stack = Stack::start().await;
    let client = browser(&stack);
    let huge = "x".repeat(1024 * 1024);
    for path in [routes::SIGN_UP, routes::SIGN_IN] {
        let answer = client
            .post(path, &json!({"email": "ana@example.org", "password": huge}))
            .await;
        let problem = answer.refused(Code::TooLarge);
        assert!(problem.limit.is_some(), "{problem:?}");
    }
    // the server goes on
    Person::join(&stack).await;
}

/// Somebody whose password this is, and whom none of the others let in.
async fn is_opened_by(stack: &Stack, password: &str, others: &[&str]) {
    let client = browser(stack);
    let person = Person {
        password: password.to_owned(),
        ..Person::fresh()
    };
    person.sign_up(&client).await.succeeds();
    let code = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .code
        .expect("a code");
    person
        .confirm(&client, &code, None, Kind::Browser)
        .await
        .expect::<SignedIn>();
    for other in others {
        let wrong = Person {
            password: (*other).to_owned(),
            ..person.clone()
        };
        let refused = wrong.try_sign_in(&browser(stack), Kind::Browser).await;
        refused.refused(Code::InvalidCredentials);
    }
    person.browser(stack).await;
}

#[tokio::test]
async fn passwords_are_neither_cut_nor_trimmed() {
    let stack = Stack::start().await;
    let long = format!("{}A{}", "correct horse battery staple ".repeat(4), "z".repeat(80));
    let others = [
        format!(" {long}\0"),
        long.clone(),
        format!(" {} ", long.replace('A', "B")),
        format!(" {long}"),
    ];
    let others = others.each_ref().map(String::as_str);
    is_opened_by(&stack, &format!(" {long} "), &others).await;
}

/// Nothing is normalised: what is typed is what is compared, to the last byte.
#[tokio::test]
async fn passwords_are_bytes_and_no_nought_ends_them() {
    let stack = Stack::start().await;
    let others = [
        "caf\u{e9}-harbor-violet",
        "caf\u{e9}-harbor-violet\0another",
        "cafe\u{301}-harbor-violet\0anchor",
    ];
    is_opened_by(&stack, "caf\u{e9}-harbor-violet\0anchor", &others).await;
}

#[tokio::test]
async fn letters_name_only_the_public_address_whatever_the_request_says() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    let lying = |request: reqwest::RequestBuilder| {
        request
            .header("X-Forwarded-Host", "evil.example")
            .header("X-Forwarded-Proto", "gopher")
            .header("X-Forwarded-Port", "6666")
            .header("Forwarded", "host=evil.example;proto=gopher")
            .header("X-Original-URL", "https://evil.example/")
    };
    let body = json!({"email": person.email, "password": person.password});
    let request = lying(client.request(Method::POST, routes::SIGN_UP));
    client.send(request.json(&body)).await.succeeds();
    let started = stack.letter_to(person.email.as_str(), 1).await;
    let code = started.code.expect("a code");
    person
        .confirm(&client, &code, None, Kind::Browser)
        .await
        .expect::<SignedIn>();
    let stranger = browser(&stack);
    for path in [routes::page::FORGOT, routes::page::LETTER_ASK] {
        let mut fields = stranger.get(path).await.form(path).hidden;
        fields.push(("email".to_owned(), person.email.to_string()));
        let request = lying(stranger.request(Method::POST, path));
        stranger.send(request.form(&fields)).await;
    }
    // a host of somebody else's is refused or passed over, and is in no letter
    let other = Person::fresh();
    let body = json!({"email": other.email, "password": other.password});
    let request = browser(&stack).request(Method::POST, routes::SIGN_UP);
    let answer = client
        .send(request.header("Host", "evil.example").json(&body))
        .await;
    let mut letters = Vec::new();
    for count in 1..=3 {
        letters.push(stack.letter_to(person.email.as_str(), count).await);
    }
    if answer.status < 300 {
        letters.push(stack.letter_to(other.email.as_str(), 1).await);
    }
    for letter in letters {
        let link = letter.link.as_ref();
        assert!(
            link.is_some_and(|link| link.starts_with(&stack.url())),
            "{link:?}"
        );
        assert!(!letter.source.contains("evil.example"), "{}", letter.source);
    }
}

#[tokio::test]
async fn a_letter_waits_while_the_mail_server_is_away() {
    let mail = harness::Mailbox::start().await.expect("a mailbox");
    let (gate, smtp) = harness::Gate::before(&mail.smtp_url()).await;
    let stack = Stack::builder()
        .with("SMTP_URL", smtp.trim_end_matches('/'))
        .start()
        .await;
    gate.shut();
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    let is_tried = "select count(*) from email_outbox where attempts > 0 and sent_at is null";
    until("a first try to send", async || {
        (stack.number(is_tried).await == 1).then_some(())
    })
    .await;
    gate.open();
    stack
        .execute("update email_outbox set not_before = now() where sent_at is null")
        .await;
    let letters = mail.wait_for(person.email.as_str(), 1).await.expect("the letter");
    assert_eq!(letters.len(), 1);
}

#[tokio::test]
async fn a_mail_server_that_refuses_somebody_puts_their_address_into_no_log() {
    let stack = Stack::start().await;
    let person = Person::with_address(&format!("refused.{:x}@example.org", rand::random::<u64>()));
    let words = format!("550 5.1.1 <{}>: there is no such mailbox here", person.email);
    stack.mailbox.refuse(person.email.as_str(), &words);
    person.sign_up(&browser(&stack)).await.succeeds();
    let is_given_up = "select count(*) from email_outbox where failed_at is not null";
    until("the letter to be given up", async || {
        (stack.number(is_given_up).await == 1).then_some(())
    })
    .await;
    let kept = "select count(*) from email_outbox where error like '%550%' and error not like '%@%'";
    assert_eq!(stack.number(kept).await, 1);
    let logs = stack.logs();
    assert!(
        logs.contains("a letter was not taken") && logs.contains("550"),
        "the reason is there"
    );
    assert!(!logs.contains(person.email.as_str()));
}

/// Whatever a stranger may have got at an account before its owner came.
#[tokio::test]
async fn what_was_there_before_the_mailbox_was_proven_is_gone_afterwards() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    let code = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .code
        .expect("a code");
    stack
        .execute(
            "insert into sessions (id, user_id, kind, session_token, name, expires, absolute_expires)
             select gen_random_uuid(), id, 0, encode(sha256('planted-before-the-owner-came'), 'hex'), 'Planted',
                    now() + interval '1 day', now() + interval '1 day' from users",
        )
        .await;
    let planted = browser(&stack);
    planted.put_cookie(SESSION_COOKIE, "planted-before-the-owner-came");
    planted.me().await;
    person
        .confirm(&client, &code, None, Kind::Browser)
        .await
        .expect::<SignedIn>();
    assert_eq!(planted.get(routes::ME).await.status, 401);
    assert_eq!(client.devices().await.len(), 1);
}

/// Such an address was taken up before they were refused.
#[tokio::test]
async fn an_address_with_a_sign_that_reads_as_a_letter_goes_on_working_and_is_taken_up_no_more() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let name = format!("caf\u{2105}.{:08x}@example.org", rand::random::<u32>());
    stack
        .execute(&format!(
            "update users set email = '{name}', email_key = lower('{name}')"
        ))
        .await;
    stack.server.stop().await;
    stack.server.start_again().await;
    let kept = Person {
        email: Email::parse(&name).expect("an address"),
        ..person
    };
    assert_eq!(client.me().await.email, kept.email);
    kept.browser(&stack).await;
    kept.sign_up(&browser(&stack)).await.refused(Code::InvalidEmail);
    let (_, other) = Person::join(&stack).await;
    let page = other.get(routes::page::SECURITY).await;
    let fields = [("email", "mi\u{212a}e@example.org")];
    let refused = other.submit(&page, routes::page::FORM_EMAIL, &fields).await;
    assert_eq!(refused.status, 422, "{refused:?}");
}
