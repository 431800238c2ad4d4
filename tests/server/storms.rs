//! Short storms: everything fails in turn, and nothing is lost, doubled or left hanging. `cargo xtask soak` makes more.

use harness::{DeviceProgram, Person, Plan, Stack, storm, until, within};
use protocol::view::{Connection, Obstacle};
use std::collections::BTreeSet;
use std::time::Duration;

/// Together they make every trouble but a crash of PostgreSQL, which others use here too.
const SEEDS: [u64; 3] = [0, 29, 149];

#[tokio::test]
async fn a_storm_loses_and_doubles_nothing() {
    storm(&Plan::draw(SEEDS[0], false)).await;
}

#[tokio::test]
async fn another_storm_loses_and_doubles_nothing() {
    storm(&Plan::draw(SEEDS[1], false)).await;
}

#[tokio::test]
async fn a_third_storm_loses_and_doubles_nothing() {
    storm(&Plan::draw(SEEDS[2], false)).await;
}

#[test]
fn a_seed_tells_the_whole_plan() {
    assert_eq!(Plan::draw(7, true).steps, Plan::draw(7, true).steps);
    assert_ne!(Plan::draw(7, true).steps, Plan::draw(8, true).steps);
}

/// The fourth within ten minutes stops a device, as it should (seed 30256 had four).
#[test]
fn no_storm_restores_more_often_than_a_device_bears() {
    for seed in (0..200).chain([30256]) {
        let restored = Plan::draw(seed, true).troubles();
        let restored = restored.get("PostgreSQL restored from a backup").copied();
        assert!(restored.unwrap_or_default() <= 3, "seed {seed}: {restored:?}");
    }
}

/// What others here cannot bear: it cuts everybody off from the PostgreSQL that the tests share.
const TOO_MUCH: &str = "PostgreSQL crashed";

#[test]
fn the_storms_here_make_every_trouble_that_others_can_bear() {
    // whatever any storm of the soak can make
    let all: BTreeSet<String> = (0..300)
        .flat_map(|seed| Plan::draw(seed, true).troubles().into_keys())
        .collect();
    let mut here: BTreeSet<String> = SEEDS
        .iter()
        .flat_map(|seed| Plan::draw(*seed, false).troubles().into_keys())
        .collect();
    assert!(here.insert(TOO_MUCH.to_owned()), "others were cut off");
    assert_eq!(here, all);
}

#[tokio::test]
async fn a_device_on_a_full_disk_says_so_and_goes_on_by_itself_once_there_is_room() {
    let stack = Stack::start().await;
    let (person, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Full").await;
    let device = DeviceProgram::of(&person, &stack.url()).await;
    client.note(session, "before").await;
    let texts = async || {
        let messages = device.messages(session).await.unwrap_or_default();
        let texts = messages.into_iter().map(|message| message.content);
        texts.collect::<Vec<_>>()
    };
    until("what was written before", async || {
        (texts().await == ["before"]).then_some(())
    })
    .await;
    device.fill_disk(true).await;
    client.note(session, "without room").await;
    let by = Obstacle::Disk;
    until("the device to say so", async || {
        (device.connection().await == Connection::Stopped { by }).then_some(())
    })
    .await;
    // in vain
    device.wake().await;
    until("another try", async || {
        (device.times_said("the device stopped") > 1).then_some(())
    })
    .await;
    assert_eq!(device.connection().await, Connection::Stopped { by });
    assert_eq!(texts().await, ["before"], "reading goes on");
    device.fill_disk(false).await;
    within(Duration::from_secs(40), "the device to go on", async || {
        (device.connection().await == Connection::Online).then_some(())
    })
    .await;
    assert_eq!(texts().await, ["before", "without room"]);
    assert_eq!(device.compare().await, Ok(0));
}

#[tokio::test]
async fn a_write_whose_answer_found_the_disk_full_is_sent_again_once_there_is_room() {
    let stack = Stack::start().await;
    let (person, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Full").await;
    let device = DeviceProgram::of(&person, &stack.url()).await;
    // the answer is on its way when the disk fills
    stack.server.gate().slow(Duration::from_secs(2));
    device.send(session, "on its way").await.expect("written here");
    until("the write at the server", async || {
        let kept = "select count(*) from conversations where content = 'on its way'";
        (stack.number(kept).await == 1).then_some(())
    })
    .await;
    device.fill_disk(true).await;
    stack.server.gate().open();
    let refused = device.send(session, "no room").await.expect_err("no room");
    assert_eq!(refused.code, protocol::Code::DiskFull);
    until("the answer to be of no use", async || {
        device
            .has_said("an answer could not be written down")
            .then_some(())
    })
    .await;
    device.fill_disk(false).await;
    device.wake().await;
    within(
        Duration::from_secs(40),
        "the device to know that it was sent",
        async || (device.waiting().await == Ok(0)).then_some(()),
    )
    .await;
    let said = client.history(session).await.messages;
    let texts = said.iter().filter(|message| message.content == "on its way");
    assert_eq!(texts.count(), 1);
}
