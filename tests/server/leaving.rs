//! An account that its owner wants gone: kept for two weeks in which nobody is in, and then nothing of it is left.

use crate::admin::{is_signed_out, must_close};
use crate::email_change::while_held;
use crate::second_step::{Careful, prove};
use crate::{connecting, passkeys, providers};
use harness::mailbox::path_of;
use harness::{
    Answer, Authenticator, Client, OpenIdProvider, PasskeyHolder, Person, Socket, Stack, Visitor, browser,
    native, until,
};
use http::{Method, StatusCode};
use protocol::Code;
use protocol::auth::{Client as Kind, SecondStep, SignedIn};
use protocol::routes::{self, page};
use serde_json::json;
use std::path::Path;

const KEEP_COOKIE: &str = "__Host-compymac_keep";

async fn leave(client: &Client, typed: &str) -> Answer {
    let page = client.get(page::SECURITY).await;
    client.submit(&page, page::FORM_LEAVE, &[("email", typed)]).await
}

async fn sign_in_by_form(client: &Client, person: &Person) -> Answer {
    sign_in_on_the_way_to(client, person, page::HOME).await
}

async fn sign_in_on_the_way_to(client: &Client, person: &Person, next: &str) -> Answer {
    let door = client.get(page::SIGN_IN).await;
    let fields = [
        ("email", person.email.as_str()),
        ("password", &person.password),
        ("next", next),
    ];
    let answer = client.submit(&door, page::FORM_SIGN_IN, &fields).await;
    client.follow(answer).await
}

/// The two weeks are over.
async fn let_time_pass(stack: &Stack) {
    stack
        .execute("update deletions set due = now() - interval '1 second'")
        .await;
}

async fn is_removed(stack: &Stack) {
    until("the account to be removed", async || {
        (stack.number("select count(*) from deletions").await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn it_is_asked_for_with_a_fresh_proof_and_ones_own_address_typed() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let (other, _) = Person::join(&stack).await;
    let fresh = client.get(page::SECURITY).await;
    for wrong in ["", "yes", other.email.as_str(), &format!("x{}", person.email)] {
        let answer = client.submit(&fresh, page::FORM_LEAVE, &[("email", wrong)]).await;
        assert_eq!(answer.status, 422, "{wrong}: {answer:?}");
        assert!(
            answer.text().contains("not the address of this account"),
            "{answer:?}"
        );
    }
    stack
        .execute("update sessions set proven_at = now() - interval '11 minutes'")
        .await;
    let own = [("email", person.email.as_str())];
    let stale = client.submit(&fresh, page::FORM_LEAVE, &own).await;
    assert_eq!(stale.location(), page::PROVE, "{stale:?}");
    let no_token = client.request(Method::POST, page::FORM_LEAVE).form(&own);
    client.send(no_token).await.has_status(StatusCode::FORBIDDEN);
    assert_eq!(stack.number("select count(*) from deletions").await, 0);
    assert_eq!(client.me().await.email, person.email, "still in");
}

#[tokio::test]
async fn asking_signs_every_device_out_on_every_node_within_two_seconds_and_tells_the_owner() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, client) = Person::join(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    let other_browser = person.browser(&stack).await;
    let elsewhere = laptop.at(&second.url());
    elsewhere.me().await;
    let (mut here, mut there) = (Socket::open(&other_browser).await, Socket::open(&elsewhere).await);
    let (_, bystander) = Person::join(&stack).await;
    let told = leave(&client, &person.email.as_str().to_uppercase()).await;
    assert!(told.succeeds().text().contains("will be deleted"), "{told:?}");
    assert!(!client.is_in(), "its cookie is taken away");
    must_close(&mut [&mut here, &mut there]).await;
    for device in [&laptop, &elsewhere, &other_browser] {
        is_signed_out(device).await;
        device.get(routes::ME).await.refused(Code::SessionRevoked);
    }
    bystander.me().await;
    let renewed = laptop.refresh_with(&laptop.tokens().refresh_token).await;
    assert_eq!(renewed.status, 400, "{renewed:?}");
    let letter = stack.letter_about(person.email.as_str(), "will be deleted").await;
    assert!(letter.text.contains("can be kept"), "{}", letter.text);
    assert_eq!(
        path_of(&letter.link.expect("a link")),
        format!("{}?", page::SIGN_IN)
    );
}

#[tokio::test]
async fn whoever_keeps_it_holds_the_user_before_all_else() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let user = format!("'{}'", client.me().await.user);
    leave(&client, person.email.as_str()).await.succeeds();
    let back = browser(&stack);
    let question = sign_in_by_form(&back, &person).await;
    let keeping = back.submit(&question, page::KEEP, &[]);
    while_held(&stack, &user, keeping).await;
    assert_eq!(back.me().await.email, person.email);
}

#[tokio::test]
async fn whoever_signs_in_before_is_asked_and_may_keep_it() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let session = client.create_session("Kept").await;
    leave(&client, person.email.as_str()).await.succeeds();

    let back = browser(&stack);
    let question = sign_in_by_form(&back, &person).await;
    assert!(question.text().contains("Keep your account?"), "{question:?}");
    assert!(!back.is_in(), "nobody is in yet");
    back.get(routes::ME).await.refused(Code::SignInRequired);
    // looking does not keep it, and leaving the page neither
    back.get(page::KEEP).await.succeeds();
    assert_eq!(stack.number("select count(*) from deletions").await, 1);

    let kept = back.submit(&question, page::KEEP, &[]).await;
    assert_eq!(kept.location(), page::HOME, "{kept:?}");
    assert_eq!(back.me().await.email, person.email);
    assert_eq!(back.session(session).await.title, "Kept");
    assert!(back.cookie(KEEP_COOKIE).is_none_or(|value| value.is_empty()));
    assert_eq!(stack.number("select count(*) from deletions").await, 0);
    let letter = stack.letter_about(person.email.as_str(), "is kept").await;
    assert!(letter.text.contains("not deleted after all"), "{}", letter.text);
    // once is enough: afterwards one signs in as ever
    person.native(&stack, "Laptop").await;
    let page = back.get(page::SECURITY).await.text();
    assert!(page.contains("Keeping the account"), "{page}");
}

#[tokio::test]
async fn whoever_keeps_it_goes_on_to_where_they_were_going_and_nowhere_else() {
    let stack = Stack::start().await;
    let (person, mut client) = Person::join(&stack).await;
    let forged: &[(&str, &str)] = &[("next", "//elsewhere.example/")];
    for (next, typed, wanted) in [
        (page::SECURITY, [].as_slice(), page::SECURITY),
        ("https://elsewhere.example/", &[], page::HOME),
        (page::SECURITY, forged, page::HOME),
    ] {
        leave(&client, person.email.as_str()).await.succeeds();
        client = browser(&stack);
        let question = sign_in_on_the_way_to(&client, &person, next).await;
        assert!(question.text().contains("Keep your account?"), "{question:?}");
        let kept = client.submit(&question, page::KEEP, typed).await;
        assert_eq!(kept.location(), wanted, "{next}: {kept:?}");
        assert!(client.is_in());
    }
}

#[tokio::test]
async fn whoever_presses_when_it_was_tried_too_often_is_told_to_wait_and_asked_again() {
    let stack = Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with("TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await;
    let (person, client) = Person::join(&stack).await;
    leave(&client, person.email.as_str()).await.succeeds();
    let back = browser(&stack);
    let question = sign_in_on_the_way_to(&back, &person, page::SECURITY).await;
    let crowded = "198.18.0.1";
    // what others of that network may have tried
    let others = Client::native(&stack.url());
    for number in 0..40 {
        let email = format!("x{number}@example.org");
        let body = json!({"email": email, "code": "00000000", "binding": "x", "client": native("Laptop")});
        let request = others
            .request(Method::POST, routes::VERIFY)
            .header("X-Forwarded-For", crowded)
            .json(&body);
        others.send(request).await;
    }
    let press = async |shown: &Answer, network: &str| {
        let request = back
            .request(Method::POST, page::KEEP)
            .header("X-Forwarded-For", network)
            .form(&shown.form(page::KEEP).hidden);
        back.send(request).await
    };
    let refused = press(&question, crowded).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    let text = refused.text();
    assert!(
        text.contains("Please wait") && text.contains("Keep your account?"),
        "{text}"
    );
    let kept = press(&refused, "198.18.9.1").await;
    assert_eq!(kept.location(), page::SECURITY, "{kept:?}");
    assert_eq!(back.me().await.email, person.email);
}

/// By the form, and by the question's address in a browser that was never asked.
#[tokio::test]
async fn whoever_is_too_late_to_keep_it_signs_in_again_and_goes_on_to_where_they_were_going() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    leave(&client, person.email.as_str()).await.succeeds();
    let back = browser(&stack);
    let question = sign_in_on_the_way_to(&back, &person, page::SECURITY).await;
    stack.execute("update challenges set expires = now()").await;
    let forged = [("next", "//elsewhere.example/")];
    let late = back.submit(&question, page::KEEP, &forged).await;
    assert_eq!(
        late.attribute_of("way-on", "href").as_deref(),
        Some(page::SIGN_IN)
    );
    let late = back.submit(&question, page::KEEP, &[]).await;
    late.has_status(StatusCode::GONE);
    let door = late.attribute_of("way-on", "href").expect("a way on");
    let asked = format!("{}?next={}", page::KEEP, page::SECURITY);
    assert_eq!(browser(&stack).get(&asked).await.location(), door);

    let door = back.get(&door).await;
    let fields = [("email", person.email.as_str()), ("password", &person.password)];
    let answer = back.submit(&door, page::FORM_SIGN_IN, &fields).await;
    let question = back.follow(answer).await;
    let kept = back.submit(&question, page::KEEP, &[]).await;
    assert_eq!(kept.location(), page::SECURITY, "{kept:?}");
}

#[tokio::test]
async fn the_question_is_answered_once_and_only_by_who_proved_all_steps() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let page = client.get(page::SECURITY).await;
    let set_up = client.submit(&page, page::SECOND_STEP_BEGIN, &[]).await;
    let phone = Authenticator::told(&set_up.text_of("secret"));
    let code = [("code", phone.code())];
    let fields: Vec<(&str, &str)> = code.iter().map(|(name, code)| (*name, code.as_str())).collect();
    client
        .submit(&set_up, page::FORM_SECOND_STEP_ON, &fields)
        .await
        .succeeds();
    stack.execute("update second_factors set last_step = 0").await;
    leave(&client, person.email.as_str()).await.succeeds();

    let back = browser(&stack);
    let step = sign_in_by_form(&back, &person).await;
    assert!(step.text().contains("One more step"), "{step:?}");
    // what is held for the second step keeps nothing
    let thief = browser(&stack);
    thief.put_cookie(
        KEEP_COOKIE,
        &back.cookie("__Host-compymac_step").expect("a challenge"),
    );
    assert_eq!(thief.get(page::KEEP).await.location(), page::SIGN_IN);

    let answer = back.submit(&step, page::SECOND_STEP, &fields).await;
    let question = back.follow(answer).await;
    assert!(question.text().contains("Keep your account?"), "{question:?}");
    // and what is held for the question is no second step
    let secret = back.cookie(KEEP_COOKIE).expect("what the question is about");
    stack.execute("update second_factors set last_step = 0").await;
    let ask = SecondStep {
        challenge: secret.clone(),
        code: phone.code(),
    };
    back.post(routes::SECOND_STEP, &ask)
        .await
        .refused(Code::InvalidOrExpiredLink);
    back.submit(&question, page::KEEP, &[])
        .await
        .has_status(StatusCode::SEE_OTHER);
    assert!(back.is_in());

    leave(&back, person.email.as_str()).await.succeeds();
    back.put_cookie(KEEP_COOKIE, &secret);
    assert_eq!(back.get(page::KEEP).await.location(), page::SIGN_IN, "used up");
    let again = back.submit(&question, page::KEEP, &[]).await;
    assert_eq!(again.status, StatusCode::GONE, "{again:?}");
    assert_eq!(stack.number("select count(*) from deletions").await, 1);
}

#[tokio::test]
async fn no_way_in_makes_a_device_of_an_account_that_is_to_go() {
    let provider = OpenIdProvider::start().await;
    let stack = providers::stack_with(&provider).await;
    let person = Person::fresh();
    provider.seat(&Visitor::with_address(person.email.as_str()));
    let client = browser(&stack);
    providers::sign_in(&stack, &client, "google").await;
    let page = client.get(page::SECURITY).await;
    client
        .submit(&page, page::FORM_PASSWORD, &[("password", &person.password)])
        .await
        .succeeds();
    leave(&client, person.email.as_str()).await.succeeds();

    let refusal = person
        .try_sign_in(&Client::native(&stack.url()), native("Laptop"))
        .await
        .refused(Code::AccountLeaving);
    assert!(
        refusal.sentence().contains("with your browser before then"),
        "{refusal:?}"
    );
    assert!(refusal.challenge.is_none(), "an app has no page to answer on");
    person
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::AccountLeaving);
    let by_provider = browser(&stack);
    let question = providers::sign_in(&stack, &by_provider, "google").await;
    assert!(question.text().contains("Keep your account?"), "{question:?}");

    let by_letter = browser(&stack);
    let form = by_letter.get(page::LETTER_ASK).await;
    by_letter
        .submit(&form, page::LETTER_ASK, &[("email", person.email.as_str())])
        .await
        .succeeds();
    let letter = stack
        .letter_about(person.email.as_str(), "Sign in to CompyMac")
        .await;
    let opened = by_letter.get(&path_of(&letter.link.expect("a link"))).await;
    let pressed = by_letter
        .submit(&opened, page::LETTER, &[("answer", "here")])
        .await;
    let question = by_letter.follow(pressed).await;
    assert!(question.text().contains("Keep your account?"), "{question:?}");

    for client in [&by_provider, &by_letter] {
        assert!(!client.is_in());
    }
    assert_eq!(
        stack
            .number("select count(*) from sessions where revoked_at is null")
            .await,
        0
    );
}

#[tokio::test]
async fn once_it_has_begun_nothing_takes_it_back() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    leave(&client, person.email.as_str()).await.succeeds();
    let back = browser(&stack);
    let question = sign_in_by_form(&back, &person).await;
    stack
        .execute("update deletions set begun_at = now(), lease_until = now() + interval '1 hour'")
        .await;
    let late = back.submit(&question, page::KEEP, &[]).await;
    assert_eq!(late.status, StatusCode::GONE, "{late:?}");
    let refusal = person
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::AccountLeaving);
    assert!(refusal.sentence().contains("is being deleted"), "{refusal:?}");
    assert!(!back.is_in());
    assert_eq!(stack.number("select count(*) from deletions").await, 1);
}

/// The last letter has left, or never will.
async fn no_letter_waits(stack: &Stack, person: &Person) {
    let letters = format!(
        "select count(*) from email_outbox where lower(recipient) = '{}'",
        person.email.key()
    );
    until("the last letter to be forgotten", async || {
        (stack.number(&letters).await == 0).then_some(())
    })
    .await;
}

/// Every file under a folder, by its path and its content.
fn read_folder(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        text.push_str(&path.to_string_lossy());
        text.push('\n');
        if path.is_dir() {
            read_folder(&path, text);
        } else {
            text.push_str(&String::from_utf8_lossy(
                &std::fs::read(&path).unwrap_or_default(),
            ));
        }
    }
}

/// All that somebody signs in with beside a password: a second step with its recovery codes, a passkey, and an account elsewhere,
/// by which they have begun to sign in.
async fn with_every_way_in(
    stack: &Stack,
    provider: &OpenIdProvider,
    words: impl Fn(&str) -> String,
) -> Careful {
    let careful = Careful::join(stack).await;
    let mut holder = PasskeyHolder::at(&stack.url());
    let added = passkeys::add(&careful.browser, &mut holder, &words("passkey")).await;
    added.succeeds();
    provider.seat(&Visitor {
        subject: words("subject"),
        ..Visitor::with_address(&(words("elsewhere") + "@example.org"))
    });
    connecting::connect(stack, &careful.browser, "google")
        .await
        .succeeds();
    let begun = providers::sign_in(stack, &browser(stack), "google").await;
    assert!(begun.text().contains("One more step"), "{begun:?}");
    careful
}

/// A computer of theirs, called so.
async fn computer(stack: &Stack, careful: &Careful, name: &str) -> Client {
    let laptop = Client::native(&stack.url());
    let challenge = careful.challenge(&laptop, native(name)).await;
    let proven = prove(&laptop, &challenge, &careful.phone.code()).await;
    laptop.hold(proven.expect::<SignedIn>().tokens.expect("tokens"));
    laptop
}

/// Somebody with something in every corner, and the words by which all of it is found.
async fn dweller(stack: &Stack, provider: &OpenIdProvider) -> (Person, Client, Vec<(&'static str, String)>) {
    let mark = format!("{:016x}", rand::random::<u64>());
    let words = |what: &str| format!("{what}{mark}");
    let careful = with_every_way_in(stack, provider, words).await;
    let laptop = computer(stack, &careful, &words("laptop")).await;
    let (person, client) = (careful.person, careful.browser);
    let me = client.me().await;
    let name = words("name");
    stack
        .execute(&format!(
            "update users set name = '{name}' where id = '{}'",
            me.user
        ))
        .await;
    let session = laptop.create_session(&words("title")).await;
    let sent = laptop.say(session, &words("message")).await;
    laptop.committed(session, sent.reply()).await;
    let workspace = stack
        .workspaces()
        .join(me.user.to_string())
        .join(session.to_string());
    std::fs::write(workspace.join("notes.txt"), words("file")).expect("a file in the workspace");
    // a copy of everything, and a change of address that waits
    let page = client.get(page::SECURITY).await;
    client.submit(&page, page::FORM_EXPORT, &[]).await;
    stack.letter_about(person.email.as_str(), "data is ready").await;
    let new = words("fresh") + "@example.org";
    client.submit(&page, page::FORM_EMAIL, &[("email", &new)]).await;
    stack.letter_about(&new, "Confirm your new").await;
    let needles = vec![
        ("the user", me.user.to_string()),
        ("the address", person.email.to_string()),
        ("the name", name),
        ("the device", words("laptop")),
        ("the title", words("title")),
        ("the message", words("message")),
        ("the file", words("file")),
        ("the passkey", words("passkey")),
        ("the identity", words("subject")),
        ("the address elsewhere", words("elsewhere")),
        ("the new address", new),
        ("the session", session.to_string()),
    ];
    (person, client, needles)
}

async fn everything(stack: &Stack) -> String {
    let mut text = stack.dump().await;
    read_folder(&stack.workspaces(), &mut text);
    text.push_str(&stack.redis_dump().await);
    text
}

#[tokio::test]
async fn when_its_time_is_over_nothing_of_it_is_left_anywhere() {
    let provider = OpenIdProvider::start().await;
    // passkeys want a name
    let stack = Stack::builder()
        .with_name()
        .with("PROVIDERS", provider.settings())
        .start()
        .await;
    let (person, client, needles) = dweller(&stack, &provider).await;
    let (_, _, others) = dweller(&stack, &provider).await;
    let codes = "select count(*) from recovery_codes";
    assert_eq!(stack.number(codes).await, 20);
    let events = stack.number("select count(*) from audit_events").await;
    let before = everything(&stack).await;
    for (what, needle) in needles.iter().chain(&others) {
        assert!(
            before.contains(needle.as_str()),
            "{what} is found while it is there"
        );
    }
    leave(&client, person.email.as_str()).await.succeeds();
    let_time_pass(&stack).await;
    is_removed(&stack).await;
    let letter = stack.letter_about(person.email.as_str(), "is deleted").await;
    assert!(
        letter.text.contains("everything in it is deleted"),
        "{}",
        letter.text
    );
    assert!(
        !letter.text.contains(page::SECURITY),
        "there is no such page any more"
    );
    no_letter_waits(&stack, &person).await;

    let after = everything(&stack).await;
    for (what, needle) in &needles {
        let place = after
            .find(needle.as_str())
            .map(|at| after.get(at.saturating_sub(300)..at + 100));
        assert!(place.is_none(), "{what} is still there: {place:?}");
    }
    for (what, needle) in &others {
        assert!(after.contains(needle.as_str()), "{what} of somebody else is gone");
    }
    assert_eq!(stack.number(codes).await, 10, "those of somebody else");
    // what happened at the door is still told, of nobody
    let left = stack.number("select count(*) from audit_events").await;
    assert!(left > events, "{left} of {events}");
    let unnamed = "select count(*) from audit_events a
                    where user_id is not null and not exists (select from users u where u.id = a.user_id)
                      and (device_id is not null or ip_prefix is not null or request_id is not null)";
    assert_eq!(stack.number(unnamed).await, 0);

    // and nothing of it stands in the way of beginning anew
    person
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::InvalidCredentials);
    client.get(routes::ME).await.refused(Code::SignInRequired);
    person
        .sign_up(&browser(&stack))
        .await
        .has_status(StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_last_letter_that_is_refused_leaves_no_address_behind() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let address = person.email.as_str();
    leave(&client, address).await.succeeds();
    stack.letter_about(address, "will be deleted").await;
    stack.mailbox.refuse(address, "550 5.1.1 no such user");
    let_time_pass(&stack).await;
    is_removed(&stack).await;
    no_letter_waits(&stack, &person).await;
    assert!(!everything(&stack).await.contains(address));
}

/// Whether they go themselves or an operator deletes them.
#[tokio::test]
async fn an_address_that_is_left_alone_stays_so_and_stands_nowhere_once_its_account_is_gone() {
    let stack = Stack::start().await;
    for is_by_operator in [false, true] {
        let (person, client) = Person::join(&stack).await;
        let address = person.email.as_str();
        stack.admin(&["letters", "suppress", address]).await.succeeds();
        if is_by_operator {
            stack
                .admin(&["users", "delete", address, "--yes"])
                .await
                .succeeds();
        } else {
            leave(&client, address).await.succeeds();
            let_time_pass(&stack).await;
            is_removed(&stack).await;
        }
        no_letter_waits(&stack, &person).await;
        assert!(!everything(&stack).await.contains(address), "{is_by_operator}");

        // whoever gives the address once more causes no letter
        person
            .sign_up(&browser(&stack))
            .await
            .has_status(StatusCode::ACCEPTED);
        let dropped =
            "select count(*) from email_outbox where failed_at is not null and error like '%left alone%'";
        until("the letter to be given up", async || {
            (stack.number(dropped).await == 1).then_some(())
        })
        .await;
        stack.admin(&["letters", "release", address]).await.succeeds();
        stack
            .admin(&["letters", "release", address])
            .await
            .refused("not suppressed");
        stack.execute("delete from email_outbox").await;
    }
}

/// What a mailbox refused is forgotten with whoever had it.
#[tokio::test]
async fn who_is_deleted_by_an_operator_leaves_no_letter_and_no_address_behind() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let user = client.me().await.user;
    let address = person.email.as_str();
    stack
        .execute(&format!(
            "insert into suppressions (address, reason, refusals, quiet_until) values ('{address}', 'refused', 1, now());
             insert into email_outbox (id, recipient, template, context, not_before)
             values (gen_random_uuid(), '{address}', 'verify', '{{}}', now() + interval '1 day')"
        ))
        .await;
    stack
        .admin(&["users", "delete", address, "--yes"])
        .await
        .succeeds();
    let after = stack.dump().await;
    for needle in [address, &user.to_string()] {
        assert!(!after.contains(needle), "{needle} is still there");
    }
}

#[tokio::test]
async fn a_removal_that_was_cut_off_is_taken_up_again() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let user = client.me().await.user;
    client.create_session("Gone").await;
    leave(&client, person.email.as_str()).await.succeeds();
    // as a node leaves it that dies between the rows and the folders
    stack.server.kill();
    stack.execute("delete from users").await;
    stack
        .execute(
            "update deletions set due = now(), begun_at = now(), lease_until = now() - interval '1 second'",
        )
        .await;
    let folder = stack.workspaces().join(user.to_string());
    assert!(folder.exists());
    stack.server.start_again().await;
    is_removed(&stack).await;
    assert!(!folder.exists());
    assert!(!stack.dump().await.contains(&user.to_string()));
}

#[tokio::test]
async fn nobody_goes_before_their_time() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let (gone, other) = Person::join(&stack).await;
    leave(&client, person.email.as_str()).await.succeeds();
    let days = "select round(extract(epoch from due - now()) / 86400)::bigint from deletions";
    assert_eq!(stack.number(days).await, 14);
    // the job has looked, since it removed somebody else whose time was over
    leave(&other, gone.email.as_str()).await.succeeds();
    stack
        .execute(&format!(
            "update deletions set due = now() from users u where u.id = user_id and u.email_key = '{}'",
            gone.email.key()
        ))
        .await;
    until("the other account to be removed", async || {
        (stack.number("select count(*) from deletions").await == 1).then_some(())
    })
    .await;
    assert_eq!(stack.number("select count(*) from users").await, 1);
    let question = sign_in_by_form(&browser(&stack), &person).await;
    assert!(question.text().contains("Keep your account?"), "{question:?}");
}
