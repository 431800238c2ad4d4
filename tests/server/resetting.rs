//! Steps around a forgotten password in whatever order chance has them: the password changes only by a fresh link, or by whoever is in
//! and has just shown who they are.

use crate::forgotten::{choose, choose_blindly, forget, parts};
use harness::mailbox::path_of;
use harness::{Client, Person, Stack, browser, until};
use http::Method;
use protocol::auth::{Client as Kind, Email};
use protocol::routes::{self, page};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const SEEDS: u64 = 12;
const STEPS: usize = 9;
const SUBJECT: &str = "Choose a new password";

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Another letter: the links of those before are worth nothing.
    Ask,
    /// At the link of some letter.
    Look(usize),
    /// By the link of some letter, with its page where it has one.
    Choose(usize),
    /// By the id of some letter and a secret that is made up, or none at all.
    Guess(usize),
    /// By the id of some letter and the secret of somebody else's.
    Mix(usize),
    Expire,
    SignIn,
    /// The proof of whoever is in is too old.
    Rest,
    /// By whoever is in.
    ChangeByProof,
    ChangeAddress,
}

fn drawn(rng: &mut StdRng) -> Step {
    let which = rng.random_range(0..8);
    match rng.random_range(0..20) {
        0..4 => Step::Ask,
        4 => Step::Look(which),
        5..9 => Step::Choose(which),
        9 => Step::Guess(which),
        10 => Step::Mix(which),
        11 => Step::Expire,
        12..15 => Step::SignIn,
        15 => Step::Rest,
        16..19 => Step::ChangeByProof,
        _ => Step::ChangeAddress,
    }
}

/// What should be, beside what is.
struct World<'a> {
    stack: &'a Stack,
    person: Person,
    user: String,
    client: Client,
    /// Of a page that was opened while the proof was fresh.
    csrf: String,
    is_in: bool,
    is_fresh: bool,
    /// Every link that came, and whether it is good for a password.
    links: Vec<(String, bool)>,
    /// A good link of somebody else.
    others: String,
    /// Passwords chosen so far.
    chosen: usize,
}

async fn token_of(client: &Client) -> String {
    let page = client.get(page::SECURITY).await;
    let form = page.form(page::FORM_PASSWORD);
    form.field("csrf").unwrap_or_default().to_owned()
}

impl<'a> World<'a> {
    async fn begin(stack: &'a Stack, others: &str) -> Self {
        let (person, client) = Person::join(stack).await;
        let user = client.me().await.user.to_string();
        let csrf = token_of(&client).await;
        Self {
            stack,
            person,
            user,
            client,
            csrf,
            is_in: true,
            is_fresh: true,
            links: Vec::new(),
            others: others.to_owned(),
            chosen: 0,
        }
    }

    fn link(&self, which: usize) -> Option<(String, bool)> {
        let place = which.checked_rem(self.links.len())?;
        self.links.get(place).cloned()
    }

    fn void_links(&mut self) {
        for (_, is_good) in &mut self.links {
            *is_good = false;
        }
    }

    fn another_password(&mut self) -> String {
        self.chosen += 1;
        format!("walnut-ferry-{}-{:08x}", self.chosen, rand::random::<u32>())
    }

    async fn stored(&self) -> i64 {
        let hash = format!(
            "select hashtext(password_hash)::bigint from users where id = '{}'",
            self.user
        );
        self.stack.number(&hash).await
    }

    /// Gives whether the password has to be another one afterwards.
    async fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Ask => self.ask().await,
            Step::Look(which) => self.look(which).await,
            Step::Choose(which) => return self.choose(which).await,
            Step::Guess(which) => self.guess(which).await,
            Step::Mix(which) => self.mix(which).await,
            Step::Expire => {
                self.void_links();
                let late = format!(
                    "update verification_tokens set expires = now() - interval '1 second' where user_id = '{}'",
                    self.user
                );
                self.stack.execute(&late).await;
            }
            Step::SignIn => {
                self.client = self.person.browser(self.stack).await;
                self.csrf = token_of(&self.client).await;
                (self.is_in, self.is_fresh) = (true, true);
            }
            Step::Rest => {
                let old = "update sessions set proven_at = now() - interval '11 minutes' where user_id";
                self.stack.execute(&format!("{old} = '{}'", self.user)).await;
                self.is_fresh = false;
            }
            Step::ChangeByProof => return self.change_by_proof().await,
            Step::ChangeAddress => self.change_address().await,
        }
        false
    }

    fn letters(&self) -> Vec<String> {
        let letters = self.stack.mailbox.letters_to(self.person.email.as_str());
        let about = letters
            .into_iter()
            .filter(|letter| letter.subject.contains(SUBJECT));
        about.filter_map(|letter| letter.link).collect()
    }

    async fn ask(&mut self) {
        let before = self.letters().len();
        let window = browser(self.stack);
        forget(&window, self.person.email.as_str()).await.succeeds();
        let link = until("the letter", async || self.letters().get(before).cloned()).await;
        self.void_links();
        self.links.push((path_of(&link), true));
    }

    async fn look(&self, which: usize) {
        let Some((link, is_good)) = self.link(which) else {
            return;
        };
        let looked = browser(self.stack).get(&link).await;
        assert_eq!(looked.status, if is_good { 200 } else { 410 }, "{looked:?}");
    }

    async fn choose(&mut self, which: usize) -> bool {
        let Some((link, is_good)) = self.link(which) else {
            return false;
        };
        let password = self.another_password();
        if !is_good {
            let late = choose_blindly(self.stack, &link, &password).await;
            assert_eq!(late.status, 410, "{late:?}");
            return false;
        }
        // what is too weak leaves the link as it is
        let weak = choose(&browser(self.stack), &link, "password1234").await;
        assert_eq!(weak.status, 422, "{weak:?}");
        let window = browser(self.stack);
        choose(&window, &link, &password).await.succeeds();
        assert!(!window.is_in(), "a link signs nobody in");
        self.person.password = password;
        self.void_links();
        self.is_in = false;
        true
    }

    async fn guess(&mut self, which: usize) {
        let password = self.another_password();
        let (id, _) = parts(
            &self
                .link(which)
                .map_or_else(|| self.others.clone(), |(link, _)| link),
        );
        for secret in ["", "guessed", &"A".repeat(43)] {
            let made_up = format!("{}?id={id}&t={secret}", page::RESET);
            let refused = choose_blindly(self.stack, &made_up, &password).await;
            assert_eq!(refused.status, 410, "{refused:?}");
        }
        let window = browser(self.stack);
        let any = window.get(page::FORGOT).await;
        let csrf = any
            .form(page::FORGOT)
            .field("csrf")
            .unwrap_or_default()
            .to_owned();
        let bare = [("csrf", csrf.as_str()), ("password", &password)];
        let bare = window.request(Method::POST, page::RESET).form(&bare);
        let refused = window.send(bare).await;
        assert!((400..500).contains(&refused.status), "{refused:?}");
    }

    async fn mix(&mut self, which: usize) {
        let password = self.another_password();
        let Some((link, _)) = self.link(which) else {
            return;
        };
        let (own, others) = (parts(&link), parts(&self.others));
        for (id, secret) in [(&own.0, &others.1), (&others.0, &own.1)] {
            let mixed = format!("{}?id={id}&t={secret}", page::RESET);
            let refused = choose_blindly(self.stack, &mixed, &password).await;
            assert_eq!(refused.status, 410, "{refused:?}");
        }
    }

    /// As whoever still has the page open.
    async fn change_by_proof(&mut self) -> bool {
        let password = self.another_password();
        if !self.is_in {
            let gone = self.client.get(routes::ME).await;
            assert_eq!(gone.status, 401, "{gone:?}");
            return false;
        }
        let all = [("password", password.as_str()), ("csrf", self.csrf.as_str())];
        let request = self.client.request(Method::POST, page::FORM_PASSWORD).form(&all);
        let answer = self.client.send(request).await;
        if !self.is_fresh {
            assert_eq!(answer.location(), page::PROVE, "{answer:?}");
            return false;
        }
        assert!(
            answer.status < 400 && answer.location() != page::PROVE,
            "{answer:?}"
        );
        self.person.password = password;
        self.void_links();
        true
    }

    /// By both mailboxes, where somebody is in who may ask for it.
    async fn change_address(&mut self) {
        if !self.is_in || !self.is_fresh {
            return;
        }
        let new = Person::fresh().email.to_string();
        let page = self.client.get(page::SECURITY).await;
        let asked = self
            .client
            .submit(&page, page::FORM_EMAIL, &[("email", &new)])
            .await;
        assert_eq!(asked.location(), page::SECURITY, "{asked:?}");
        let old = self.person.email.to_string();
        for (address, subject) in [(&old, "to be changed"), (&new, "Confirm your new")] {
            let letter = self.stack.letter_about(address, subject).await;
            let link = path_of(&letter.link.unwrap_or_default());
            let window = browser(self.stack);
            let form = window.get(&link).await;
            let fields = [("answer", "yes")];
            window.submit(&form, page::EMAIL_LINK, &fields).await.succeeds();
        }
        self.person.email = Email::parse(&new).unwrap_or_else(|problem| panic!("{new}: {problem}"));
        self.void_links();
    }
}

#[tokio::test]
async fn no_order_of_steps_sets_a_password_but_by_a_fresh_link_or_a_fresh_proof() {
    let stack = Stack::start().await;
    let (other, _) = Person::join(&stack).await;
    forget(&browser(&stack), other.email.as_str()).await.succeeds();
    let letter = stack.letter_about(other.email.as_str(), SUBJECT).await;
    let others = path_of(&letter.link.expect("a link"));
    let mut changes = 0;
    for seed in 0..SEEDS {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut world = World::begin(&stack, &others).await;
        let mut done = Vec::new();
        for _ in 0..STEPS {
            let step = drawn(&mut rng);
            done.push(step);
            // said where it fails, with all that went before
            eprintln!("seed {seed}: {step:?}");
            let before = world.stored().await;
            let must_change = world.take(step).await;
            let after = world.stored().await;
            assert_eq!(before != after, must_change, "seed {seed}: {done:?}");
            changes += usize::from(must_change);
        }
        world.person.browser(&stack).await;
    }
    assert!(changes > 6, "chance has to try it: {changes}");
    other.browser(&stack).await;
    let stranger = Person {
        password: "walnut-ferry-copper-drizzle".to_owned(),
        ..other.clone()
    };
    let refused = stranger.try_sign_in(&browser(&stack), Kind::Browser).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    browser(&stack).get(&others).await.succeeds();
}
