//! A forgotten password: the letter's link lets its reader choose a new one, once, and everybody else is out.

use crate::device_code;
use crate::email_change::while_held;
use crate::native_sign_in::{App, consent, oauth_error, param};
use crate::{email_change, letter};
use futures_util::future::join_all;
use harness::mailbox::path_of;
use harness::{Answer, Client, Headless, Person, SESSION_COOKIE, Stack, browser, native};
use http::{Method, StatusCode};
use protocol::Code;
use protocol::auth::Client as Kind;
use protocol::routes::{self, page};

const NEW: &str = "walnut-ferry-copper-drizzle";

pub(super) async fn forget(client: &Client, email: &str) -> Answer {
    let form = client.get(page::FORGOT).await;
    forget_by(client, &form, page::FORGOT, email).await
}

/// By a page that is there already, for this letter or another that an address alone asks for.
pub(super) async fn forget_by(client: &Client, form: &Answer, door: &str, email: &str) -> Answer {
    client.submit(form, door, &[("email", email)]).await
}

/// Asks for the letter and gives the path of its link.
pub(super) async fn letter_of(stack: &Stack, person: &Person, count: usize) -> String {
    forget(&browser(stack), person.email.as_str()).await.succeeds();
    link_in(stack, person, count).await
}

async fn link_in(stack: &Stack, person: &Person, count: usize) -> String {
    let letter = stack.letter_to(person.email.as_str(), count).await;
    path_of(&letter.link.expect("a link"))
}

pub(super) async fn choose(client: &Client, link: &str, password: &str) -> Answer {
    let form = client.get(link).await;
    client.submit(&form, page::RESET, &[("password", password)]).await
}

fn with_password(person: &Person, password: &str) -> Person {
    Person {
        password: password.to_owned(),
        ..person.clone()
    }
}

#[tokio::test]
async fn the_link_changes_the_password_and_signs_everybody_out() {
    let stack = Stack::start().await;
    let (person, before) = Person::join(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    let link = letter_of(&stack, &person, 3).await;
    let client = browser(&stack);
    let done = choose(&client, &link, NEW).await;
    assert!(done.text().contains("Your password is changed"), "{done:?}");
    assert!(
        client.cookie(SESSION_COOKIE).is_none(),
        "nobody is signed in by a link alone"
    );

    before.get(routes::ME).await.refused(Code::SessionRevoked);
    laptop.get(routes::ME).await.refused(Code::SessionRevoked);
    person
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::InvalidCredentials);
    with_password(&person, NEW)
        .try_sign_in(&browser(&stack), native("Laptop"))
        .await
        .succeeds();
    let notice = stack.letter_to(person.email.as_str(), 4).await;
    assert!(notice.text.contains("was changed"), "{}", notice.text);
}

#[tokio::test]
async fn a_link_works_once_even_when_many_press_at_once() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let link = letter_of(&stack, &person, 2).await;
    let clients: Vec<Client> = (0..8).map(|_| browser(&stack)).collect();
    let forms = join_all(clients.iter().map(|client| client.get(&link))).await;
    let pressing = clients.iter().zip(&forms).map(async |(client, form)| {
        let fields = [("password", NEW)];
        client.submit(form, page::RESET, &fields).await
    });
    let pressed = join_all(pressing).await;
    let done = pressed.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(done, 1, "{pressed:?}");
    assert_eq!(browser(&stack).get(&link).await.status, 410);
}

#[tokio::test]
async fn looking_at_the_link_changes_nothing_and_a_weak_password_leaves_it() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let link = letter_of(&stack, &person, 2).await;
    let scanner = browser(&stack);
    for _ in 0..10 {
        let looked = scanner.get(&link).await;
        assert_eq!(
            (looked.status, looked.header("cache-control")),
            (200, Some("no-store"))
        );
        assert!(
            !looked.text().contains(person.email.as_str()),
            "a stranger may look"
        );
        scanner
            .send(scanner.request(Method::HEAD, &link))
            .await
            .succeeds();
    }
    let client = browser(&stack);
    for weak in ["short", "password1234", &"x".repeat(1024 * 1024)] {
        let refused = choose(&client, &link, weak).await;
        assert!(matches!(refused.status, 413 | 422), "{}", refused.status);
    }
    person.browser(&stack).await;
    assert!(choose(&client, &link, NEW).await.text().contains("is changed"));
}

#[tokio::test]
async fn a_stranger_learns_nothing_and_causes_no_letter() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let known = forget(&browser(&stack), person.email.as_str()).await;
    let stranger = Person::fresh();
    let unknown = forget(&browser(&stack), stranger.email.as_str()).await;
    assert_eq!(known.status, unknown.status);
    let shape = |answer: &Answer, person: &Person| answer.text().replace(person.email.as_str(), "…").len();
    assert_eq!(shape(&known, &person), shape(&unknown, &stranger));
    stack.letter_to(person.email.as_str(), 2).await;
    let letters = "select count(*) from email_outbox";
    let sent = stack.number(letters).await;
    forget(&browser(&stack), stranger.email.as_str()).await.succeeds();
    forget(&browser(&stack), "no address")
        .await
        .has_status(StatusCode::UNPROCESSABLE_ENTITY);
    let noted = "select count(*) from verification_tokens where purpose = 'reset'";
    assert_eq!(stack.number(noted).await, 1);
    assert_eq!(stack.number(letters).await, sent);
}

#[tokio::test]
async fn a_newer_letter_and_the_time_make_a_link_worthless() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let first = letter_of(&stack, &person, 2).await;
    let second = letter_of(&stack, &person, 3).await;
    assert_eq!(browser(&stack).get(&first).await.status, 410);
    assert_eq!(browser(&stack).get(&second).await.status, 200);
    stack
        .execute("update verification_tokens set expires = now() - interval '1 second'")
        .await;
    assert_eq!(browser(&stack).get(&second).await.status, 410);
    person.browser(&stack).await;
}

#[tokio::test]
async fn a_letter_for_a_new_password_holds_the_user_before_all_else() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let user = format!("'{}'", client.me().await.user);
    // which the next one makes worthless
    letter_of(&stack, &person, 2).await;
    let link = while_held(&stack, &user, letter_of(&stack, &person, 3)).await;
    choose(&browser(&stack), &link, NEW).await.succeeds();
}

#[tokio::test]
async fn a_link_of_one_letter_is_none_of_the_others() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let reset = letter_of(&stack, &person, 2).await;
    let as_confirmation = reset.replace(page::RESET, page::VERIFY);
    assert_eq!(browser(&stack).get(&as_confirmation).await.status, 410);

    let newcomer = Person::fresh();
    newcomer.sign_up(&browser(&stack)).await.succeeds();
    let confirmation = link_in(&stack, &newcomer, 1).await;
    let as_reset = confirmation.replace(page::VERIFY, page::RESET);
    assert_eq!(browser(&stack).get(&as_reset).await.status, 410);
}

/// Asks for the letter and gives its link, however many letters came since.
async fn link_for(stack: &Stack, person: &Person) -> String {
    forget(&browser(stack), person.email.as_str()).await.succeeds();
    let letter = stack
        .letter_about(person.email.as_str(), "Choose a new password")
        .await;
    path_of(&letter.link.expect("a link"))
}

#[tokio::test]
async fn a_link_ends_with_another_password_and_with_another_address() {
    let stack = Stack::start().await;
    let (person, owner) = Person::join(&stack).await;
    let link = link_for(&stack, &person).await;
    let page = owner.get(page::SECURITY).await;
    owner
        .submit(&page, page::FORM_PASSWORD, &[("password", NEW)])
        .await;
    with_password(&person, NEW).browser(&stack).await;
    assert_eq!(browser(&stack).get(&link).await.status, 410);
    let late = choose_blindly(&stack, &link, "harvest-lantern-quartz-meadow").await;
    assert_eq!(late.status, 410, "{late:?}");
    with_password(&person, NEW).browser(&stack).await;

    let asked = email_change::Asked::begin(&stack).await;
    let link = link_for(&stack, &asked.person).await;
    asked.agree(&stack).await;
    let late = choose_blindly(&stack, &link, NEW).await;
    assert_eq!(late.status, 410, "the mailbox of before opens nothing: {late:?}");
    asked.renamed().browser(&stack).await;
}

/// Without a look at the link's page, as whoever knows the form would.
pub(super) async fn choose_blindly(stack: &Stack, link: &str, password: &str) -> Answer {
    let client = browser(stack);
    let any = client.get(page::FORGOT).await;
    let csrf = any.form(page::FORGOT).field("csrf").expect("a token").to_owned();
    let (id, secret) = parts(link);
    let token = format!("{id}~{secret}");
    let fields = [("csrf", csrf.as_str()), ("token", &token), ("password", password)];
    let request = client.request(Method::POST, page::RESET).form(&fields);
    client.send(request).await
}

/// The id and the secret of a link.
pub(super) fn parts(link: &str) -> (String, String) {
    let link = url::Url::parse("http://localhost")
        .and_then(|base| base.join(link))
        .expect("a link");
    (param(&link, "id"), param(&link, "t"))
}

#[tokio::test]
async fn the_link_of_one_is_none_of_anothers() {
    let stack = Stack::start().await;
    let (ana, _) = Person::join(&stack).await;
    let (ben, bens) = Person::join(&stack).await;
    let (of_ana, of_ben) = (
        parts(&link_for(&stack, &ana).await),
        parts(&link_for(&stack, &ben).await),
    );
    for (id, secret) in [(&of_ana.0, &of_ben.1), (&of_ben.0, &of_ana.1)] {
        let link = format!("{}?id={id}&t={secret}", page::RESET);
        assert_eq!(browser(&stack).get(&link).await.status, 410);
        let refused = choose_blindly(&stack, &link, NEW).await;
        assert_eq!(refused.status, 410, "{refused:?}");
    }
    // whoever is signed in as somebody else changes the password of the link's person alone
    let link = format!("{}?id={}&t={}", page::RESET, of_ana.0, of_ana.1);
    choose(&bens, &link, NEW).await.succeeds();
    with_password(&ana, NEW).browser(&stack).await;
    ben.browser(&stack).await;
    bens.me().await;
}

#[tokio::test]
async fn success_ends_whatever_else_was_on_its_way_in() {
    let stack = Stack::start().await;
    let asked = email_change::Asked::begin(&stack).await;
    let (person, owner) = (asked.person.clone(), &asked.client);
    let laptop = person.native(&stack, "Laptop").await;
    let app = App::new(&stack);
    let code = param(&consent(owner, &app.push().await).await, "code");
    let tower = Headless::on(&stack, "Tower").await;
    let found = device_code::type_code(owner, &tower.codes.user_code).await;
    device_code::press(owner, &found, "yes").await;
    let window = browser(&stack);
    let sent = letter::ask(&window, person.email.as_str(), "/").await;
    let letter = stack.letter_about(person.email.as_str(), "Sign in").await;
    let link = link_for(&stack, &person).await;
    choose(&browser(&stack), &link, NEW).await.succeeds();

    owner.get(routes::ME).await.refused(Code::SessionRevoked);
    laptop.get(routes::ME).await.refused(Code::SessionRevoked);
    let renewed = laptop.refresh_with(&laptop.tokens().refresh_token).await;
    assert_eq!(oauth_error(&renewed), "invalid_grant");
    let redeemed = app.redeem(&code, &app.verifier).await;
    assert_eq!(oauth_error(&redeemed), "invalid_grant");
    assert_eq!(tower.is_told().await, "invalid_grant");
    let fields = [("code", letter.code.as_deref().expect("a code"))];
    let typed = window.submit(&sent, page::FORM_LETTER_CODE, &fields).await;
    assert_eq!(typed.status, 410, "{typed:?}");
    let sign_in = path_of(&letter.link.expect("a link"));
    for link in [&sign_in, &link, &asked.old_link, &asked.new_link] {
        assert_eq!(browser(&stack).get(link).await.status, 410, "{link}");
    }
    assert!(!window.is_in());
}

/// Somebody signed up with another's address and waits: who reads the mailbox is in, and they are not.
#[tokio::test]
async fn the_reader_of_the_mailbox_takes_an_unconfirmed_address() {
    let stack = Stack::start().await;
    let squatter = Person::fresh();
    squatter.sign_up(&browser(&stack)).await.succeeds();
    let link = letter_of(&stack, &squatter, 2).await;
    assert!(
        choose(&browser(&stack), &link, NEW)
            .await
            .text()
            .contains("is changed")
    );
    squatter
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::InvalidCredentials);
    with_password(&squatter, NEW)
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .succeeds();
    let old = link_in(&stack, &squatter, 1).await;
    assert_eq!(
        browser(&stack).get(&old).await.status,
        410,
        "the squatter's letter is void"
    );
}

#[tokio::test]
async fn letters_for_one_address_are_bounded_without_a_word() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let person = Person::fresh();
    stack
        .execute(&format!(
            "insert into users (id, email, email_key, email_verified) values
                 (gen_random_uuid(), '{0}', '{0}', now())",
            person.email.as_str()
        ))
        .await;
    for _ in 0..4 {
        forget(&browser(&stack), person.email.as_str()).await.succeeds();
    }
    stack.letter_to(person.email.as_str(), 1).await;
    // asked for last, so by then the others would be on their way
    let (other, _) = Person::join(&stack).await;
    forget(&browser(&stack), other.email.as_str()).await.succeeds();
    stack.letter_to(other.email.as_str(), 2).await;
    assert_eq!(
        stack
            .number("select count(*) from verification_tokens where purpose = 'reset'")
            .await,
        2,
        "one a minute for each"
    );
}

#[tokio::test]
async fn somebody_who_is_disabled_gets_no_letter_and_no_password() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let link = letter_of(&stack, &person, 2).await;
    stack.execute("update users set disabled_at = now()").await;
    let refused = choose(&browser(&stack), &link, NEW).await;
    assert_eq!(refused.status, 410, "{refused:?}");
    forget(&browser(&stack), person.email.as_str()).await.succeeds();
    // asked for last, so by then the other would be on its way
    let (other, _) = Person::join(&stack).await;
    forget(&browser(&stack), other.email.as_str()).await.succeeds();
    stack.letter_to(other.email.as_str(), 2).await;
    let sent = "select count(*) from verification_tokens where purpose = 'reset'";
    assert_eq!(stack.number(sent).await, 2, "the first letter's and the other's");
}
