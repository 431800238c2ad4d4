//! One door in: what makes a device, and who may say that both steps of a sign-in are proven.

use crate::tree::{self, Source};

/// What only these files may say, and why it matters. Looked for in the whole text, since SQL stands in strings.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        "insert into sessions",
        &["sync-server/src/auth/devices.rs"],
        "devices are made by one statement",
    ),
    (
        "devices::insert",
        &["sync-server/src/auth/finish.rs"],
        "devices are made by finish_sign_in alone, whatever the way in",
    ),
    (
        "step: Step::Second",
        &[
            // both were asked for in this very sign-in, or a passkey answers for both
            "sync-server/src/auth/second_step.rs",
            "sync-server/src/auth/deletion.rs",
            "sync-server/src/auth/passkey/entering.rs",
            // a browser that had proven both let a program in
            "sync-server/src/auth/native/grants.rs",
            "sync-server/src/auth/native/device_flow.rs",
        ],
        "who says that the second step is proven has to be known here",
    ),
];

fn faults(sources: &[Source]) -> Vec<String> {
    let ours = |source: &&Source| source.path.starts_with("sync-server/src/");
    let mut faults = Vec::new();
    for (words, places, why) in ONLY_IN {
        let elsewhere = sources
            .iter()
            .filter(ours)
            .filter(|source| source.text.contains(words) && !places.contains(&source.path.as_str()));
        faults.extend(elsewhere.map(|source| format!("{}: `{words}`: {why}", source.path)));
    }
    faults
}

/// A place that is named and says nothing any more would let the next one pass unseen.
fn unused(sources: &[Source]) -> Vec<String> {
    let says = |place: &str, words: &str| {
        let found = sources.iter().find(|source| source.path == place);
        found.is_some_and(|source| source.text.contains(words))
    };
    let named = ONLY_IN
        .iter()
        .flat_map(|(words, places, _)| places.iter().map(move |place| (place, words)));
    named
        .filter(|(place, words)| !says(place, words))
        .map(|(place, words)| format!("{place}: `{words}` is not there"))
        .collect()
}

#[test]
fn every_device_is_made_at_the_one_door() {
    let sources = tree::rust();
    tree::assert_none("the door", &faults(&sources));
    tree::assert_none("the door", &unused(&sources));
}

#[test]
fn a_second_door_is_seen() {
    let at = |path: &str, text: &str| [Source::sample(path, text)];
    let insert = "sqlx::query!(\"insert into sessions (id) values ($1)\")";
    assert_eq!(faults(&at("sync-server/src/auth/operator.rs", insert)).len(), 1);
    assert!(faults(&at("sync-server/src/auth/devices.rs", insert)).is_empty());
    let entrance = "Entrance { step: Step::Second, user }";
    assert_eq!(
        faults(&at("sync-server/src/auth/by_letter.rs", entrance)).len(),
        1
    );
    assert!(faults(&at("sync-server/src/auth/second_step.rs", entrance)).is_empty());
}
