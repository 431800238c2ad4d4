//! Passwords that stand in lists of stolen ones are refused wherever one is chosen, and the list never learns them.

use harness::{BreachList, Client, Mood, Person, Stack};
use protocol::Code;
use protocol::auth::{Password, SignUp};
use protocol::routes;

/// One that no rule of strength refuses.
const STOLEN: &str = "plum-harbor-violet-anchor";
const HASH: &str = "354FA6F0D3CE19B01DDD0D460D0F6CF213ADB4DC";

async fn over(list: &BreachList) -> Stack {
    Stack::builder()
        .with("BREACHED_PASSWORDS", list.address())
        .start()
        .await
}

async fn choose(stack: &Stack, password: &str) -> harness::Answer {
    let client = Client::native(&stack.url());
    let ask = SignUp {
        email: Person::fresh().email,
        password: Password::typed(password),
        name: None,
        work: None,
    };
    client.post(routes::SIGN_UP, &ask).await
}

#[tokio::test]
async fn a_stolen_password_is_refused_and_five_characters_of_its_hash_are_all_that_is_told() {
    let list = BreachList::of(&[HASH]).await;
    let stack = over(&list).await;
    let refusal = choose(&stack, STOLEN).await.refused(Code::WeakPassword);
    assert_eq!(refusal.field.as_deref(), Some("password"));
    assert!(refusal.sentence().contains("stolen"), "{}", refusal.sentence());
    assert_eq!(list.asked(), [(HASH[..5].to_owned(), true)]);
    choose(&stack, "copper-thicket-summit-ember").await.succeeds();
    let metrics = Client::native(&stack.url()).get(routes::METRICS).await.text();
    for line in ["{result=\"found\"} 1", "{result=\"clean\"} 1"] {
        assert!(
            metrics.contains(&format!("breached_password_checks_total{line}")),
            "{line}"
        );
    }
    for told in [STOLEN, HASH, &HASH[5..]] {
        assert!(!stack.logs().contains(told));
    }
}

#[tokio::test]
async fn one_that_is_weak_by_itself_is_not_even_asked_about() {
    let list = BreachList::of(&[]).await;
    let stack = over(&list).await;
    choose(&stack, "password1234").await.refused(Code::WeakPassword);
    assert!(list.asked().is_empty());
}

#[tokio::test]
async fn a_list_that_does_not_answer_hinders_nobody_and_is_counted() {
    let list = BreachList::of(&[HASH]).await;
    let stack = over(&list).await;
    for mood in [Mood::Broken, Mood::Hangs, Mood::Noise] {
        list.be(mood);
        choose(&stack, STOLEN).await.succeeds();
    }
    let metrics = Client::native(&stack.url()).get(routes::METRICS).await.text();
    assert!(metrics.contains("breached_password_checks_total{result=\"failed\"} 3"));
}
