//! How long a browser stays signed in: with its window and twelve hours at most, or thirty days where its person wants that.

use crate::letter::Asked;
use crate::providers::{at_the_provider, stack_with};
use crate::second_step::Careful;
use harness::mailbox::path_of;
use harness::{Answer, Client, OpenIdProvider, Person, SESSION_COOKIE, Stack, Visitor, browser};
use http::Method;
use protocol::Code;
use protocol::routes::{self, page};
use serde_json::json;

/// The fields of a form whose box is ticked, or is not: then browsers send nothing of it.
fn with_box<'a>(fields: &[(&'a str, &'a str)], stays: bool) -> Vec<(&'a str, &'a str)> {
    let ticked = stays.then_some(("stay", "on"));
    fields.iter().copied().chain(ticked).collect()
}

/// Of a session's cookie as it is set.
fn lasts(answer: &Answer) -> Option<String> {
    let cookies = answer.set_cookies();
    let line = cookies
        .iter()
        .find(|line| line.starts_with(SESSION_COOKIE))
        .unwrap_or_else(|| panic!("nobody is in: {answer:?}"));
    let lasting = line.split(';').map(|part| part.trim().to_lowercase());
    lasting
        .into_iter()
        .find(|part| part.starts_with("max-age") || part.starts_with("expires"))
}

/// The cookie and the server agree.
async fn holds(stack: &Stack, answer: &Answer, stays: bool, way: &str) {
    let hours =
        "select round(extract(epoch from least(expires, absolute_expires) - created_at) / 3600)::bigint
                   from sessions order by created_at desc limit 1";
    let most = "select round(extract(epoch from absolute_expires - created_at) / 3600)::bigint
                  from sessions order by created_at desc limit 1";
    let cookie = stays.then(|| "max-age=2592000".to_owned());
    assert_eq!(lasts(answer), cookie, "{way}");
    let wanted = if stays { (7 * 24, 30 * 24) } else { (12, 12) };
    assert_eq!(
        (stack.number(hours).await, stack.number(most).await),
        wanted,
        "{way}"
    );
}

/// Whether the box of a page is.
fn is_ticked(page: &Answer) -> bool {
    let text = page.text();
    let (before, after) = text.split_once("name=\"stay\"").expect("a box to tick");
    let (_, before) = before.rsplit_once('<').expect("a tag");
    let (after, _) = after.split_once('>').expect("a tag");
    before.contains("checked") || after.contains("checked")
}

async fn by_password(client: &Client, person: &Person, stays: bool) -> Answer {
    let door = client.get(page::SIGN_IN).await;
    assert!(!is_ticked(&door), "not ticked");
    let fields = [("email", person.email.as_str()), ("password", &person.password)];
    client
        .submit(&door, page::FORM_SIGN_IN, &with_box(&fields, stays))
        .await
}

#[tokio::test]
async fn what_was_ticked_stays_so_where_something_else_was_refused() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    for stays in [true, false] {
        let client = browser(&stack);
        let door = client.get(page::SIGN_IN).await;
        let fields = [
            ("email", person.email.as_str()),
            ("password", "another one, quite long"),
        ];
        let again = client
            .submit(&door, page::FORM_SIGN_IN, &with_box(&fields, stays))
            .await;
        assert_eq!(is_ticked(&again), stays, "a wrong password");
        let (newcomer, client) = (Person::fresh(), browser(&stack));
        let door = client.get(page::SIGN_UP).await;
        let fields = [
            ("email", newcomer.email.as_str()),
            ("password", &newcomer.password),
        ];
        let sent = client.submit(&door, page::FORM_SIGN_UP, &fields).await;
        let fields = [("code", "AAAA-AAAA")];
        let again = client
            .submit(&sent, page::FORM_CHECK_MAIL, &with_box(&fields, stays))
            .await;
        assert_eq!(is_ticked(&again), stays, "a wrong code");
    }
}

#[tokio::test]
async fn by_password_a_browser_stays_signed_in_only_where_that_was_asked_for() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    for stays in [true, false] {
        let answer = by_password(&browser(&stack), &person, stays).await;
        holds(&stack, &answer, stays, "a form").await;
        let client = browser(&stack);
        let body = json!({"email": person.email, "password": person.password, "stay": stays});
        let answer = client.post(routes::SIGN_IN, &body).await;
        holds(&stack, answer.succeeds(), stays, "a program's form").await;
    }
    let silent = json!({"email": person.email, "password": person.password});
    let answer = browser(&stack).post(routes::SIGN_IN, &silent).await;
    holds(&stack, &answer, false, "nothing said").await;
}

#[tokio::test]
async fn what_was_asked_for_at_the_first_step_holds_after_the_second() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    for stays in [true, false] {
        let client = browser(&stack);
        let answer = by_password(&client, &careful.person, stays).await;
        let step = client.follow(answer).await;
        stack.execute("update second_factors set last_step = 0").await;
        let fields = [("code", careful.phone.code())];
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = client.submit(&step, page::SECOND_STEP, &fields).await;
        holds(&stack, &answer, stays, "two steps").await;
    }
}

#[tokio::test]
async fn by_a_letter_a_browser_stays_signed_in_only_where_that_was_asked_for() {
    let stack = Stack::start().await;
    for stays in [true, false] {
        let (person, _) = Person::join(&stack).await;
        let asked = Asked::by(&stack, &person, 2).await;
        let fields = with_box(&[("code", &asked.code)], stays);
        let answer = asked
            .window
            .submit(&asked.sent, page::FORM_LETTER_CODE, &fields)
            .await;
        holds(&stack, &answer, stays, "a letter's code").await;

        let (person, _) = Person::join(&stack).await;
        let asked = Asked::by(&stack, &person, 2).await;
        let opened = asked.window.get(&asked.link).await;
        let fields = with_box(&[("answer", "here")], stays);
        let answer = asked.window.submit(&opened, page::LETTER, &fields).await;
        holds(&stack, &answer, stays, "a letter's link").await;
    }
}

#[tokio::test]
async fn whoever_joins_stays_signed_in_only_where_that_was_asked_for() {
    let stack = Stack::start().await;
    for stays in [true, false] {
        let (person, client) = (Person::fresh(), browser(&stack));
        let form = client.get(page::SIGN_UP).await;
        let fields = [("email", person.email.as_str()), ("password", &person.password)];
        let sent = client.submit(&form, page::FORM_SIGN_UP, &fields).await;
        let letter = stack.letter_to(person.email.as_str(), 1).await;
        let code = letter.code.expect("a code");
        let fields = with_box(&[("code", &code)], stays);
        let answer = client.submit(&sent, page::FORM_CHECK_MAIL, &fields).await;
        holds(&stack, &answer, stays, "a code").await;

        let (person, client) = (Person::fresh(), browser(&stack));
        person.sign_up(&client).await.succeeds();
        let letter = stack.letter_to(person.email.as_str(), 1).await;
        let opened = client.get(&path_of(&letter.link.expect("a link"))).await;
        let answer = client.submit(&opened, page::VERIFY, &with_box(&[], stays)).await;
        holds(&stack, &answer, stays, "a link").await;
    }
}

#[tokio::test]
async fn by_a_provider_a_browser_stays_signed_in_only_where_that_was_asked_for() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    for stays in [true, false] {
        let client = browser(&stack);
        let door = client.visit(page::SIGN_IN).await;
        let start = page::provider_start("google");
        let leaving = client.submit(&door, &start, &with_box(&[], stays)).await;
        let refresh = leaving.header("refresh").unwrap_or_default().to_owned();
        let address = refresh.strip_prefix("0;url=").expect("a way on");
        let back = at_the_provider(&stack, address).await;
        let answer = client.get(&back).await;
        holds(&stack, &answer, stays, "a provider").await;
    }
}

#[tokio::test]
async fn a_fresh_proof_makes_no_visit_longer() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    for stays in [true, false] {
        let client = browser(&stack);
        by_password(&client, &person, stays).await;
        let form = client.get(page::PROVE).await;
        let fields = [("password", person.password.as_str())];
        let answer = client.submit(&form, page::PROVE, &fields).await;
        assert_eq!(lasts(&answer).is_some(), stays, "{answer:?}");
        let most = "select round(extract(epoch from absolute_expires - created_at) / 3600)::bigint
                      from sessions order by created_at desc limit 1";
        assert_eq!(stack.number(most).await, if stays { 720 } else { 12 });
    }
}

/// Whatever the browser does with a cookie that was to end with its window.
#[tokio::test]
async fn a_visit_is_over_after_twelve_hours_however_much_it_is_used() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let client = browser(&stack);
    by_password(&client, &person, false).await;
    let older = "update sessions set created_at = created_at - interval '7 hours', last_active = now() - interval '1 hour',
                        expires = expires - interval '7 hours', absolute_expires = absolute_expires - interval '7 hours'
                  where not stays";
    assert_eq!(stack.execute(older).await, 1);
    // a node writes down who was there before it ends, at the latest
    let second = stack.second_server().await;
    client.at(&second.url()).me().await;
    assert_eq!(second.stop().await, Some(0));
    let left =
        "select round(extract(epoch from expires - now()) / 3600)::bigint from sessions where not stays";
    assert_eq!(stack.number(left).await, 5);
    stack
        .execute("update sessions set expires = expires - interval '5 hours', absolute_expires = absolute_expires - interval '5 hours'")
        .await;
    let third = stack.second_server().await;
    let late = client.at(&third.url());
    late.send(late.request(Method::GET, routes::ME))
        .await
        .refused(Code::SessionExpired);
}
