//! What a browser's passkeys were asked, kept in Redis until the answer comes: for five minutes, and for one answer.
//!
//! **Invariant:** it is taken away by the look at it, whoever looks and whatever comes of it.

use super::super::{Auth, cookies};
use crate::error::Result;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::{Code, DeviceId, Problem};
use serde::{Deserialize, Serialize};
use webauthn_rs::prelude::{DiscoverableAuthentication, PasskeyRegistration};

/// Seconds that the answer may take.
pub const WAITS: u32 = 300;

/// Whose browser has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// Of somebody who signs in: by the hash of its cookie.
    Stranger([u8; 32]),
    /// Of somebody who is signed in.
    Device(DeviceId),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Begun {
    /// A new one is made.
    Making(PasskeyRegistration),
    Using(DiscoverableAuthentication),
}

#[derive(Serialize, Deserialize)]
struct Ceremony {
    holder: Holder,
    begun: Begun,
}

impl Auth {
    fn ceremony_key(&self, id: &str) -> String {
        let hash = URL_SAFE_NO_PAD.encode(cookies::digest(id));
        self.key(format_args!("passkey:{hash}"))
    }

    /// Gives what the browser sends back with the answer.
    pub(super) async fn begin_ceremony(&self, holder: Holder, begun: Begun) -> Result<String> {
        let id = cookies::fresh_secret();
        let kept = serde_json::to_string(&Ceremony { holder, begun }).context("keeping a ceremony")?;
        let () = self
            .redis
            .ask(&redis::Cmd::set_ex(self.ceremony_key(&id), kept, WAITS.into()))
            .await?;
        Ok(id)
    }

    pub(super) async fn end_ceremony(&self, id: &str, holder: Holder) -> Result<Begun> {
        let text: Option<String> = self
            .redis
            .ask(&redis::Cmd::get_del(self.ceremony_key(id)))
            .await?;
        let Some(text) = text else {
            return Err(over().into());
        };
        let ceremony: Ceremony = serde_json::from_str(&text).context("reading a ceremony")?;
        if ceremony.holder != holder {
            return Err(over().into());
        }
        Ok(ceremony.begun)
    }
}

/// It took too long, was answered already, or another browser was asked.
pub fn over() -> Problem {
    Problem::new(Code::StateMismatch)
        .detail("This took too long, or was started elsewhere. Please press the button again.")
}
