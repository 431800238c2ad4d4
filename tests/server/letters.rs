//! Letters on their way: signed so that nobody changes them, held back from those who refuse them, and turned off by whoever
//! does not want them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::mailbox::path_of;
use harness::{Answer, Letter, Person, Stack, browser, run_to_end, until};
use http::Method;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use protocol::Code;
use protocol::routes::page;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;

/// Sign nothing but letters of tests.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const ED25519_PUBLIC: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";
const RSA: &[u8] = include_bytes!("../harness/open_id_provider/signing_key.der");
const RSA_MODULUS: &str = include_str!("../harness/open_id_provider/modulus.txt");

async fn forget(stack: &Stack, person: &Person) {
    let client = browser(stack);
    let form = client.get(page::FORGOT).await;
    let fields = [("email", person.email.as_str())];
    client.submit(&form, page::FORGOT, &fields).await.succeeds();
}

fn file_with(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("a key in it");
    file
}

fn rsa_in_pem() -> String {
    let lines: Vec<String> = STANDARD
        .encode(RSA)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    format!(
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

/// A letter's fields in their order, unfolded, and its body.
fn parts(source: &str) -> (Vec<(String, String)>, String) {
    let (head, body) = source.split_once("\r\n\r\n").expect("a head and a body");
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let fields = unfolded.split("\r\n").map(|line| {
        let (name, value) = line.split_once(':').expect("a field");
        (name.trim().to_lowercase(), squeezed(value).trim().to_owned())
    });
    (fields.collect(), body.to_owned())
}

fn squeezed(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            ' ' | '\t' if out.ends_with(' ') => {}
            ' ' | '\t' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// RFC 6376 §3.4.4.
fn relaxed_body(body: &str) -> String {
    let lines: Vec<String> = body
        .split("\r\n")
        .map(|line| squeezed(line).trim_end_matches(' ').to_owned())
        .collect();
    let whole = lines.join("\r\n");
    format!("{}\r\n", whole.trim_end_matches("\r\n"))
}

fn tag(signature: &str, name: &str) -> String {
    let found = signature
        .split(';')
        .filter_map(|tag| tag.trim().split_once('='))
        .find(|(other, _)| other.trim() == name);
    let (_, value) = found.unwrap_or_else(|| panic!("{name} in {signature}"));
    value.split_whitespace().collect()
}

/// Whether the letter is as it was signed (RFC 6376 §6.1.3), by a key and the domain and selector that it was signed for.
fn holds(source: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    let (fields, body) = parts(source);
    let (_, signature) = fields
        .iter()
        .find(|(name, _)| name == "dkim-signature")
        .unwrap_or_else(|| panic!("a signature in {source}"));
    assert_eq!(tag(signature, "d"), "letters.example");
    assert_eq!(tag(signature, "s"), "spring");
    assert_eq!(tag(signature, "c"), "relaxed/relaxed");
    if tag(signature, "bh") != STANDARD.encode(Sha256::digest(relaxed_body(&body))) {
        return false;
    }
    let mut left = fields.clone();
    let mut signed = String::new();
    for name in tag(signature, "h").split(':') {
        // the last of several first; one that is missing adds nothing
        if let Some(at) = left.iter().rposition(|(other, _)| other == name) {
            let (name, value) = left.remove(at);
            signed.extend([name.as_str(), ":", value.as_str(), "\r\n"]);
        }
    }
    let proof = tag(signature, "b");
    let (before, _) = signature.split_once("; b=").expect("a proof");
    signed.extend(["dkim-signature:", before, "; b="]);
    let proof = URL_SAFE_NO_PAD.encode(STANDARD.decode(proof).expect("base64"));
    let message = match algorithm {
        // Ed25519 signs the hash (RFC 8463 §3)
        Algorithm::EdDSA => Sha256::digest(signed.as_bytes()).to_vec(),
        _ => signed.into_bytes(),
    };
    crypto::verify(&proof, &message, key, algorithm).unwrap_or(false)
}

#[tokio::test]
async fn a_letter_is_signed_by_rsa_or_ed25519_and_no_part_that_counts_can_be_changed() {
    let rsa = DecodingKey::from_rsa_components(RSA_MODULUS.trim(), "AQAB").expect("a key");
    let ed25519 = DecodingKey::from_ed_components(ED25519_PUBLIC).expect("a key");
    for (pem, key, algorithm) in [
        (rsa_in_pem(), rsa, Algorithm::RS256),
        (ED25519.to_owned(), ed25519, Algorithm::EdDSA),
    ] {
        let file = file_with(&pem);
        let stack = Stack::builder()
            .with("DKIM_KEY_FILE", file.path().display().to_string())
            .with("DKIM_SELECTOR", "spring")
            .with("DKIM_DOMAIN", "letters.example")
            .start()
            .await;
        let (person, _) = Person::join(&stack).await;
        let source = stack.letter_to(person.email.as_str(), 1).await.source;
        assert!(holds(&source, &key, algorithm), "{source}");
        for changed in [
            source.replacen("Subject: ", "Subject: Re: ", 1),
            source.replacen("To: ", "To: ben@example.org, ", 1),
            source.replacen("CompyMac", "CompyMax", 1),
            // nobody adds a way to turn it off
            format!("List-Unsubscribe: <https://evil.example>\r\n{source}"),
            format!("{source}And more.\r\n"),
        ] {
            assert_ne!(changed, source);
            assert!(!holds(&changed, &key, algorithm), "{changed}");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_none_stops_the_start_and_is_named() {
    let stack = Stack::start().await;
    let (wrong, url) = (file_with("hidden-word"), stack.url());
    let wrong = wrong.path().display().to_string();
    for (name, value) in [
        ("DKIM_KEY_FILE", wrong.as_str()),
        ("DKIM_KEY_FILE", "/nowhere/key.pem"),
    ] {
        let mut settings = stack.settings();
        settings.extend([("PUBLIC_URL", url.as_str()), (name, value)]);
        let ended = run_to_end("sync-server", &settings).await;
        assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
        assert!(ended.said.contains(name), "{}", ended.said);
        assert!(!ended.said.contains("hidden-word"), "{}", ended.said);
    }
}

async fn waits_for(stack: &Stack, what: &str, sql: &str) {
    until(what, async || (stack.number(sql).await > 0).then_some(())).await;
}

#[tokio::test]
async fn an_address_that_refuses_for_good_is_left_quiet_and_then_tried_again() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let address = person.email.as_str();
    let words = format!("550 5.1.1 <{address}> no such-and-such user here");
    stack.mailbox.refuse(address, &words);
    forget(&stack, &person).await;
    waits_for(
        &stack,
        "the refusal to be noted",
        "select count(*) from suppressions where reason = 'refused' and said = '550 5.1.1'",
    )
    .await;
    // in codes alone: the server's words name the person
    let noted = "select count(*) from email_outbox where error = '550 5.1.1' and failed_at is not null";
    assert_eq!(stack.number(noted).await, 1);
    assert!(
        !stack.logs().contains("such-and-such"),
        "words of a mail server in the log"
    );

    // it takes letters again, and is spared for an hour all the same
    stack.mailbox.take_again(address);
    forget(&stack, &person).await;
    let held = "select count(*) from email_outbox where sent_at is null and failed_at is null
                 and not_before > now() + interval '50 minutes' and not_before < now() + interval '61 minutes'";
    waits_for(&stack, "the letter to be held back", held).await;
    assert_eq!(stack.mailbox.letters_to(address).len(), 1, "the one it joined by");
    stack
        .execute(
            "update suppressions set quiet_until = now(); update email_outbox set not_before = now() where sent_at is null",
        )
        .await;
    let letter = stack.letter_to(address, 2).await;
    assert!(letter.subject.contains("new password"), "{}", letter.subject);
    let gone = "select count(*) from (select 1 where not exists (select from suppressions)) as none_left";
    waits_for(&stack, "the address to be as any other", gone).await;
}

/// Their address has refused a letter, and is left alone for an hour.
async fn leave_alone(stack: &Stack, person: &Person) {
    stack
        .execute(&format!(
            "insert into suppressions (address, reason, refusals, quiet_until)
             values ('{}', 'refused', 1, now() + interval '1 hour')",
            person.email.key()
        ))
        .await;
}

/// Whoever finds it late would find a link that opens nothing, and perhaps the one that does beneath it.
#[tokio::test]
async fn a_letter_whose_link_is_worthless_by_now_is_not_sent_and_a_notice_is() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let address = person.email.as_str();
    leave_alone(&stack, &person).await;
    forget(&stack, &person).await;
    let page = client.get(page::SECURITY).await;
    let fields = [("password", "walnut-ferry-copper-drizzle")];
    client.submit(&page, page::FORM_PASSWORD, &fields).await;
    let held = "select count(*)::bigint / 2 from email_outbox where sent_at is null and not_before > now() + interval '50 minutes'";
    waits_for(&stack, "both letters to be held back", held).await;
    // half an hour later the address takes letters again
    stack
        .execute(
            "update suppressions set quiet_until = now();
             update email_outbox set created_at = created_at - interval '30 minutes', not_before = now()
              where sent_at is null",
        )
        .await;
    let notice = stack.letter_about(address, "Your password was changed").await;
    assert_eq!(notice.subject, "Your password was changed");
    let dropped = "select count(*) from email_outbox
                    where template = 'reset' and failed_at is not null and error = 'its link is worthless by now'
                      and context = '{}'";
    waits_for(&stack, "the link to be dropped", dropped).await;
    let letters = stack.mailbox.letters_to(address);
    assert!(
        letters
            .iter()
            .all(|letter| !letter.subject.contains("Choose a new"))
    );
}

/// The mail server took it, and that it did was not written down: as when the process ends in between.
#[tokio::test]
async fn a_letter_that_is_carried_twice_is_one_letter_to_a_mailbox() {
    let stack = Stack::start().await;
    stack
        .execute(
            "create function lose_it() returns trigger language plpgsql
                 as $$ begin raise exception 'that a letter was carried is lost'; end $$;
             create trigger lost before update on email_outbox for each row
                 when (new.sent_at is not null) execute function lose_it();",
        )
        .await;
    let (person, client) = (Person::fresh(), browser(&stack));
    person.sign_up(&client).await.succeeds();
    stack.letter_to(person.email.as_str(), 1).await;
    stack.execute("update email_outbox set not_before = now()").await;
    let letters = stack.mailbox.wait_for(person.email.as_str(), 2).await;
    let names: Vec<String> = letters
        .expect("the letter again")
        .iter()
        .map(|letter| {
            let (fields, _) = parts(&letter.source);
            let name = fields.into_iter().find(|(name, _)| name == "message-id");
            name.expect("a name").1
        })
        .collect();
    assert!(names.len() == 2 && names[0] == names[1], "{names:?}");
}

#[tokio::test]
async fn letters_that_are_refused_together_count_as_one_refusal() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    stack
        .mailbox
        .refuse(person.email.as_str(), "550 5.1.1 no such user");
    leave_alone(&stack, &person).await;
    for _ in 0..4 {
        forget(&stack, &person).await;
    }
    let held = "select count(*)::bigint / 4 from email_outbox where sent_at is null and not_before > now() + interval '50 minutes'";
    waits_for(&stack, "four letters to be held back", held).await;
    stack
        .execute(
            "update suppressions set quiet_until = now();
             update email_outbox set not_before = now() where sent_at is null",
        )
        .await;
    let refused =
        "select count(*)::bigint / 4 from email_outbox where error = '550 5.1.1' and failed_at is not null";
    waits_for(&stack, "all four to be refused", refused).await;
    assert_eq!(stack.number("select refusals::bigint from suppressions").await, 2);
    let quiet = "select count(*) from suppressions where quiet_until < now() + interval '121 minutes'";
    assert_eq!(stack.number(quiet).await, 1, "two hours, and not a day");
}

#[tokio::test]
async fn what_is_said_against_the_sender_or_the_letter_leaves_the_address_alone() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    for words in [
        "550 5.7.1 we do not know you",
        "552 5.2.2 mailbox full",
        "554 5.6.0 spam",
    ] {
        stack.mailbox.refuse(person.email.as_str(), words);
        let code = words.get(..9).expect("codes");
        forget(&stack, &person).await;
        let refused = format!("select count(*) from email_outbox where error = '{code}'");
        waits_for(&stack, "the refusal to be noted", &refused).await;
    }
    assert_eq!(stack.number("select count(*) from suppressions").await, 0);
}

#[tokio::test]
async fn the_operator_has_an_address_left_alone_and_released() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let address = person.email.as_str();
    let shouted = address.to_uppercase();
    stack
        .admin(&["letters", "suppress", &shouted, "--reason", "asked by phone"])
        .await
        .succeeds();
    forget(&stack, &person).await;
    let dropped =
        "select count(*) from email_outbox where failed_at is not null and error like '%left alone%'";
    waits_for(&stack, "the letter to be given up", dropped).await;
    let listed = stack.admin_json(&["letters", "list"]).await;
    assert_eq!(
        listed.pointer("/0/address").and_then(|it| it.as_str()),
        Some(address)
    );
    assert_eq!(
        listed.pointer("/0/reason").and_then(|it| it.as_str()),
        Some("operator")
    );

    stack.admin(&["letters", "release", address]).await.succeeds();
    let twice = stack.admin(&["letters", "release", address]).await;
    assert_eq!(twice.code, Some(1), "{twice:?}");
    forget(&stack, &person).await;
    stack.letter_to(address, 2).await;
    let noted = "select count(*) from audit_events where operator = 'olga' and event in ('letters_suppressed', 'letters_released')";
    assert_eq!(stack.number(noted).await, 2);
}

/// Two days pass, in which nobody begins anything.
async fn after_two_days(stack: &Stack) {
    stack
        .execute("update users set email_verified = now() - interval '2 days'")
        .await;
    stack.server.stop().await;
    stack.server.start_again().await;
}

async fn tip_for(stack: &Stack, person: &Person) -> Letter {
    stack.letter_about(person.email.as_str(), "How to begin").await
}

/// Where a letter is turned off, as its head says.
fn stop_of(letter: &Letter) -> String {
    let (fields, _) = parts(&letter.source);
    let value_of = |name: &str| {
        fields
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.clone())
    };
    assert_eq!(
        value_of("list-unsubscribe-post").as_deref(),
        Some("List-Unsubscribe=One-Click")
    );
    let link = value_of("list-unsubscribe").expect("a way to turn it off");
    let link = link.trim_start_matches('<').trim_end_matches('>').to_owned();
    assert!(letter.text.contains(&link), "{}", letter.text);
    path_of(&link).trim_end_matches('?').to_owned()
}

/// As a mail program presses its own button: without a cookie, from nowhere (RFC 8058).
async fn one_click(stack: &Stack, path: &str) -> Answer {
    let bare = browser(stack);
    let request = bare
        .bare(Method::POST, path)
        .form(&[("List-Unsubscribe", "One-Click")]);
    bare.send(request).await
}

const UNWANTED: &str = "select count(*) from letter_choices where tips_off_at is not null";

#[tokio::test]
async fn who_has_not_begun_is_told_how_once_and_who_has_is_not() {
    let stack = Stack::start().await;
    let (newcomer, _) = Person::join(&stack).await;
    let (busy, client) = Person::join(&stack).await;
    client.create_session("Begun").await;
    after_two_days(&stack).await;
    let letter = tip_for(&stack, &newcomer).await;
    stop_of(&letter);
    after_two_days(&stack).await;
    // a letter that leaves after the sweep shows that the sweep is over
    forget(&stack, &newcomer).await;
    stack.letter_about(newcomer.email.as_str(), "new password").await;
    assert_eq!(stack.mailbox.letters_to(newcomer.email.as_str()).len(), 3);
    assert_eq!(stack.mailbox.letters_to(busy.email.as_str()).len(), 1);
}

/// Also where what comes by it is refused, which is what a log tells of.
#[tokio::test]
async fn a_link_that_turns_tips_off_is_in_no_log() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    after_two_days(&stack).await;
    let stop = stop_of(&tip_for(&stack, &person).await);
    let stranger = browser(&stack);
    for path in [stop.clone(), format!("{stop}/more")] {
        let refused = stranger.send(stranger.bare(Method::DELETE, &path)).await;
        assert!([404, 405].contains(&refused.status), "{refused:?}");
    }
    let logs = stack.logs();
    assert!(logs.contains(page::LETTERS_LINK), "both are told: {logs}");
    let token = stop.rsplit('/').next().expect("a token");
    assert!(!logs.contains(token), "{token}");
}

#[tokio::test]
async fn only_a_button_turns_tips_off_and_letters_about_safety_come_all_the_same() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    after_two_days(&stack).await;
    let letter = tip_for(&stack, &person).await;
    let stop = stop_of(&letter);
    // whoever looks after somebody's mail follows each link
    let stranger = browser(&stack);
    for _ in 0..3 {
        let shown = stranger.get(&stop).await;
        shown.succeeds();
        assert!(!shown.text().contains(person.email.as_str()), "{shown:?}");
        let head = stranger.send(stranger.bare(Method::HEAD, &stop)).await;
        assert_eq!(head.status, 200);
    }
    assert_eq!(stack.number(UNWANTED).await, 0);

    let done = one_click(&stack, &stop).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(stack.number(UNWANTED).await, 1);
    assert_eq!(one_click(&stack, &stop).await.status, 200, "twice is as once");
    assert!(
        client
            .get(page::SECURITY)
            .await
            .text()
            .contains("You get no tips")
    );
    // how somebody gets in is told whatever they turned off
    forget(&stack, &person).await;
    let reset = stack.letter_about(person.email.as_str(), "new password").await;
    assert!(
        !reset.source.to_lowercase().contains("list-unsubscribe"),
        "{}",
        reset.source
    );
    assert!(reset.text.contains("cannot be turned off"), "{}", reset.text);

    // the page's own button, and back
    let shown = stranger.get(&stop).await;
    let on = stranger.submit(&shown, &stop, &[]).await;
    assert!(on.text().contains("again"), "{on:?}");
    assert_eq!(stack.number(UNWANTED).await, 0);
}

#[tokio::test]
async fn a_link_that_was_made_up_turns_nothing_off() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let (other, _) = Person::join(&stack).await;
    after_two_days(&stack).await;
    let stop = stop_of(&tip_for(&stack, &person).await);
    let others = stop_of(&tip_for(&stack, &other).await);
    let token = |path: &str| {
        let last = path.rsplit('/').next().expect("a token");
        URL_SAFE_NO_PAD.decode(last).expect("base64")
    };
    let (own, foreign) = (token(&stop), token(&others));
    // one's own proof under another's name
    let mixed = [foreign.get(..16), own.get(16..)]
        .map(Option::unwrap_or_default)
        .concat();
    let mut bent = own.clone();
    if let Some(last) = bent.last_mut() {
        *last ^= 1;
    }
    for made_up in [
        URL_SAFE_NO_PAD.encode(mixed),
        URL_SAFE_NO_PAD.encode(bent),
        URL_SAFE_NO_PAD.encode(own.get(..16).unwrap_or_default()),
        "x".to_owned(),
        "%ff".to_owned(),
    ] {
        let path = format!("/letters/{made_up}");
        let bare = browser(&stack);
        bare.send(bare.bare(Method::GET, &path))
            .await
            .refused(Code::NotFound);
        one_click(&stack, &path).await.refused(Code::NotFound);
    }
    let long = browser(&stack);
    let request = long.bare(Method::POST, &stop).body("x".repeat(100_000));
    long.send(request).await.refused(Code::TooLarge);
    assert_eq!(stack.number(UNWANTED).await, 0);
}

#[tokio::test]
async fn letters_are_chosen_on_the_security_page_and_by_no_other_site() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let shown = client.get(page::SECURITY).await;
    let off = client.submit(&shown, page::FORM_LETTERS, &[]).await;
    assert!(off.text().contains("You get no more tips"), "{off:?}");
    assert!(off.text().contains("Turning tips by letter off"), "{off:?}");
    assert_eq!(stack.number(UNWANTED).await, 1);
    let forged = client
        .request(Method::POST, page::FORM_LETTERS)
        .form(&[("tips", "on")]);
    assert_eq!(client.send(forged).await.status, 403);
    assert_eq!(stack.number(UNWANTED).await, 1);
    let on = client.submit(&off, page::FORM_LETTERS, &[]).await;
    assert!(on.text().contains("again"), "{on:?}");
    assert_eq!(stack.number(UNWANTED).await, 0);
    // who wants none is not told
    let off = client.submit(&on, page::FORM_LETTERS, &[]).await;
    off.succeeds();
    after_two_days(&stack).await;
    let told = "select count(*) from email_outbox where template = 'getting_started'";
    let (newcomer, _) = Person::join(&stack).await;
    after_two_days(&stack).await;
    tip_for(&stack, &newcomer).await;
    assert_eq!(stack.number(told).await, 1, "the newcomer alone");
}
