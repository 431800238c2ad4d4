//! What somebody may have put into an account before its owner came is gone once the owner has proven the mailbox, in
//! whatever way they do.

use crate::forgotten::{choose, letter_of};
use crate::letter::{Asked, press};
use crate::providers::{self, stack_with};
use harness::{OpenIdProvider, Person, Stack, Visitor, browser};
use protocol::auth::{Client as Kind, SignedIn};
use protocol::routes;

/// No client can do so: nobody who has not proven the mailbox is let in.
async fn plant(stack: &Stack, person: &Person) {
    let user = format!(
        "(select id from users where email_key = '{}')",
        person.email.key()
    );
    for planted in [
        format!(
            "insert into accounts (user_id, provider, provider_account_id) values ({user}, 'google', 'planted ' || {user})"
        ),
        format!(
            "insert into second_factors (user_id, secret, confirmed_at) values ({user}, 'planted', now())"
        ),
        format!("insert into recovery_codes (user_id, selector, hash) values ({user}, 'AAAA', 'planted')"),
        format!(
            "insert into passkeys (user_id, id, credential_id, name, credential)
             values ({user}, gen_random_uuid(), {user}::text::bytea, 'Planted', '{{}}')"
        ),
    ] {
        assert_eq!(stack.execute(&planted).await, 1, "{planted}");
    }
}

/// What of it is there.
async fn planted(stack: &Stack) -> i64 {
    let all = "select (select count(*) from accounts where provider_account_id like 'planted %')
                    + (select count(*) from second_factors) + (select count(*) from recovery_codes)
                    + (select count(*) from passkeys)";
    stack.number(all).await
}

#[tokio::test]
async fn nothing_that_was_planted_before_outlives_any_proof_of_the_mailbox() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    for way in ["code", "provider", "letter", "reset"] {
        let (person, client) = (Person::fresh(), browser(&stack));
        person.sign_up(&client).await.succeeds();
        let first = stack.letter_to(person.email.as_str(), 1).await;
        plant(&stack, &person).await;
        assert_eq!(planted(&stack).await, 4, "{way}");
        let owner = match way {
            "code" => {
                let code = first.code.expect("a code");
                let confirmed = person.confirm(&client, &code, None, Kind::Browser).await;
                confirmed.expect::<SignedIn>();
                client
            }
            "provider" => {
                provider.seat(&Visitor::with_address(person.email.as_str()));
                let owner = browser(&stack);
                providers::sign_in(&stack, &owner, "google").await;
                owner
            }
            "letter" => {
                let asked = Asked::by(&stack, &person, 2).await;
                press(&asked.window, &asked.link, "here").await;
                asked.window
            }
            _ => {
                let link = letter_of(&stack, &person, 2).await;
                choose(&browser(&stack), &link, &person.password).await.succeeds();
                person.browser(&stack).await
            }
        };
        // in at once: nobody is asked for a step that a stranger turned on
        assert_eq!(owner.get(routes::ME).await.status, 200, "{way}");
        assert_eq!(planted(&stack).await, 0, "{way}");
    }
}
