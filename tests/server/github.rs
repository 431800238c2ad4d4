//! Signing in with GitHub: its number is who somebody is, whatever they are called, and only the first address counts.

use crate::providers::{Newcomer, sign_in, stack_with};
use harness::{OpenIdProvider, Person, Stack, Visitor, browser};
use protocol::auth::Me;

fn visitor() -> Visitor {
    Visitor::with_address(Person::fresh().email.as_str())
}

/// Whoever comes in as this visitor.
async fn enters(stack: &Stack, provider: &OpenIdProvider, visitor: &Visitor) -> Me {
    provider.seat(visitor);
    let client = browser(stack);
    sign_in(stack, &client, "github").await;
    client.me().await
}

#[tokio::test]
async fn who_is_called_otherwise_is_the_same_and_who_takes_the_old_name_is_somebody_else() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let ana = visitor();
    let before = enters(&stack, &provider, &ana).await;
    let renamed = Visitor {
        handle: "ana-ruiz".to_owned(),
        ..ana.clone()
    };
    let after = enters(&stack, &provider, &renamed).await;
    assert_eq!(after.user, before.user);
    let heir = Visitor {
        handle: ana.handle.clone(),
        ..visitor()
    };
    let other = enters(&stack, &provider, &heir).await;
    assert_ne!(other.user, before.user);
    assert_eq!(other.email.as_str(), heir.email);
    assert_eq!(stack.number("select count(*) from users").await, 2);
}

/// Further addresses are added there by whoever reads them once, and stay when that is somebody else's mailbox by then.
#[tokio::test]
async fn a_proven_address_that_is_not_the_first_lets_nobody_in() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (owner, _) = Person::join(&stack).await;
    let stand_in = "12345+somebody@users.noreply.github.com";
    let unproven = visitor().email;
    let besides = vec![owner.email.to_string(), visitor().email];
    for is_verified in [true, false] {
        provider.seat(&Visitor {
            is_verified: Some(is_verified),
            besides: besides.clone(),
            ..Visitor::with_address(stand_in)
        });
        let client = browser(&stack);
        let page = sign_in(&stack, &client, "github").await;
        assert!(
            page.text().contains("no e-mail address that reaches you"),
            "{is_verified}: {page:?}"
        );
        assert!(!client.is_in(), "{is_verified}");
    }
    // nobody but the first address is written to, and nothing is made
    let newcomer = Visitor {
        is_verified: Some(false),
        besides,
        ..Visitor::with_address(&unproven)
    };
    let newcomer = Newcomer::by(&stack, &provider, "github", &newcomer).await;
    let letter = stack.letter_to(&unproven, 1).await;
    assert_eq!(stack.number("select count(*) from users").await, 1);
    assert_eq!(stack.number("select count(*) from accounts").await, 0);
    let elsewhere = format!(
        "select count(*) from email_outbox where recipient not in ('{}', '{unproven}')",
        owner.email
    );
    assert_eq!(stack.number(&elsewhere).await, 0);
    newcomer.types(&letter.code.expect("a code")).await;
    assert_eq!(newcomer.window.me().await.email.as_str(), unproven);
}
