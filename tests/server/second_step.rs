//! The second step of a sign-in: asked for whatever the first was, proven once, and nothing without it.

use crate::email_change::while_held;
use crate::forms::{self, About};
use futures_util::future::join_all;
use harness::mailbox::path_of;
use harness::{
    Answer, Authenticator, Client, OpenIdProvider, Person, SESSION_COOKIE, Stack, Visitor, browser, native,
    until,
};
use http::{Method, StatusCode};
use protocol::Code;
use protocol::auth::{Client as Kind, SecondStep, SignedIn};
use protocol::routes::{self, page};
use serde_json::json;

const STEP_COOKIE: &str = "__Host-compymac_step";
const KEEP_COOKIE: &str = "__Host-compymac_keep";

/// Somebody with a second step: their browser, their phone, and the codes they wrote down.
pub(super) struct Careful {
    pub person: Person,
    pub browser: Client,
    pub phone: Authenticator,
    codes: Vec<String>,
}

impl Careful {
    pub async fn join(stack: &Stack) -> Self {
        let (person, browser) = Person::join(stack).await;
        let phone = told(&browser).await;
        let codes = turn_on(&browser, &phone.code()).await.recovery_codes();
        forget_used(stack).await;
        Self {
            person,
            browser,
            phone,
            codes,
        }
    }

    /// The challenge of a sign-in whose first step was proven.
    pub async fn challenge(&self, client: &Client, kind: Kind) -> String {
        let refusal = self
            .person
            .try_sign_in(client, kind)
            .await
            .refused(Code::SecondStepRequired);
        refusal.challenge.expect("a challenge")
    }
}

/// A code works once; this lets a test use the same half minute again.
async fn forget_used(stack: &Stack) {
    stack.execute("update second_factors set last_step = 0").await;
}

/// Begins at the page, and tells a phone.
async fn told(client: &Client) -> Authenticator {
    let page = client.get(page::SECURITY).await;
    let set_up = client.submit(&page, page::SECOND_STEP_BEGIN, &[]).await;
    assert!(
        set_up.succeeds().text().contains("class=\"qr\""),
        "one to photograph"
    );
    Authenticator::told(&set_up.text_of("secret"))
}

async fn turn_on(client: &Client, code: &str) -> Answer {
    // the form stands on the page that told the phone; a reload of the security page has the same token
    let page = client.get(page::SECURITY).await;
    let csrf = page.form(page::SECOND_STEP_BEGIN);
    let fields = [("csrf", csrf.field("csrf").expect("a token")), ("code", code)];
    client
        .send(
            client
                .request(Method::POST, page::FORM_SECOND_STEP_ON)
                .form(&fields),
        )
        .await
}

pub(super) async fn prove(client: &Client, challenge: &str, code: &str) -> Answer {
    let ask = SecondStep {
        challenge: challenge.to_owned(),
        code: code.to_owned(),
    };
    client.post(routes::SECOND_STEP, &ask).await
}

async fn sign_in_by_form(client: &Client, person: &Person, next: &str) -> Answer {
    let door = client.get(page::SIGN_IN).await;
    let fields = [
        ("email", person.email.as_str()),
        ("password", &person.password),
        ("next", next),
    ];
    let answer = client.submit(&door, page::FORM_SIGN_IN, &fields).await;
    client.follow(answer).await
}

#[tokio::test]
async fn a_browser_is_asked_for_the_second_step_and_goes_on_to_where_it_was_going() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let client = browser(&stack);
    let step = sign_in_by_form(&client, &careful.person, page::ARCHIVED).await;
    assert!(step.text().contains("One more step"), "{step:?}");
    assert!(client.cookie(SESSION_COOKIE).is_none(), "nobody is in yet");
    client.get(routes::ME).await.refused(Code::SignInRequired);

    let wrong = client
        .submit(&step, page::SECOND_STEP, &[("code", &careful.phone.wrong_code())])
        .await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("That code is not right"), "{wrong:?}");
    let entered = client
        .submit(&wrong, page::SECOND_STEP, &[("code", &careful.phone.code())])
        .await;
    assert_eq!(entered.location(), page::ARCHIVED);
    assert_eq!(client.me().await.email, careful.person.email);
    assert!(client.cookie(STEP_COOKIE).is_none_or(|value| value.is_empty()));
}

#[tokio::test]
async fn a_native_client_gets_its_tokens_after_the_second_step() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let laptop = Client::native(&stack.url());
    let challenge = careful.challenge(&laptop, native("Laptop")).await;
    let code = careful.phone.code();
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    let signed_in: SignedIn = prove(&laptop, &challenge, &spaced).await.expect();
    laptop.hold(signed_in.tokens.expect("tokens"));
    assert_eq!(laptop.me().await.email, careful.person.email);
    assert!(
        laptop
            .devices()
            .await
            .iter()
            .any(|device| device.name == "Laptop")
    );
    forget_used(&stack).await;
    prove(&laptop, &challenge, &careful.phone.code())
        .await
        .refused(Code::InvalidOrExpiredLink);
}

#[tokio::test]
async fn whatever_a_client_calls_itself_it_is_asked_for_the_second_step() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    for name in ["nought\0", "turned\u{202e}", &"long".repeat(100), ""] {
        let answer = careful.person.try_sign_in(&browser(&stack), native(name)).await;
        answer.refused(Code::SecondStepRequired);
    }
}

#[tokio::test]
async fn a_code_works_once_even_when_many_use_it_at_once() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let clients: Vec<Client> = (0..10).map(|_| Client::native(&stack.url())).collect();
    let challenges = join_all(
        clients
            .iter()
            .map(|client| careful.challenge(client, native("Laptop"))),
    )
    .await;
    let code = careful.phone.code();
    let answers = join_all(
        clients
            .iter()
            .zip(&challenges)
            .map(|(client, challenge)| prove(client, challenge, &code)),
    )
    .await;
    let entered = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(entered, 1, "{answers:?}");
    let late = careful.challenge(&clients[0], native("Laptop")).await;
    prove(&clients[0], &late, &code)
        .await
        .refused(Code::InvalidCredentials);
}

#[tokio::test]
async fn a_code_from_before_one_that_was_used_opens_nothing() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let laptop = Client::native(&stack.url());
    let (first, second) = (
        careful.challenge(&laptop, native("Laptop")).await,
        careful.challenge(&laptop, native("Laptop")).await,
    );
    let before = careful.phone.code_before();
    prove(&laptop, &first, &careful.phone.code()).await.succeeds();
    prove(&laptop, &second, &before)
        .await
        .refused(Code::InvalidCredentials);
}

#[tokio::test]
async fn a_second_step_holds_the_user_before_all_else() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let user = format!("'{}'", careful.browser.me().await.user);
    let laptop = Client::native(&stack.url());
    let challenge = careful.challenge(&laptop, native("Laptop")).await;
    let proving = prove(&laptop, &challenge, &careful.codes[0]);
    while_held(&stack, &user, proving).await.succeeds();
}

#[tokio::test]
async fn five_wrong_codes_end_a_sign_in_even_when_they_come_at_once() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let laptop = Client::native(&stack.url());
    let challenge = careful.challenge(&laptop, native("Laptop")).await;
    let wrong = careful.phone.wrong_code();
    let answers = join_all((0..20).map(|_| prove(&laptop, &challenge, &wrong))).await;
    let tried = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(tried, 5, "{answers:?}");
    prove(&laptop, &challenge, &careful.phone.code())
        .await
        .refused(Code::InvalidOrExpiredLink);
}

#[tokio::test]
async fn wrong_codes_are_counted_for_the_account_whichever_door_they_come_by() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let careful = Careful::join(&stack).await;
    let wrong = careful.phone.wrong_code();
    let mut refused = 0;
    for _ in 0..3 {
        let laptop = Client::native(&stack.url());
        let challenge = careful.challenge(&laptop, native("Laptop")).await;
        for _ in 0..4 {
            refused += usize::from(prove(&laptop, &challenge, &wrong).await.status == 401);
        }
    }
    assert!((9..=10).contains(&refused), "ten tries in all: {refused}");
    let laptop = Client::native(&stack.url());
    let challenge = careful.challenge(&laptop, native("Laptop")).await;
    let limited = prove(&laptop, &challenge, &careful.phone.code()).await;
    let seconds = limited
        .refused(Code::RateLimited)
        .retry_after
        .expect("how long to wait");
    assert!(
        (800..=900).contains(&seconds),
        "a quarter of an hour: {seconds} s"
    );
    // the same count, at the page that proves it is still them
    let page = careful.browser.get(page::PROVE).await;
    let fields = [
        ("password", careful.person.password.as_str()),
        ("code", &careful.phone.code()),
    ];
    let answer = careful.browser.submit(&page, page::PROVE, &fields).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
}

/// Four sign-ins, two of them in browsers, with five wrong codes for each, all of them at once.
#[tokio::test]
async fn twenty_wrong_codes_at_once_by_every_door_are_ten_tries_of_the_account() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let careful = Careful::join(&stack).await;
    let wrong = careful.phone.wrong_code();
    let (laptop, mut challenges, mut windows) = (Client::native(&stack.url()), Vec::new(), Vec::new());
    for _ in 0..2 {
        challenges.push(careful.challenge(&laptop, native("Laptop")).await);
        let window = browser(&stack);
        sign_in_by_form(&window, &careful.person, "/").await;
        let asked = window.visit(page::SECOND_STEP).await;
        windows.push((window, asked));
    }
    // one of a phone's, and one that could have been written down
    let typed = |number: usize| if number == 0 { "AAAA-AAAAA-AAAAA" } else { &wrong };
    let by_program = join_all(challenges.iter().flat_map(|challenge| {
        let laptop = &laptop;
        (0..5).map(move |number| async move { prove(laptop, challenge, typed(number)).await.status })
    }));
    let by_form = join_all(windows.iter().flat_map(|(window, asked)| {
        (0..5).map(move |number| async move {
            let fields = [("code", typed(number))];
            window.submit(asked, page::SECOND_STEP, &fields).await.status
        })
    }));
    let (by_program, by_form) = tokio::join!(by_program, by_form);
    let all: Vec<u16> = by_program.into_iter().chain(by_form).collect();
    let of = |wanted: u16| all.iter().filter(|status| **status == wanted).count();
    assert_eq!((of(401), of(429)), (10, 10), "{all:?}");
    // and none is left at any door, not even for the code that is right: asked of sign-ins that had none of the tries, since
    // one that had five of them is over
    let right = careful.phone.code();
    let challenge = careful.challenge(&laptop, native("Laptop")).await;
    prove(&laptop, &challenge, &right)
        .await
        .refused(Code::RateLimited);
    let window = browser(&stack);
    sign_in_by_form(&window, &careful.person, "/").await;
    let asked = window.visit(page::SECOND_STEP).await;
    let fields = [("code", right.as_str())];
    let answer = window.submit(&asked, page::SECOND_STEP, &fields).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{answer:?}");
    assert!(!window.is_in());
    let page = careful.browser.get(page::PROVE).await;
    let fields = [("password", careful.person.password.as_str()), ("code", &right)];
    let answer = careful.browser.submit(&page, page::PROVE, &fields).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{answer:?}");
}

/// Fifty at once, five to each of ten sign-ins, as more than five end one. Most of them wait for a thread to be compared in, and
/// whoever waits too long is told so, which is no way in either.
#[tokio::test]
async fn a_recovery_code_works_once_and_its_owner_is_told() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    assert_eq!(careful.codes.len(), 10);
    let code = careful.codes[3].to_lowercase().replace('-', " ");
    let laptop = Client::native(&stack.url());
    let challenges = join_all((0..10).map(|_| careful.challenge(&laptop, native("Laptop")))).await;
    let tries = challenges
        .iter()
        .flat_map(|challenge| std::iter::repeat_n(challenge, 5));
    let answers = join_all(tries.map(|challenge| prove(&laptop, challenge, &code))).await;
    assert_eq!(answers.len(), 50);
    let entered = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(entered, 1, "{answers:?}");
    let used = "select count(*) from recovery_codes where used_at is not null";
    assert_eq!(stack.number(used).await, 1);
    let address = careful.person.email.as_str();
    let letter = stack
        .letter_about(address, "recovery code of your account was used")
        .await;
    assert!(letter.text.contains("9 of them are left"), "{}", letter.text);
    let challenge = careful.challenge(&laptop, native("Laptop")).await;
    for other in ["", "0000-00000-00000", "no code at all"] {
        prove(&laptop, &challenge, other)
            .await
            .refused(Code::InvalidCredentials);
    }
}

const TOLD: &str = "select count(*) from email_outbox where template = 'second_step_failed'";

/// So many wrong codes, four to a sign-in, as it ends with the fifth.
async fn try_wrong(careful: &Careful, client: &Client, count: usize) {
    let wrong = careful.phone.wrong_code();
    let mut challenge = String::new();
    for number in 0..count {
        if number % 4 == 0 {
            challenge = careful.challenge(client, native("Laptop")).await;
        }
        prove(client, &challenge, &wrong)
            .await
            .refused(Code::InvalidCredentials);
    }
}

/// Whoever comes as far as the second step has the first.
#[tokio::test]
async fn wrong_codes_in_a_row_are_told_to_their_owner_once_a_day() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let thief = Client::native(&stack.url());
    try_wrong(&careful, &thief, 4).await;
    // a row ends with a code that is right, of either kind
    for code in [&careful.phone.code(), &careful.codes[0]] {
        let challenge = careful.challenge(&thief, native("Laptop")).await;
        prove(&thief, &challenge, code).await.succeeds();
        try_wrong(&careful, &thief, 4).await;
    }
    assert_eq!(stack.number(TOLD).await, 0);
    try_wrong(&careful, &thief, 1).await;
    let letter = stack
        .letter_about(careful.person.email.as_str(), "wrong codes")
        .await;
    assert!(letter.text.contains(page::SECURITY), "{}", letter.text);
    // on that day more of it is no news
    try_wrong(&careful, &thief, 12).await;
    assert_eq!(stack.number(TOLD).await, 1);
    let a_day_later = "update second_factors set told_at = told_at - interval '25 hours'";
    assert_eq!(stack.execute(a_day_later).await, 1);
    // the page that proves it is still them counts as any other door
    let page = careful.browser.get(page::PROVE).await;
    let fields = [
        ("password", careful.person.password.as_str()),
        ("code", &careful.phone.wrong_code()),
    ];
    let refused = careful.browser.submit(&page, page::PROVE, &fields).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    assert_eq!(stack.number(TOLD).await, 2);
}

#[tokio::test]
async fn however_many_wrong_codes_come_at_once_one_letter_tells_of_them() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let thief = Client::native(&stack.url());
    let (wrong, mut challenges) = (careful.phone.wrong_code(), Vec::new());
    for _ in 0..4 {
        challenges.push(careful.challenge(&thief, native("Laptop")).await);
    }
    let tries = challenges
        .iter()
        .flat_map(|challenge| std::iter::repeat_n(challenge, 5));
    join_all(tries.map(|challenge| prove(&thief, challenge, &wrong))).await;
    assert_eq!(stack.number(TOLD).await, 1);
}

/// Letters that strangers could cause would be a way to frighten somebody.
#[tokio::test]
async fn who_has_not_shown_the_first_step_causes_no_letter_about_the_second() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let stranger = browser(&stack);
    let guess = Person {
        password: "not-the-password-at-all".to_owned(),
        ..careful.person.clone()
    };
    for _ in 0..8 {
        guess
            .try_sign_in(&stranger, Kind::Browser)
            .await
            .refused(Code::InvalidCredentials);
        prove(&stranger, &"x".repeat(43), &careful.phone.wrong_code())
            .await
            .refused(Code::InvalidOrExpiredLink);
        let page = careful.browser.get(page::PROVE).await;
        let fields = [
            ("password", guess.password.as_str()),
            ("code", &careful.phone.wrong_code()),
        ];
        let refused = careful.browser.submit(&page, page::PROVE, &fields).await;
        assert_eq!(refused.status, 401, "{refused:?}");
    }
    assert_eq!(stack.number(TOLD).await, 0);
}

#[tokio::test]
async fn a_provider_is_a_first_step_only() {
    let provider = OpenIdProvider::start().await;
    let stack = crate::providers::stack_with(&provider).await;
    let person = Person::fresh();
    provider.seat(&Visitor::with_address(person.email.as_str()));
    let client = browser(&stack);
    let signed_in = crate::providers::sign_in(&stack, &client, "google").await;
    assert_eq!(signed_in.status, 200);
    let phone = told(&client).await;
    turn_on(&client, &phone.code()).await.recovery_codes();
    forget_used(&stack).await;

    let again = browser(&stack);
    let step = crate::providers::sign_in(&stack, &again, "google").await;
    assert!(step.text().contains("One more step"), "{step:?}");
    again.get(routes::ME).await.refused(Code::SignInRequired);
    again
        .submit(&step, page::SECOND_STEP, &[("code", &phone.code())])
        .await
        .has_status(StatusCode::SEE_OTHER);
    assert_eq!(again.me().await.email, person.email);
}

#[tokio::test]
async fn an_identity_is_linked_only_once_both_steps_are_proven() {
    let provider = OpenIdProvider::start().await;
    let stack = crate::providers::stack_with(&provider).await;
    let careful = Careful::join(&stack).await;
    provider.seat(&Visitor::with_address(careful.person.email.as_str()));
    let client = browser(&stack);
    let door = crate::providers::sign_in(&stack, &client, "google").await;
    assert!(door.text().contains("already an account"), "{door:?}");
    let step = sign_in_by_form(&client, &careful.person, "/").await;
    assert_eq!(stack.number("select count(*) from accounts").await, 0);
    client
        .submit(&step, page::SECOND_STEP, &[("code", &careful.phone.code())])
        .await
        .has_status(StatusCode::SEE_OTHER);
    assert_eq!(stack.number("select count(*) from accounts").await, 1);
}

#[tokio::test]
async fn a_new_password_by_letter_does_not_skip_it_and_ends_what_was_begun() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let laptop = Client::native(&stack.url());
    let begun = careful.challenge(&laptop, native("Laptop")).await;
    let client = browser(&stack);
    let form = client.get(page::FORGOT).await;
    client
        .submit(&form, page::FORGOT, &[("email", careful.person.email.as_str())])
        .await
        .succeeds();
    let letter = stack.letter_to(careful.person.email.as_str(), 3).await;
    let form = client.get(&path_of(&letter.link.expect("a link"))).await;
    let person = Person {
        password: "walnut-ferry-copper-drizzle".to_owned(),
        ..careful.person.clone()
    };
    client
        .submit(&form, page::RESET, &[("password", &person.password)])
        .await
        .succeeds();
    prove(&laptop, &begun, &careful.phone.code())
        .await
        .refused(Code::InvalidOrExpiredLink);
    person
        .try_sign_in(&laptop, native("Laptop"))
        .await
        .refused(Code::SecondStepRequired);
}

#[tokio::test]
async fn between_the_steps_nothing_answers() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let client = browser(&stack);
    sign_in_by_form(&client, &careful.person, "/").await;
    let challenge = client.cookie(STEP_COOKIE).expect("what the second step is for");
    let disguised = browser(&stack);
    disguised.put_cookie(SESSION_COOKIE, &challenge);
    for path in [
        routes::ME,
        routes::DEVICES,
        routes::SESSIONS,
        routes::BOOTSTRAP,
        routes::SYNC,
    ] {
        assert_eq!(client.get(path).await.status, 401, "{path}");
        assert_eq!(disguised.get(path).await.status, 401, "{path}");
        let bearer = client.bare(Method::GET, path).bearer_auth(&challenge);
        assert_eq!(client.send(bearer).await.status, 401, "{path}");
    }
    for path in [page::HOME, page::SETTINGS, page::SECURITY, page::PROVE] {
        let answer = client.get(path).await;
        assert!(answer.location().starts_with(page::SIGN_IN), "{path}: {answer:?}");
    }
    let made_up = SecondStep {
        challenge: "x".repeat(43),
        code: careful.phone.code(),
    };
    client
        .post(routes::SECOND_STEP, &made_up)
        .await
        .refused(Code::InvalidOrExpiredLink);
    let page = browser(&stack).get(page::SECOND_STEP).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(page.text().contains("start again"), "{page:?}");
    let asked = format!("{}?next={}", page::SECOND_STEP, page::SECURITY);
    let over = browser(&stack).get(&asked).await;
    let door = over.attribute_of("way-on", "href").expect("a way on");
    assert_eq!(
        browser(&stack).get(page::SECURITY).await.location(),
        door,
        "and on from there"
    );
}

/// What the documents say the programs' routes are, and the pages.
async fn every_route(client: &Client) -> Vec<(Method, String)> {
    let document: serde_json::Value = client.get(routes::OPENAPI).await.expect();
    let paths = document.get("paths").and_then(|paths| paths.as_object()).cloned();
    let mut all = Vec::new();
    for (path, methods) in paths.expect("paths") {
        let filled: Vec<&str> = path
            .split('/')
            .map(|part| {
                if part.starts_with('{') {
                    "018f0000-0000-7000-8000-000000000001"
                } else {
                    part
                }
            })
            .collect();
        for method in methods.as_object().expect("methods").keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            all.push((method, filled.join("/")));
        }
    }
    for path in [
        page::HOME,
        page::ARCHIVED,
        page::SETTINGS,
        page::SECURITY,
        page::PROVE,
        page::DEVICE_CODE,
    ] {
        all.push((Method::GET, path.to_owned()));
    }
    all
}

/// Whoever has shown one of two things is told nothing that a stranger is not, and neither is whoever has shown all and is yet to
/// say whether their account is kept.
#[tokio::test]
async fn between_the_steps_every_route_answers_as_to_a_stranger() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let (waiting, stranger) = (browser(&stack), browser(&stack));
    sign_in_by_form(&waiting, &careful.person, "/").await;
    let challenge = waiting.cookie(STEP_COOKIE).expect("what the second step is for");
    let pretending = browser(&stack);
    pretending.put_cookie(KEEP_COOKIE, &challenge);
    let (leaver, client) = Person::join(&stack).await;
    let security = client.get(page::SECURITY).await;
    client
        .submit(&security, page::FORM_LEAVE, &[("email", leaver.email.as_str())])
        .await
        .succeeds();
    let keeping = browser(&stack);
    let question = sign_in_by_form(&keeping, &leaver, "/").await;
    let kept = keeping.cookie(KEEP_COOKIE).expect("what the question is about");

    let about = About::nothing();
    let forms = forms::all(&stack.url()).await;
    let mut all = every_route(&stranger).await;
    assert!(all.len() > 30, "{all:?}");
    all.extend(forms.iter().map(|route| (Method::POST, about.path(route))));
    let is_form: Vec<String> = forms.iter().map(|route| about.path(route)).collect();
    for (method, path) in all {
        let ask = async |client: &Client| {
            // the token's page may give the cookie that the token hangs on
            let token = forms::token(client, page::FORGOT, page::FORGOT).await;
            let request = client.request(method.clone(), &path);
            let request = if method == Method::GET {
                request
            } else if method == Method::POST && is_form.contains(&path) {
                request.form(&about.fields(Some(&token)))
            } else {
                request.json(&json!({}))
            };
            let answer = client.send(request).await;
            (answer.status, answer.location())
        };
        let heard = ask(&stranger).await;
        let is_refused = is_form.contains(&path) && heard.0 == 403;
        assert!(!is_refused, "{path} is sent as a page sends it");
        for (client, own_way) in [
            (&waiting, page::SECOND_STEP),
            (&pretending, ""),
            (&keeping, page::KEEP),
        ] {
            if path != own_way {
                assert_eq!(ask(client).await, heard, "{method} {path}");
            }
            assert!(client.cookie(SESSION_COOKIE).is_none(), "{method} {path}");
        }
        let held = (waiting.cookie(STEP_COOKIE), keeping.cookie(KEEP_COOKIE));
        assert_eq!(
            held,
            (Some(challenge.clone()), Some(kept.clone())),
            "{method} {path}"
        );
    }
    // all the while it would have led in where it belongs
    let step = waiting.get(page::SECOND_STEP).await;
    let code = careful.phone.code();
    waiting.submit(&step, page::SECOND_STEP, &[("code", &code)]).await;
    keeping.submit(&question, page::KEEP, &[]).await;
    assert!(waiting.is_in() && keeping.is_in());
}

#[tokio::test]
async fn it_is_asked_for_only_after_a_code_was_right() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let phone = told(&client).await;
    let wrong = turn_on(&client, &phone.wrong_code()).await;
    assert_eq!(wrong.status, 401);
    assert!(
        wrong.text().contains("class=\"qr\""),
        "the picture stays: {wrong:?}"
    );
    person.browser(&stack).await;
    assert_eq!(turn_on(&client, &phone.code()).await.recovery_codes().len(), 10);
    person
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::SecondStepRequired);
    let letter = stack.letter_to(person.email.as_str(), 3).await;
    assert!(letter.text.contains("now asks for a code"), "{}", letter.text);
}

#[tokio::test]
async fn nothing_is_changed_without_a_fresh_proof() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let client = &careful.browser;
    let fresh = client.get(page::SECURITY).await;
    stack
        .execute("update sessions set proven_at = now() - interval '11 minutes'")
        .await;
    let forms: [(&str, &[(&str, &str)]); 3] = [
        (page::FORM_SECOND_STEP_OFF, &[]),
        (page::FORM_RECOVERY_CODES, &[]),
        (
            page::FORM_PASSWORD,
            &[("password", "walnut-ferry-copper-drizzle")],
        ),
    ];
    for (form, fields) in forms {
        let answer = client.submit(&fresh, form, fields).await;
        assert_eq!(answer.location(), page::PROVE, "{form}: {answer:?}");
    }
    let stale = client.get(page::SECURITY).await;
    assert!(!stale.text().contains("<form"), "{stale:?}");

    let ask = client.get(page::PROVE).await;
    let password = careful.person.password.as_str();
    for (password, code) in [
        ("not-the-password-at-all", careful.phone.code()),
        (password, careful.phone.wrong_code()),
        (password, String::new()),
    ] {
        let answer = client
            .submit(&ask, page::PROVE, &[("password", password), ("code", &code)])
            .await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let still = client.submit(&fresh, page::FORM_SECOND_STEP_OFF, &[]).await;
        assert_eq!(still.location(), page::PROVE);
    }
    let fields = [("password", password), ("code", &careful.phone.code())];
    let proven = client.submit(&ask, page::PROVE, &fields).await;
    assert_eq!(proven.location(), page::SECURITY);
    // the forms of before went with the cookie of before
    let dead = client.submit(&fresh, page::FORM_RECOVERY_CODES, &[]).await;
    assert_eq!(dead.status, StatusCode::FORBIDDEN, "{dead:?}");
    let fresh = client.get(page::SECURITY).await;
    let codes = client
        .submit(&fresh, page::FORM_RECOVERY_CODES, &[])
        .await
        .recovery_codes();
    assert!(codes.iter().all(|code| !careful.codes.contains(code)));
    let letter = stack
        .letter_about(careful.person.email.as_str(), "new recovery codes")
        .await;
    assert!(letter.text.contains("worthless") && letter.text.contains(page::SECURITY));

    let laptop = Client::native(&stack.url());
    let challenge = careful.challenge(&laptop, native("Laptop")).await;
    prove(&laptop, &challenge, &careful.codes[0])
        .await
        .refused(Code::InvalidCredentials);
    prove(&laptop, &challenge, &codes[0]).await.succeeds();
}

/// Whoever is in by a stolen cookie may have a request on its way while the owner puts them out.
#[tokio::test]
async fn what_is_on_its_way_while_its_device_is_signed_out_changes_nothing() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let client = &careful.browser;
    let page = client.get(page::SECURITY).await;
    let user = client.me().await.user;
    // holds the user as a reset does, and signs everybody out before it lets go
    let put_out = format!(
        "begin; select from users where id = '{user}' for update; select pg_sleep(1);
         update sessions set revoked_at = now() where user_id = '{user}'; commit"
    );
    let forms: [(&str, &[(&str, &str)]); 3] = [
        (page::FORM_SECOND_STEP_OFF, &[]),
        (page::FORM_RECOVERY_CODES, &[]),
        (
            page::FORM_PASSWORD,
            &[("password", "walnut-ferry-copper-drizzle")],
        ),
    ];
    let asking = async {
        let sleeps = "select count(*) from pg_stat_activity
                      where datname = current_database() and wait_event = 'PgSleep'";
        until("the user to be held", async || {
            (stack.number(sleeps).await == 1).then_some(())
        })
        .await;
        join_all(
            forms
                .iter()
                .map(|(form, fields)| client.submit(&page, form, fields)),
        )
        .await
    };
    let (_, answers) = tokio::join!(stack.execute(&put_out), asking);
    for answer in answers {
        assert!(answer.status == 401 || answer.status == 303, "{answer:?}");
    }
    let changed = "select count(*) from audit_events
                   where event in ('password', 'second_step_off', 'recovery_codes') and outcome = 'done'";
    assert_eq!(stack.number(changed).await, 0);
    // the password and the second step are the owner's still
    careful.challenge(&browser(&stack), Kind::Browser).await;
}

#[tokio::test]
async fn turning_it_on_signs_out_whoever_is_in_by_the_first_step_alone() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    let phone = told(&client).await;
    turn_on(&client, &phone.code()).await.recovery_codes();
    laptop.get(routes::ME).await.refused(Code::SessionRevoked);
    assert_eq!(client.me().await.email, person.email, "this one stays");
}

#[tokio::test]
async fn a_proof_is_not_hindered_by_strangers_who_try_the_password() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (person, client) = Person::join(&stack).await;
    let thief = Person {
        password: "not-the-password-at-all".to_owned(),
        ..person.clone()
    };
    for _ in 0..12 {
        thief.try_sign_in(&browser(&stack), Kind::Browser).await;
    }
    let page = client.get(page::PROVE).await;
    let proven = client
        .submit(&page, page::PROVE, &[("password", &person.password)])
        .await;
    assert_eq!(proven.location(), page::SECURITY);
}

#[tokio::test]
async fn turned_off_it_is_asked_for_no_more() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let page = careful.browser.get(page::SECURITY).await;
    let off = careful
        .browser
        .submit(&page, page::FORM_SECOND_STEP_OFF, &[])
        .await;
    assert!(off.text().contains("The second step is off"), "{off:?}");
    careful.person.browser(&stack).await;
    assert_eq!(stack.number("select count(*) from recovery_codes").await, 0);
    let letter = stack.letter_to(careful.person.email.as_str(), 3).await;
    assert!(letter.text.contains("no longer asks"), "{}", letter.text);
}

#[tokio::test]
async fn a_new_password_signs_out_every_other_device() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    let page = client.get(page::SECURITY).await;
    let weak = client
        .submit(&page, page::FORM_PASSWORD, &[("password", "password1234")])
        .await;
    assert_eq!(weak.status, 422);
    let new = Person {
        password: "walnut-ferry-copper-drizzle".to_owned(),
        ..person.clone()
    };
    let done = client
        .submit(&page, page::FORM_PASSWORD, &[("password", &new.password)])
        .await;
    assert!(done.text().contains("Your password is changed"), "{done:?}");
    assert_eq!(client.me().await.email, person.email, "this one stays");
    laptop.get(routes::ME).await.refused(Code::SessionRevoked);
    person
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::InvalidCredentials);
    new.browser(&stack).await;
}

#[tokio::test]
async fn the_secret_and_the_codes_are_not_kept_in_the_clear() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let page = client.get(page::SECURITY).await;
    let set_up = client.submit(&page, page::SECOND_STEP_BEGIN, &[]).await;
    let secret = set_up.text_of("secret");
    let phone = Authenticator::told(&secret);
    let codes = turn_on(&client, &phone.code()).await.recovery_codes();
    let bytes = phone.secret_in_hex();
    let found = |needle: &str| {
        format!("select count(*) from second_factors where encode(secret, 'hex') like '%{needle}%'")
    };
    assert_eq!(stack.number(&found("")).await, 1, "it is kept");
    assert_eq!(stack.number(&found(&bytes)).await, 0, "and sealed");
    let (_, rest) = codes[0].split_once('-').expect("a code of three parts");
    let rest = rest.replace('-', "");
    assert_eq!(
        stack
            .number(&format!(
                "select count(*) from recovery_codes where hash like '%{rest}%'"
            ))
            .await,
        0
    );
    assert_eq!(
        stack
            .number("select count(*) from recovery_codes where hash like '$argon2id$%'")
            .await,
        10
    );
    assert!(!stack.logs().contains(&secret) && !stack.logs().contains(&codes[0]));
}

#[tokio::test]
async fn people_see_what_happened_at_their_door() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let (_, other) = Person::join(&stack).await;
    let stranger = browser(&stack);
    let thief = Person {
        password: "not-the-password-at-all".to_owned(),
        ..person.clone()
    };
    thief
        .try_sign_in(&stranger, Kind::Browser)
        .await
        .refused(Code::InvalidCredentials);
    let page = client.get(page::SECURITY).await.text();
    assert!(
        page.contains("Refused: signing in (password: invalid credentials)"),
        "{page}"
    );
    let others = other.get(page::SECURITY).await.text();
    assert!(!others.contains("Refused"), "{others}");
}
