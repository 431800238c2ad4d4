//! Somebody who uses the product: an address, a password, and the ways in. Their browsers stay signed in.

use crate::client::{Answer, Client};
use crate::hush;
use crate::stack::Stack;
use protocol::auth::{Client as Kind, Email, Password, SignIn, SignUp, SignUpStarted, SignedIn, Verify};
use protocol::sync::{Ord, Seq};
use protocol::{MessageId, RunId, routes};

#[derive(Clone, Debug)]
pub struct Person {
    pub email: Email,
    pub password: String,
}

/// A message on the server, and the reply that it started.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub id: MessageId,
    pub seq: Seq,
    pub ord: Option<Ord>,
    pub run: Option<RunId>,
    pub reply: Option<MessageId>,
}

impl Sent {
    #[track_caller]
    pub fn run(&self) -> RunId {
        self.run.unwrap_or_else(|| panic!("the message started a reply"))
    }

    #[track_caller]
    pub fn reply(&self) -> MessageId {
        self.reply.unwrap_or_else(|| panic!("the message has a reply"))
    }
}

impl Person {
    /// Somebody whom no installation knows yet.
    pub fn fresh() -> Self {
        let email = format!("ana.{:016x}@example.org", rand::random::<u64>());
        Self::with_address(&email)
    }

    pub fn with_address(email: &str) -> Self {
        Self {
            email: Email::parse(email).unwrap_or_else(|problem| panic!("{email}: {problem}")),
            password: format!("plum-harbor-{:08x}-anchor", rand::random::<u32>()),
        }
    }

    /// Somebody who has signed up and confirmed their address, in the browser that is given back.
    pub async fn join(stack: &Stack) -> (Self, Client) {
        let person = Self::fresh();
        let client = browser(stack);
        person.sign_up_and_confirm(stack, &client, Kind::Browser).await;
        (person, client)
    }

    /// As [`Person::join`], with a native client.
    pub async fn join_natively(stack: &Stack) -> (Self, Client) {
        let person = Self::fresh();
        let client = Client::native(&stack.url());
        person.sign_up_and_confirm(stack, &client, native("Laptop")).await;
        (person, client)
    }

    async fn sign_up_and_confirm(&self, stack: &Stack, client: &Client, kind: Kind) {
        let started: SignUpStarted = self.sign_up(client).await.expect();
        let letter = stack.letter_to(self.email.as_str(), 1).await;
        let code = letter.code.unwrap_or_else(|| panic!("a code in {}", letter.text));
        let answer = self.confirm(client, &code, Some(started.binding), kind).await;
        keep_tokens(client, &answer);
    }

    /// What it gives away stands in no log.
    fn keep_secret(&self) {
        hush::keep_secret(&self.password);
        hush::keep_secret(self.email.as_str());
        hush::keep_secret(&self.email.key());
    }

    pub async fn sign_up(&self, client: &Client) -> Answer {
        self.keep_secret();
        let ask = SignUp {
            email: self.email.clone(),
            password: Password::typed(&self.password),
            name: None,
            work: None,
        };
        client.post(routes::SIGN_UP, &ask).await
    }

    /// Confirms with the mailed code.
    pub async fn confirm(&self, client: &Client, code: &str, binding: Option<String>, kind: Kind) -> Answer {
        let ask = Verify {
            email: self.email.clone(),
            code: code.to_owned(),
            binding,
            client: kind,
            stay: true,
        };
        client.post(routes::VERIFY, &ask).await
    }

    /// Asks to be signed in with the password; the answer may be a refusal.
    pub async fn try_sign_in(&self, client: &Client, kind: Kind) -> Answer {
        self.try_sign_in_with(client, None, kind).await
    }

    /// As [`Person::try_sign_in`], with what the sign-up of a window gave it.
    pub async fn try_sign_in_with(&self, client: &Client, binding: Option<String>, kind: Kind) -> Answer {
        self.keep_secret();
        let ask = SignIn {
            email: self.email.clone(),
            password: Password::typed(&self.password),
            binding,
            client: kind,
            stay: true,
        };
        client.post(routes::SIGN_IN, &ask).await
    }

    /// Signs in with the password, in a new browser.
    pub async fn browser(&self, stack: &Stack) -> Client {
        let client = browser(stack);
        self.try_sign_in(&client, Kind::Browser)
            .await
            .expect::<SignedIn>();
        client
    }

    /// Signs in with the password, on a new computer.
    pub async fn native(&self, stack: &Stack, name: &str) -> Client {
        let client = Client::native(&stack.url());
        let answer = self.try_sign_in(&client, native(name)).await;
        keep_tokens(&client, &answer);
        client
    }
}

fn keep_tokens(client: &Client, answer: &Answer) {
    let signed_in: SignedIn = answer.expect();
    if !client.is_browser() {
        client.hold(
            signed_in
                .tokens
                .unwrap_or_else(|| panic!("a native client gets tokens")),
        );
    }
}

/// A browser's window that nobody signed in to.
pub fn browser(stack: &Stack) -> Client {
    Client::browser(&stack.url(), &stack.url())
}

/// How a native client names itself.
pub fn native(name: &str) -> Kind {
    Kind::Native {
        name: name.to_owned(),
        os: "linux".to_owned(),
        version: "0.1.0".to_owned(),
    }
}
