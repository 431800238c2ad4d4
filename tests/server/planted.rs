//! What somebody may have put into an account before its owner came is gone once the owner has proven the mailbox, in
//! whatever way they do.

use crate::forgotten::{choose, letter_of};
use crate::letter::{Asked, press};
use crate::providers::{self, Newcomer, stack_with, unconfirmed};
use harness::mailbox::path_of;
use harness::{Client, OpenIdProvider, Person, Stack, Visitor, browser};
use protocol::Code;
use protocol::auth::{Client as Kind, SignedIn};
use protocol::routes::{self, page};

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
        format!(
            "insert into email_changes (id, user_id, old_email, new_email, new_email_key, old_hash, new_hash, expires)
             values (gen_random_uuid(), {user}, '{0}', 'planted@example.org', 'planted@example.org',
                     sha256('old'), sha256('new'), now() + interval '1 day')",
            person.email
        ),
    ] {
        assert_eq!(stack.execute(&planted).await, 1, "{planted}");
    }
}

/// Devices of somebody else's that are the person's from now on: a browser, and a computer with its tokens.
async fn plant_devices(stack: &Stack, person: &Person) -> [Client; 2] {
    let (other, _) = Person::join(stack).await;
    // not used before, so that the server believes nothing of them yet
    let devices = [other.browser(stack).await, other.native(stack, "Planted").await];
    let moved = stack
        .execute(&format!(
            "update sessions set user_id = (select id from users where email_key = '{}')
              where user_id = (select id from users where email_key = '{}')",
            person.email.key(),
            other.email.key()
        ))
        .await;
    assert_eq!(moved, 3, "these and the one of the sign-up");
    let [window, laptop] = &devices;
    assert_eq!(window.me().await.email, person.email, "it is in");
    laptop.refresh().await;
    assert_eq!(laptop.me().await.email, person.email, "so is this one");
    devices
}

/// Nothing that they hold opens anything.
async fn are_out(way: &str, [window, laptop]: &[Client; 2]) {
    for device in [window, laptop] {
        let refused = device.get(routes::ME).await;
        assert_eq!(refused.problem().code, Code::SessionRevoked, "{way}: {refused:?}");
    }
    let renewed = laptop.refresh_with(&laptop.tokens().refresh_token).await;
    assert_eq!(renewed.status, 400, "{way}: {renewed:?}");
}

/// What of it is there.
async fn planted(stack: &Stack) -> i64 {
    let all = "select (select count(*) from accounts where provider_account_id like 'planted %')
                    + (select count(*) from second_factors) + (select count(*) from recovery_codes)
                    + (select count(*) from passkeys)
                    + (select count(*) from email_changes where ended_at is null)";
    stack.number(all).await
}

#[tokio::test]
async fn nothing_that_was_planted_before_outlives_any_proof_of_the_mailbox() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    for way in ["code", "link", "provider", "newcomer", "letter", "reset"] {
        let (person, client) = (Person::fresh(), browser(&stack));
        person.sign_up(&client).await.succeeds();
        let first = stack.letter_to(person.email.as_str(), 1).await;
        plant(&stack, &person).await;
        assert_eq!(planted(&stack).await, 5, "{way}");
        let devices = plant_devices(&stack, &person).await;
        let owner = match way {
            "code" => {
                let code = first.code.expect("a code");
                let confirmed = person.confirm(&client, &code, None, Kind::Browser).await;
                confirmed.expect::<SignedIn>();
                client
            }
            "link" => {
                let form = client.get(&path_of(&first.link.expect("a link"))).await;
                let fields = [("password", person.password.as_str())];
                client.submit(&form, page::VERIFY, &fields).await;
                client
            }
            "provider" => {
                provider.seat(&Visitor::with_address(person.email.as_str()));
                let owner = browser(&stack);
                providers::sign_in(&stack, &owner, "google").await;
                owner
            }
            "newcomer" => {
                let visitor = unconfirmed(person.email.as_str());
                let owner = Newcomer::by(&stack, &provider, "google", &visitor).await;
                let code = stack.letter_to(person.email.as_str(), 2).await.code;
                owner.types(&code.expect("a code")).await;
                owner.window
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
        are_out(way, &devices).await;
        assert_eq!(owner.devices().await.len(), 1, "{way}");
    }
}

async fn users_and_accounts(stack: &Stack) -> (i64, i64) {
    let users = stack.number("select count(*) from users").await;
    (users, stack.number("select count(*) from accounts").await)
}

/// Somebody writes the victim's address into an account at a provider that confirms none; with the code that only the victim gets.
async fn claims(stack: &Stack, provider: &OpenIdProvider, victim: &Person) -> (Newcomer, String) {
    let claimed = unconfirmed(victim.email.as_str());
    let attacker = Newcomer::by(stack, provider, "google", &claimed).await;
    let letter = stack.letter_to(victim.email.as_str(), 1).await;
    (attacker, letter.code.expect("a code"))
}

#[tokio::test]
async fn whoever_claims_an_address_at_a_lax_provider_gets_nothing_before_its_owner_comes_nor_after() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let victim = Person::fresh();
    let (attacker, code) = claims(&stack, &provider, &victim).await;
    assert_eq!(users_and_accounts(&stack).await, (0, 0), "nothing is made");
    // the owner signs up as anybody, and finds nothing of it
    let owner = browser(&stack);
    victim.sign_up(&owner).await.succeeds();
    let own = stack.letter_about(victim.email.as_str(), "Confirm your").await;
    let own = own.code.expect("a code");
    victim
        .confirm(&owner, &own, None, Kind::Browser)
        .await
        .expect::<SignedIn>();
    // and a letter from before, if the attacker ever sees it, opens and links nothing
    let late = attacker.types(&code).await;
    assert_eq!(late.status, 410, "{late:?}");
    assert!(!attacker.window.is_in());
    assert_eq!(users_and_accounts(&stack).await, (1, 0));
    assert_eq!(owner.devices().await.len(), 1);
}

#[tokio::test]
async fn without_the_mailbox_a_claimed_address_is_guessed_at_five_times() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let victim = Person::fresh();
    let (attacker, code) = claims(&stack, &provider, &victim).await;
    for guess in ["00000000", "11111111", "", "ABCD-EFGH", "22222222", "33333333"] {
        let refused = attacker.types(guess).await;
        assert_eq!(refused.status, 410, "{guess}: {refused:?}");
    }
    let used_up = attacker.types(&code).await;
    assert_eq!(used_up.status, 410, "{used_up:?}");
    assert!(!attacker.window.is_in());
    assert_eq!(users_and_accounts(&stack).await, (0, 0));
    let noted =
        "select count(*) from audit_events where outcome = 'refused' and reason = 'google: wrong code'";
    assert_eq!(stack.number(noted).await, 7);
}

/// Whatever letters there were, and whether the address is somebody's already or not.
#[tokio::test]
async fn guesses_at_the_codes_of_a_claimed_address_are_counted_together() {
    let provider = OpenIdProvider::start().await;
    let stack = Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with("PROVIDERS", provider.settings())
        .start()
        .await;
    let (owner, _) = Person::join(&stack).await;
    let victim = Person::fresh();
    for (person, subject) in [(&victim, "Is this your"), (&owner, "Somebody tried to sign in")] {
        let claimed = unconfirmed(person.email.as_str());
        let attacker = Newcomer::by(&stack, &provider, "google", &claimed).await;
        stack.letter_about(person.email.as_str(), subject).await;
        let mut statuses = Vec::new();
        for _ in 0..12 {
            // as of another letter
            stack
                .execute("update verification_tokens set attempts = 0 where purpose = 'newcomer'")
                .await;
            statuses.push(attacker.types("00000000").await.status);
        }
        let (tried, too_many) = statuses.split_at(10);
        assert!(
            tried.iter().all(|status| *status == 410),
            "{subject}: {statuses:?}"
        );
        assert_eq!(too_many, [429, 429], "{subject}");
    }
}

/// The owner is told, and connects it themselves or not at all.
#[tokio::test]
async fn a_claimed_address_of_an_account_is_told_to_its_owner_and_linked_to_nothing() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (owner, _) = Person::join(&stack).await;
    let claimed = unconfirmed(owner.email.as_str());
    let attacker = Newcomer::by(&stack, &provider, "google", &claimed).await;
    let told = stack
        .letter_about(owner.email.as_str(), "Somebody tried to sign in")
        .await;
    assert_eq!(told.code, None, "{told:?}");
    assert!(
        told.text.contains("nobody was let in") && told.text.contains(page::SECURITY),
        "{told:?}"
    );
    assert_eq!(attacker.types("00000000").await.status, 410);
    // nor does anything wait in that browser for the owner to sign in there
    owner
        .try_sign_in(&attacker.window, Kind::Browser)
        .await
        .expect::<SignedIn>();
    assert_eq!(users_and_accounts(&stack).await, (1, 0));
    // the owner's own list has it
    let mine = "select count(*) from audit_events a join users u on u.id = a.user_id
                 where a.reason = 'google: address not confirmed' and a.outcome = 'refused'";
    assert_eq!(stack.number(mine).await, 1);
}

/// Between the letter and its code somebody else may prove the mailbox: then the account is theirs, and a code of before is nothing.
#[tokio::test]
async fn whoever_signs_in_by_letter_first_ends_what_a_newcomer_waits_for() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let person = Person::fresh();
    person.sign_up(&browser(&stack)).await.succeeds();
    let claimed = unconfirmed(person.email.as_str());
    let attacker = Newcomer::by(&stack, &provider, "google", &claimed).await;
    let code = stack.letter_about(person.email.as_str(), "Is this your").await;
    let asked = Asked::by(&stack, &person, 3).await;
    press(&asked.window, &asked.link, "here").await;
    assert!(asked.window.is_in());
    let late = attacker.types(&code.code.expect("a code")).await;
    assert_eq!(late.status, 410, "{late:?}");
    assert_eq!(users_and_accounts(&stack).await, (1, 0));
}
