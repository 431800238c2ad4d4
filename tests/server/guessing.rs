//! Whoever guesses learns nothing from how long it takes to be refused, nor from what is said.

use harness::{Client, OpenIdProvider, Person, Stack, Visitor, browser};
use protocol::auth::Client as Kind;
use protocol::{Code, Problem};
use std::time::{Duration, Instant};

const SAMPLES: usize = 300;
/// How far two medians may lie from each other, in hundredths. Without a comparison for nobody, an unknown address would be
/// answered in a tenth of the time.
const TOLERANCE: u32 = 10;

/// What anybody may find at an address, by how the account there stands.
async fn accounts(stack: &Stack, provider: &OpenIdProvider) -> Vec<(&'static str, Person)> {
    let (known, _) = Person::join(stack).await;
    let (locked, _) = Person::join(stack).await;
    stack
        .admin(&["users", "lock", locked.email.as_str()])
        .await
        .succeeds();
    let elsewhere = Person::fresh();
    provider.seat(&Visitor::with_address(elsewhere.email.as_str()));
    let window = browser(stack);
    crate::providers::sign_in(stack, &window, "google").await;
    window.me().await;
    let unverified = Person::fresh();
    unverified.sign_up(&browser(stack)).await.succeeds();
    vec![
        ("unknown", Person::fresh()),
        ("known", known),
        ("a provider's alone", elsewhere),
        ("locked", locked),
        ("not confirmed", unverified),
    ]
}

async fn guess(client: &Client, person: &Person) -> (Duration, Problem) {
    let guess = Person {
        password: "not-the-password-at-all".to_owned(),
        ..person.clone()
    };
    let begun = Instant::now();
    let answer = guess.try_sign_in(client, Kind::Browser).await;
    let took = begun.elapsed();
    assert!(answer.set_cookies().is_empty(), "{answer:?}");
    let mut told = answer.refused(Code::InvalidCredentials);
    told.request_id = None;
    (took, told)
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort();
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// Has the machine to itself (`.config/nextest.toml`): what others do would be measured too.
#[tokio::test]
async fn how_long_a_refusal_takes_and_what_it_says_tells_nothing_of_the_account() {
    let provider = OpenIdProvider::start().await;
    let stack = crate::providers::stack_with(&provider).await;
    let accounts = accounts(&stack, &provider).await;
    let client = browser(&stack);
    let (_, said) = guess(&client, &accounts[0].1).await;
    let mut samples: Vec<Vec<Duration>> = vec![Vec::new(); accounts.len()];
    for round in 0..SAMPLES {
        // each kind in each place of a round, so that whatever changes on the machine meets all alike
        for place in 0..accounts.len() {
            let which = (round + place) % accounts.len();
            let (kind, person) = &accounts[which];
            let (took, told) = guess(&client, person).await;
            assert_eq!(told, said, "{kind}");
            samples[which].push(took);
        }
    }
    let medians: Vec<(&str, Duration)> = accounts
        .iter()
        .zip(samples)
        .map(|((kind, _), samples)| (*kind, median(samples)))
        .collect();
    eprintln!("medians of {SAMPLES}: {medians:?}");
    let all = || medians.iter().map(|(_, median)| *median);
    let (least, most) = (all().min().expect("some"), all().max().expect("some"));
    assert!(most <= least * (100 + TOLERANCE) / 100, "{medians:?}");
}
