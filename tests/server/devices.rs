//! Seeing one's devices and signing them out, felt everywhere at once.

use harness::{Client, Person, Socket, Stack, within};
use protocol::frame::close;
use protocol::{Code, DeviceId, routes};
use std::time::Duration;

const AT_ONCE: Duration = Duration::from_secs(2);

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
    let (person, laptop) = Person::join_natively(&stack).await;
    let browser = person.browser(&stack).await;
    let device = laptop.me().await.device;
    stack.redis_gate().shut();
    browser.revoke(device).await.succeeds();
    // without a note to the nodes, their own looking has to find it
    within(Duration::from_secs(40), "the device to be refused", async || {
        (laptop.get(routes::ME).await.status == 401).then_some(())
    })
    .await;
}
