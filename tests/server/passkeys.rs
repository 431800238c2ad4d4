//! Passkeys: one signs its owner in alone, and only where its holder saw them, at this address, for what was just asked.

use crate::letter::{Asked, press};
use crate::second_step::Careful;
use futures_util::future::join_all;
use harness::{Answer, Client, PasskeyHolder, Person, SESSION_COOKIE, Stack, browser};
use http::{Method, StatusCode, header};
use protocol::auth::PasskeyOptions;
use protocol::routes::{self, page};
use protocol::{Code, limits};
use serde_json::{Value, json};

const REFUSED: &str = "That passkey did not work here";
const OVER: &str = "took too long, or was started elsewhere";

async fn stack() -> Stack {
    Stack::builder().with_name().start().await
}

/// The token of the forms on a page.
async fn token(client: &Client, path: &str, form: &str) -> String {
    let page = client.get(path).await;
    page.form(form).field("csrf").expect("a token").to_owned()
}

/// What the script does when the form's button is pressed: what is to be asked, or why not.
async fn begin(client: &Client, csrf: &str, action: &str) -> Answer {
    let request = client
        .bare(Method::POST, &format!("{action}/options"))
        .header("Sec-Fetch-Site", "same-origin")
        .header(header::ORIGIN, client.origin())
        .form(&[("csrf", csrf)]);
    client.send(request).await
}

/// And when the browser has answered.
async fn finish(
    client: &Client,
    csrf: &str,
    action: &str,
    ceremony: &str,
    credential: &Value,
    more: (&str, &str),
) -> Answer {
    let credential = credential.to_string();
    let fields = [
        ("csrf", csrf),
        ("ceremony", ceremony),
        ("credential", credential.as_str()),
        more,
    ];
    client
        .send(client.request(Method::POST, action).form(&fields))
        .await
}

/// Makes one on the security page.
pub(super) async fn add(client: &Client, holder: &mut PasskeyHolder, name: &str) -> Answer {
    let csrf = token(client, page::SECURITY, page::FORM_PASSWORD).await;
    let asked: PasskeyOptions = begin(client, &csrf, page::FORM_PASSKEY_ADD).await.expect();
    let made = holder.make(&asked.options);
    finish(
        client,
        &csrf,
        page::FORM_PASSKEY_ADD,
        &asked.ceremony,
        &made,
        ("name", name),
    )
    .await
}

/// Signs in with it, in this browser.
async fn enter(client: &Client, holder: &PasskeyHolder, next: &str) -> Answer {
    let csrf = token(client, page::SIGN_IN, page::PASSKEY).await;
    let asked: PasskeyOptions = begin(client, &csrf, page::PASSKEY).await.expect();
    let answer = holder.answer(&asked.options);
    finish(
        client,
        &csrf,
        page::PASSKEY,
        &asked.ceremony,
        &answer,
        ("next", next),
    )
    .await
}

/// Somebody with a passkey.
struct Owner {
    person: Person,
    browser: Client,
    holder: PasskeyHolder,
}

impl Owner {
    async fn join(stack: &Stack) -> Self {
        let (person, browser) = Person::join(stack).await;
        let mut holder = PasskeyHolder::at(&stack.url());
        add(&browser, &mut holder, "Ana's phone").await.succeeds();
        holder.counter += 1;
        Self {
            person,
            browser,
            holder,
        }
    }
}

async fn only_id(stack: &Stack, client: &Client) -> String {
    let page = client.get(page::SECURITY).await;
    let text = page.text();
    let before = page::FORM_PASSKEY_REMOVE.split("{id}").next().expect("a folder");
    let id = text
        .split(&format!("action=\"{before}"))
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_else(|| panic!("no passkey: {page:?} {}", stack.url()));
    id.to_owned()
}

async fn press_about(client: &Client, id: &str, route: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = token(client, page::SECURITY, page::FORM_PASSWORD).await;
    press_with(client, &csrf, id, route, fields).await
}

async fn press_with(client: &Client, csrf: &str, id: &str, route: &str, fields: &[(&str, &str)]) -> Answer {
    let mut all = vec![("csrf", csrf)];
    all.extend(fields);
    let path = page::with_id(route, id);
    client.send(client.request(Method::POST, &path).form(&all)).await
}

/// Refusals with this reason, and whether each names somebody.
async fn noted(stack: &Stack, reason: &str) -> Vec<bool> {
    let events = stack.admin_json(&["audit", "tail", "--count", "1000"]).await;
    let events = events.as_array().cloned().unwrap_or_default();
    events
        .iter()
        .filter(|event| event["outcome"] == "refused" && event["reason"] == format!("passkey: {reason}"))
        .map(|event| event["user"].is_string())
        .collect()
}

#[tokio::test]
async fn by_a_passkey_a_browser_stays_signed_in_only_where_that_was_asked_for() {
    let stack = stack().await;
    let mut owner = Owner::join(&stack).await;
    for ticked in [("stay", "on"), ("next", "/")] {
        let client = browser(&stack);
        let csrf = token(&client, page::SIGN_IN, page::PASSKEY).await;
        let asked: PasskeyOptions = begin(&client, &csrf, page::PASSKEY).await.expect();
        let answer = owner.holder.answer(&asked.options);
        owner.holder.counter += 1;
        let entered = finish(&client, &csrf, page::PASSKEY, &asked.ceremony, &answer, ticked).await;
        let cookies = entered.set_cookies();
        let cookie = cookies.iter().find(|line| line.starts_with(SESSION_COOKIE));
        let cookie = cookie.unwrap_or_else(|| panic!("nobody is in: {entered:?}"));
        assert_eq!(cookie.contains("Max-Age"), ticked.0 == "stay", "{cookie}");
    }
}

#[tokio::test]
async fn a_passkey_signs_in_with_no_password_and_no_second_step() {
    let stack = stack().await;
    let careful = Careful::join(&stack).await;
    let mut holder = PasskeyHolder::at(&stack.url());
    let added = add(&careful.browser, &mut holder, " Ana's <b>phone</b> ").await;
    assert!(
        added.succeeds().text().contains("The passkey is added"),
        "{added:?}"
    );
    assert!(
        added.text().contains("Ana's &lt;b&gt;phone&lt;/b&gt;"),
        "{added:?}"
    );
    assert!(added.text().contains("not used yet"));
    let letter = stack
        .letter_about(careful.person.email.as_str(), "passkey was added")
        .await;
    assert!(letter.text.contains("Ana's <b>phone</b>"), "{}", letter.text);

    holder.counter = 7;
    let client = browser(&stack);
    let entered = enter(&client, &holder, page::ARCHIVED).await;
    assert_eq!(entered.location(), page::ARCHIVED, "{entered:?}");
    assert_eq!(client.me().await.email, careful.person.email);
    let page = client.get(page::SECURITY).await;
    assert!(page.text().contains("last used"), "{page:?}");
    assert!(page.text().contains("(passkey)"), "the audit says how: {page:?}");
    // a sign-in is a fresh proof
    assert!(page.text().contains(page::FORM_PASSKEY_ADD));

    // an app that waits is gone on to, and nothing else
    holder.counter = 8;
    let app = "/oauth/authorize?request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Ax";
    assert_eq!(enter(&browser(&stack), &holder, app).await.location(), app);
    holder.counter = 9;
    let evil = enter(&browser(&stack), &holder, "https://evil.example/").await;
    assert_eq!(evil.location(), page::HOME);
}

#[tokio::test]
async fn what_is_asked_names_nobody_and_wants_the_owner_seen() {
    let stack = stack().await;
    let owner = Owner::join(&stack).await;
    let client = browser(&stack);
    let csrf = token(&client, page::SIGN_IN, page::PASSKEY).await;
    let asked: PasskeyOptions = begin(&client, &csrf, page::PASSKEY).await.expect();
    assert_eq!(asked.options["userVerification"], "required");
    assert_eq!(asked.options["rpId"], "localhost");
    assert_eq!(asked.options["allowCredentials"], json!([]));
    let csrf = token(&owner.browser, page::SECURITY, page::FORM_PASSWORD).await;
    let asked: PasskeyOptions = begin(&owner.browser, &csrf, page::FORM_PASSKEY_ADD)
        .await
        .expect();
    let selection = &asked.options["authenticatorSelection"];
    assert_eq!(selection["userVerification"], "required");
    assert_eq!(selection["residentKey"], "required");
    let own = owner.holder.answer(&asked.options);
    assert_eq!(
        asked.options["excludeCredentials"],
        json!([{"type": "public-key", "id": own["rawId"]}]),
        "none is made twice by one holder"
    );
}

#[tokio::test]
async fn a_holder_that_lies_is_refused_and_it_is_noted() {
    let stack = stack().await;
    let owner = Owner::join(&stack).await;
    let other = Owner::join(&stack).await;
    enter(&browser(&stack), &owner.holder, "/")
        .await
        .has_status(StatusCode::SEE_OTHER);
    let honest = owner.holder.but(|it| it.counter = owner.holder.counter + 1);
    let lies = [
        (
            "another site",
            honest.but(|it| it.origin = "https://evil.example".to_owned()),
        ),
        (
            "another site",
            honest.but(|it| it.origin = stack.url().replace("localhost", "evil.localhost")),
        ),
        (
            "another site",
            honest.but(|it| it.site = "evil.example".to_owned()),
        ),
        ("owner not verified", honest.but(|it| it.has_seen_owner = false)),
        (
            "counter went back",
            honest.but(|it| it.counter = owner.holder.counter),
        ),
        (
            "unknown passkey",
            honest.but(|it| it.owner = other.holder.owner.clone()),
        ),
        (
            "unknown passkey",
            honest.but(|it| it.owner = uuid::Uuid::now_v7().as_bytes().to_vec()),
        ),
        ("names nobody", honest.but(|it| it.owner = Vec::new())),
    ];
    for (reason, holder) in &lies {
        let before = noted(&stack, reason).await.len();
        let client = browser(&stack);
        let answer = enter(&client, holder, "/").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{reason}: {answer:?}");
        assert!(answer.text().contains(REFUSED), "{reason}: {answer:?}");
        assert!(!client.is_in(), "{reason}");
        assert_eq!(noted(&stack, reason).await.len(), before + 1, "{reason}");
    }
    for (reason, is_theirs) in [("counter went back", true), ("unknown passkey", false)] {
        assert!(
            noted(&stack, reason)
                .await
                .iter()
                .all(|named| *named == is_theirs),
            "{reason}"
        );
    }
    enter(&browser(&stack), &honest, "/")
        .await
        .has_status(StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_answer_signs_in_once_even_when_many_bring_it_at_once() {
    let stack = stack().await;
    let mut owner = Owner::join(&stack).await;
    // one that counts nothing, so that only the ceremony stops a second use
    stack
        .execute("update passkeys set credential = jsonb_set(credential, '{cred,counter}', '0')")
        .await;
    owner.holder.counter = 0;
    let client = browser(&stack);
    let csrf = token(&client, page::SIGN_IN, page::PASSKEY).await;
    let asked: PasskeyOptions = begin(&client, &csrf, page::PASSKEY).await.expect();
    let answer = owner.holder.answer(&asked.options);
    // each as that browser sends it, and not as it is once it is in
    let cookies = client.credential_headers();
    let answers = join_all((0..10).map(|_| {
        let credential = answer.to_string();
        let fields = [
            ("csrf", csrf.clone()),
            ("ceremony", asked.ceremony.clone()),
            ("credential", credential),
        ];
        let twin = browser(&stack);
        let request = twin.request(Method::POST, page::PASSKEY);
        let request = request.headers(cookies.clone()).form(&fields);
        async move { twin.send(request).await }
    }))
    .await;
    let entered = answers.iter().filter(|answer| answer.status == 303).count();
    assert_eq!(entered, 1, "{answers:?}");
    for late in answers.iter().filter(|answer| answer.status != 303) {
        assert_eq!(late.status, 400, "{late:?}");
        assert!(late.text().contains(OVER), "{late:?}");
    }
    assert_eq!(noted(&stack, "no such ceremony").await, [false; 9]);
    // the same answer to another question
    let again: PasskeyOptions = begin(&client, &csrf, page::PASSKEY).await.expect();
    let replayed = finish(
        &client,
        &csrf,
        page::PASSKEY,
        &again.ceremony,
        &answer,
        ("next", "/"),
    )
    .await;
    assert!(replayed.text().contains(REFUSED), "{replayed:?}");
    assert_eq!(noted(&stack, "another challenge").await, [true]);
    // and a wrong answer has used the question up
    let right = owner.holder.answer(&again.options);
    let late = finish(
        &client,
        &csrf,
        page::PASSKEY,
        &again.ceremony,
        &right,
        ("next", "/"),
    )
    .await;
    assert!(late.text().contains(OVER), "{late:?}");
}

#[tokio::test]
async fn only_the_browser_that_was_asked_may_answer_and_only_what_it_was_asked() {
    let stack = stack().await;
    let owner = Owner::join(&stack).await;
    let victim = browser(&stack);
    let csrf = token(&victim, page::SIGN_IN, page::PASSKEY).await;
    let asked: PasskeyOptions = begin(&victim, &csrf, page::PASSKEY).await.expect();
    let answer = owner.holder.answer(&asked.options);
    let thief = browser(&stack);
    let own = token(&thief, page::SIGN_IN, page::PASSKEY).await;
    begin(&thief, &own, page::PASSKEY).await.succeeds();
    let taken = finish(
        &thief,
        &own,
        page::PASSKEY,
        &asked.ceremony,
        &answer,
        ("next", "/"),
    )
    .await;
    assert_eq!(taken.status, 400, "{taken:?}");
    assert!(!thief.is_in());

    // what was asked for a proof makes no new one, and signs nobody in; another's device answers nothing
    let csrf = token(&owner.browser, page::SECURITY, page::FORM_PASSWORD).await;
    let other = Owner::join(&stack).await;
    let foreign = token(&other.browser, page::SECURITY, page::FORM_PASSWORD).await;
    for (client, csrf, action) in [
        (&owner.browser, &csrf, page::FORM_PASSKEY_ADD),
        (&victim, &own, page::PASSKEY),
        (&other.browser, &foreign, page::PROVE_PASSKEY),
    ] {
        let begun = token(&owner.browser, page::SECURITY, page::FORM_PASSWORD).await;
        let asked: PasskeyOptions = begin(&owner.browser, &begun, page::PROVE_PASSKEY).await.expect();
        let answer = owner.holder.answer(&asked.options);
        let own = token(client, page::SIGN_UP, page::FORM_SIGN_UP);
        let csrf = if action == page::PASSKEY {
            own.await
        } else {
            csrf.clone()
        };
        let refused = finish(client, &csrf, action, &asked.ceremony, &answer, ("name", "x")).await;
        assert_eq!(refused.status, 400, "{action}: {refused:?}");
    }
    // a form of another site
    let forged = finish(
        &victim,
        "AAAA",
        page::PASSKEY,
        &asked.ceremony,
        &answer,
        ("next", "/"),
    )
    .await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN, "{forged:?}");
    begin(&victim, "AAAA", page::PASSKEY)
        .await
        .refused(Code::CsrfFailed);
}

#[tokio::test]
async fn nobody_who_is_locked_leaving_or_gone_is_let_in() {
    let stack = stack().await;
    let mut owner = Owner::join(&stack).await;
    let address = owner.person.email.as_str();
    stack.admin(&["users", "lock", address]).await.succeeds();
    let client = browser(&stack);
    let locked = enter(&client, &owner.holder, "/").await;
    assert!(locked.text().contains("This account is closed"), "{locked:?}");
    assert_eq!(noted(&stack, "account_disabled").await, [true]);
    stack.admin(&["users", "unlock", address]).await.succeeds();

    let window = browser(&stack);
    enter(&window, &owner.holder, "/")
        .await
        .has_status(StatusCode::SEE_OTHER);
    let security = window.get(page::SECURITY).await;
    window
        .submit(&security, page::FORM_LEAVE, &[("email", address)])
        .await
        .succeeds();
    owner.holder.counter += 1;
    let asked = enter(&client, &owner.holder, "/").await;
    assert!(asked.location().starts_with(page::KEEP), "{asked:?}");
    assert!(!client.is_in(), "not before the account is kept");

    stack
        .execute("update deletions set due = now() - interval '1 second'")
        .await;
    harness::until("the account to be removed", async || {
        (stack.number("select count(*) from deletions").await == 0).then_some(())
    })
    .await;
    assert_eq!(stack.number("select count(*) from passkeys").await, 0);
    owner.holder.counter += 1;
    let gone = enter(&browser(&stack), &owner.holder, "/").await;
    assert!(gone.text().contains(REFUSED), "{gone:?}");
    assert_eq!(noted(&stack, "unknown passkey").await, [false]);
}

#[tokio::test]
async fn nothing_about_passkeys_changes_without_a_fresh_proof_and_a_passkey_is_one() {
    let stack = stack().await;
    let owner = Owner::join(&stack).await;
    let client = &owner.browser;
    let id = only_id(&stack, client).await;
    let csrf = token(client, page::SECURITY, page::FORM_PASSWORD).await;
    let asked: PasskeyOptions = begin(client, &csrf, page::FORM_PASSKEY_ADD).await.expect();
    stack
        .execute("update sessions set proven_at = now() - interval '11 minutes'")
        .await;
    begin(client, &csrf, page::FORM_PASSKEY_ADD)
        .await
        .refused(Code::ProofRequired);
    let made = PasskeyHolder::at(&stack.url()).make(&asked.options);
    let late = finish(
        client,
        &csrf,
        page::FORM_PASSKEY_ADD,
        &asked.ceremony,
        &made,
        ("name", ""),
    )
    .await;
    assert_eq!(late.location(), page::PROVE, "{late:?}");
    for (route, fields) in [
        (page::FORM_PASSKEY_RENAME, [("name", "Mine")].as_slice()),
        (page::FORM_PASSKEY_REMOVE, &[]),
    ] {
        let answer = press_with(client, &csrf, &id, route, fields).await;
        assert_eq!(answer.location(), page::PROVE, "{route}: {answer:?}");
    }
    assert_eq!(stack.number("select count(*) from passkeys").await, 1);

    // neither somebody else's passkey nor an unverified one shows anything
    let other = Owner::join(&stack).await;
    let unseen = owner.holder.but(|it| it.has_seen_owner = false);
    let disguised = other.holder.but(|it| it.owner = owner.holder.owner.clone());
    for (holder, is_right) in [
        (&other.holder, false),
        (&disguised, false),
        (&unseen, false),
        (&owner.holder, true),
    ] {
        let csrf = token(client, page::PROVE, page::PROVE_PASSKEY).await;
        let asked: PasskeyOptions = begin(client, &csrf, page::PROVE_PASSKEY).await.expect();
        let own = owner.holder.answer(&asked.options);
        assert_eq!(
            asked.options["allowCredentials"],
            json!([{"type": "public-key", "id": own["rawId"]}])
        );
        let answer = holder.answer(&asked.options);
        let proven = finish(
            client,
            &csrf,
            page::PROVE_PASSKEY,
            &asked.ceremony,
            &answer,
            ("next", "/"),
        )
        .await;
        if is_right {
            assert_eq!(proven.location(), page::SECURITY, "{proven:?}");
        } else {
            assert!(proven.text().contains(REFUSED), "{proven:?}");
            begin(client, &csrf, page::FORM_PASSKEY_ADD)
                .await
                .refused(Code::ProofRequired);
        }
    }
    // the proof gave the browser another cookie, which the forms of before do not go with
    begin(client, &csrf, page::FORM_PASSKEY_ADD)
        .await
        .refused(Code::CsrfFailed);
    let csrf = token(client, page::SECURITY, page::FORM_PASSKEY_ADD).await;
    begin(client, &csrf, page::FORM_PASSKEY_ADD).await.succeeds();
    client.get(routes::ME).await.succeeds();
}

#[tokio::test]
async fn a_passkey_is_renamed_and_removed_by_its_owner_alone() {
    let stack = stack().await;
    let owner = Owner::join(&stack).await;
    let other = Owner::join(&stack).await;
    let id = only_id(&stack, &owner.browser).await;
    for (route, fields) in [
        (page::FORM_PASSKEY_RENAME, [("name", "Mine")].as_slice()),
        (page::FORM_PASSKEY_REMOVE, &[]),
    ] {
        let answer = press_about(&other.browser, &id, route, fields).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{route}: {answer:?}");
    }
    for wrong in [
        "",
        "  ",
        "two\nlines",
        &"x".repeat(limits::PASSKEY_NAME_CHARS + 1),
    ] {
        let answer = press_about(&owner.browser, &id, page::FORM_PASSKEY_RENAME, &[("name", wrong)]).await;
        assert_eq!(answer.status, 422, "{wrong:?}: {answer:?}");
    }
    let renamed = press_about(
        &owner.browser,
        &id,
        page::FORM_PASSKEY_RENAME,
        &[("name", " Work laptop ")],
    )
    .await;
    assert!(renamed.succeeds().text().contains("Work laptop"), "{renamed:?}");
    let removed = press_about(&owner.browser, &id, page::FORM_PASSKEY_REMOVE, &[]).await;
    assert!(removed.succeeds().text().contains("is removed"), "{removed:?}");
    let letter = stack
        .letter_about(owner.person.email.as_str(), "passkey of your account was removed")
        .await;
    assert!(letter.text.contains("Work laptop"), "{}", letter.text);
    let gone = enter(&browser(&stack), &owner.holder, "/").await;
    assert!(gone.text().contains(REFUSED), "{gone:?}");
    let done = "select count(*) from audit_events where outcome = 'done' and event = 'passkey_";
    for (event, count) in [("added", 2), ("renamed", 1), ("removed", 1)] {
        assert_eq!(stack.number(&format!("{done}{event}'")).await, count, "{event}");
    }
}

#[tokio::test]
async fn the_only_way_in_is_not_removed() {
    let stack = stack().await;
    let owner = Owner::join(&stack).await;
    stack.execute("update users set password_hash = null").await;
    let id = only_id(&stack, &owner.browser).await;
    let kept = press_about(&owner.browser, &id, page::FORM_PASSKEY_REMOVE, &[]).await;
    assert_eq!(kept.status, StatusCode::CONFLICT, "{kept:?}");
    assert!(kept.text().contains("your only way to sign in"), "{kept:?}");
    assert_eq!(stack.number("select count(*) from passkeys").await, 1);
    // one of two may go, even at once
    let mut second = PasskeyHolder::at(&stack.url());
    add(&owner.browser, &mut second, "Second").await.succeeds();
    let csrf = token(&owner.browser, page::SECURITY, page::FORM_PASSWORD).await;
    let page = owner.browser.get(page::SECURITY).await.text();
    let before = page::FORM_PASSKEY_REMOVE.split("{id}").next().expect("a folder");
    let ids: Vec<String> = page
        .split(&format!("action=\"{before}"))
        .skip(1)
        .filter_map(|rest| rest.split_once("/remove\"").map(|(id, _)| id.to_owned()))
        .filter(|id| id.len() == 36)
        .collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    let answers = join_all(
        ids.iter()
            .map(|id| press_with(&owner.browser, &csrf, id, page::FORM_PASSKEY_REMOVE, &[])),
    )
    .await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 200).count(),
        1,
        "{answers:?}"
    );
    assert_eq!(stack.number("select count(*) from passkeys").await, 1);
}

#[tokio::test]
async fn a_new_one_is_checked_bounded_and_nobody_elses() {
    let stack = stack().await;
    let (_, client) = Person::join(&stack).await;
    let honest = PasskeyHolder::at(&stack.url());
    let lies = [
        honest.but(|it| it.origin = "https://evil.example".to_owned()),
        honest.but(|it| it.site = "evil.example".to_owned()),
        honest.but(|it| it.has_seen_owner = false),
    ];
    for mut holder in lies {
        let answer = add(&client, &mut holder, "").await;
        assert!(answer.text().contains(REFUSED), "{answer:?}");
    }
    let csrf = token(&client, page::SECURITY, page::FORM_PASSWORD).await;
    for made in [Value::Null, Value::from("x"), json!({"id": 1})] {
        let asked: PasskeyOptions = begin(&client, &csrf, page::FORM_PASSKEY_ADD).await.expect();
        let answer = finish(
            &client,
            &csrf,
            page::FORM_PASSKEY_ADD,
            &asked.ceremony,
            &made,
            ("name", ""),
        )
        .await;
        assert!(answer.text().contains(REFUSED), "{answer:?}");
    }
    assert_eq!(stack.number("select count(*) from passkeys").await, 0);
    let mut first = honest.clone();
    let long = add(&client, &mut first, &"x".repeat(limits::PASSKEY_NAME_CHARS + 1)).await;
    assert_eq!(long.status, 422, "{long:?}");
    add(&client, &mut first, "").await.succeeds();
    // the same key for somebody else
    let (_, other) = Person::join(&stack).await;
    let twice = add(&other, &mut honest.clone(), "").await;
    assert!(twice.text().contains(REFUSED), "{twice:?}");

    for number in 1..limits::PASSKEYS - 1 {
        let name = format!("Number {number}");
        add(&client, &mut PasskeyHolder::at(&stack.url()), &name)
            .await
            .succeeds();
    }
    // two at once for the last place
    let csrf = token(&client, page::SECURITY, page::FORM_PASSWORD).await;
    let asked = join_all((0..2).map(|_| begin(&client, &csrf, page::FORM_PASSKEY_ADD))).await;
    let answers = join_all(asked.iter().map(|asked| {
        let asked: PasskeyOptions = asked.expect();
        let made = PasskeyHolder::at(&stack.url()).make(&asked.options);
        let (client, csrf) = (&client, &csrf);
        async move {
            finish(
                client,
                csrf,
                page::FORM_PASSKEY_ADD,
                &asked.ceremony,
                &made,
                ("name", "Last"),
            )
            .await
        }
    }))
    .await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{answers:?}");
    begin(&client, &csrf, page::FORM_PASSKEY_ADD)
        .await
        .refused(Code::Conflict);
    assert!(
        !client
            .get(page::SECURITY)
            .await
            .text()
            .contains("passkey-add-form"),
        "ten are enough"
    );
}

#[tokio::test]
async fn whoever_proves_the_mailbox_first_finds_no_passkey_of_somebody_else() {
    let stack = stack().await;
    let owner = Owner::join(&stack).await;
    // as if nobody had ever proven the address
    stack.execute("update users set email_verified = null").await;
    let unproven = enter(&browser(&stack), &owner.holder, "/").await;
    assert!(
        unproven.text().contains("confirm your e-mail address"),
        "{unproven:?}"
    );
    stack
        .letter_about(owner.person.email.as_str(), "passkey was added")
        .await;
    let asked = Asked::by(&stack, &owner.person, 3).await;
    press(&asked.window, &asked.link, "here")
        .await
        .has_status(StatusCode::SEE_OTHER);
    assert_eq!(stack.number("select count(*) from passkeys").await, 0);
    let gone = enter(&browser(&stack), &owner.holder, "/").await;
    assert!(gone.text().contains(REFUSED), "{gone:?}");
}

#[tokio::test]
async fn asking_for_passkeys_without_end_is_slowed_down() {
    let stack = Stack::builder()
        .with_name()
        .with("RATE_LIMIT_FACTOR", "1")
        .start()
        .await;
    let (_, owner) = Person::join(&stack).await;
    let csrf = token(&owner, page::SECURITY, page::FORM_PASSWORD).await;
    let mut begun = 0;
    while begin(&owner, &csrf, page::FORM_PASSKEY_ADD).await.status == 200 {
        begun += 1;
        assert!(begun < 40, "twenty for an account");
    }
    assert!(begun >= 20, "{begun}");
    begin(&owner, &csrf, page::PROVE_PASSKEY)
        .await
        .refused(Code::RateLimited);
    let client = browser(&stack);
    let csrf = token(&client, page::SIGN_IN, page::PASSKEY).await;
    let mut begun = 0;
    let limited = loop {
        let answer = begin(&client, &csrf, page::PASSKEY).await;
        if answer.status != 200 {
            break answer;
        }
        begun += 1;
        assert!(begun < 80, "sixty for a network");
    };
    assert!(limited.refused(Code::RateLimited).retry_after.is_some());
    // answers made up count by themselves, and so do their notes
    let mut statuses = Vec::new();
    for _ in 0..70 {
        let answer = finish(&client, &csrf, page::PASSKEY, "x", &Value::Null, ("next", "/")).await;
        statuses.push(answer.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(noted(&stack, "no such ceremony").await.len() <= 61);
}

#[tokio::test]
async fn without_redis_it_is_said_and_the_other_ways_stay_open() {
    let stack = Stack::builder().with_name().with_gates().start().await;
    let owner = Owner::join(&stack).await;
    let client = browser(&stack);
    let csrf = token(&client, page::SIGN_IN, page::PASSKEY).await;
    stack.redis_gate().shut();
    begin(&client, &csrf, page::PASSKEY)
        .await
        .refused(Code::Unavailable);
    owner.person.browser(&stack).await.me().await;
    stack.redis_gate().open();
    harness::until("redis to be heard again", async || {
        (begin(&client, &csrf, page::PASSKEY).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_site_without_a_name_offers_none() {
    let stack = Stack::start().await;
    let (_, owner) = Person::join(&stack).await;
    let security = owner.get(page::SECURITY).await;
    assert!(!security.text().contains("passkeys-section"), "{security:?}");
    let client = browser(&stack);
    let door = client.get(page::SIGN_IN).await;
    assert!(!door.text().contains("/app/passkeys-"), "no script, so no button");
    let csrf = door
        .form(page::PASSKEY)
        .field("csrf")
        .expect("a token")
        .to_owned();
    begin(&client, &csrf, page::PASSKEY).await.refused(Code::NotFound);
}

#[tokio::test]
async fn the_script_is_on_the_pages_that_need_it_alone() {
    let stack = stack().await;
    let owner = Owner::join(&stack).await;
    let client = browser(&stack);
    for path in [page::SIGN_IN, page::SIGN_UP] {
        let page = client.get(path).await;
        assert!(page.text().contains("src=\"/app/passkeys-"), "{path}");
    }
    for path in [page::SECURITY, page::PROVE] {
        let page = owner.browser.get(path).await;
        assert!(page.text().contains("src=\"/app/passkeys-"), "{path}");
    }
    for path in [page::HOME, page::SETTINGS, page::FORGOT, page::LETTER_ASK] {
        let page = owner.browser.visit(path).await;
        assert!(!page.text().contains("/app/passkeys-"), "{path}");
    }
    let page = client.get(page::SIGN_IN).await.text();
    let script = page
        .split("src=\"/app/passkeys-")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("its name");
    let served = client.get(&format!("/app/passkeys-{script}")).await;
    assert!(served.succeeds().text().contains("navigator.credentials"));
    assert!(
        served
            .header("cache-control")
            .is_some_and(|kept| kept.contains("immutable"))
    );
}
