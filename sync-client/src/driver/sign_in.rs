//! Signing up, in and out, and the devices of a person.

use super::Device;
use super::core::HalfWay;
use crate::engine::Event;
use crate::http::Call;
use crate::proof::ProofKey;
use crate::store::StoreFault;
use crate::work;
use protocol::auth::{
    Client, Device as SignedInDevice, Email, Me, Password, Provider, Resend, SecondStep, SignIn, SignUp,
    SignUpStarted, SignedIn, Verify, Work,
};
use protocol::oauth::{CLIENT_ID, Grant, PushedAnswer, PushedRequest};
use protocol::view::{Connection, Push};
use protocol::{Code, DeviceId, Problem, routes};
use serde_json::Value;
use std::time::Duration;

/// How long signing out waits for the server: this computer is wiped either way.
const FAREWELL: Duration = Duration::from_secs(5);

/// Does what a refused sign-up asks for; any other refusal stays one.
async fn work_for(problem: Problem) -> Result<Work, Problem> {
    let asked = (problem.code == Code::WorkRequired)
        .then(|| problem.challenge.clone().zip(problem.limit))
        .flatten();
    let Some((challenge, bits)) = asked else {
        return Err(problem);
    };
    let worked = tokio::task::spawn_blocking(move || {
        let answer = work::solve(&challenge, bits)?;
        Some(Work { challenge, answer })
    });
    worked.await.ok().flatten().ok_or(problem)
}

impl Device {
    pub async fn providers(&self) -> Result<Vec<Provider>, Problem> {
        Ok(self.core.http.ask(Call::get(routes::PROVIDERS)).await?)
    }

    pub async fn sign_up(&self, email: Email, password: Password) -> Result<(), Problem> {
        let mut ask = SignUp {
            email,
            password,
            name: None,
            work: None,
        };
        let asked = self.core.http.ask(Call::post(routes::SIGN_UP).json(&ask)).await;
        let started: SignUpStarted = match asked {
            Ok(started) => started,
            Err(trouble) => {
                ask.work = Some(work_for(trouble.into()).await?);
                self.core.http.ask(Call::post(routes::SIGN_UP).json(&ask)).await?
            }
        };
        Ok(self.core.store.remember_binding(Some(started.binding)).await?)
    }

    /// With the mailed code, for the sign-up begun on this device.
    pub async fn verify(&self, email: Email, code: String) -> Result<Me, Problem> {
        let ask = Verify {
            email,
            code,
            binding: self.core.store.binding().await?,
            client: self.client(),
            stay: false,
        };
        let key = ProofKey::fresh();
        let call = Call::post(routes::VERIFY).json(&ask).proven_by(&key);
        let signed_in = self.core.http.ask(call).await?;
        let me = self.adopt(signed_in, key).await?;
        self.core.store.remember_binding(None).await?;
        Ok(me)
    }

    pub async fn resend(&self, email: Email) -> Result<(), Problem> {
        let call = Call::post(routes::RESEND).json(&Resend { email });
        Ok(self.core.http.ask::<Option<Value>>(call).await.map(drop)?)
    }

    pub async fn sign_in(&self, email: Email, password: Password) -> Result<Me, Problem> {
        let ask = SignIn {
            email,
            password,
            binding: self.core.store.binding().await?,
            client: self.client(),
            stay: false,
        };
        let key = ProofKey::fresh();
        let call = Call::post(routes::SIGN_IN).json(&ask).proven_by(&key);
        let asked = self.core.http.ask(call).await;
        let signed_in = asked.map_err(|trouble| self.keep_challenge(trouble.into(), &key))?;
        self.adopt(signed_in, key).await
    }

    /// The code that [`Device::sign_in`] asked for with `second_step_required`.
    pub async fn second_step(&self, code: String) -> Result<Me, Problem> {
        let half_way = self.core.shared().half_way.clone();
        let HalfWay { challenge, key } = half_way.ok_or_else(|| Problem::new(Code::InvalidOrExpiredLink))?;
        let call = Call::post(routes::SECOND_STEP).json(&SecondStep { challenge, code });
        let signed_in = self.core.http.ask(call.proven_by(&key)).await?;
        self.adopt(signed_in, key).await
    }

    /// It is of no use to whoever is told of the problem.
    fn keep_challenge(&self, mut problem: Problem, key: &ProofKey) -> Problem {
        if let Some(challenge) = problem.challenge.take() {
            let key = key.clone();
            self.core.shared().half_way = Some(HalfWay { challenge, key });
        }
        problem
    }

    /// `POST /oauth/par`: begins a sign-in in the system browser.
    pub async fn push_request(&self, request: &PushedRequest) -> Result<PushedAnswer, Problem> {
        Ok(self.core.http.ask(Call::post(routes::PAR).json(request)).await?)
    }

    /// The code that came home, with the verifier and the key that it is bound to.
    pub async fn redeem(
        &self,
        code: String,
        verifier: String,
        redirect_uri: String,
        key: ProofKey,
    ) -> Result<Me, Problem> {
        let grant = Grant::AuthorizationCode {
            code,
            code_verifier: verifier,
            redirect_uri,
            client_id: CLIENT_ID.to_owned(),
        };
        let call = Call::post(routes::TOKEN).form(&grant).proven_by(&key);
        let asked = self.core.http.ask(call).await;
        let signed_in = asked.map_err(|trouble| match trouble.oauth.as_deref() {
            Some("invalid_grant") => Problem::new(Code::InvalidOrExpiredLink)
                .detail("This sign-in is no longer valid. Please start again."),
            Some(_) | None => trouble.problem,
        })?;
        self.adopt(signed_in, key).await
    }

    /// How this computer presents itself when it signs in.
    pub fn client(&self) -> Client {
        let computer = self.core.computer.clone();
        Client::Native {
            name: computer.name,
            os: computer.os,
            version: computer.version,
        }
    }

    /// Keeps a sign-in and goes to work with it.
    pub(super) async fn adopt(&self, signed_in: SignedIn, key: ProofKey) -> Result<Me, Problem> {
        let SignedIn { me, tokens } = signed_in;
        self.core.shared().half_way = None;
        let tokens = tokens.ok_or_else(|| {
            Problem::new(Code::Internal)
                .detail("The server's answer held no sign-in for an app. Please try again.")
        })?;
        // Whatever was under way for somebody else ends before a row of it could be taken for this person's.
        self.core.tell(Event::SignedOut).await;
        self.core.keeper.keep(me.clone(), tokens, Some(key)).await?;
        self.core.store.remember_me(Some(me.clone())).await?;
        self.core.take_person(me.clone()).await?;
        self.core.resume_lanes();
        self.core.tokens_changed.notify_one();
        self.core.push(Push::Me { me: Some(me.clone()) });
        self.core.push(Push::List);
        self.core.begin().await?;
        Ok(me)
    }

    /// Wipes cache, outbox and credential. Refuses with `outbox_not_empty` while something waits, unless told.
    pub async fn sign_out(&self, even_if_waiting: bool) -> Result<(), Problem> {
        let waiting = self.core.outbox().waiting();
        if waiting > 0 && !even_if_waiting {
            return Err(Problem::new(Code::OutboxNotEmpty).limit(waiting as u64));
        }
        if let Some(user) = self.core.user() {
            let call = Call::post(routes::SIGN_OUT).within(FAREWELL);
            let farewell = self.core.ask::<Option<Value>>(user, call);
            if !matches!(tokio::time::timeout(FAREWELL, farewell).await, Ok(Ok(_))) {
                tracing::info!("signed out here; the server could not be told");
            }
        }
        self.wipe().await
    }

    async fn wipe(&self) -> Result<(), Problem> {
        let core = &self.core;
        core.tell(Event::SignedOut).await;
        let cleared = core.keeper.clear().await;
        // what is on its way to the file comes first, and is its writer's
        let _one = core.writing.lock().await;
        let user = core.user();
        {
            let mut shared = core.shared();
            shared.me = None;
            shared.half_way = None;
            shared.outbox = std::sync::Arc::default();
            shared.drafts = super::drafts::Drafts::default();
            shared.kept.clear();
            shared.tails.clear();
            shared.windows.clear();
            shared.shown = None;
            shared.connection = Connection::SignedOut;
        }
        // Every step is taken, whatever became of the others; the cache first, since its end makes room on a full disk.
        let mut wiped = vec![core.store.rebuild_cache(false).await];
        if let Some(user) = user {
            wiped.push(core.store.drop_outbox(user).await);
        }
        wiped.push(core.store.drop_damaged_outboxes().await);
        wiped.push(core.store.remember_me(None).await);
        core.push(Push::Me { me: None });
        core.push(Push::List);
        wiped.into_iter().collect::<Result<(), StoreFault>>()?;
        cleared
    }

    pub async fn devices(&self) -> Result<Vec<SignedInDevice>, Problem> {
        let user = self.core.person()?;
        Ok(self.core.ask(user, Call::get(routes::DEVICES)).await?)
    }

    pub async fn revoke(&self, device: DeviceId) -> Result<(), Problem> {
        let user = self.core.person()?;
        let path = routes::device(device);
        Ok(self
            .core
            .ask::<Option<Value>>(user, Call::delete(&path))
            .await
            .map(drop)?)
    }
}
