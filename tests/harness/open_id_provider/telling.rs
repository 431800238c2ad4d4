//! The same provider as Apple tells of its people of its own accord: a signed notice, for whoever is to post it.

use super::{CLIENT, Fault, Visitor, tokens};
use serde_json::{Value, json};

/// What it tells.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Told again, it has the same.
    pub id: String,
    pub kind: String,
    pub subject: String,
    pub email: Option<String>,
    /// Seconds since it was written.
    pub age: u64,
    /// As an object, which Apple's pages show, and not as the text of one, which it sends.
    pub is_plain: bool,
}

impl Notice {
    /// Of this person, just now.
    pub fn of(visitor: &Visitor, kind: &str) -> Self {
        Self {
            id: format!("{:032x}", rand::random::<u128>()),
            kind: kind.to_owned(),
            subject: visitor.subject.clone(),
            email: kind.starts_with("email-").then(|| visitor.email.clone()),
            age: 0,
            is_plain: false,
        }
    }

    pub(super) fn signed(&self, issuer: &str, fault: Fault, key_name: &str) -> String {
        let at = tokens::now() - self.age;
        let mut event = json!({"type": self.kind, "sub": self.subject, "event_time": at * 1000});
        if let Some(email) = &self.email {
            tokens::put(&mut event, "email", Some(email.clone().into()));
            tokens::put(&mut event, "is_private_email", Some("true".into()));
        }
        let events = if self.is_plain {
            event
        } else {
            Value::from(event.to_string())
        };
        // with no word of when it ends
        let claims = json!({"iss": issuer, "aud": CLIENT, "iat": at, "jti": self.id, "events": events});
        tokens::spoilt(claims, fault, key_name)
    }
}
