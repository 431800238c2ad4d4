//! The body in the desktop's window: every method is one command to the core, and one channel brings its pushes.
//!
//! **Invariant:** the only place that knows Tauri's names. No secret comes through here: the core keeps them.

use super::{Answer, Backend, Handle, Watcher};
use protocol::auth::{Device, Email, Password, Provider};
use protocol::ipc::{
    self, AppAct, BrowserSignInStarted, Command, DeviceCodeShown, Going, KeptAccounts, Preferences,
    SecretStore, Storage,
};
use protocol::search::Found;
use protocol::view::{Body, Boot, Push, SessionRow, Transcript};
use protocol::{Code, DeviceId, MessageId, MutationId, Problem, RunId, SessionId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use wasm_bindgen::prelude::{Closure, JsValue, wasm_bindgen};
use wasm_bindgen::{JsCast as _, UnwrapThrowExt as _};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["window", "__TAURI_INTERNALS__"], js_name = invoke, catch)]
    async fn invoke(command: &str, payload: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = ["window", "__TAURI_INTERNALS__"], js_name = transformCallback)]
    fn transform_callback(callback: &js_sys::Function, once: bool) -> u32;
}

/// The desktop's core, if this page is in its window.
pub fn find() -> Option<Handle> {
    let is_there = js_sys::Reflect::has(&js_sys::global(), &"__TAURI_INTERNALS__".into()).unwrap_or(false);
    is_there.then(|| Handle(Rc::new(Core::default())))
}

thread_local! {
    /// What this page calls itself: what one asks that was drawn for another account is refused.
    static PAGE: u32 = by_chance();
    /// How much it has asked: an ask that Tauri brings to the core twice is done once.
    static ASKED: Cell<u32> = const { Cell::new(0) };
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "any whole number will do"
)]
fn by_chance() -> u32 {
    (js_sys::Math::random() * f64::from(u32::MAX)) as u32
}

/// What the core calls with each push.
type Heard = Closure<dyn FnMut(JsValue)>;

#[derive(Default)]
struct Core {
    /// What the core calls with each push; kept here, or the browser would lose it.
    channel: RefCell<Option<Heard>>,
}

/// Asks the core. `beside` is what a command takes besides its ask. What is the same for all commands is there once.
fn ask<C: Command + 'static>(ask: C, beside: Option<(&'static str, JsValue)>) -> Answer<C::Out> {
    let answer = answer(C::NAME, written(&ask), beside);
    Box::pin(async move { understood(&answer.await?) })
}

/// The answer's JSON.
fn answer(
    command: &'static str,
    ask: Result<JsValue, Problem>,
    beside: Option<(&'static str, JsValue)>,
) -> Answer<String> {
    Box::pin(async move {
        let payload = js_sys::Object::new();
        let page = PAGE.with(|page| JsValue::from(*page));
        let number = ASKED.replace(ASKED.get() + 1).into();
        let named = [("ask", ask?), ("page", page), ("number", number)];
        for (name, value) in named.into_iter().chain(beside) {
            // A plain object takes any field.
            js_sys::Reflect::set(&payload, &name.into(), &value).unwrap_throw();
        }
        match invoke(command, &payload).await {
            Ok(answer) => Ok(json(&answer)),
            Err(refusal) => Err(understood(&json(&refusal)).unwrap_or_else(|problem| problem)),
        }
    })
}

/// A value as the core takes it. Through JSON, as everywhere else: a second way to read and write every type would be
/// a fifth of the page's size.
fn written(value: &impl Serialize) -> Result<JsValue, Problem> {
    let json = serde_json::to_string(value).map_err(|error| unreadable(&error))?;
    Ok(js_sys::JSON::parse(&json).unwrap_or(JsValue::NULL))
}

fn json(value: &JsValue) -> String {
    let json = js_sys::JSON::stringify(value)
        .ok()
        .and_then(|json| json.as_string());
    // An answer without content is `undefined`, which JSON does not know.
    json.unwrap_or_else(|| "null".to_owned())
}

fn understood<T: DeserializeOwned>(json: &str) -> Result<T, Problem> {
    serde_json::from_str(json).map_err(|error| unreadable(&error))
}

fn call<C: Command + 'static>(command: C) -> Answer<C::Out> {
    ask(command, None)
}

/// Page and core are one build, so this is a mistake of ours.
fn unreadable(error: &serde_json::Error) -> Problem {
    web_sys::console::error_1(&format!("core and page do not understand each other: {error}").into());
    Problem::new(Code::Internal).detail("Something went wrong in the app. Please start it again.")
}

/// What comes through a channel is numbered, and large pieces may arrive late: this puts them in order.
#[derive(Default)]
struct InOrder {
    next: u32,
    early: BTreeMap<u32, JsValue>,
}

impl InOrder {
    fn take(&mut self, index: u32, message: JsValue) -> Vec<JsValue> {
        self.early.insert(index, message);
        let mut ready = Vec::new();
        while let Some(message) = self.early.remove(&self.next) {
            ready.push(message);
            self.next += 1;
        }
        ready
    }
}

/// One call of the channel: `{ message, index }`, and at its end `{ end: true, index }`.
fn listen(watcher: Watcher) -> Closure<dyn FnMut(JsValue)> {
    let mut order = InOrder::default();
    Closure::new(move |event: JsValue| {
        let field = |name: &str| js_sys::Reflect::get(&event, &name.into()).unwrap_or(JsValue::UNDEFINED);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the core counts in whole numbers from 0"
        )]
        let Some(index) = field("index").as_f64().map(|index| index as u32) else {
            return;
        };
        for message in order.take(index, field("message")) {
            // One that is not understood has been told of in the console; the next one is another chance.
            if let Ok(push) = understood::<Push>(&json(&message)) {
                watcher(push);
            }
        }
    })
}

impl Backend for Core {
    fn body(&self) -> Body {
        Body::Desktop
    }
    fn boot(&self, archived: bool, open: Option<SessionId>) -> Answer<Boot> {
        call(ipc::GetBoot { archived, open })
    }
    fn list(&self, archived: bool, rows: usize) -> Answer<Vec<SessionRow>> {
        call(ipc::List { archived, rows })
    }
    fn open(&self, session: SessionId) -> Answer<Transcript> {
        call(ipc::Open { session })
    }
    fn earlier(&self, session: SessionId) -> Answer<Transcript> {
        call(ipc::Earlier { session })
    }
    fn reach(&self, session: SessionId, message: MessageId) -> Answer<Transcript> {
        call(ipc::Reach { session, message })
    }
    fn search(&self, typed: String, within: Option<SessionId>) -> Answer<Found> {
        call(ipc::Search { typed, within })
    }
    fn create(&self) -> Answer<SessionId> {
        call(ipc::Create {})
    }
    fn draft(&self, session: Option<SessionId>) -> Answer<String> {
        call(ipc::GetDraft { session })
    }
    fn keep_draft(&self, session: Option<SessionId>, text: String) -> Answer<()> {
        call(ipc::KeepDraft { session, text })
    }
    fn send(&self, session: SessionId, text: String) -> Answer<MessageId> {
        let message = MessageId::fresh();
        let sent = call(ipc::Send {
            session,
            message,
            text,
        });
        Box::pin(async move { sent.await.map(|()| message) })
    }
    fn answer(&self, session: SessionId, message: MessageId) -> Answer<()> {
        call(ipc::Answer { session, message })
    }
    fn rename(&self, session: SessionId, title: String) -> Answer<()> {
        call(ipc::Rename { session, title })
    }
    fn archive(&self, session: SessionId, archived: bool) -> Answer<()> {
        call(ipc::Archive { session, archived })
    }
    fn delete(&self, session: SessionId) -> Answer<MutationId> {
        call(ipc::Delete { session })
    }
    fn undo(&self, mutation: MutationId) -> Answer<()> {
        call(ipc::Undo { mutation })
    }
    fn retry(&self, mutation: MutationId) -> Answer<()> {
        call(ipc::Retry { mutation })
    }
    fn stop(&self, run: RunId) -> Answer<()> {
        call(ipc::Stop { run })
    }
    fn providers(&self) -> Answer<Vec<Provider>> {
        call(ipc::GetProviders {})
    }
    fn sign_up(&self, email: Email, password: Password) -> Answer<()> {
        call(ipc::SignUp { email, password })
    }
    fn verify(&self, email: Email, code: String) -> Answer<()> {
        call(ipc::Verify { email, code })
    }
    fn resend(&self, email: Email) -> Answer<()> {
        call(ipc::Resend { email })
    }
    fn sign_in(&self, email: Email, password: Password) -> Answer<()> {
        call(ipc::SignIn { email, password })
    }
    fn browser_sign_in(&self, provider: Option<String>) -> Answer<BrowserSignInStarted> {
        call(ipc::BrowserSignIn { provider })
    }
    fn cancel_sign_in(&self) -> Answer<()> {
        call(ipc::CancelSignIn {})
    }
    fn second_step(&self, code: String) -> Answer<()> {
        call(ipc::SecondStep { code })
    }
    fn finish_sign_in(&self, code: String) -> Answer<()> {
        call(ipc::FinishSignIn { code })
    }
    fn sign_out(&self, even_if_waiting: bool) -> Answer<()> {
        call(ipc::SignOut { even_if_waiting })
    }
    fn devices(&self) -> Answer<Vec<Device>> {
        call(ipc::Devices {})
    }
    fn revoke(&self, device: DeviceId) -> Answer<()> {
        call(ipc::Revoke { device })
    }
    fn accounts(&self, go: Option<Going>) -> Answer<KeptAccounts> {
        call(ipc::Accounts { go })
    }
    fn storage(&self) -> Answer<Storage> {
        call(ipc::GetStorage {})
    }
    fn prefer(&self, to: Option<Preferences>) -> Answer<Preferences> {
        call(ipc::Prefer { to })
    }
    fn act(&self, act: AppAct) -> Answer<String> {
        call(ipc::Act { act })
    }
    fn consent(&self, to: SecretStore) -> Answer<()> {
        call(ipc::Consent { to })
    }
    fn open_link(&self, url: String) -> Answer<()> {
        call(ipc::OpenLink { url })
    }
    fn ui_ready(&self) -> Answer<()> {
        call(ipc::UiReady {})
    }
    fn device_code(&self) -> Answer<DeviceCodeShown> {
        call(ipc::DeviceCode {})
    }

    fn watch(&self, watcher: Watcher) -> Answer<()> {
        let closure = listen(watcher);
        let id = transform_callback(closure.as_ref().unchecked_ref(), false);
        // A former channel's closure goes; the core drops its end when the new one comes.
        self.channel.replace(Some(closure));
        ask(
            ipc::Watch {},
            Some(("channel", format!("__CHANNEL__:{id}").into())),
        )
    }
}
