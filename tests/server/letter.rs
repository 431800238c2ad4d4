//! Signing in by a letter: a click signs in the browser that clicked, a code the window that asked, and nobody else.

use crate::email_change::while_held;
use crate::forgotten::{choose_blindly, letter_of};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use harness::mailbox::{path_of, written};
use harness::{Answer, Authenticator, Client, Person, Stack, browser, native, until};
use http::{Method, StatusCode};
use protocol::Code;
use protocol::auth::{Client as Kind, SecondStep, SignUpStarted};
use protocol::routes::{self, page};

/// Binds the letter to the browser that asked for it.
const LETTER_COOKIE: &str = "__Host-compymac_letter";

/// Asks for the letter; gives the page that says to look for it.
pub(super) async fn ask(client: &Client, email: &str, next: &str) -> Answer {
    let form = client.get(&format!("{}?next={next}", page::LETTER_ASK)).await;
    client.submit(&form, page::LETTER_ASK, &[("email", email)]).await
}

/// Somebody who asked for a letter: the window in which they did, what it shows, and the letter's link and code.
pub(super) struct Asked {
    pub window: Client,
    pub sent: Answer,
    pub link: String,
    pub code: String,
}

impl Asked {
    /// `count`: the letters that the person has with this one.
    pub async fn by(stack: &Stack, person: &Person, count: usize) -> Self {
        let window = browser(stack);
        let sent = ask(&window, person.email.as_str(), page::ARCHIVED).await;
        let letter = stack.letter_to(person.email.as_str(), count).await;
        Self {
            window,
            sent,
            link: path_of(&letter.link.expect("a link")),
            code: letter.code.expect("a code"),
        }
    }

    pub async fn type_code(&self, client: &Client, code: &str) -> Answer {
        client
            .submit(&self.sent, page::FORM_LETTER_CODE, &[("code", code)])
            .await
    }
}

pub(super) async fn press(client: &Client, link: &str, button: &str) -> Answer {
    let page = client.get(link).await;
    client.submit(&page, page::LETTER, &[("answer", button)]).await
}

#[tokio::test]
async fn the_link_signs_in_the_browser_that_asked() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let page = asked.window.get(&asked.link).await;
    assert!(!page.text().contains("another window"), "{page:?}");
    assert!(
        !page.text().contains(person.email.as_str()),
        "a stranger may look"
    );
    let entered = press(&asked.window, &asked.link, "here").await;
    assert_eq!(entered.location(), page::ARCHIVED, "where it was going");
    assert_eq!(asked.window.me().await.email, person.email);
    assert_eq!(
        browser(&stack).get(&asked.link).await.status,
        StatusCode::GONE,
        "once"
    );
}

/// Only the browser that asked knows where it was going: neither the link nor its form says so, and they are not listened to.
#[tokio::test]
async fn in_another_browser_the_link_leads_home_whatever_is_added_to_it() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let elsewhere = browser(&stack);
    let link = format!("{}&next={}", asked.link, page::SETTINGS);
    let shown = elsewhere.get(&link).await;
    let fields = [("answer", "here"), ("next", page::SETTINGS)];
    let entered = elsewhere.submit(&shown, page::LETTER, &fields).await;
    assert_eq!(entered.location(), page::HOME);
    assert!(elsewhere.is_in());
}

#[tokio::test]
async fn a_link_leads_to_pages_of_this_site_alone() {
    let stack = Stack::start().await;
    for next in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "javascript:alert(1)",
    ] {
        let (person, _) = Person::join(&stack).await;
        let window = browser(&stack);
        let form = window.get(page::LETTER_ASK).await;
        let fields = [("email", person.email.as_str()), ("next", next)];
        window.submit(&form, page::LETTER_ASK, &fields).await.succeeds();
        let letter = stack.letter_to(person.email.as_str(), 2).await;
        let entered = press(&window, &path_of(&letter.link.expect("a link")), "here").await;
        assert_eq!(entered.location(), page::HOME, "{next}");
    }
}

/// What binds the letter to its browser holds the way too, so nobody changes one and keeps the other.
#[tokio::test]
async fn a_way_that_was_changed_in_the_cookie_is_another_browsers() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let kept = asked.window.cookie(LETTER_COOKIE).expect("a cookie");
    let (secret, _) = kept.split_once('.').expect("a secret and a way");
    let changed = format!("{secret}.{}", URL_SAFE_NO_PAD.encode(page::SETTINGS));
    asked.window.put_cookie(LETTER_COOKIE, &changed);
    let shown = asked.window.get(&asked.link).await;
    assert!(shown.text().contains("another window"), "{shown:?}");
    let entered = press(&asked.window, &asked.link, "here").await;
    assert_eq!(entered.location(), page::HOME);
}

#[tokio::test]
async fn the_code_signs_in_the_window_that_asked_and_leads_where_it_was_going() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let elsewhere = asked.type_code(&browser(&stack), &asked.code).await;
    assert_ne!(elsewhere.status, StatusCode::SEE_OTHER, "not in another window");
    let typed = written(&asked.code).to_lowercase();
    let entered = asked.type_code(&asked.window, &typed).await;
    assert_eq!(entered.location(), page::ARCHIVED);
    assert_eq!(asked.window.me().await.email, person.email);
}

#[tokio::test]
async fn nobody_who_waits_elsewhere_is_let_in_by_a_click() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let clicked = browser(&stack);
    let page = clicked.get(&asked.link).await;
    assert!(page.text().contains("another window"), "{page:?}");
    let shown = press(&clicked, &asked.link, "code").await;
    assert_eq!(
        shown.text_of("code-copy"),
        written(&asked.code),
        "as the letter has it"
    );
    assert!(
        !clicked.is_in() && !asked.window.is_in(),
        "showing a code signs nobody in"
    );
    press(&clicked, &asked.link, "here")
        .await
        .has_status(StatusCode::SEE_OTHER);
    assert!(clicked.is_in());
    assert!(!asked.window.is_in());
    asked.window.get(routes::ME).await.refused(Code::SignInRequired);
    let late = asked.type_code(&asked.window, &asked.code).await;
    assert_eq!(late.status, StatusCode::GONE, "used up by the click");
}

#[tokio::test]
async fn looking_at_the_link_signs_nobody_in_and_uses_nothing_up() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let scanner = browser(&stack);
    for _ in 0..10 {
        let looked = scanner.get(&asked.link).await;
        assert_eq!(
            (looked.status, looked.header("cache-control")),
            (200, Some("no-store"))
        );
        assert_eq!(looked.header("referrer-policy"), Some("no-referrer"));
        scanner
            .send(scanner.request(Method::HEAD, &asked.link))
            .await
            .succeeds();
    }
    assert!(!scanner.is_in());
    press(&asked.window, &asked.link, "here")
        .await
        .has_status(StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_letter_works_once_even_when_many_press_and_type_at_once() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let clients: Vec<Client> = (0..20).map(|_| browser(&stack)).collect();
    let pages = join_all(clients.iter().map(|client| client.get(&asked.link))).await;
    let pressing = join_all(
        clients
            .iter()
            .zip(&pages)
            .map(async |(client, page)| client.submit(page, page::LETTER, &[("answer", "here")]).await),
    );
    let typing = join_all((0..3).map(|_| asked.type_code(&asked.window, &asked.code)));
    let (pressed, typed) = tokio::join!(pressing, typing);
    let entered = pressed
        .iter()
        .chain(&typed)
        .filter(|answer| answer.status == StatusCode::SEE_OTHER);
    assert_eq!(entered.count(), 1, "{pressed:?} {typed:?}");
}

#[tokio::test]
async fn a_link_and_a_code_hold_the_user_before_all_else() {
    let stack = Stack::start().await;
    let whose = async |client: &Client| format!("'{}'", client.me().await.user);
    let (person, client) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let shown = asked.window.get(&asked.link).await;
    let here = [("answer", "here")];
    let pressing = asked.window.submit(&shown, page::LETTER, &here);
    while_held(&stack, &whose(&client).await, pressing)
        .await
        .has_status(StatusCode::SEE_OTHER);
    let (person, client) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let typing = asked.type_code(&asked.window, &asked.code);
    while_held(&stack, &whose(&client).await, typing)
        .await
        .has_status(StatusCode::SEE_OTHER);
    assert!(asked.window.is_in());
}

/// In whatever order the two come, nobody is in afterwards who came by the letter.
#[tokio::test]
async fn a_link_pressed_while_the_password_is_reset_leaves_nobody_in() {
    let stack = Stack::start().await;
    for _ in 0..6 {
        let (person, _) = Person::join(&stack).await;
        let asked = Asked::by(&stack, &person, 2).await;
        let shown = asked.window.get(&asked.link).await;
        let reset = letter_of(&stack, &person, 3).await;
        let (entered, chosen) = tokio::join!(
            asked.window.submit(&shown, page::LETTER, &[("answer", "here")]),
            choose_blindly(&stack, &reset, "walnut-ferry-copper-drizzle"),
        );
        assert!(
            [StatusCode::SEE_OTHER.as_u16(), StatusCode::GONE.as_u16()].contains(&entered.status),
            "{entered:?}"
        );
        // the letter's reader was known before, so its link takes none of the other letter's away
        chosen.succeeds();
        assert_eq!(asked.window.get(routes::ME).await.status, 401);
    }
}

#[tokio::test]
async fn five_wrong_codes_end_a_letters_code() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    for _ in 0..5 {
        assert_eq!(
            asked.type_code(&asked.window, "00000000").await.status,
            StatusCode::GONE
        );
    }
    let right = asked.type_code(&asked.window, &asked.code).await;
    assert_eq!(right.status, StatusCode::GONE);
    assert!(!asked.window.is_in());
}

/// Each letter has five tries of its own, and an account ten, whatever letters there were; so has an address that is nobody's.
#[tokio::test]
async fn codes_of_all_letters_to_an_address_are_counted_together_known_here_or_not() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (person, _) = Person::join(&stack).await;
    let window = browser(&stack);
    for (email, rows) in [(person.email.as_str(), 1), ("nobody.at.all@example.org", 2)] {
        let sent = ask(&window, email, "/").await;
        until("what is written behind the answer", async || {
            let asked = "select count(*) from verification_tokens where purpose = 'sign_in'";
            (stack.number(asked).await == rows).then_some(())
        })
        .await;
        let mut statuses = Vec::new();
        for _ in 0..12 {
            // as of another letter
            stack
                .execute("update verification_tokens set attempts = 0 where purpose = 'sign_in'")
                .await;
            let fields = [("code", "00000000")];
            let refused = window.submit(&sent, page::FORM_LETTER_CODE, &fields).await;
            statuses.push(refused.status);
        }
        let (tried, too_many) = statuses.split_at(10);
        assert!(tried.iter().all(|status| *status == 410), "{email}: {statuses:?}");
        assert_eq!(too_many, [429, 429], "{email}");
    }
    let noted = "select count(*) from audit_events where reason = 'code: too often' and user_id is ";
    for whose in ["null", "not null"] {
        assert_eq!(stack.number(&format!("{noted}{whose}")).await, 1, "{whose}");
    }
    // the link is no guess
    let letter = stack.letter_to(person.email.as_str(), 2).await;
    press(&browser(&stack), &path_of(&letter.link.expect("a link")), "here")
        .await
        .has_status(StatusCode::SEE_OTHER);
}

/// Tries count for the account, so whoever may go on for longer at one address than at another is told that somebody has it.
#[tokio::test]
async fn a_window_that_asked_twice_tries_as_many_codes_for_an_address_that_is_nobodys() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    for (email, rows, tries) in [
        (person.email.as_str(), 2, 10),
        ("nobody.at.all@example.org", 4, 20),
    ] {
        let window = browser(&stack);
        ask(&window, email, "/").await.succeeds();
        let sent = ask(&window, email, "/").await;
        until("what is written behind the answers", async || {
            let asked = "select count(*) from verification_tokens where purpose = 'sign_in'";
            (stack.number(asked).await == rows).then_some(())
        })
        .await;
        for _ in 0..12 {
            let fields = [("code", "00000000")];
            let refused = window.submit(&sent, page::FORM_LETTER_CODE, &fields).await;
            assert_eq!(refused.status, StatusCode::GONE, "{email}: {refused:?}");
        }
        let counted = "select sum(attempts) from verification_tokens where purpose = 'sign_in'";
        assert_eq!(stack.number(counted).await, tries, "{email}");
    }
}

#[tokio::test]
async fn who_types_anything_without_a_letter_takes_no_try_from_its_reader() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let stranger = browser(&stack);
    let own = ask(&stranger, "stranger@example.org", "/").await;
    for _ in 0..12 {
        let fields = [("email", person.email.as_str()), ("code", "00000000")];
        let refused = stranger.submit(&own, page::FORM_LETTER_CODE, &fields).await;
        assert_eq!(refused.status, StatusCode::GONE, "{refused:?}");
    }
    for typed in ["no code", "00000000", "", "00000000", "no code", "0"] {
        let refused = asked.type_code(&asked.window, typed).await;
        assert_eq!(refused.status, StatusCode::GONE, "{refused:?}");
    }
    asked
        .type_code(&asked.window, &asked.code)
        .await
        .has_status(StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_letter_that_somebody_else_asked_for_takes_nothing_from_the_reader() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let first = Asked::by(&stack, &person, 2).await;
    let second = Asked::by(&stack, &person, 3).await;
    first
        .type_code(&first.window, &first.code)
        .await
        .has_status(StatusCode::SEE_OTHER);
    let late = second.window.get(&second.link).await;
    assert_eq!(late.status, StatusCode::GONE, "one was used");
}

/// The second press writes no letter, and takes nothing from the first one's.
#[tokio::test]
async fn a_letter_that_was_asked_for_twice_is_this_browsers_still() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (person, _) = Person::join(&stack).await;
    let window = browser(&stack);
    let form = window.get(page::LETTER_ASK).await;
    let fields = [("email", person.email.as_str())];
    let press = || window.submit(&form, page::LETTER_ASK, &fields);
    let (_, sent) = tokio::join!(press(), press());
    let letter = stack.letter_to(person.email.as_str(), 2).await;
    let shown = window.get(&path_of(&letter.link.expect("a link"))).await;
    assert!(!shown.text().contains("another window"), "{shown:?}");
    let code = letter.code.expect("a code");
    let typed = [("code", code.as_str())];
    window
        .submit(&sent, page::FORM_LETTER_CODE, &typed)
        .await
        .has_status(StatusCode::SEE_OTHER);
    assert_eq!(window.me().await.email, person.email);
}

#[tokio::test]
async fn a_stranger_who_types_codes_shuts_nobody_out() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (person, owner) = Person::join(&stack).await;
    let page = owner.get(page::SECURITY).await;
    let set_up = owner.submit(&page, page::SECOND_STEP_BEGIN, &[]).await;
    let phone = Authenticator::told(&set_up.text_of("secret"));
    owner
        .submit(&set_up, page::FORM_SECOND_STEP_ON, &[("code", &phone.code())])
        .await
        .succeeds();
    stack.execute("update second_factors set last_step = 0").await;

    let stranger = browser(&stack);
    let sent = ask(&stranger, person.email.as_str(), "/").await;
    for _ in 0..20 {
        let fields = [("code", "00000000")];
        let refused = stranger.submit(&sent, page::FORM_LETTER_CODE, &fields).await;
        assert_eq!(refused.status, StatusCode::GONE);
    }
    let laptop = Client::native(&stack.url());
    let asked = person.try_sign_in(&laptop, native("Laptop")).await;
    let challenge = asked
        .refused(Code::SecondStepRequired)
        .challenge
        .expect("a challenge");
    let ask = SecondStep {
        challenge,
        code: phone.code(),
    };
    laptop.post(routes::SECOND_STEP, &ask).await.succeeds();
}

#[tokio::test]
async fn the_answer_does_not_tell_whether_an_address_is_known() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let closed = Person::join(&stack).await.0;
    stack
        .execute(&format!(
            "update users set disabled_at = now() where email_key = '{}'",
            closed.email.key()
        ))
        .await;
    let mut answers = Vec::new();
    for email in [
        person.email.as_str(),
        closed.email.as_str(),
        "nobody.at.all@example.org",
    ] {
        let answer = ask(&browser(&stack), email, "/").await;
        // what is typed is shown again, and each form has its own token
        let form = answer.form(page::FORM_LETTER_CODE);
        let csrf = form.field("csrf").expect("a token");
        answers.push((
            answer.status,
            answer.text().replace(email, "…").replace(csrf, "…"),
        ));
        assert_eq!(answer.set_cookies().len(), 1, "the same cookie is set");
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    stack.letter_to(person.email.as_str(), 2).await;
    // the others' letters would have been written before this one's
    let later = Asked::by(&stack, &Person::join(&stack).await.0, 2).await;
    assert!(!later.code.is_empty());
    let letters = "select count(*) from email_outbox where template = 'sign_in'";
    assert_eq!(stack.number(letters).await, 2);
    let rows = "select count(*) from verification_tokens where purpose = 'sign_in'";
    assert_eq!(stack.number(rows).await, 4, "typing codes costs the same for all");
}

#[tokio::test]
async fn who_has_a_second_step_is_asked_for_it_all_the_same() {
    let stack = Stack::start().await;
    let (person, owner) = Person::join(&stack).await;
    let page = owner.get(page::SECURITY).await;
    let set_up = owner.submit(&page, page::SECOND_STEP_BEGIN, &[]).await;
    let phone = Authenticator::told(&set_up.text_of("secret"));
    owner
        .submit(&set_up, page::FORM_SECOND_STEP_ON, &[("code", &phone.code())])
        .await
        .succeeds();
    stack.execute("update second_factors set last_step = 0").await;

    let asked = Asked::by(&stack, &person, 3).await;
    let step = press(&asked.window, &asked.link, "here").await;
    let step = asked.window.follow(step).await;
    assert!(step.text().contains("One more step"), "{step:?}");
    assert!(!asked.window.is_in());
    assert_eq!(
        asked.window.get(&asked.link).await.status,
        StatusCode::GONE,
        "the first step is used up"
    );
    asked
        .window
        .submit(&step, page::SECOND_STEP, &[("code", &phone.code())])
        .await
        .has_status(StatusCode::SEE_OTHER);
    assert!(asked.window.is_in());
}

#[tokio::test]
async fn the_mailboxs_owner_gets_nothing_of_what_a_stranger_chose() {
    let stack = Stack::start().await;
    // somebody signs up with an address that is not theirs
    let stranger = Person::fresh();
    let theirs = browser(&stack);
    let started: SignUpStarted = stranger.sign_up(&theirs).await.expect();
    let mailed = stack.letter_to(stranger.email.as_str(), 1).await;
    let asked = Asked::by(&stack, &stranger, 2).await;
    press(&asked.window, &asked.link, "here")
        .await
        .has_status(StatusCode::SEE_OTHER);
    assert_eq!(asked.window.me().await.email, stranger.email);

    stranger
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::InvalidCredentials);
    let code = mailed.code.expect("a code");
    stranger
        .confirm(&theirs, &code, Some(started.binding), Kind::Browser)
        .await
        .refused(Code::InvalidOrExpiredLink);
}

#[tokio::test]
async fn a_letter_is_too_old_after_ten_minutes() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let left = stack
        .number("select extract(epoch from max(expires) - now())::bigint from verification_tokens where purpose = 'sign_in'")
        .await;
    assert!((500..=600).contains(&left), "{left} s");
    stack
        .execute("update verification_tokens set expires = now() where purpose = 'sign_in'")
        .await;
    assert_eq!(asked.window.get(&asked.link).await.status, StatusCode::GONE);
    assert_eq!(
        asked.type_code(&asked.window, &asked.code).await.status,
        StatusCode::GONE
    );
}
