//! A sign-in on its way through the system browser (RFC 7636, RFC 9207): what has to be known when it comes home.
//!
//! **Invariant:** no I/O; the verifier and the key are shown to nobody.

use crate::deep_link::Callback;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::UnixMillis;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;
use sync_client::proof::ProofKey;
use url::Url;

/// As long as the server keeps its half.
pub const LIFETIME: UnixMillis = 10 * 60 * 1000;

#[derive(Clone, Serialize, Deserialize)]
pub struct Pending {
    pub verifier: String,
    pub state: String,
    pub redirect_uri: String,
    pub began: UnixMillis,
    /// What the sign-in is bound to from here on (RFC 9449 §10).
    pub key: ProofKey,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending(since {})", self.began)
    }
}

/// Why a link that came home is not for this sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stray {
    #[error("it was begun elsewhere")]
    OtherState,
    #[error("it is of another server")]
    OtherServer,
    #[error("it took too long")]
    TooLate,
}

impl Pending {
    /// `chance` is 64 fresh random bytes.
    pub fn new(chance: &[u8; 64], key: ProofKey, redirect_uri: &str, now: UnixMillis) -> Self {
        let (verifier, state) = chance.split_at(32);
        Self {
            verifier: URL_SAFE_NO_PAD.encode(verifier),
            state: URL_SAFE_NO_PAD.encode(state),
            redirect_uri: redirect_uri.to_owned(),
            began: now,
            key,
        }
    }

    /// `S256` of the verifier.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }

    /// A clock put back is no reason to keep a verifier for ever.
    pub const fn is_alive(&self, now: UnixMillis) -> bool {
        now >= self.began && now - self.began <= LIFETIME
    }

    pub fn is_answered_by(&self, callback: &Callback) -> bool {
        self.state.as_bytes().ct_eq(callback.state.as_bytes()).into()
    }

    /// Whether a link that came home answers this very sign-in.
    pub fn check(&self, callback: &Callback, server: &Url, now: UnixMillis) -> Result<(), Stray> {
        if !self.is_answered_by(callback) {
            return Err(Stray::OtherState);
        }
        let issuer = Url::parse(&callback.issuer).map_err(|_unreadable| Stray::OtherServer)?;
        if issuer.origin() != server.origin() || issuer.path() != "/" {
            return Err(Stray::OtherServer);
        }
        if self.is_alive(now) {
            Ok(())
        } else {
            Err(Stray::TooLate)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deep_link::Answer;

    fn callback(state: &str, issuer: &str) -> Callback {
        Callback {
            state: state.to_owned(),
            issuer: issuer.to_owned(),
            answer: Answer::Code("c".to_owned()),
        }
    }

    #[test]
    fn only_the_answer_to_this_sign_in_is_taken() {
        let server = Url::parse("https://compymac.dev/").unwrap();
        let pending = Pending::new(&[7; 64], ProofKey::fresh(), "compymac://auth/callback", 1_000);
        let own = |issuer| callback(&pending.state, issuer);
        assert_eq!(
            pending.check(&own("https://compymac.dev"), &server, 1_000),
            Ok(())
        );
        assert_eq!(
            pending.check(&callback("other", "https://compymac.dev"), &server, 1_000),
            Err(Stray::OtherState)
        );
        for issuer in [
            "https://evil.org",
            "http://compymac.dev",
            "https://compymac.dev/x",
            "compymac.dev",
        ] {
            assert_eq!(
                pending.check(&own(issuer), &server, 1_000),
                Err(Stray::OtherServer),
                "{issuer}"
            );
        }
        for now in [999, 1_001 + LIFETIME] {
            assert_eq!(
                pending.check(&own("https://compymac.dev"), &server, now),
                Err(Stray::TooLate)
            );
        }
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        let mut pending = Pending::new(&[0; 64], ProofKey::fresh(), "", 0);
        pending.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        assert_eq!(pending.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn verifier_and_state_are_of_full_length_and_differ() {
        let mut chance = [0; 64];
        for (place, byte) in chance.iter_mut().zip(0..) {
            *place = byte;
        }
        let pending = Pending::new(&chance, ProofKey::fresh(), "", 0);
        assert_eq!((pending.verifier.len(), pending.state.len()), (43, 43));
        assert_ne!(pending.verifier, pending.state);
        assert!(!format!("{pending:?}").contains(&pending.verifier));
    }
}
