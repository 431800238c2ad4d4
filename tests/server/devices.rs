//! Seeing one's devices and signing them out, felt everywhere at once.

use harness::{Answer, Client, EventStream, Person, SESSION_COOKIE, Socket, Stack, browser, within};
use http::StatusCode;
use protocol::frame::{ClientFrame, close};
use protocol::routes::page;
use protocol::{Code, DeviceId, routes};
use std::time::Duration;

const AT_ONCE: Duration = Duration::from_secs(2);
/// As `docs/operations.md` says.
const WITHOUT_REDIS: Duration = Duration::from_secs(15);

/// A reply that takes longer than any test waits.
const ENDLESS: &str =
    "/slow 2000ms one two three four five six seven eight nine ten eleven twelve thirteen fourteen";

/// Asks for what changes next and waits for it, as long as may be.
async fn poll(client: &Client) -> tokio::task::JoinHandle<Answer> {
    let head = client.bootstrap().await.as_of;
    let polling = client.at(client.base());
    let waiting = tokio::spawn(async move {
        polling
            .get(&format!("{}?cursor={head}&wait=25", routes::SYNC))
            .await
    });
    // by the time that some others are answered, so is it, or it waits
    for _ in 0..3 {
        client.me().await;
    }
    assert!(!waiting.is_finished(), "there is nothing new");
    waiting
}

async fn is_signed_out(client: &Client) {
    within(AT_ONCE, "the device to be refused", async || {
        (client.get(routes::ME).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_device_signed_out_from_another_is_out_on_every_node_within_two_seconds() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, laptop) = Person::join_natively(&stack).await;
    let browser = person.browser(&stack).await;
    let laptop_elsewhere = laptop.at(&second.url());
    laptop_elsewhere.me().await;
    let (mut here, mut there) = (Socket::open(&laptop).await, Socket::open(&laptop_elsewhere).await);

    let device = laptop.me().await.device;
    browser.revoke(device).await.succeeds();
    let closed = tokio::time::timeout(AT_ONCE, async { (here.closed().await, there.closed().await) }).await;
    assert_eq!(
        closed.expect("both sockets closed in time"),
        (close::REVOKED, close::REVOKED)
    );
    is_signed_out(&laptop).await;
    is_signed_out(&laptop_elsewhere).await;
    browser.me().await;
    assert!(browser.devices().await.iter().all(|other| other.id != device));
}

/// Whoever waits for changes is told that it is out, and gets nothing of what comes after.
#[tokio::test]
async fn a_device_that_waits_for_changes_is_told_at_once_that_it_is_signed_out() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, laptop) = Person::join_natively(&stack).await;
    let browser = person.browser(&stack).await;
    let polls = [poll(&laptop).await, poll(&laptop.at(&second.url())).await];
    browser.revoke(laptop.me().await.device).await.succeeds();
    browser.create_session("Not for a thief").await;
    let told = tokio::time::timeout(AT_ONCE, futures_util::future::join_all(polls)).await;
    for told in told.expect("both told in time") {
        told.expect("an answer").refused(Code::SessionRevoked);
    }
}

#[tokio::test]
async fn a_browser_signed_out_from_elsewhere_loses_its_socket_and_its_cookie() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    let mut socket = Socket::open(&browser).await;
    laptop.revoke(browser.me().await.device).await.succeeds();
    assert_eq!(socket.closed().await, close::REVOKED);
    is_signed_out(&browser).await;
}

#[tokio::test]
async fn signing_out_closes_ones_own_sockets() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let mut socket = Socket::open(&client).await;
    client.sign_out().await.succeeds();
    assert_eq!(socket.closed().await, close::REVOKED);
}

#[tokio::test]
async fn nobody_sees_or_signs_out_somebody_elses_device() {
    let stack = Stack::start().await;
    let (_, victim) = Person::join(&stack).await;
    let (_, stranger) = Person::join(&stack).await;
    let device = victim.me().await.device;
    stranger.revoke(device).await.refused(Code::NotFound);
    stranger.revoke(DeviceId::fresh()).await.refused(Code::NotFound);
    assert!(stranger.devices().await.iter().all(|other| other.id != device));
    victim.me().await;
}

#[tokio::test]
async fn a_device_can_be_signed_out_while_redis_is_away() {
    let stack = Stack::builder().with_gates().start().await;
    let second = stack.second_server().await;
    let (person, laptop) = Person::join_natively(&stack).await;
    let browser = person.browser(&stack).await;
    let device = laptop.me().await.device;
    let path = routes::session_socket(laptop.create_session("Open").await);
    // at a node that has no part in the sign-out
    let elsewhere = laptop.at(&second.url());
    let mut socket = Socket::open(&elsewhere).await;
    let mut plain = Socket::connect_as(&elsewhere, &path, None)
        .await
        .expect("a socket");
    let session = laptop.create_session("Watched").await;
    let run = laptop.say(session, ENDLESS).await.run();
    let mut events = EventStream::open(&elsewhere, run, None).await;
    let waiting = poll(&elsewhere).await;
    stack.redis_gate().shut();
    browser.revoke(device).await.succeeds();
    // without a note to the nodes, their own looking has to find it, before a socket's ping would
    let closed = async {
        while events.next().await.is_some() {}
        waiting.await.expect("an answer").refused(Code::SessionRevoked);
        [socket.closed().await, plain.closed().await]
    };
    let closed = tokio::time::timeout(WITHOUT_REDIS, closed).await;
    assert_eq!(closed.expect("all closed in time"), [close::REVOKED; 2]);
    is_signed_out(&laptop).await;
    is_signed_out(&elsewhere).await;
}

/// Opens the security page and presses "Sign out all others".
async fn sign_out_others(client: &Client) -> Answer {
    let page = client.get(page::SECURITY).await;
    client.submit(&page, page::FORM_SIGN_OUT_OTHERS, &[]).await
}

#[tokio::test]
async fn all_others_are_signed_out_on_every_node_within_two_seconds_and_this_one_stays() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, laptop) = Person::join_natively(&stack).await;
    let (tablet, browser) = (person.browser(&stack).await, person.browser(&stack).await);
    let (_, neighbour) = Person::join(&stack).await;
    let (laptop_elsewhere, tablet_elsewhere) = (laptop.at(&second.url()), tablet.at(&second.url()));
    tablet_elsewhere.me().await;
    let (mut here, mut there) = (Socket::open(&laptop).await, Socket::open(&laptop_elsewhere).await);
    let mut own = Socket::open(&browser).await;

    let done = sign_out_others(&browser).await;
    assert!(
        done.succeeds()
            .text()
            .contains("Every other device is signed out")
    );
    let closed = tokio::time::timeout(AT_ONCE, async { (here.closed().await, there.closed().await) }).await;
    assert_eq!(
        closed.expect("both sockets closed in time"),
        (close::REVOKED, close::REVOKED)
    );
    for other in [&laptop, &laptop_elsewhere, &tablet, &tablet_elsewhere] {
        is_signed_out(other).await;
    }
    laptop
        .refresh_with(&laptop.tokens().refresh_token)
        .await
        .has_status(StatusCode::BAD_REQUEST);
    assert_eq!(browser.devices().await.len(), 1);
    browser.create_session("Still here").await;
    own.next().await.expect("a socket that goes on");
    neighbour.me().await;

    let letter = stack
        .letter_about(person.email.as_str(), "Your other devices were signed out")
        .await;
    assert!(letter.text.contains(page::SECURITY), "{}", letter.text);
    let events = browser.get(page::SECURITY).await;
    assert!(
        events.text().contains("Signing out all other devices"),
        "{events:?}"
    );
    // nobody is left, and nothing is offered
    assert!(!events.text().contains(page::FORM_SIGN_OUT_OTHERS));
}

#[tokio::test]
async fn others_are_signed_out_only_by_who_has_just_shown_who_they_are() {
    let stack = Stack::start().await;
    let (person, laptop) = Person::join_natively(&stack).await;
    let browser = person.browser(&stack).await;
    laptop.delete(routes::DEVICES).await.refused(Code::ProofRequired);
    let page = browser.get(page::SECURITY).await;
    stack
        .execute("update sessions set proven_at = now() - interval '11 minutes'")
        .await;
    browser.delete(routes::DEVICES).await.refused(Code::ProofRequired);
    let refused = browser.submit(&page, page::FORM_SIGN_OUT_OTHERS, &[]).await;
    assert_eq!(refused.location(), page::PROVE, "{refused:?}");
    laptop.me().await;

    let page = browser.get(page::PROVE).await;
    let fields = [("password", person.password.as_str())];
    browser.submit(&page, page::PROVE, &fields).await;
    browser.delete(routes::DEVICES).await.succeeds();
    is_signed_out(&laptop).await;
    browser.me().await;
    // once more is as once, and nobody is told twice
    browser.delete(routes::DEVICES).await.succeeds();
    let told = "select count(*) from email_outbox where template = 'devices_signed_out'";
    assert_eq!(stack.number(told).await, 1);
}

/// Its devices are forgotten by then: only how long ago the address was proven tells that this is not the first.
#[tokio::test]
async fn whoever_enters_an_account_that_slept_is_told_of() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    browser.sign_out().await.succeeds();
    stack.execute("delete from sessions").await;
    stack
        .execute("update users set email_verified = now() - interval '91 days'")
        .await;
    person.browser(&stack).await;
    stack
        .letter_about(person.email.as_str(), "A new device signed in")
        .await;
}

/// What a copied cookie opened before its owner showed who they are.
#[tokio::test]
async fn what_the_cookie_of_before_opened_is_closed_after_a_fresh_proof_and_opens_nothing_more() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, owner) = Person::join(&stack).await;
    let session = owner.create_session("Overheard").await;
    let run = owner
        .say(session, "/slow 2000ms one two three four five six seven")
        .await
        .run();
    let thief = browser(&stack);
    thief.put_cookie(SESSION_COOKIE, &owner.cookie(SESSION_COOKIE).expect("a cookie"));
    let elsewhere = thief.at(&second.url());
    let (mut here, mut there) = (Socket::open(&thief).await, Socket::open(&elsewhere).await);
    let own = Some(thief.origin());
    let path = routes::session_socket(session);
    let mut plain = Socket::connect_as(&elsewhere, &path, own)
        .await
        .expect("a socket");
    let mut events = EventStream::open(&elsewhere, run, None).await;
    // one that has not said hello yet, and a ticket for it
    let mut silent = Socket::connect(&thief).await.expect("a socket");
    let ticket = Some(thief.ticket().await);
    let waiting = poll(&elsewhere).await;

    let page = owner.get(page::PROVE).await;
    let fields = [("password", person.password.as_str())];
    let proven = owner.submit(&page, page::PROVE, &fields).await;
    assert_eq!(proven.location(), page::SECURITY, "{proven:?}");
    // as browsers do, with the new cookie: from then on the one of before is worth nothing
    owner.follow(proven).await.succeeds();
    let closed = tokio::time::timeout(AT_ONCE, async {
        while events.next().await.is_some() {}
        waiting.await.expect("an answer").refused(Code::SignInRequired);
        [here.closed().await, there.closed().await, plain.closed().await]
    });
    assert_eq!(
        closed.await.expect("all closed in time"),
        [close::TOKEN_EXPIRED; 3]
    );
    let hello = ClientFrame::Hello {
        ticket,
        cursor: None,
        enc: Vec::new(),
    };
    silent.send(&hello).await;
    assert_eq!(silent.closed().await, close::TOKEN_EXPIRED);
    for client in [&thief, &elsewhere] {
        client.get(routes::ME).await.refused(Code::SignInRequired);
    }
    // its owner comes again, on any node, and is let go of no more
    let mut again = Socket::open(&owner.at(&second.url())).await;
    owner.create_session("Between us").await;
    again.next().await.expect("a socket that goes on");
}
