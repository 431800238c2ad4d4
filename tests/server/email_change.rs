//! Another e-mail address: both mailboxes agree first, the old one may take it back, and nobody learns who is here.

use futures_util::future::join_all;
use harness::mailbox::path_of;
use harness::{Answer, Client, Person, Stack, browser, until};
use http::{Method, StatusCode};
use protocol::Code;
use protocol::auth::{Client as Kind, Email};
use protocol::routes::{self, page};

fn fresh_address() -> String {
    Person::fresh().email.to_string()
}

async fn ask(client: &Client, new: &str) -> Answer {
    let page = client.get(page::SECURITY).await;
    client.submit(&page, page::FORM_EMAIL, &[("email", new)]).await
}

async fn link_about(stack: &Stack, address: &str, subject: &str) -> String {
    let letter = stack.letter_about(address, subject).await;
    path_of(&letter.link.unwrap_or_else(|| panic!("a link in {}", letter.text)))
}

/// Somebody who has asked for another address, and the links of both letters.
pub(super) struct Asked {
    pub person: Person,
    pub client: Client,
    pub new: String,
    pub old_link: String,
    pub new_link: String,
}

impl Asked {
    pub async fn begin(stack: &Stack) -> Self {
        let (person, client) = Person::join(stack).await;
        let new = fresh_address();
        let asked = ask(&client, &new).await;
        assert_eq!(asked.location(), page::SECURITY, "{asked:?}");
        let old_link = link_about(stack, person.email.as_str(), "to be changed").await;
        let new_link = link_about(stack, &new, "Confirm your new").await;
        Self {
            person,
            client,
            new,
            old_link,
            new_link,
        }
    }

    async fn change(stack: &Stack) -> Self {
        let asked = Self::begin(stack).await;
        asked.agree(stack).await;
        asked
    }

    /// Both mailboxes do.
    pub async fn agree(&self, stack: &Stack) {
        press(&browser(stack), &self.new_link, "yes").await.succeeds();
        press(&browser(stack), &self.old_link, "yes").await.succeeds();
    }

    /// The same person, by the new address.
    pub fn renamed(&self) -> Person {
        Person {
            email: Email::parse(&self.new).expect("an address"),
            ..self.person.clone()
        }
    }

    async fn undo_link(&self, stack: &Stack) -> String {
        let letter = stack
            .letter_about(self.person.email.as_str(), "address was changed")
            .await;
        path_of(&letter.link.expect("a link"))
    }

    async fn stays(&self, stack: &Stack) {
        self.person.browser(stack).await;
        self.renamed()
            .try_sign_in(&browser(stack), Kind::Browser)
            .await
            .refused(Code::InvalidCredentials);
    }
}

async fn press(client: &Client, link: &str, button: &str) -> Answer {
    let page = client.get(link).await;
    client
        .submit(&page, page::EMAIL_LINK, &[("answer", button)])
        .await
}

async fn undo(client: &Client, link: &str) -> Answer {
    let page = client.get(link).await;
    client.submit(&page, page::EMAIL_UNDO, &[]).await
}

#[tokio::test]
async fn the_address_changes_once_both_mailboxes_have_agreed() {
    let stack = Stack::start().await;
    for first_is_new in [true, false] {
        let asked = Asked::begin(&stack).await;
        let (first, second) = if first_is_new {
            (&asked.new_link, &asked.old_link)
        } else {
            (&asked.old_link, &asked.new_link)
        };
        let half = press(&browser(&stack), first, "yes").await;
        assert!(half.text().contains("the other address"), "{half:?}");
        // the same mailbox twice is not both
        press(&browser(&stack), first, "yes").await.succeeds();
        asked.stays(&stack).await;
        let page = asked.client.get(page::SECURITY).await.text();
        assert!(page.contains("address has agreed"), "{page}");

        let done = press(&browser(&stack), second, "yes").await;
        assert!(done.text().contains("is changed"), "{done:?}");
        assert_eq!(
            asked.client.me().await.email.as_str(),
            asked.new,
            "whoever is in stays in"
        );
        asked.renamed().browser(&stack).await;
        asked
            .person
            .try_sign_in(&browser(&stack), Kind::Browser)
            .await
            .refused(Code::InvalidCredentials);
        let letter = stack
            .letter_about(asked.person.email.as_str(), "address was changed")
            .await;
        assert!(letter.text.contains(&asked.new), "{}", letter.text);
        let letter = stack.letter_about(&asked.new, "new e-mail address").await;
        assert!(letter.text.contains(asked.person.email.as_str()) || letter.subject.contains("Confirm"));
        for link in [first, second] {
            assert_eq!(browser(&stack).get(link).await.status, StatusCode::GONE);
        }
        // somebody else may have the former one
        let heir = Person::with_address(asked.person.email.as_str());
        heir.sign_up(&browser(&stack))
            .await
            .has_status(StatusCode::ACCEPTED);
    }
}

#[tokio::test]
async fn nothing_is_asked_for_without_a_fresh_proof() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let page = client.get(page::SECURITY).await;
    for (wrong, status) in [("no address", 422), (person.email.as_str(), 422), ("", 422)] {
        let answer = client.submit(&page, page::FORM_EMAIL, &[("email", wrong)]).await;
        assert_eq!(answer.status, status, "{wrong}: {answer:?}");
    }
    stack
        .execute("update sessions set proven_at = now() - interval '11 minutes'")
        .await;
    let new = fresh_address();
    let answer = client.submit(&page, page::FORM_EMAIL, &[("email", &new)]).await;
    assert_eq!(answer.location(), page::PROVE);
    assert_eq!(stack.number("select count(*) from email_changes").await, 0);
    assert_eq!(stack.mailbox.letters_to(person.email.as_str()).len(), 1);
}

#[tokio::test]
async fn what_is_answered_does_not_tell_whether_the_address_is_somebodys() {
    let stack = Stack::start().await;
    let (owner, _) = Person::join(&stack).await;
    let (person, client) = Person::join(&stack).await;
    let taken = owner.email.to_string();
    let free = fresh_address();
    let mut shown = Vec::new();
    for new in [&free, &taken] {
        let asked = ask(&client, new).await;
        let page = client.get(page::SECURITY).await;
        let section = page
            .text()
            .split("data-testid=\"email-section\"")
            .nth(1)
            .and_then(|rest| rest.split("</section>").next())
            .expect("the section")
            .replace(new.as_str(), "NEW");
        // the minute and the form's token are not about the address
        let words = section
            .split(" The links work")
            .next()
            .unwrap_or_default()
            .to_owned();
        shown.push((asked.status, asked.location(), asked.body.len(), words));
        client.submit(&page, page::FORM_EMAIL_STOP, &[]).await.succeeds();
    }
    assert_eq!(shown[0], shown[1]);

    ask(&client, &taken).await;
    let letter = stack.letter_about(&taken, "already have an account").await;
    assert!(!letter.text.contains(page::EMAIL_LINK), "{}", letter.text);
    // one of three letters, the others of which lead nowhere any more
    let stranger = browser(&stack);
    let old_link = until("the letter to the old address", async || {
        for letter in stack.mailbox.letters_to(person.email.as_str()) {
            let link = path_of(&letter.link?);
            if stranger.get(&link).await.text().contains("email-link-form") {
                return Some(link);
            }
        }
        None
    })
    .await;
    let half = press(&browser(&stack), &old_link, "yes").await;
    assert!(
        half.text().contains("the other address"),
        "the old mailbox learns nothing either"
    );
    owner.browser(&stack).await;
    person.browser(&stack).await;
}

#[tokio::test]
async fn whoever_only_signed_up_with_the_address_gives_way_to_its_prover() {
    let stack = Stack::start().await;
    let asked = Asked::begin(&stack).await;
    let squatter = Person::with_address(&asked.new);
    squatter
        .sign_up(&browser(&stack))
        .await
        .has_status(StatusCode::ACCEPTED);
    press(&browser(&stack), &asked.old_link, "yes").await.succeeds();
    let done = press(&browser(&stack), &asked.new_link, "yes").await;
    assert!(done.text().contains("is changed"), "{done:?}");
    asked.renamed().browser(&stack).await;
    squatter
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::InvalidCredentials);
}

#[tokio::test]
async fn an_address_that_somebody_proves_meanwhile_stays_theirs() {
    let stack = Stack::start().await;
    let asked = Asked::begin(&stack).await;
    press(&browser(&stack), &asked.old_link, "yes").await.succeeds();
    let key = asked.renamed().email.key();
    stack
        .execute(&format!(
            "insert into users (email, email_key, email_verified) values ('{key}', '{key}', now())"
        ))
        .await;
    let late = press(&browser(&stack), &asked.new_link, "yes").await;
    assert_eq!(late.status, StatusCode::GONE, "{late:?}");
    assert_eq!(asked.client.me().await.email, asked.person.email);
    assert_eq!(stack.number("select count(*) from users").await, 2);
}

#[tokio::test]
async fn looking_at_a_link_answers_nothing() {
    let stack = Stack::start().await;
    let asked = Asked::begin(&stack).await;
    let scanner = browser(&stack);
    for link in [&asked.old_link, &asked.new_link] {
        for _ in 0..5 {
            let looked = scanner.get(link).await;
            assert_eq!(
                (looked.status, looked.header("cache-control")),
                (200, Some("no-store"))
            );
        }
        // a form that names no button
        let page = scanner.get(link).await;
        scanner.submit(&page, page::EMAIL_LINK, &[]).await.succeeds();
    }
    asked.stays(&stack).await;
    let (id, _) = asked.new_link.split_once("&t=").expect("a secret");
    assert_eq!(
        scanner.get(&format!("{id}&t=guessed")).await.status,
        StatusCode::GONE
    );
}

#[tokio::test]
async fn either_mailbox_refuses_and_the_owner_calls_it_off() {
    let stack = Stack::start().await;
    for way in 0..3 {
        let asked = Asked::begin(&stack).await;
        match way {
            0 => press(&browser(&stack), &asked.old_link, "no").await,
            1 => press(&browser(&stack), &asked.new_link, "no").await,
            _ => {
                let page = asked.client.get(page::SECURITY).await;
                asked.client.submit(&page, page::FORM_EMAIL_STOP, &[]).await
            }
        }
        .succeeds();
        for link in [&asked.old_link, &asked.new_link] {
            assert_eq!(browser(&stack).get(link).await.status, StatusCode::GONE, "{way}");
        }
        asked.stays(&stack).await;
    }
}

#[tokio::test]
async fn what_waits_ends_with_a_reset_password_another_change_and_a_day() {
    let stack = Stack::start().await;
    let asked = Asked::begin(&stack).await;
    let client = browser(&stack);
    let form = client.get(page::FORGOT).await;
    client
        .submit(&form, page::FORGOT, &[("email", asked.person.email.as_str())])
        .await
        .succeeds();
    let link = link_about(&stack, asked.person.email.as_str(), "Choose a new password").await;
    let form = client.get(&link).await;
    client
        .submit(&form, page::RESET, &[("password", "walnut-ferry-copper-drizzle")])
        .await
        .succeeds();
    assert_eq!(client.get(&asked.new_link).await.status, StatusCode::GONE);

    let asked = Asked::begin(&stack).await;
    // while one waits the page has no form for another; a page from before has
    let page = asked.client.get(page::SECURITY).await;
    let stop = page.form(page::FORM_EMAIL_STOP);
    let other = fresh_address();
    let fields = [
        ("csrf", stop.field("csrf").expect("a token")),
        ("email", other.as_str()),
    ];
    let again = asked.client.request(Method::POST, page::FORM_EMAIL).form(&fields);
    let again = asked.client.send(again).await;
    assert_eq!(again.location(), page::SECURITY, "{again:?}");
    let link = link_about(&stack, &other, "Confirm your new").await;
    for ended in [&asked.new_link, &asked.old_link] {
        assert_eq!(client.get(ended).await.status, StatusCode::GONE);
    }
    client.get(&link).await.succeeds();

    let asked = Asked::begin(&stack).await;
    let hours = "select round(extract(epoch from expires - now()) / 3600)::bigint
                   from email_changes order by created_at desc limit 1";
    assert_eq!(stack.number(hours).await, 24);
    stack
        .execute("update email_changes set expires = now() - interval '1 second'")
        .await;
    assert_eq!(client.get(&asked.new_link).await.status, StatusCode::GONE);
    asked.stays(&stack).await;
}

/// Whoever was in for a moment and asked for another address is out with the password of before, and so is what they asked for.
#[tokio::test]
async fn what_waits_ends_with_the_owners_own_new_password() {
    let stack = Stack::start().await;
    let asked = Asked::begin(&stack).await;
    press(&browser(&stack), &asked.new_link, "yes").await.succeeds();
    let page = asked.client.get(page::SECURITY).await;
    let chosen = "walnut-ferry-copper-drizzle";
    let changed = asked
        .client
        .submit(&page, page::FORM_PASSWORD, &[("password", chosen)])
        .await;
    assert!(changed.status < 400, "{changed:?}");
    for ended in [&asked.old_link, &asked.new_link] {
        assert_eq!(browser(&stack).get(ended).await.status, StatusCode::GONE);
    }
    let person = Person {
        password: chosen.to_owned(),
        ..asked.person.clone()
    };
    assert_eq!(person.browser(&stack).await.me().await.email, asked.person.email);
}

#[tokio::test]
async fn many_who_press_at_once_change_it_once() {
    let stack = Stack::start().await;
    let asked = Asked::begin(&stack).await;
    let clients: Vec<Client> = (0..8).map(|_| browser(&stack)).collect();
    let links = [&asked.old_link, &asked.new_link];
    // all have the page before the first presses: a change that is through takes the pages away
    let opening = clients
        .iter()
        .enumerate()
        .map(|(number, client)| client.get(links[number % 2]));
    let pages = join_all(opening).await;
    let pressing = clients
        .iter()
        .zip(&pages)
        .map(|(client, page)| client.submit(page, page::EMAIL_LINK, &[("answer", "yes")]));
    let answers = join_all(pressing).await;
    let changed = answers
        .iter()
        .filter(|answer| answer.text().contains("address is changed"))
        .count();
    assert_eq!(changed, 1, "{answers:?}");
    assert_eq!(asked.client.me().await.email.as_str(), asked.new);
    let told = "select count(*) from audit_events where event = 'email_changed'";
    assert_eq!(stack.number(told).await, 1);
}

/// Does something while somebody else holds the user, as whoever changes how they sign in does, and who touches, once that waits for
/// the user too, all that may be used up for them. None of the two may have what the other waits for. `user`: as SQL has the id.
pub(super) async fn while_held<T>(stack: &Stack, user: &str, doing: impl Future<Output = T>) -> T {
    let hold = format!(
        "begin; select from users where id = {user} for update;
         do $$ begin
             for turn in 1..300 loop
                 perform pg_stat_clear_snapshot();
                 exit when exists (select from pg_stat_activity
                                    where datname = current_database() and wait_event_type = 'Lock');
                 perform pg_sleep(0.05);
             end loop;
         end $$;
         update verification_tokens set attempts = attempts where user_id = {user};
         update email_changes set expires = expires where user_id = {user};
         update second_factors set last_step = last_step where user_id = {user};
         update challenges set attempts = attempts where user_id = {user};
         update oauth_codes set expires = expires where user_id = {user};
         update device_codes set expires = expires where user_id = {user};
         commit"
    );
    let doing = async {
        let holds = "select count(*) from pg_stat_activity
                      where datname = current_database() and wait_event = 'PgSleep'";
        until("the user to be held", async || {
            (stack.number(holds).await == 1).then_some(())
        })
        .await;
        doing.await
    };
    let (_, done) = tokio::join!(stack.execute(&hold), doing);
    done
}

/// Presses the button of a page in a browser of its own, meanwhile.
async fn press_while_held(
    stack: &Stack,
    asked: &Asked,
    (link, action): (&str, &str),
    fields: &[(&str, &str)],
) -> Answer {
    let user = asked.client.me().await.user;
    let client = browser(stack);
    let page = client.get(link).await;
    let pressing = client.submit(&page, action, fields);
    while_held(stack, &format!("'{user}'"), pressing).await
}

#[tokio::test]
async fn a_reset_and_a_change_taken_back_hold_the_user_before_all_else() {
    let stack = Stack::start().await;
    let asked = Asked::change(&stack).await;
    let link = asked.undo_link(&stack).await;
    press_while_held(&stack, &asked, (&link, page::EMAIL_UNDO), &[])
        .await
        .succeeds();

    let asked = Asked::begin(&stack).await;
    let client = browser(&stack);
    let form = client.get(page::FORGOT).await;
    client
        .submit(&form, page::FORGOT, &[("email", asked.person.email.as_str())])
        .await
        .succeeds();
    let link = link_about(&stack, asked.person.email.as_str(), "Choose a new password").await;
    let chosen = [("password", "walnut-ferry-copper-drizzle")];
    press_while_held(&stack, &asked, (&link, page::RESET), &chosen)
        .await
        .succeeds();
}

#[tokio::test]
async fn the_old_mailbox_takes_a_change_back_and_whoever_made_it_is_out() {
    let stack = Stack::start().await;
    let asked = Asked::change(&stack).await;
    let laptop = asked.renamed().native(&stack, "Thief's laptop").await;
    let user = asked.client.me().await.user;
    stack
        .execute(&format!(
            "insert into accounts (user_id, provider, provider_account_id) values ('{user}', 'google', 'thief')"
        ))
        .await;
    for (name, at) in [("Ana", "now() - interval '1 day'"), ("thief", "now()")] {
        stack
            .execute(&format!(
                "insert into passkeys (user_id, id, credential_id, name, credential, created_at)
                 values ('{user}', gen_random_uuid(), '{name}', '{name}', '{{}}', {at})"
            ))
            .await;
    }
    // a second change does not shut the first mailbox out
    let page = asked.client.get(page::SECURITY).await;
    let third = fresh_address();
    asked
        .client
        .submit(&page, page::FORM_EMAIL, &[("email", &third)])
        .await;
    for (address, subject) in [
        (asked.new.as_str(), "to be changed"),
        (&third, "Confirm your new"),
    ] {
        let link = link_about(&stack, address, subject).await;
        press(&browser(&stack), &link, "yes").await.succeeds();
    }
    assert_eq!(asked.client.me().await.email.as_str(), third);

    let link = asked.undo_link(&stack).await;
    let owner = browser(&stack);
    for _ in 0..3 {
        let looked = owner.get(&link).await;
        assert!(
            looked.succeeds().text().contains("a•••@example.org"),
            "{looked:?}"
        );
    }
    assert_eq!(
        asked.client.me().await.email.as_str(),
        third,
        "looking changes nothing"
    );
    let done = undo(&owner, &link).await;
    assert!(done.succeeds().text().contains("is back"), "{done:?}");
    assert_eq!(owner.get(&link).await.status, StatusCode::GONE, "it works once");

    asked.client.get(routes::ME).await.refused(Code::SessionRevoked);
    laptop.get(routes::ME).await.refused(Code::SessionRevoked);
    for person in [&asked.person, &asked.renamed()] {
        person
            .try_sign_in(&browser(&stack), Kind::Browser)
            .await
            .refused(Code::InvalidCredentials);
    }
    assert_eq!(stack.number("select count(*) from accounts").await, 0);
    let passkeys = "select count(*) from passkeys where name";
    assert_eq!(stack.number(&format!("{passkeys} = 'thief'")).await, 0);
    assert_eq!(stack.number(&format!("{passkeys} = 'Ana'")).await, 1);
    stack.letter_about(&third, "was undone").await;
    let letter = stack
        .letter_about(asked.person.email.as_str(), "was undone")
        .await;
    let form = owner
        .get(path_of(&letter.link.expect("a link")).trim_end_matches('?'))
        .await;
    owner
        .submit(&form, page::FORGOT, &[("email", asked.person.email.as_str())])
        .await
        .succeeds();
    let link = link_about(&stack, asked.person.email.as_str(), "Choose a new password").await;
    let form = owner.get(&link).await;
    let again = Person {
        password: "walnut-ferry-copper-drizzle".to_owned(),
        ..asked.person.clone()
    };
    owner
        .submit(&form, page::RESET, &[("password", &again.password)])
        .await
        .succeeds();
    assert_eq!(again.browser(&stack).await.me().await.user, user);
}

#[tokio::test]
async fn after_a_week_it_is_not_taken_back() {
    let stack = Stack::start().await;
    let asked = Asked::change(&stack).await;
    let link = asked.undo_link(&stack).await;
    let page = browser(&stack);
    let form = page.get(&link).await;
    stack
        .execute("update email_changes set done_at = now() - interval '7 days 1 minute'")
        .await;
    assert_eq!(page.get(&link).await.status, StatusCode::GONE);
    let late = page.submit(&form, page::EMAIL_UNDO, &[]).await;
    assert_eq!(late.status, StatusCode::GONE, "{late:?}");
    assert_eq!(asked.client.me().await.email.as_str(), asked.new);
}

#[tokio::test]
async fn letters_to_strangers_are_few() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (_, client) = Person::join(&stack).await;
    let page = client.get(page::SECURITY).await;
    let victim = fresh_address();
    let first = client
        .submit(&page, page::FORM_EMAIL, &[("email", &victim)])
        .await;
    assert_eq!(first.location(), page::SECURITY, "{first:?}");
    let second = client
        .submit(&page, page::FORM_EMAIL, &[("email", &victim)])
        .await;
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS, "{second:?}");
    let noted = "select count(*) from audit_events
                  where event = 'email_asked' and reason = 'letter: too often' and user_id is not null";
    assert_eq!(stack.number(noted).await, 1);
    stack.letter_about(&victim, "Confirm your new").await;
    // nor do many accounts add up
    let (other, other_client) = Person::join(&stack).await;
    let asked = ask(&other_client, &victim).await;
    assert_eq!(asked.location(), page::SECURITY, "says the same");
    stack.letter_about(other.email.as_str(), "to be changed").await;
    assert_eq!(stack.mailbox.letters_to(&victim).len(), 1);
}
