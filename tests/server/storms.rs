//! Short storms: everything fails in turn, and nothing is lost, doubled or left hanging. `cargo xtask soak` makes more.

use harness::{Plan, storm};

#[tokio::test]
async fn a_storm_loses_and_doubles_nothing() {
    storm(&Plan::draw(1, false)).await;
}

#[tokio::test]
async fn another_storm_loses_and_doubles_nothing() {
    storm(&Plan::draw(2, false)).await;
}

#[test]
fn a_seed_tells_the_whole_plan() {
    assert_eq!(Plan::draw(7, true).steps, Plan::draw(7, true).steps);
    assert_ne!(Plan::draw(7, true).steps, Plan::draw(8, true).steps);
}
