//! Whoever guesses learns nothing from how long it takes to be answered, nor from what is said.

use crate::forgotten::forget_by;
use crate::providers::{Newcomer, stack_with, unconfirmed};
use harness::{Client, OpenIdProvider, Person, Stack, Visitor, browser};
use protocol::auth::{Client as Kind, Resend};
use protocol::routes::{self, page};
use protocol::{Code, Problem};
use std::time::{Duration, Instant};

const SAMPLES: usize = 300;
/// Where asking costs the server little, and whoever asks may do so ten times an hour.
const FEWER: usize = 60;
/// How far two kinds may lie from each other, in parts of the quicker one's time. Without a comparison for nobody, an unknown
/// address would be answered in a tenth of the time.
const TOLERANCE: f64 = 0.05;
/// Seconds that nobody sees in ten tries from another network. A letter that is written before the answer takes several times as long.
const UNSEEN: f64 = 0.001;

/// What anybody may find at an address, by how the account there stands.
async fn accounts(stack: &Stack, provider: &OpenIdProvider) -> Vec<(&'static str, Person)> {
    let (known, _) = Person::join(stack).await;
    let (locked, _) = Person::join(stack).await;
    lock(stack, &locked).await;
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

async fn lock(stack: &Stack, person: &Person) {
    let args = ["users", "lock", person.email.as_str()];
    stack.admin(&args).await.succeeds();
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

/// How long each of so many kinds takes, in seconds, round by round: each kind in each place of a round, and each after each
/// other, so that whatever changes on the machine, or goes on behind an answer, meets all alike.
async fn rounds(count: usize, kinds: usize, ask: impl AsyncFn(usize, usize) -> Duration) -> Vec<Vec<f64>> {
    let mut samples = vec![Vec::with_capacity(count); kinds];
    for round in 0..count {
        let is_turned = (round / kinds) % 2 == 1;
        for step in 0..kinds {
            let place = if is_turned { kinds - 1 - step } else { step };
            let kind = (round + place) % kinds;
            let took = ask(kind, round).await.as_secs_f64();
            samples.get_mut(kind).expect("a kind").push(took);
        }
    }
    samples
}

fn median(samples: impl IntoIterator<Item = f64>) -> f64 {
    let mut samples: Vec<f64> = samples.into_iter().collect();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// Two kinds are compared round by round, and the middle of the differences counts: what slows a whole round down is in neither,
/// and one slow answer is one of many.
fn assert_alike(door: &str, kinds: &[&str], samples: &[Vec<f64>], unseen: f64) {
    let medians: Vec<f64> = samples.iter().map(|kind| median(kind.iter().copied())).collect();
    let mut worst = 0.0_f64;
    for (place, (name, own)) in kinds.iter().zip(samples).enumerate() {
        for (other_name, other) in kinds.iter().zip(samples).skip(place + 1) {
            let apart = median(own.iter().zip(other).map(|(own, other)| own - other)).abs();
            let quicker = median(own.iter().copied()).min(median(other.iter().copied()));
            worst = worst.max(apart / quicker);
            assert!(
                apart <= (quicker * TOLERANCE).max(unseen),
                "{door}: {name} and {other_name} are {apart:.6} s apart; medians {medians:?}"
            );
        }
    }
    eprintln!(
        "{door}: {:.1} % apart at most; medians {medians:.6?} of {kinds:?}",
        worst * 100.0
    );
}

/// Has the machine to itself (`.config/nextest.toml`): what others do would be measured too.
#[tokio::test]
async fn how_long_a_refusal_takes_and_what_it_says_tells_nothing_of_the_account() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let accounts = accounts(&stack, &provider).await;
    let client = browser(&stack);
    let (_, said) = guess(&client, &accounts[0].1).await;
    let samples = rounds(SAMPLES, accounts.len(), async |kind, _| {
        let (name, person) = &accounts[kind];
        let (took, told) = guess(&client, person).await;
        assert_eq!(told, said, "{name}");
        took
    })
    .await;
    let kinds: Vec<&str> = accounts.iter().map(|(kind, _)| *kind).collect();
    assert_alike("signing in", &kinds, &samples, 0.0);
}

/// So has this one. What is said at these doors is compared elsewhere (`tests/server/same_answers.rs`).
#[tokio::test]
async fn how_long_asking_for_a_letter_or_an_account_takes_tells_nothing_of_the_address() {
    let stack = Stack::start().await;
    let (known, _) = Person::join(&stack).await;
    let waiting = Person::fresh();
    waiting.sign_up(&browser(&stack)).await.succeeds();
    let (locked, _) = Person::join(&stack).await;
    lock(&stack, &locked).await;
    let people = [Person::fresh(), known, waiting, locked];
    let kinds = ["unknown", "known", "not confirmed", "locked"];
    let client = browser(&stack);
    let asking = [page::FORGOT, page::LETTER_ASK];
    for door in asking {
        let form = client.get(door).await;
        let samples = rounds(FEWER, kinds.len(), async |kind, _| {
            let begun = Instant::now();
            let answer = forget_by(&client, &form, door, people[kind].email.as_str()).await;
            let took = begun.elapsed();
            answer.succeeds();
            took
        });
        assert_alike(door, &kinds, &samples.await, UNSEEN);
    }
    let samples = rounds(FEWER, kinds.len(), async |kind, _| {
        let email = people[kind].email.clone();
        let begun = Instant::now();
        let answer = client.post(routes::RESEND, &Resend { email }).await;
        let took = begun.elapsed();
        answer.succeeds();
        took
    });
    assert_alike("another letter", &kinds, &samples.await, UNSEEN);
    // a password is hashed there, and how long that takes varies by more than what is looked for
    let samples = rounds(SAMPLES, kinds.len(), async |kind, _| {
        // who was unknown a moment ago has asked meanwhile
        let fresh = Person::fresh();
        let person = if kind == 0 { &fresh } else { &people[kind] };
        let window = browser(&stack);
        let begun = Instant::now();
        let answer = person.sign_up(&window).await;
        let took = begun.elapsed();
        answer.succeeds();
        took
    });
    assert_alike("signing up", &kinds, &samples.await, UNSEEN);
}

/// So has this one. Another letter is asked for by the lines that ask for the first, on the way back from the provider.
#[tokio::test]
async fn how_long_a_newcomers_letter_takes_tells_nothing_of_the_address() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (known, _) = Person::join(&stack).await;
    let waiting = Person::fresh();
    waiting.sign_up(&browser(&stack)).await.succeeds();
    let mut newcomers = Vec::new();
    for person in [Person::fresh(), known, waiting] {
        let visitor = unconfirmed(person.email.as_str());
        newcomers.push(Newcomer::by(&stack, &provider, "google", &visitor).await);
    }
    let kinds = ["unknown", "known", "not confirmed"];
    let samples = rounds(FEWER, kinds.len(), async |kind, _| {
        let begun = Instant::now();
        let answer = newcomers[kind].asks_again().await;
        let took = begun.elapsed();
        answer.succeeds();
        took
    });
    assert_alike("a newcomer's letter", &kinds, &samples.await, UNSEEN);
}
