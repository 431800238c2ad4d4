//! Signing in with Apple: its answer is another site's form, its secret is signed for each request, and what its form says
//! of itself proves nothing.

use crate::letter::Asked;
use crate::providers::{LIES, begin, leave_by, must_refuse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::mailbox::path_of;
use harness::{
    Answer, Client, Fault, Notice, OpenIdProvider, PageForm, Person, SESSION_COOKIE, Stack, Visitor, browser,
    until,
};
use http::Method;
use protocol::Code;
use protocol::routes::{self, page};
use serde_json::json;

async fn stack_with(provider: &OpenIdProvider) -> Stack {
    Stack::builder()
        .with("PROVIDERS", provider.settings_with_apple())
        .start()
        .await
}

fn callback() -> String {
    page::PROVIDER_CALLBACK.replace("{provider}", "apple")
}

/// What the provider's page would post.
async fn answered(stack: &Stack, address: &str) -> PageForm {
    let outside = Client::browser(address, address);
    let at_the_provider = outside.get(address).await;
    at_the_provider.form(&format!("{}{}", stack.url(), callback()))
}

/// As a browser posts another site's form: without our cookies, which are not for that.
async fn post(stack: &Stack, form: &PageForm) -> Answer {
    let bare = browser(stack);
    let request = bare
        .bare(Method::POST, &callback())
        .header("Origin", "https://appleid.apple.com")
        .header("Sec-Fetch-Site", "cross-site")
        .form(&form.hidden);
    bare.send(request).await
}

async fn sign_in(stack: &Stack, client: &Client) -> Answer {
    let address = begin(client, "apple").await;
    come_back(stack, client, &address).await
}

/// From the provider's page home.
async fn come_back(stack: &Stack, client: &Client, address: &str) -> Answer {
    let form = answered(stack, address).await;
    let sent_on = post(stack, &form).await;
    assert_eq!(sent_on.status, 303, "{sent_on:?}");
    let answer = client.get(&sent_on.location()).await;
    client.follow(answer).await
}

/// Somebody whom Apple knows, and who came by it.
pub(super) async fn joined(provider: &OpenIdProvider, stack: &Stack) -> (Person, Client) {
    let person = Person::fresh();
    let visitor = Visitor::with_address(person.email.as_str());
    let client = joined_as(&visitor, provider, stack).await;
    assert_eq!(client.me().await.email, person.email);
    (person, client)
}

async fn joined_as(visitor: &Visitor, provider: &OpenIdProvider, stack: &Stack) -> Client {
    provider.seat(visitor);
    let client = browser(stack);
    sign_in(stack, &client).await;
    assert!(client.is_in());
    client
}

/// What Apple's own server would post.
async fn post_notice(stack: &Stack, payload: &str) -> Answer {
    let path = routes::PROVIDER_EVENTS.replace("{provider}", "apple");
    let apple = Client::native(&stack.url());
    apple.post(&path, &json!({ "payload": payload })).await
}

async fn tell(stack: &Stack, provider: &OpenIdProvider, notice: &Notice) {
    post_notice(stack, &provider.tell(notice)).await.succeeds();
}

/// How often this was noted, with this outcome.
async fn noted(stack: &Stack, event: &str, outcome: &str) -> i64 {
    let noted =
        format!("select count(*) from audit_events where event = '{event}' and outcome = '{outcome}'");
    stack.number(&noted).await
}

async fn connected(stack: &Stack) -> i64 {
    stack.number("select count(*) from accounts").await
}

/// So that there is another way in.
async fn choose_password(client: &Client, person: &Person) {
    let page = client.get(page::SECURITY).await;
    client
        .submit(&page, page::FORM_PASSWORD, &[("password", &person.password)])
        .await
        .succeeds();
}

async fn disconnect(stack: &Stack, client: &Client, person: &Person) {
    let page = client.get(page::SECURITY).await;
    let gone = client.submit(&page, page::FORM_UNLINK, &[]).await;
    assert!(gone.succeeds().text().contains("taken away"), "{gone:?}");
    stack.letter_about(person.email.as_str(), "is gone").await;
}

async fn kept(stack: &Stack) -> i64 {
    stack.number("select count(*) from provider_tokens").await
}

/// The pause after a try that failed is over; whoever is just trying is left to it.
async fn hurry(stack: &Stack) {
    stack
        .execute(
            "update provider_tokens set not_before = now()
              where not_before > now() and not_before < now() + interval '100 seconds'",
        )
        .await;
}

pub(super) async fn nothing_is_kept(stack: &Stack) {
    until("the token to be gone", async || {
        hurry(stack).await;
        (kept(stack).await == 0).then_some(())
    })
    .await;
}

async fn is_tried(stack: &Stack, provider: &OpenIdProvider, times: usize) {
    until("it to be tried", async || {
        hurry(stack).await;
        (provider.asked().revocations >= times).then_some(())
    })
    .await;
}

/// Somebody who has taken away what they came by, at a provider that does this when it is to take back what it gave.
async fn gone_while(fault: Fault) -> (OpenIdProvider, Stack) {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (person, client) = joined(&provider, &stack).await;
    choose_password(&client, &person).await;
    provider.misbehave(fault);
    disconnect(&stack, &client, &person).await;
    (provider, stack)
}

/// Whether any of these can be read where the server keeps things, in whatever writing.
async fn cannot_be_read(stack: &Stack, tokens: &[String]) {
    let everything = stack.dump().await + &stack.redis_dump().await;
    for token in tokens {
        let hex = token
            .bytes()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        for written in [token.clone(), hex, STANDARD.encode(token)] {
            assert!(!everything.contains(&written), "{written} can be read");
        }
    }
}

#[tokio::test]
async fn a_new_person_signs_in_with_apple_and_is_called_as_the_form_says_and_no_more() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let person = Person::fresh();
    provider.seat(&Visitor::with_address(person.email.as_str()));
    let client = browser(&stack);
    sign_in(&stack, &client).await;
    let me = client.me().await;
    assert_eq!(me.email, person.email, "by the signed claim, and not by the form");
    assert_eq!(me.name.as_deref(), Some("Ana Ruiz"));
    let again = browser(&stack);
    sign_in(&stack, &again).await;
    assert_eq!(again.me().await.user, me.user);
}

#[tokio::test]
async fn the_answer_works_only_in_the_browser_that_left_and_only_once() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    let client = browser(&stack);
    let address = begin(&client, "apple").await;
    let form = answered(&stack, &address).await;
    let back = post(&stack, &form).await.location();
    let other = browser(&stack);
    other.get(&back).await;
    assert!(other.cookie(SESSION_COOKIE).is_none_or(|value| value.is_empty()));
    client.get(&back).await;
    assert!(
        client.cookie(SESSION_COOKIE).is_none_or(|value| value.is_empty()),
        "the wrong browser has used it up"
    );
}

#[tokio::test]
async fn who_cancels_or_whom_apple_does_not_vouch_for_is_told_at_the_door() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let stranger = Visitor {
        is_verified: Some(false),
        ..Visitor::with_address(Person::fresh().email.as_str())
    };
    provider.seat(&stranger);
    let client = browser(&stack);
    let page = sign_in(&stack, &client).await;
    assert!(
        !client.is_in() && page.text().contains("data-testid=\"newcomer\""),
        "{page:?}"
    );
    provider.misbehave(Fault::Cancelled);
    let page = sign_in(&stack, &client).await;
    assert!(page.text().contains("cancelled"), "{page:?}");
}

/// By the form, what is posted is checked as what comes in an address is.
#[tokio::test]
async fn every_lie_in_apples_name_is_refused() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let lies = LIES.map(|(lie, why)| (lie, why, Code::ProviderFailed));
    let cancelled = [(Fault::Cancelled, "", Code::ProviderCancelled)];
    for lie in lies.into_iter().chain(cancelled) {
        let enter = async |client: &Client| sign_in(&stack, client).await;
        must_refuse(&stack, (&provider, "apple"), lie, enter).await;
    }
    provider.misbehave(Fault::None);
    joined(&provider, &stack).await;
}

#[tokio::test]
async fn a_form_at_a_provider_that_posts_none_is_refused_and_so_is_noise() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let client = browser(&stack);
    let google = page::PROVIDER_CALLBACK.replace("{provider}", "google");
    let request = client
        .bare(Method::POST, &google)
        .form(&[("code", "1"), ("state", "2")]);
    assert_eq!(client.send(request).await.status, 405);
    let form = PageForm {
        action: String::new(),
        hidden: vec![
            ("user".to_owned(), "[".to_owned()),
            ("state".to_owned(), "made up".to_owned()),
        ],
    };
    let back = post(&stack, &form).await.location();
    let page = client.get(&back).await;
    let page = client.follow(page).await;
    assert!(
        client.cookie(SESSION_COOKIE).is_none_or(|value| value.is_empty()),
        "{page:?}"
    );
}

#[tokio::test]
async fn a_form_with_an_error_or_without_a_code_lets_nobody_in_and_asks_apple_for_nothing() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    for (has_code, error, told) in [
        (false, Some("user_cancelled_authorize"), "provider_cancelled"),
        (true, Some("user_cancelled_authorize"), "provider_cancelled"),
        (false, None, "provider_cancelled"),
        (false, Some("server_error"), "provider_failed"),
        (true, Some("server_error"), "provider_failed"),
    ] {
        let client = browser(&stack);
        let address = begin(&client, "apple").await;
        let mut form = answered(&stack, &address).await;
        form.hidden.retain(|(name, _)| has_code || name != "code");
        form.hidden
            .extend(error.map(|error| ("error".to_owned(), error.to_owned())));
        let back = post(&stack, &form).await.location();
        let answer = client.get(&back).await;
        assert!(
            answer.location().contains(told),
            "{has_code} {error:?}: {answer:?}"
        );
        assert!(!client.is_in(), "{has_code} {error:?}");
    }
    assert_eq!(provider.asked().tokens, 0);
    assert_eq!(stack.number("select count(*) from users").await, 0);
}

/// Where somebody hides their address, Apple's relay is theirs: one person each, as with any other.
#[tokio::test]
async fn an_address_of_apples_relay_is_an_address() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    for _ in 0..2 {
        let relayed = format!("{:08x}@privaterelay.appleid.com", rand::random::<u32>());
        provider.seat(&Visitor::with_address(&relayed));
        let client = browser(&stack);
        sign_in(&stack, &client).await;
        assert_eq!(client.me().await.email.as_str(), relayed);
    }
    assert_eq!(stack.number("select count(*) from users").await, 2);
}

#[tokio::test]
async fn what_apple_gave_is_kept_where_nobody_can_read_it_and_taken_back_when_it_is_disconnected() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (person, client) = joined(&provider, &stack).await;
    sign_in(&stack, &browser(&stack)).await;
    assert_eq!(kept(&stack).await, 1, "the newest stands for all");
    let given = provider.kept();
    assert_eq!(given.len(), 2);
    cannot_be_read(&stack, &given).await;
    assert_eq!(provider.asked().revocations, 0, "not while it is somebody's");

    choose_password(&client, &person).await;
    disconnect(&stack, &client, &person).await;
    nothing_is_kept(&stack).await;
    assert_eq!(provider.revoked(), given[1..]);
    assert_eq!(client.me().await.email, person.email, "the account stays");
}

#[tokio::test]
async fn what_apple_gave_is_taken_back_when_the_account_is_deleted() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (person, client) = joined(&provider, &stack).await;
    let (other, _) = joined(&provider, &stack).await;
    let page = client.get(page::SECURITY).await;
    client
        .submit(&page, page::FORM_LEAVE, &[("email", person.email.as_str())])
        .await
        .succeeds();
    assert_eq!(kept(&stack).await, 2, "the account may be kept still");
    stack
        .execute("update deletions set due = now() - interval '1 second'")
        .await;
    stack.letter_about(person.email.as_str(), "is deleted").await;
    until("one token to be taken back", async || {
        (provider.revoked() == provider.kept()[..1]).then_some(())
    })
    .await;
    until("its row to be gone", async || {
        (kept(&stack).await == 1).then_some(())
    })
    .await;
    let others =
        stack.number("select count(*) from provider_tokens t join accounts a on a.id = t.account_id");
    assert_eq!(others.await, 1, "that of {} stays", other.email);
}

#[tokio::test]
async fn what_is_not_taken_back_is_tried_again_and_says_no_more_whose_it_was() {
    let (provider, stack) = gone_while(Fault::RefusedRevocations).await;
    is_tried(&stack, &provider, 2).await;
    let theirs = "select count(*) from provider_tokens where account_id is not null";
    assert_eq!((kept(&stack).await, stack.number(theirs).await), (1, 0));
    cannot_be_read(&stack, &provider.kept()).await;
    provider.misbehave(Fault::None);
    nothing_is_kept(&stack).await;
    assert_eq!(provider.revoked(), provider.kept());
}

#[tokio::test]
async fn what_its_person_took_back_at_apple_already_is_done_with() {
    let (provider, stack) = gone_while(Fault::ForgottenTokens).await;
    nothing_is_kept(&stack).await;
    assert_eq!(provider.asked().revocations, 1);
}

#[tokio::test]
async fn what_cannot_be_taken_back_for_a_week_is_given_up() {
    let (provider, stack) = gone_while(Fault::RefusedRevocations).await;
    is_tried(&stack, &provider, 1).await;
    assert_eq!(kept(&stack).await, 1);
    stack
        .execute("update provider_tokens set begun_at = now() - interval '8 days'")
        .await;
    nothing_is_kept(&stack).await;
    assert!(provider.revoked().is_empty());
}

#[tokio::test]
async fn what_apple_gave_goes_to_no_place_that_is_not_apples() {
    let provider = OpenIdProvider::start().await;
    provider.misbehave(Fault::RevocationsByAnotherName);
    let stack = stack_with(&provider).await;
    let (person, client) = joined(&provider, &stack).await;
    choose_password(&client, &person).await;
    disconnect(&stack, &client, &person).await;
    until("it to be put off", async || {
        let tried = "select count(*) from provider_tokens
                      where tries > 0 and not_before < now() + interval '100 seconds'";
        (stack.number(tried).await == 1).then_some(())
    })
    .await;
    assert_eq!(provider.asked().revocations, 0);
}

#[tokio::test]
async fn what_waits_to_be_linked_brings_it_along_and_it_is_nobodys_before() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (person, _) = Person::join(&stack).await;
    provider.seat(&Visitor::with_address(person.email.as_str()));
    let client = browser(&stack);
    let told = sign_in(&stack, &client).await;
    assert!(!client.is_in(), "{told:?}");
    assert_eq!(kept(&stack).await, 0);
    cannot_be_read(&stack, &provider.kept()).await;
    let door = client.get(page::SIGN_IN).await;
    let fields = [("email", person.email.as_str()), ("password", &person.password)];
    client.submit(&door, page::FORM_SIGN_IN, &fields).await;
    assert!(client.is_in());
    assert_eq!(kept(&stack).await, 1);
    cannot_be_read(&stack, &provider.kept()).await;
    disconnect(&stack, &client, &person).await;
    nothing_is_kept(&stack).await;
    assert_eq!(provider.revoked(), provider.kept());
}

/// Nothing here acts for people anywhere, and what is not kept cannot be lost.
#[tokio::test]
async fn what_other_providers_give_is_not_kept() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    let client = browser(&stack);
    crate::providers::sign_in(&stack, &client, "google").await;
    assert!(client.is_in());
    assert_eq!(provider.kept().len(), 1, "it gave one");
    assert_eq!(kept(&stack).await, 0);
    // and what Apple gives to whoever connects it is
    let page = client.get(page::SECURITY).await;
    let address = leave_by(&client, &page, &page::form_link("apple")).await;
    come_back(&stack, &client, &address).await;
    assert_eq!(kept(&stack).await, 1);
    cannot_be_read(&stack, &provider.kept()).await;
}

#[tokio::test]
async fn whoever_takes_it_back_at_apple_is_signed_out_and_comes_in_by_a_letter() {
    for (kind, is_plain) in [
        ("consent-revoked", false),
        ("account-delete", false),
        ("account-deleted", true),
    ] {
        let provider = OpenIdProvider::start().await;
        let stack = stack_with(&provider).await;
        let person = Person::fresh();
        let visitor = Visitor::with_address(person.email.as_str());
        let client = joined_as(&visitor, &provider, &stack).await;
        let session = client.create_session("Still here").await;
        let (_, other) = joined(&provider, &stack).await;
        let notice = Notice {
            is_plain,
            ..Notice::of(&visitor, kind)
        };
        tell(&stack, &provider, &notice).await;

        client.get(routes::ME).await.refused(Code::SessionRevoked);
        other.me().await;
        assert_eq!((connected(&stack).await, kept(&stack).await), (1, 1), "{kind}");
        assert_eq!(provider.asked().revocations, 0, "{kind}: it is worthless already");
        assert_eq!(noted(&stack, "account_taken_back", "done").await, 1, "{kind}");

        // the account is there, and a letter leads into it
        let told = stack
            .letter_about(person.email.as_str(), "You were signed out")
            .await;
        assert!(told.text.contains("Apple"), "{}", told.text);
        let link = told.link.expect("where a letter is asked for");
        browser(&stack).get(&path_of(&link)).await.succeeds();
        let asked = Asked::by(&stack, &person, 2).await;
        asked.type_code(&asked.window, &asked.code).await;
        assert_eq!(asked.window.session(session).await.title, "Still here", "{kind}");
    }
}

#[tokio::test]
async fn what_was_connected_after_a_notice_was_written_stays() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let visitor = Visitor::with_address(Person::fresh().email.as_str());
    let client = joined_as(&visitor, &provider, &stack).await;
    let late = Notice {
        age: 600,
        ..Notice::of(&visitor, "consent-revoked")
    };
    tell(&stack, &provider, &late).await;
    client.me().await;
    assert_eq!((connected(&stack).await, kept(&stack).await), (1, 1));
}

#[tokio::test]
async fn a_notice_that_is_not_apples_or_is_of_another_time_changes_nothing() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let visitor = Visitor::with_address(Person::fresh().email.as_str());
    let client = joined_as(&visitor, &provider, &stack).await;
    let notice = Notice::of(&visitor, "consent-revoked");
    let mut lies = Vec::new();
    for fault in [
        Fault::BrokenSignature,
        Fault::UnknownKey,
        Fault::Unsigned,
        Fault::KeyedWithPublicKey,
        Fault::WrongIssuer,
        Fault::WrongAudience,
        Fault::TwoAudiences,
        Fault::Expired,
        Fault::FromTheFuture,
    ] {
        provider.misbehave(fault);
        lies.push((format!("{fault:?}"), provider.tell(&notice)));
    }
    provider.misbehave(Fault::None);
    let stale = Notice {
        age: 13 * 3600,
        ..notice.clone()
    };
    lies.push(("stale".to_owned(), provider.tell(&stale)));
    lies.push(("no token".to_owned(), "a.b.c".to_owned()));
    lies.push(("empty".to_owned(), String::new()));
    for (lie, payload) in &lies {
        let problem = post_notice(&stack, payload).await.refused(Code::BadRequest);
        assert_eq!(problem.field.as_deref(), Some("payload"), "{lie}");
    }
    let huge = "x".repeat(64 * 1024);
    post_notice(&stack, &huge).await.refused(Code::TooLarge);
    client.me().await;
    assert_eq!((connected(&stack).await, kept(&stack).await), (1, 1));
    let refused = i64::try_from(lies.len()).expect("a few");
    assert_eq!(noted(&stack, "provider_event", "refused").await, refused);
    assert!(
        provider.asked().keys <= 2,
        "a flood of unknown keys is no flood at Apple: {:?}",
        provider.asked()
    );
    // and the same, told by Apple, is done
    tell(&stack, &provider, &notice).await;
    client.get(routes::ME).await.refused(Code::SessionRevoked);
}

#[tokio::test]
async fn a_key_that_is_new_at_apple_is_found_for_its_notices_too() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let visitor = Visitor::with_address(Person::fresh().email.as_str());
    joined_as(&visitor, &provider, &stack).await;
    provider.rotate_key();
    tell(&stack, &provider, &Notice::of(&visitor, "consent-revoked")).await;
    assert_eq!(connected(&stack).await, 0);
}

#[tokio::test]
async fn a_notice_of_something_or_somebody_unknown_is_taken_and_changes_nothing() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let visitor = Visitor::with_address(Person::fresh().email.as_str());
    let client = joined_as(&visitor, &provider, &stack).await;
    tell(&stack, &provider, &Notice::of(&visitor, "hair-colour-changed")).await;
    assert_eq!(noted(&stack, "provider_event", "refused").await, 1);
    let stranger = Visitor::with_address(Person::fresh().email.as_str());
    for kind in [
        "consent-revoked",
        "account-delete",
        "email-disabled",
        "email-enabled",
    ] {
        tell(&stack, &provider, &Notice::of(&stranger, kind)).await;
    }
    client.me().await;
    assert_eq!(connected(&stack).await, 1);
    assert_eq!(stack.number("select count(*) from suppressions").await, 0);
}

#[tokio::test]
async fn an_address_whose_relay_is_off_gets_no_tips_and_letters_about_safety_still() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let relayed = format!("{:08x}@privaterelay.appleid.com", rand::random::<u32>());
    let visitor = Visitor::with_address(&relayed);
    joined_as(&visitor, &provider, &stack).await;
    let is_off = "select count(*) from suppressions where reason = 'relay'";
    let off = Notice::of(&visitor, "email-disabled");
    let payload = provider.tell(&off);
    post_notice(&stack, &payload).await.succeeds();
    assert_eq!(stack.number(is_off).await, 1);
    assert_eq!(noted(&stack, "relay_off", "done").await, 1);

    stack
        .execute(&format!(
            "insert into email_outbox (id, recipient, template, context)
             values (gen_random_uuid(), '{relayed}', 'getting_started', '{{\"link\": \"l\", \"stop\": \"s\"}}')"
        ))
        .await;
    until("the tip to be given up", async || {
        let given_up =
            "select count(*) from email_outbox where template = 'getting_started' and failed_at is not null";
        (stack.number(given_up).await == 1).then_some(())
    })
    .await;
    let fields = [("email", relayed.as_str())];
    let asker = browser(&stack);
    let form = asker.get(page::FORGOT).await;
    asker.submit(&form, page::FORGOT, &fields).await.succeeds();
    stack.letter_about(&relayed, "Choose a new password").await;
    assert_eq!(stack.number(is_off).await, 1, "that it took one says nothing");

    tell(&stack, &provider, &Notice::of(&visitor, "email-enabled")).await;
    assert_eq!(stack.number(is_off).await, 0);
    assert_eq!(noted(&stack, "relay_on", "done").await, 1);
    // what was told before, told again, holds no more
    post_notice(&stack, &payload).await.succeeds();
    assert_eq!(stack.number(is_off).await, 0);
}

#[tokio::test]
async fn nobody_but_apple_tells_of_people_and_nobody_at_all_where_there_is_no_apple() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let client = Client::native(&stack.url());
    let body = json!({"payload": "a.b.c"});
    for id in ["google", "github", "unheard-of"] {
        let path = routes::PROVIDER_EVENTS.replace("{provider}", id);
        client.post(&path, &body).await.refused(Code::NotFound);
    }
    let path = routes::PROVIDER_EVENTS.replace("{provider}", "apple");
    let without = Stack::start().await;
    let client = Client::native(&without.url());
    client.post(&path, &body).await.refused(Code::NotFound);
}

#[tokio::test]
async fn notices_that_are_made_up_are_counted_and_true_ones_are_not() {
    let provider = OpenIdProvider::start().await;
    let stack = Stack::builder()
        .with("PROVIDERS", provider.settings_with_apple())
        .with("RATE_LIMIT_FACTOR", "1")
        .start()
        .await;
    let stranger = Visitor::with_address(Person::fresh().email.as_str());
    for _ in 0..70 {
        tell(&stack, &provider, &Notice::of(&stranger, "consent-revoked")).await;
    }
    let mut refusals = Vec::new();
    for _ in 0..70 {
        refusals.push(post_notice(&stack, "a.b.c").await.problem().code);
    }
    assert!(refusals.contains(&Code::BadRequest) && refusals.contains(&Code::RateLimited));
}
