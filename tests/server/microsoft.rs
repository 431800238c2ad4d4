//! Signing in with Microsoft: people of many directories by one door, each of whose keepers may write what they like.

use crate::providers::{LIES, Newcomer, at_the_provider, begin, must_refuse, sign_in};
use harness::{Client, Fault, OpenIdProvider, Person, Stack, Visitor, browser};
use protocol::Code;
use protocol::auth::{Client as Kind, SignedIn};
use protocol::routes::page;
use serde_json::{Value, json};

const OTHER: &str = "66666666-7777-4888-8999-aaaaaaaaaaaa";
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

async fn stack_with(provider: &OpenIdProvider, tenant: &str) -> Stack {
    Stack::builder()
        .with("PROVIDERS", provider.settings_as_microsoft(tenant))
        .start()
        .await
}

fn somebody() -> Visitor {
    Visitor::with_address(Person::fresh().email.as_str())
}

#[tokio::test]
async fn people_of_every_directory_sign_in_and_are_known_by_directory_and_object_alone() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider, "common").await;
    let ana = somebody();
    provider.seat(&ana);
    let first = browser(&stack);
    sign_in(&stack, &first, "microsoft").await;
    let user = first.me().await.user;
    // the same number in another directory is somebody else
    let mut users = vec![user];
    for directory in [OTHER, PERSONAL] {
        provider.seat(&Visitor {
            directory: directory.to_owned(),
            subject: ana.subject.clone(),
            ..somebody()
        });
        let client = browser(&stack);
        sign_in(&stack, &client, "microsoft").await;
        let other = client.me().await.user;
        assert!(!users.contains(&other), "{directory}");
        users.push(other);
    }
    // and whatever their address is by now, and whoever proves it, they are who they were
    provider.seat(&Visitor {
        owns_domain: None,
        email: Person::fresh().email.to_string(),
        ..ana
    });
    let again = browser(&stack);
    sign_in(&stack, &again, "microsoft").await;
    assert_eq!(again.me().await.user, user);
}

#[tokio::test]
async fn the_way_out_leads_to_the_tenant_of_the_settings_and_its_button_says_whose_it_is() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider, "organizations").await;
    let client = browser(&stack);
    let shown = client.visit(page::SIGN_IN).await;
    assert!(shown.text().contains("Continue with Microsoft"), "{shown:?}");
    let address = begin(&client, "microsoft").await;
    assert!(
        address.starts_with(&format!("{}/microsoft/organizations/authorize?", provider.url())),
        "{address}"
    );
    for part in [
        "code_challenge_method=S256",
        "nonce=",
        "state=",
        "scope=openid+email+profile",
    ] {
        assert!(address.contains(part), "{part} in {address}");
    }
}

#[tokio::test]
async fn another_directory_that_writes_the_victims_address_gets_nobody_in() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider, "common").await;
    let (victim, _) = Person::join(&stack).await;
    let unproven = [
        None,
        Some(Value::Null),
        Some(json!(false)),
        Some(json!("false")),
        Some(json!("0")),
        Some(json!(0)),
        Some(json!("yes")),
        Some(json!([true])),
    ];
    for owns_domain in unproven {
        // neither as the victim, nor as the first to come with an address that may be anybody's
        for email in [victim.email.clone(), Person::fresh().email] {
            let stranger = Visitor {
                directory: OTHER.to_owned(),
                owns_domain: owns_domain.clone(),
                ..Visitor::with_address(email.as_str())
            };
            let client = Newcomer::by(&stack, &provider, "microsoft", &stranger)
                .await
                .window;
            // nor does anything wait in that browser for the victim to sign in there
            victim
                .try_sign_in(&client, Kind::Browser)
                .await
                .expect::<SignedIn>();
            assert_eq!(
                stack.number("select count(*) from accounts").await,
                0,
                "{owns_domain:?} was linked"
            );
        }
    }
}

/// Whose directory says nothing of the address, as that of personal accounts, begins by a letter, and is known without one from then on.
#[tokio::test]
async fn a_personal_account_begins_by_the_code_of_a_letter() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider, "common").await;
    let ana = Visitor {
        directory: PERSONAL.to_owned(),
        owns_domain: None,
        ..somebody()
    };
    let newcomer = Newcomer::by(&stack, &provider, "microsoft", &ana).await;
    let letter = stack.letter_to(&ana.email, 1).await;
    assert!(letter.text.contains("Microsoft"), "{letter:?}");
    newcomer.types(&letter.code.expect("a code")).await;
    let me = newcomer.window.me().await;
    assert_eq!(me.email.as_str(), ana.email);
    let again = browser(&stack);
    sign_in(&stack, &again, "microsoft").await;
    assert_eq!(again.me().await.user, me.user);
}

#[tokio::test]
async fn a_proven_domain_spares_a_letter_and_still_opens_nobodys_account() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider, "common").await;
    for proven in [json!(true), json!("true"), json!("1"), json!(1)] {
        let newcomer = Visitor {
            owns_domain: Some(proven.clone()),
            ..somebody()
        };
        provider.seat(&newcomer);
        let client = browser(&stack);
        sign_in(&stack, &client, "microsoft").await;
        assert_eq!(client.me().await.email.as_str(), newcomer.email, "{proven}");

        let (owner, _) = Person::join(&stack).await;
        let same = Visitor {
            owns_domain: Some(proven.clone()),
            ..Visitor::with_address(owner.email.as_str())
        };
        provider.seat(&same);
        let client = browser(&stack);
        sign_in(&stack, &client, "microsoft").await;
        assert!(!client.is_in(), "{proven}");
        // who knows the password links it
        owner
            .try_sign_in(&client, Kind::Browser)
            .await
            .expect::<SignedIn>();
        let fresh = browser(&stack);
        sign_in(&stack, &fresh, "microsoft").await;
        assert_eq!(fresh.me().await.email, owner.email, "{proven}");
    }
}

#[tokio::test]
async fn only_people_of_the_directories_in_the_settings_get_in() {
    const WORK: &str = "11111111-2222-4333-8444-555555555555";
    let provider = OpenIdProvider::start().await;
    for (tenant, admitted) in [
        ("organizations", &[WORK, OTHER][..]),
        ("consumers", &[PERSONAL]),
        (OTHER, &[OTHER]),
    ] {
        let stack = stack_with(&provider, tenant).await;
        for directory in [WORK, OTHER, PERSONAL] {
            provider.seat(&Visitor {
                directory: directory.to_owned(),
                ..somebody()
            });
            let client = browser(&stack);
            sign_in(&stack, &client, "microsoft").await;
            assert_eq!(
                client.is_in(),
                admitted.contains(&directory),
                "{directory} at {tenant}"
            );
        }
    }
}

/// The lies that only an issuer of many can tell, each with what it is refused for.
const OF_DIRECTORIES: [(Fault, &str); 6] = [
    (Fault::OtherDirectory, "Invalid issuer"),
    (Fault::KeyOfAnotherDirectory, "No matching key found"),
    (Fault::NoDirectory, "the ID token needs `tid` and `oid`"),
    (Fault::CrookedDirectory, "the token names no directory"),
    (Fault::NoObject, "the ID token needs `tid` and `oid`"),
    (Fault::IssOfAnotherDirectory, "the answer is from another issuer"),
];

#[tokio::test]
async fn every_lie_about_a_directory_is_refused() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider, "common").await;
    // Microsoft does not promise to name itself in its answers
    let of_anybody = LIES.into_iter().filter(|(lie, _)| *lie != Fault::NoIssInAnswer);
    let lies = OF_DIRECTORIES
        .into_iter()
        .chain(of_anybody)
        .map(|(lie, why)| (lie, why, Code::ProviderFailed));
    for lie in lies.chain([(Fault::Cancelled, "", Code::ProviderCancelled)]) {
        let enter = async |client: &Client| sign_in(&stack, client, "microsoft").await;
        must_refuse(&stack, (&provider, "microsoft"), lie, enter).await;
    }
    // the key for personal accounts is good for those
    provider.seat(&Visitor {
        directory: PERSONAL.to_owned(),
        ..somebody()
    });
    provider.misbehave(Fault::KeyOfAnotherDirectory);
    let client = browser(&stack);
    sign_in(&stack, &client, "microsoft").await;
    assert!(client.is_in());
    // and an answer counts in the browser that left alone
    provider.misbehave(Fault::None);
    provider.seat(&somebody());
    let back = at_the_provider(&stack, &begin(&browser(&stack), "microsoft").await).await;
    let other = browser(&stack);
    other.get(&back).await;
    assert!(!other.is_in());
}

/// Of a service for many, only the token says which directory is meant; of one directory, it is known before.
#[tokio::test]
async fn an_answer_of_an_issuer_that_nobody_may_come_from_is_refused_before_its_code_is_redeemed() {
    const WORK: &str = "11111111-2222-4333-8444-555555555555";
    let provider = OpenIdProvider::start().await;
    for (tenant, fault, redeemed) in [
        ("common", Fault::OtherIssInAnswer, 0),
        (WORK, Fault::OtherIssInAnswer, 0),
        (WORK, Fault::IssOfAnotherDirectory, 0),
        ("consumers", Fault::IssOfAnotherDirectory, 0),
        ("common", Fault::IssOfAnotherDirectory, 1),
    ] {
        let stack = stack_with(&provider, tenant).await;
        provider.seat(&somebody());
        provider.misbehave(fault);
        let before = provider.asked().tokens;
        let client = browser(&stack);
        sign_in(&stack, &client, "microsoft").await;
        assert!(!client.is_in(), "{tenant} {fault:?}");
        assert_eq!(provider.asked().tokens - before, redeemed, "{tenant} {fault:?}");
    }
}

#[tokio::test]
async fn a_service_that_leads_elsewhere_is_not_followed() {
    let provider = OpenIdProvider::start().await;
    for fault in [Fault::RedirectingKeys, Fault::TokensByAnotherName] {
        let stack = stack_with(&provider, "common").await;
        provider.misbehave(fault);
        let client = browser(&stack);
        let shown = client.visit(page::SIGN_IN).await;
        let leaving = client
            .submit(&shown, &page::provider_start("microsoft"), &[])
            .await;
        assert_eq!(leaving.header("refresh"), None, "{fault:?}");
    }
}
