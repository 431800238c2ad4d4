//! What is being written: kept for each person, bounded, and gone in the moment in which it is sent.

use super::*;

fn kept(store: &Store, user: UserId) -> Vec<Draft> {
    runtime().block_on(store.drafts(user)).unwrap()
}

fn keep(store: &Store, user: UserId, place: Option<SessionId>, text: &str) {
    runtime()
        .block_on(store.keep_drafts(user, vec![(place, text.to_owned())]))
        .unwrap();
}

#[test]
fn a_draft_is_one_persons_and_is_gone_when_it_is_emptied_or_they_leave() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let other = UserId(Epoch::from_u128(77));
    keep(&store, user(), Some(id(1)), "half a");
    keep(&store, user(), Some(id(1)), "half a thought");
    keep(&store, user(), None, "a beginning");
    keep(&store, other, None, "theirs");
    runtime().block_on(store.close());
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let mut mine = kept(&store, user());
    mine.sort();
    assert_eq!(
        mine,
        [
            (None, "a beginning".to_owned()),
            (Some(id(1)), "half a thought".to_owned())
        ]
    );
    keep(&store, user(), None, "");
    assert_eq!(kept(&store, user()).len(), 1);
    runtime().block_on(store.drop_outbox(user())).unwrap();
    assert_eq!(kept(&store, user()), []);
    assert_eq!(kept(&store, other).len(), 1);
}

#[test]
fn what_was_touched_longest_ago_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    for number in 1..=200 {
        keep(&store, user(), Some(id(number)), "x");
    }
    keep(&store, user(), Some(id(1)), "touched again");
    keep(&store, user(), Some(id(201)), "x");
    let kept: BTreeSet<_> = kept(&store, user()).into_iter().map(|(place, _)| place).collect();
    assert_eq!(kept.len(), 200);
    assert!(kept.contains(&Some(id(1))) && !kept.contains(&Some(id(2))));
}

#[test]
fn a_draft_goes_with_the_plan_that_sends_it_and_with_its_session() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    keep(&store, user(), Some(id(1)), "said");
    keep(&store, user(), None, "said");
    keep(&store, user(), Some(id(2)), "unsaid");
    let mut outbox = Outbox::default();
    let plan = written(&outbox, id(1), "said");
    runtime.block_on(store.keep(user(), plan.clone(), 5)).unwrap();
    assert_eq!(kept(&store, user()), [(Some(id(2)), "unsaid".to_owned())]);

    // What is written while it is on its way is another draft, whatever it says.
    outbox.apply(&plan);
    keep(&store, user(), Some(id(1)), "said");
    let (_, plan) = outbox.dispatch(id(1), 50, 6).unwrap();
    runtime.block_on(store.keep(user(), plan, 5)).unwrap();
    assert_eq!(kept(&store, user()).len(), 2);

    let delete = Op::SessionDelete { session: id(2) };
    let plan = outbox.enqueue(MutationId::fresh(), delete, 0, 7).unwrap();
    runtime.block_on(store.keep(user(), plan.clone(), 5)).unwrap();
    assert_eq!(kept(&store, user()).len(), 2, "it can still be undone");
    let mut accepted = plan.put[0].clone();
    accepted.standing = Standing::Acked { seq: 9 };
    let plan = Plan {
        put: vec![accepted],
        ..Plan::default()
    };
    runtime.block_on(store.keep(user(), plan, 5)).unwrap();
    assert_eq!(kept(&store, user()), [(Some(id(1)), "said".to_owned())]);
}
