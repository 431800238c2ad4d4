//! Who somebody is: signing up, in and out, devices, providers, tokens, and the [`Caller`] behind every request.
//!
//! **Invariant:** every device is made by [`finish::finish_sign_in`], whatever the way in.

mod access;
mod caller;
mod cookies;
mod devices;
mod origin;
mod refresh;
mod seal;
mod seen;
mod visit;

pub use caller::{Caller, Kind};
pub use cookies::{FLOW, PRE_SESSION, SESSION};
pub use visit::Visit;

use crate::app::App;
use crate::hints::Hints;
use crate::limits::Limits;
use crate::limits::address::Proxies;
use axum::Router;
use axum::extract::FromRef;
use std::ops::Deref;
use std::sync::Arc;

/// The room's state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Auth(Arc<Parts>);

#[derive(Debug)]
pub struct Parts {
    hints: Hints,
    limits: Limits,
    proxies: Proxies,
    signer: access::Signer,
    seen: seen::Seen,
}

impl Deref for Auth {
    type Target = Hints;
    fn deref(&self) -> &Hints {
        &self.0.hints
    }
}

impl FromRef<Auth> for Hints {
    fn from_ref(auth: &Auth) -> Self {
        auth.0.hints.clone()
    }
}

impl Auth {
    /// Reads what the settings say about signing in, and begins to listen for devices signed out on other nodes.
    pub fn open(hints: Hints) -> anyhow::Result<Self> {
        let auth = Self(Arc::new(Parts {
            limits: Limits::new(App::clone(&hints)),
            proxies: Proxies::parse(&hints.config.trusted_proxies)?,
            signer: access::Signer::new(&hints)?,
            seen: seen::Seen::default(),
            hints,
        }));
        seen::spawn(&auth);
        Ok(auth)
    }
}

/// The room's routes.
pub fn router(auth: Auth) -> Router {
    Router::new().with_state(auth)
}
