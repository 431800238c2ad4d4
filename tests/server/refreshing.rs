//! Refresh tokens at two nodes at once: whatever the order is, one device has one line of tokens.

use crate::native_sign_in::oauth_error;
use futures_util::future::join_all;
use harness::{Answer, Person, Stack};
use protocol::auth::{SignedIn, Tokens};
use protocol::oauth::Grant;
use protocol::routes;

/// More than enough for every order that two nodes find.
const ROUNDS: i64 = 12;
/// Asked at each node in a round, and in the last one.
const ASKED: usize = 4;
const ASKED_LAST: usize = 25;

fn tokens(answer: &Answer) -> Tokens {
    answer.expect::<SignedIn>().tokens.expect("tokens")
}

/// The token is shown at both nodes at once, while the device is at work at both with what came with it.
#[tokio::test]
async fn rounds_at_two_nodes_give_one_successor_each_and_the_generation_grows_by_one() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (_, here) = Person::join_natively(&stack).await;
    let there = here.at(&second.url());
    let device = here.me().await.device;
    let generation = format!("select gen from sessions where id = '{device}'");
    let first = stack.number(&generation).await;
    for round in 1..=ROUNDS {
        let token = here.tokens().refresh_token;
        // both have their connections open, so that neither is first by that
        let works = [here.get(routes::ME).await, there.get(routes::ME).await];
        let asked = if round == ROUNDS { ASKED_LAST } else { ASKED };
        let (at_one, at_other, used_here, used_there) = tokio::join!(
            join_all((0..asked).map(|_| here.refresh_with(&token))),
            join_all((0..asked).map(|_| there.refresh_with(&token))),
            here.get(routes::ME),
            there.get(routes::ME),
        );
        for used in works.iter().chain([&used_here, &used_there]) {
            assert_eq!(used.status, 200, "round {round}: {used:?}");
        }
        // and one comes late, as whoever lost the answer does
        let late = there.refresh_with(&token).await;
        let given: Vec<Tokens> = at_one
            .iter()
            .chain(&at_other)
            .chain([&late])
            .map(tokens)
            .collect();
        let successor = given.first().expect("an answer").clone();
        assert_ne!(successor.refresh_token, token, "round {round}");
        assert!(
            given
                .iter()
                .all(|other| other.refresh_token == successor.refresh_token),
            "round {round}: one successor"
        );
        assert_eq!(
            stack.number(&generation).await,
            first + round,
            "round {round}: one step"
        );
        here.hold(successor.clone());
        there.hold(successor);
    }
    let signed_out = "select count(*) from sessions where revoked_at is not null";
    assert_eq!(stack.number(signed_out).await, 0);
}

/// RFC 6749 §6: a refresh token is bound to the program that it was given to.
#[tokio::test]
async fn by_another_programs_name_a_token_renews_nothing_and_harms_nobody() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let refresh_token = client.tokens().refresh_token;
    for name in ["somebody-else", "", "COMPYMAC-DESKTOP", "compymac-desktop "] {
        let grant = Grant::RefreshToken {
            refresh_token: refresh_token.clone(),
            client_id: name.to_owned(),
        };
        let refused = client.token(&grant).await;
        assert_eq!(oauth_error(&refused), "invalid_grant", "{name}");
    }
    let signed_out = "select count(*) from sessions where revoked_at is not null";
    assert_eq!(stack.number(signed_out).await, 0);
    client.me().await;
    client.refresh().await;
}
