//! Who somebody is: signing up, in and out, devices, providers, tokens, and the [`Caller`] behind every request.
//!
//! **Invariant:** every device is made by [`finish::finish_sign_in`], whatever the way in.

mod audit_events;
mod by_letter;
mod caller;
mod codes;
mod cookies;
mod deletion;
mod devices;
mod email_change;
mod finish;
mod known_browser;
mod native;
mod next;
mod once;
pub mod operator;
mod origin;
mod own_data;
mod passkey;
mod password;
mod providers;
mod safety;
mod seal;
mod sealing;
mod second_step;
mod seen;
mod signed_in;
mod tries;
mod users;
mod verification_tokens;
mod visit;
mod wishes;
mod work;

pub use by_letter::{ask_for_letter, enter_by_code, enter_by_link, letter_code, letter_look};
pub use caller::{Caller, Credential, Kind, proven, shows_a_credential};
pub use cookies::SESSION as SESSION_COOKIE;
use cookies::{FLOW, SESSION};
pub use deletion::{
    ask_to_delete, claim_deletion, deletion_is_done, forget_user, keep, keep_look, renew_deletion,
};
pub use email_change::{
    Answered, answer_email, ask_for_email, email_look, pending_email_change, stop_email_change, undo_email,
    undo_look,
};
pub use finish::{Entry, in_words};
pub use native::authorize::{Asked, authorize_cancel, authorize_confirm, authorize_look};
pub use native::device_flow::{answer_device_code, look_at_device_code};
pub use next::safe_next;
pub use own_data::{account_of, address_of, devices_after, events_after};
pub use passkey::adding::{
    NewPasskey, add as add_passkey, remove as remove_passkey, rename as rename_passkey,
};
pub use passkey::entering::{enter as enter_by_passkey, prove as prove_by_passkey};
pub use passkey::{Kept as Passkey, PasskeyAnswer, offers as offers_passkeys};
pub use password::measure;
pub use password::reset::{forgot, reset, reset_look};
pub use password::sign_in::sign_in;
pub use password::sign_up::{resend, sign_up};
pub use password::verify::{Pressed, verify, verify_link, verify_link_look};
pub use providers::flow::{Errand, back_to_sign_in, provider_start};
pub use providers::newcomer::{
    Waiting as Newcomer, again as newcomer_again, enter as enter_as_newcomer, waiting as newcomer,
};
pub use providers::own::{connected, disconnect};
pub use safety::{allow_export, change_password, look as safety_of, may_fetch_export, prove};
pub use second_step::turning::{
    ToTell, begin as begin_second_step, begun as begun_second_step, fresh_codes,
    turn_off as turn_second_step_off, turn_on as turn_second_step_on,
};
pub use second_step::{
    awaited_step, goes_on, is_second_step_open, second_step, too_late as second_step_is_over,
};
pub use signed_in::{devices_of, sign_out, sign_out_device, sign_out_others};
pub use visit::Visit;
pub use wishes::{choose_by_link, choose_letters, look_at_wish, wants_tips};
pub use work::{fold_form, unfold_form};

use crate::app::App;
use crate::config::Config;
use crate::error::Result;
use crate::hints::Hints;
use crate::limits::Limits;
use crate::limits::address::Proxies;
use crate::mail::suppressions::Veil;
use crate::mail::{self, Carrier};
use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::{delete, get, post};
use http::header;
use native::{access, authorize, device_flow, following, grants, metadata};
use password::{Hasher, sign_in as by_password, sign_up as signing_up, verify as verifying};
use protocol::auth::Provider;
use protocol::routes::{self, page};
use providers::{Registry, events, flow};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::Notify;
use utoipa::OpenApi as _;
use webauthn_rs::Webauthn;

/// The room's state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Auth(Arc<Parts>);

#[derive(Debug)]
pub struct Parts {
    hints: Hints,
    limits: Limits,
    proxies: Proxies,
    hasher: Hasher,
    signer: access::Signer,
    /// `None`: this site's address is a number, and browsers have no passkeys for such.
    passkeys: Option<Webauthn>,
    providers: Registry,
    seen: seen::Seen,
    /// When an unknown signing key was looked for last, in Unix seconds.
    keys_looked_for: AtomicI64,
    /// Wakes the letters' carrier on this node.
    letters: Arc<Notify>,
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

/// Tells nodes that carry letters that there are some.
const LETTERS: &str = "letters";

impl Auth {
    /// Starts the room's tasks: hearing of devices signed out on other nodes, and, where this process works, carrying
    /// letters and sweeping up.
    pub async fn start(hints: Hints) -> anyhow::Result<Self> {
        let auth = Self::open(hints)?;
        auth.read_signing_keys()
            .await
            .map_err(|error| anyhow::anyhow!("reading the signing keys: {error:?}"))?;
        // before anybody is let in: all nodes may have been away for long
        if let Err(error) = audit_events::make_room(&auth.pool).await {
            tracing::error!(error = %error, "making room for what is noted");
        }
        following::spawn(&auth);
        seen::spawn(&auth);
        if auth.config.role.works() {
            let letters = Arc::clone(&auth.0.letters);
            let carrier = Carrier::new(&auth.config, auth.pool.clone(), auth.veil(), Arc::clone(&letters))?;
            auth.tasks.spawn(carrier.run(auth.shutdown.clone()));
            let woken = move |_: &[u8]| letters.notify_one();
            // Until the confirmation comes, the carrier looks for itself every few seconds.
            drop(auth.wire().route(auth.key(LETTERS), Arc::new(woken)));
            auth.tasks.spawn(sweep(auth.clone()));
            auth.tasks.spawn(providers::revoking::watch(auth.clone()));
        }
        Ok(auth)
    }

    /// Reads what the settings say about signing in, and starts nothing.
    pub fn open(hints: Hints) -> anyhow::Result<Self> {
        let config = &hints.config;
        let letters = Arc::new(Notify::new());
        Ok(Self(Arc::new(Parts {
            limits: Limits::new(App::clone(&hints)),
            proxies: Proxies::parse(&config.trusted_proxies)?,
            hasher: Hasher::new(&hints)?,
            signer: access::Signer::new(&hints)?,
            passkeys: passkey::relying_party(config)?,
            providers: registry(config)?,
            seen: seen::Seen::default(),
            keys_looked_for: AtomicI64::new(0),
            letters,
            hints,
        })))
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// After a transaction that put a letter into the outbox.
    pub fn letters_wait(&self) {
        self.0.letters.notify_one();
        self.wire().publish(self.key(LETTERS), []);
    }

    /// Knows addresses again that are left alone though their accounts are gone.
    fn veil(&self) -> Veil {
        Veil::new(self.keys.derive_each("left alone", b""))
    }

    /// Does what may or may not lead to a letter (`what`, for the log) once the answer is given: how long it takes tells nothing.
    fn behind_the_answer(&self, what: &'static str, work: impl Future<Output = Result<()>> + Send + 'static) {
        self.tasks.spawn(async move {
            if let Err(error) = work.await {
                tracing::warn!(error = %error.into_problem(), "{what} was not written");
            }
        });
    }
}

/// Forgets, at the start and once an hour, what ended long ago; docs/operations.md says what is kept how long.
async fn sweep(auth: Auth) {
    while !auth.shutdown.is_cancelled() {
        for outcome in [
            devices::purge(&auth.pool).await,
            verification_tokens::purge(&auth.pool).await,
            native::purge_codes(&auth.pool).await,
            second_step::purge_challenges(&auth.pool).await,
            second_step::purge_begun(&auth.pool).await,
            email_change::purge(&auth.pool).await,
            mail::purge(&auth.pool).await,
            mail::suppressions::purge(&auth.pool).await,
            users::purge(&auth.pool).await,
            audit_events::make_room(&auth.pool).await,
            audit_events::purge(&auth.pool).await,
        ] {
            if let Err(error) = outcome {
                tracing::warn!(error = %error, "sweeping up after signing in");
            }
        }
        if let Err(error) = sealing::renew(&auth).await {
            tracing::warn!(error = %error, "sealing by the newest secret what another one sealed");
        }
        if auth.config.tips
            && let Err(error) = wishes::send_tips(&auth).await
        {
            tracing::warn!(error = format!("{error:#}"), "telling newcomers how to begin");
        }
        tokio::select! {
            () = auth.shutdown.cancelled() => {}
            () = tokio::time::sleep(Duration::from_hours(1)) => {}
        }
    }
}

fn registry(config: &Config) -> anyhow::Result<Registry> {
    Registry::new(config.providers.expose(), |id| callback(config, id))
}

fn callback(config: &Config, provider: &str) -> String {
    config.link(&page::PROVIDER_CALLBACK.replace("{provider}", provider))
}

/// What has to be registered at a provider, exactly as it stands here.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub provider: Provider,
    /// Where it sends people back to.
    pub callback: String,
    /// Where it tells what its people do there, if it is an Apple.
    pub events: Option<String>,
}

/// Of each provider.
pub fn addresses(config: &Config) -> anyhow::Result<Vec<Addresses>> {
    let registry = registry(config)?;
    let of = |provider: Provider| {
        let events = routes::PROVIDER_EVENTS.replace("{provider}", &provider.id);
        Addresses {
            callback: callback(config, &provider.id),
            events: registry.tells(&provider.id).then(|| config.link(&events)),
            provider,
        }
    };
    Ok(registry.list().into_iter().map(of).collect())
}

/// The ways in besides a password, for the sign-in page.
pub fn providers(auth: &Auth) -> Vec<Provider> {
    auth.0.providers.list()
}

/// The public halves of the keys that sign access tokens (RFC 7517).
#[utoipa::path(get, path = routes::JWKS, tag = "Native app", responses((status = 200)))]
async fn read_key_set(State(auth): State<Auth>) -> impl axum::response::IntoResponse {
    (
        [(header::CACHE_CONTROL, "public, max-age=300")],
        axum::Json(auth.0.signer.key_set(OffsetDateTime::now_utc())),
    )
}

/// The room's routes.
pub fn router(auth: Auth) -> Router {
    Router::new()
        .route(routes::SIGN_UP, post(signing_up::post_sign_up))
        .route(routes::RESEND, post(signing_up::post_resend))
        .route(routes::VERIFY, post(verifying::post_verify))
        .route(routes::SIGN_IN, post(by_password::post_sign_in))
        .route(routes::SECOND_STEP, post(second_step::post_second_step))
        .route(
            page::PASSKEY_OPTIONS,
            post(passkey::entering::post_sign_in_options),
        )
        .route(
            page::PROVE_PASSKEY_OPTIONS,
            post(passkey::entering::post_proof_options),
        )
        .route(page::PASSKEY_ADD_OPTIONS, post(passkey::adding::post_options))
        .route(routes::SIGN_OUT, post(signed_in::post_sign_out))
        .route(routes::PROVIDERS, get(flow::list_providers))
        .route(routes::PROVIDER_EVENTS, post(events::post_event))
        .route(routes::ME, get(signed_in::read_me))
        .route(
            routes::DEVICES,
            get(signed_in::list_devices).delete(signed_in::delete_devices),
        )
        .route(routes::DEVICE, delete(signed_in::delete_device))
        .route(routes::PAR, post(authorize::post_par))
        .route(
            routes::DEVICE_AUTHORIZATION,
            post(device_flow::post_device_authorization),
        )
        .route(routes::TOKEN, post(grants::post_token))
        .route(routes::JWKS, get(read_key_set))
        .route(routes::OAUTH_METADATA, get(metadata::read_metadata))
        .route(
            page::PROVIDER_CALLBACK,
            get(flow::provider_callback).post(flow::provider_posted),
        )
        .with_state(auth)
}

/// The room's part of the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    signing_up::post_sign_up,
    signing_up::post_resend,
    verifying::post_verify,
    by_password::post_sign_in,
    second_step::post_second_step,
    passkey::entering::post_sign_in_options,
    passkey::entering::post_proof_options,
    passkey::adding::post_options,
    signed_in::post_sign_out,
    flow::list_providers,
    events::post_event,
    signed_in::read_me,
    signed_in::list_devices,
    signed_in::delete_devices,
    signed_in::delete_device,
    authorize::post_par,
    device_flow::post_device_authorization,
    grants::post_token,
    read_key_set,
    metadata::read_metadata,
))]
struct Docs;

pub fn docs() -> utoipa::openapi::OpenApi {
    Docs::openapi()
}
