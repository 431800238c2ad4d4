//! The pages that the server draws: they work by plain forms, with no script at all.

use harness::{Answer, Client, Person, Stack, browser, until};
use http::Method;
use protocol::routes::{self, page};
use std::collections::BTreeSet;

#[tokio::test]
async fn somebody_can_sign_up_confirm_talk_and_sign_out_by_forms_alone() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    let credentials = [
        ("email", person.email.as_str()),
        ("password", person.password.as_str()),
    ];

    let form = client.visit(page::SIGN_UP).await;
    let sent = client.submit(&form, page::FORM_SIGN_UP, &credentials).await;
    let check_mail = client.follow(sent).await;
    let code = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .code
        .expect("a code");
    let confirmed = client
        .submit(
            &check_mail,
            page::FORM_CHECK_MAIL,
            &[("email", person.email.as_str()), ("code", &code)],
        )
        .await;
    let home = client.follow(confirmed).await;
    assert_eq!(client.me().await.email, person.email);

    let made = client.submit(&home, page::FORM_NEW_SESSION, &[]).await;
    let session = client.follow(made).await;
    let id = client
        .sessions()
        .await
        .first()
        .map(|session| session.id)
        .expect("a session");
    let said = client
        .submit(
            &session,
            &page::with_id(page::FORM_SEND, id),
            &[("text", "Hello <b>you</b>")],
        )
        .await;
    client.follow(said).await;
    until("the reply on the page", async || {
        let text = client.visit(&page::session(id)).await.text();
        let replies = text.matches("data-role=\"assistant\"").count();
        assert!(!text.contains("<b>you</b>"), "what people write is text");
        (replies == 1 && text.contains("data-status=\"complete\"")).then_some(())
    })
    .await;

    let open = client.visit(&page::session(id)).await;
    let renamed = client
        .submit(
            &open,
            &page::with_id(page::FORM_RENAME, id),
            &[("title", "By hand")],
        )
        .await;
    assert!((300..400).contains(&renamed.status), "{renamed:?}");
    assert_eq!(client.session(id).await.title, "By hand");
    let open = client.visit(&page::session(id)).await;
    client
        .submit(&open, &page::with_id(page::FORM_ARCHIVE, id), &[])
        .await;
    assert!(client.session(id).await.archived);
    assert!(client.visit(page::ARCHIVED).await.text().contains("By hand"));

    let home = client.visit(page::SETTINGS).await;
    let out = client.submit(&home, page::FORM_SIGN_OUT, &[]).await;
    client.follow(out).await;
    assert_eq!(client.get(routes::ME).await.status, 401);
}

/// Follows every link from these pages on, and knocks where every form is sent, without what would let it act.
async fn nothing_is_dead(client: &Client, begin: &[String]) -> usize {
    let mut ahead = begin.to_vec();
    let mut seen = BTreeSet::new();
    while let Some(path) = ahead.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let page = client.visit(&path).await;
        assert!(page.status < 400, "{path} is offered: {page:?}");
        for form in page.forms() {
            let knock = client.send(client.request(Method::POST, &form.action)).await;
            assert!(
                ![404, 405].contains(&knock.status),
                "{} at {path}: {knock:?}",
                form.action
            );
        }
        let local = page
            .links()
            .into_iter()
            .filter(|link| link.starts_with('/') && !link.starts_with("//"));
        ahead.extend(local.map(|link| link.split('#').next().unwrap_or_default().to_owned()));
    }
    seen.len()
}

#[tokio::test]
async fn no_page_offers_what_is_not_there() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let id = client.create_session("Looked over").await;
    let sent = client.say(id, "Every link").await;
    client.committed(id, sent.reply()).await;
    let inside = [
        page::HOME,
        page::ARCHIVED,
        page::SETTINGS,
        page::SECURITY,
        page::DEVICE_CODE,
        routes::API_DOCS,
    ];
    let inside: Vec<String> = inside
        .map(str::to_owned)
        .into_iter()
        .chain([page::session(id)])
        .collect();
    let found = nothing_is_dead(&client, &inside).await;
    assert!(found >= inside.len(), "{found}");
    let outside = [page::SIGN_IN, page::SIGN_UP, page::FORGOT, page::LETTER_ASK].map(str::to_owned);
    nothing_is_dead(&browser(&stack), &outside).await;
}

#[tokio::test]
async fn a_form_sent_twice_acts_once() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let home = client.visit(page::HOME).await;
    for _ in 0..2 {
        client.submit(&home, page::FORM_NEW_SESSION, &[]).await;
    }
    assert_eq!(
        client.sessions().await.len(),
        1,
        "one session for one page's button"
    );
    let id = client
        .sessions()
        .await
        .first()
        .map(|session| session.id)
        .expect("a session");
    let open = client.visit(&page::session(id)).await;
    for _ in 0..2 {
        client
            .submit(&open, &page::with_id(page::FORM_SEND, id), &[("text", "Once")])
            .await;
    }
    let history = client.history(id).await;
    assert_eq!(
        history
            .messages
            .iter()
            .filter(|message| message.content == "Once")
            .count(),
        1
    );
}

/// The page that the back button brings has the ids of what was sent.
#[tokio::test]
async fn other_words_in_a_form_that_was_sent_are_neither_lost_nor_taken_for_the_first() {
    const OTHER: &str = "Written after going back";
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let home = client.visit(page::HOME).await;
    client.submit(&home, page::FORM_NEW_SESSION, &[]).await;
    let sessions = client.sessions().await;
    let id = sessions.first().map(|session| session.id).expect("a session");
    let open = client.visit(&page::session(id)).await;
    let send = page::with_id(page::FORM_SEND, id);
    client.submit(&open, &send, &[("text", "The first")]).await;
    let refused = client.submit(&open, &send, &[("text", OTHER)]).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.text().contains(OTHER), "it stands in the field again");
    let times = async |text: &str| {
        let messages = client.history(id).await.messages;
        messages.iter().filter(|message| message.content == text).count()
    };
    assert_eq!((times("The first").await, times(OTHER).await), (1, 0));
    // the page with the reason has ids of its own
    client.submit(&refused, &send, &[("text", OTHER)]).await;
    assert_eq!((times("The first").await, times(OTHER).await), (1, 1));
}

#[tokio::test]
async fn a_refused_form_keeps_what_was_typed_and_says_why() {
    let stack = Stack::start().await;
    let client = browser(&stack);
    let form = client.visit(page::SIGN_IN).await;
    let fields = [("email", "ana@example.org"), ("password", "not-her-password")];
    let again = client.submit(&form, page::FORM_SIGN_IN, &fields).await;
    let again = client.follow(again).await;
    let text = again.text();
    assert!(text.contains("data-testid=\"problem\""), "{text}");
    assert!(text.contains("ana@example.org"), "the address stays");
    assert!(!text.contains("not-her-password"), "the password does not");
    let form = client.visit(page::SIGN_UP).await;
    let weak = client
        .submit(
            &form,
            page::FORM_SIGN_UP,
            &[("email", "ana@example.org"), ("password", "weak")],
        )
        .await;
    let weak = client.follow(weak).await;
    assert!(weak.text().contains("data-testid=\"problem\""), "{weak:?}");
}

#[tokio::test]
async fn somebody_signed_out_is_led_to_the_door_and_back() {
    let stack = Stack::start().await;
    let (person, owner) = Person::join(&stack).await;
    let id = owner.create_session("Deep").await;
    let client = browser(&stack);
    let door = client.visit(&page::session(id)).await;
    let fields = [
        ("email", person.email.as_str()),
        ("password", person.password.as_str()),
    ];
    let inside = client.submit(&door, page::FORM_SIGN_IN, &fields).await;
    assert!(inside.location().ends_with(&page::session(id)), "{inside:?}");
}

/// The address that a page's link to this place has.
fn link_to(answer: &Answer, place: &str) -> String {
    let mut links = answer.links().into_iter();
    links
        .find(|link| link.split('?').next() == Some(place))
        .unwrap_or_else(|| panic!("no link to {place}: {answer:?}"))
}

#[tokio::test]
async fn the_links_between_the_pages_before_the_door_keep_where_somebody_was_going() {
    let stack = Stack::start().await;
    let (person, client) = (Person::fresh(), browser(&stack));
    let email = [("email", person.email.as_str())];
    let door = client.visit(page::ARCHIVED).await;
    let forgot = client.get(&link_to(&door, page::FORGOT)).await;
    let letter = client.submit(&door, page::LETTER_ASK, &[]).await;
    let letter_sent = client.submit(&letter, page::LETTER_ASK, &email).await;
    let sign_up = client.get(&link_to(&door, page::SIGN_UP)).await;
    for shown in [
        client.submit(&forgot, page::FORGOT, &email).await,
        client.get(&link_to(&letter_sent, page::LETTER_ASK)).await,
        client.get(&link_to(&sign_up, page::SIGN_IN)).await,
        forgot,
        letter,
    ] {
        let is_door = shown.forms().iter().any(|form| form.action == page::FORM_SIGN_IN);
        let back = if is_door {
            shown
        } else {
            client.get(&link_to(&shown, page::SIGN_IN)).await
        };
        let form = back.form(page::FORM_SIGN_IN);
        assert_eq!(form.field("next"), Some(page::ARCHIVED), "{back:?}");
    }
    // and to the end of it
    let fields = [email[0], ("password", person.password.as_str())];
    let sent = client.submit(&sign_up, page::FORM_SIGN_UP, &fields).await;
    let other = client.get(&link_to(&sent, page::SIGN_UP)).await;
    let other = other.form(page::FORM_SIGN_UP);
    assert_eq!(other.field("next"), Some(page::ARCHIVED));
    let letter = stack.letter_about(person.email.as_str(), "Confirm your").await;
    let code = letter.code.expect("a code");
    let typed = [("code", code.as_str())];
    let entered = client.submit(&sent, page::FORM_CHECK_MAIL, &typed).await;
    assert_eq!(entered.location(), page::ARCHIVED);
}

#[tokio::test]
async fn no_link_before_the_door_leads_on_to_another_site() {
    let stack = Stack::start().await;
    let client = browser(&stack);
    for before in [page::SIGN_IN, page::SIGN_UP, page::FORGOT, page::LETTER_ASK] {
        for evil in ["//evil.example/", "https://evil.example/", "/%5Cevil.example/"] {
            let shown = client.get(&format!("{before}?next={evil}")).await;
            assert!(!shown.succeeds().text().contains("evil.example"), "{shown:?}");
        }
    }
}

#[tokio::test]
async fn a_page_cannot_be_broken_by_what_people_write() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let nasty = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>";
    let id = client.create_session(nasty).await;
    client
        .note(
            id,
            &format!("{nasty}\n[x](javascript:alert(1)) ![y](https://evil.example/z.png)"),
        )
        .await;
    for path in [page::HOME.to_owned(), page::session(id)] {
        let text = client.visit(&path).await.text();
        assert!(!text.contains("<script>alert"), "{path}: {text}");
        assert!(!text.contains("<img src=x"), "{path}");
        assert!(!text.contains("href=\"javascript:"), "{path}");
        assert!(
            !text.contains("src=\"https://evil.example"),
            "{path}: pictures are not fetched from elsewhere"
        );
    }
}

#[tokio::test]
async fn a_page_comes_in_the_look_that_was_chosen() {
    let stack = Stack::start().await;
    let client = browser(&stack);
    for (chosen, said) in [
        ("dark", " data-theme=\"dark\""),
        ("system", ""),
        ("\"><script>", ""),
        ("", ""),
    ] {
        client.put_cookie("__Host-theme", chosen);
        for path in [page::SIGN_IN, page::FORGOT] {
            let drawn = client.visit(path).await.text();
            assert!(
                drawn.contains(&format!("<html lang=\"en\"{said}>")),
                "{chosen}: {path}"
            );
        }
    }
}
