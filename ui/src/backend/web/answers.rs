//! The page's questions, answered from memory where they can be and by the server where they must.

use super::fetch::{self, Refusal};
use super::{Page, drafts, senses};
use crate::backend::{Answer, Backend, Watcher};
use protocol::auth::{self, Client, Device, Email, Me, Password, Provider, SignUpStarted, SignedIn};
use protocol::ipc::{
    AppAct, BrowserSignInStarted, DeviceCodeShown, Going, KeptAccounts, Preferences, SecretStore, Storage,
};
use protocol::search::Found;
use protocol::view::{Body, Boot, LIST_ROWS, Push, SessionRow, Transcript, Typed};
use protocol::{Code, DeviceId, MessageId, MutationId, Problem, RunId, SessionId, routes};
use std::future::{Future, ready};
use std::rc::Rc;
use sync_client::tab::Want;

pub struct Web(pub Rc<Page>);

/// A question that only the desktop's core can answer.
fn desktop_only<T: 'static>() -> Answer<T> {
    let problem = Problem::new(Code::MethodNotAllowed).detail("Only the desktop app can do this.");
    Box::pin(ready(Err(problem)))
}

fn at_once<T: 'static>(answer: Result<T, Problem>) -> Answer<T> {
    Box::pin(ready(answer))
}

impl Web {
    fn with<T, F>(&self, work: impl FnOnce(Rc<Page>) -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, Problem>> + 'static,
    {
        Box::pin(work(self.0.clone()))
    }
}

/// The rows, once the server's first page is here.
async fn list(page: Rc<Page>, archived: bool, rows: usize) -> Result<Vec<SessionRow>, Problem> {
    page.until(move |page| {
        let tab = page.tab.borrow();
        if tab.is_loaded() {
            Some(Ok(tab.list(archived, rows)))
        } else {
            page.is_away().then(|| Err(Problem::new(Code::Offline)))
        }
    })
    .await
}

/// A session's messages. One that is not here may still be on its way, until the list is whole.
async fn transcript(page: Rc<Page>, session: SessionId) -> Result<Transcript, Problem> {
    let wants = page.tab.borrow_mut().open(session);
    page.carry_out(wants);
    page.until(move |page| {
        let tab = page.tab.borrow();
        if let Some(transcript) = tab.transcript(session) {
            return Some(Ok(transcript));
        }
        let replica = tab.replica();
        if tab.is_whole() || replica.is_gone(session) {
            return Some(Err(Problem::new(Code::NotFound)));
        }
        page.is_away().then(|| Err(Problem::new(Code::Offline)))
    })
    .await
}

/// The session's messages, once what was wanted of it has come or failed.
async fn loaded(page: Rc<Page>, session: SessionId, wants: Vec<Want>) -> Result<Transcript, Problem> {
    page.carry_out(wants);
    let waiting = page.clone();
    waiting
        .until(move |page| (!page.loads.borrow().contains(&session)).then_some(()))
        .await;
    transcript(page, session).await
}

/// Signed in by a form of this page: the cookie is set, and the device goes to work.
fn arrived(page: &Rc<Page>, me: Me) {
    page.become_device(me.clone());
    page.go_to_work();
    page.push(Push::Me { me: Some(me) });
}

async fn boot(page: Rc<Page>, archived: bool, open: Option<SessionId>) -> Result<Boot, Problem> {
    let me = page.me.borrow().clone();
    let is_someone = me.is_some();
    let open = match open.filter(|_| is_someone) {
        Some(session) => transcript(page.clone(), session).await.ok(),
        None => None,
    };
    let rows = if is_someone {
        list(page.clone(), archived, LIST_ROWS).await?
    } else {
        Vec::new()
    };
    let providers = fetch::read::<Vec<Provider>>(routes::PROVIDERS).await;
    let connection = page.tab.borrow().connection();
    Ok(Boot {
        body: Body::Browser,
        providers: providers.unwrap_or_else(|_unreachable| page.boot.providers.clone()),
        me,
        list: rows,
        open,
        devices: Vec::new(),
        problem: None,
        typed: Typed::default(),
        connection,
        now: page.began.now(),
        ..page.boot.clone()
    })
}

async fn sign_out(page: Rc<Page>, even_if_waiting: bool) -> Result<(), Problem> {
    if !even_if_waiting && page.waits_to_be_sent() {
        return Err(Problem::new(Code::OutboxNotEmpty));
    }
    match fetch::tell("POST", routes::SIGN_OUT, Some(&serde_json::json!({}))).await {
        Ok(()) => {}
        // Signed out already, elsewhere.
        Err(Refusal::Problem(problem)) if problem.status == 401 => {}
        Err(refusal) => return Err(refusal.into()),
    }
    page.forget();
    Ok(())
}

impl Backend for Web {
    fn body(&self) -> Body {
        Body::Browser
    }

    fn boot(&self, archived: bool, open: Option<SessionId>) -> Answer<Boot> {
        self.with(|page| boot(page, archived, open))
    }

    fn list(&self, archived: bool, rows: usize) -> Answer<Vec<SessionRow>> {
        self.with(|page| list(page, archived, rows))
    }

    fn open(&self, session: SessionId) -> Answer<Transcript> {
        self.with(|page| transcript(page, session))
    }

    fn earlier(&self, session: SessionId) -> Answer<Transcript> {
        self.with(|page| {
            let wants = page.tab.borrow_mut().earlier(session);
            loaded(page, session, wants)
        })
    }

    fn reach(&self, session: SessionId, message: MessageId) -> Answer<Transcript> {
        self.with(|page| {
            let wants = page.tab.borrow_mut().reach(session, message);
            loaded(page, session, wants)
        })
    }

    fn search(&self, typed: String, within: Option<SessionId>) -> Answer<Found> {
        at_once(Ok(self.0.tab.borrow().search(&typed, within)))
    }

    fn create(&self) -> Answer<SessionId> {
        at_once(self.0.act(sync_client::tab::Tab::create))
    }

    fn draft(&self, session: Option<SessionId>) -> Answer<String> {
        let kept = self.0.user().map(|user| drafts::read(user, session));
        at_once(Ok(kept.unwrap_or_default()))
    }

    fn keep_draft(&self, session: Option<SessionId>, text: String) -> Answer<()> {
        // Of a page that nobody is signed in at any more, nothing is kept.
        if let Some(user) = self.0.user() {
            drafts::keep(user, session, &text);
        }
        at_once(Ok(()))
    }

    fn send(&self, session: SessionId, text: String) -> Answer<MessageId> {
        let sent = self.0.act(|tab, now| tab.send(session, &text, now));
        if let (Ok(_), Some(user)) = (&sent, self.0.user()) {
            drafts::settle(user, session, &text);
        }
        at_once(sent)
    }

    fn answer(&self, session: SessionId, message: MessageId) -> Answer<()> {
        at_once(
            self.0
                .act(|tab, now| Ok(((), tab.answer(session, message, now)?))),
        )
    }

    fn rename(&self, session: SessionId, title: String) -> Answer<()> {
        at_once(self.0.act(|tab, now| Ok(((), tab.rename(session, &title, now)?))))
    }

    fn archive(&self, session: SessionId, archived: bool) -> Answer<()> {
        at_once(
            self.0
                .act(|tab, now| Ok(((), tab.archive(session, archived, now)?))),
        )
    }

    fn delete(&self, session: SessionId) -> Answer<MutationId> {
        at_once(self.0.act(|tab, now| tab.delete(session, now)))
    }

    fn undo(&self, mutation: MutationId) -> Answer<()> {
        at_once(self.0.act(|tab, now| Ok(((), tab.undo(mutation, now)?))))
    }

    fn retry(&self, mutation: MutationId) -> Answer<()> {
        at_once(self.0.act(|tab, now| Ok(((), tab.retry(mutation, now)?))))
    }

    fn stop(&self, run: RunId) -> Answer<()> {
        self.with(|_page| async move {
            let path = routes::run_cancel(run);
            Ok(fetch::tell("POST", &path, Some(&serde_json::json!({}))).await?)
        })
    }

    fn providers(&self) -> Answer<Vec<Provider>> {
        self.with(|_page| async move { Ok(fetch::read(routes::PROVIDERS).await?) })
    }

    fn sign_up(&self, email: Email, password: Password) -> Answer<()> {
        self.with(|_page| async move {
            let ask = auth::SignUp {
                email,
                password,
                name: None,
                work: None,
            };
            // The binding stays in its cookie.
            fetch::write::<SignUpStarted>(routes::SIGN_UP, &ask).await?;
            Ok(())
        })
    }

    fn verify(&self, email: Email, code: String) -> Answer<()> {
        self.with(|page| async move {
            let ask = auth::Verify {
                email,
                code,
                binding: None,
                client: Client::Browser,
                stay: false,
            };
            let answer: SignedIn = fetch::write(routes::VERIFY, &ask).await?;
            arrived(&page, answer.me);
            Ok(())
        })
    }

    fn resend(&self, email: Email) -> Answer<()> {
        self.with(|_page| async move {
            Ok(fetch::tell("POST", routes::RESEND, Some(&auth::Resend { email })).await?)
        })
    }

    fn sign_in(&self, email: Email, password: Password) -> Answer<()> {
        self.with(|page| async move {
            let ask = auth::SignIn {
                email,
                password,
                binding: None,
                client: Client::Browser,
                stay: false,
            };
            let answer: SignedIn = fetch::write(routes::SIGN_IN, &ask).await?;
            arrived(&page, answer.me);
            Ok(())
        })
    }

    fn browser_sign_in(&self, _provider: Option<String>) -> Answer<BrowserSignInStarted> {
        desktop_only()
    }

    fn cancel_sign_in(&self) -> Answer<()> {
        desktop_only()
    }

    fn second_step(&self, _code: String) -> Answer<()> {
        desktop_only()
    }

    fn finish_sign_in(&self, _code: String) -> Answer<()> {
        desktop_only()
    }

    fn sign_out(&self, even_if_waiting: bool) -> Answer<()> {
        self.with(|page| sign_out(page, even_if_waiting))
    }

    fn devices(&self) -> Answer<Vec<Device>> {
        self.with(|_page| async move { Ok(fetch::read(routes::DEVICES).await?) })
    }

    fn revoke(&self, device: DeviceId) -> Answer<()> {
        self.with(move |page| async move {
            fetch::tell("DELETE", &routes::device(device), None::<&()>).await?;
            let is_this = page.me.borrow().as_ref().is_some_and(|me| me.device == device);
            if is_this {
                page.forget();
            }
            Ok(())
        })
    }

    fn accounts(&self, _go: Option<Going>) -> Answer<KeptAccounts> {
        desktop_only()
    }

    fn storage(&self) -> Answer<Storage> {
        desktop_only()
    }

    fn prefer(&self, _to: Option<Preferences>) -> Answer<Preferences> {
        desktop_only()
    }

    fn act(&self, _act: AppAct) -> Answer<String> {
        desktop_only()
    }

    fn consent(&self, _to: SecretStore) -> Answer<()> {
        desktop_only()
    }

    fn open_link(&self, url: String) -> Answer<()> {
        let opened = web_sys::window().and_then(|window| {
            let opened = window.open_with_url_and_target_and_features(&url, "_blank", "noopener,noreferrer");
            opened.ok()
        });
        let refused = || Problem::new(Code::BadRequest).detail("The browser did not open that link.");
        at_once(opened.map(|_window| ()).ok_or_else(refused))
    }

    fn ui_ready(&self) -> Answer<()> {
        at_once(Ok(()))
    }

    fn device_code(&self) -> Answer<DeviceCodeShown> {
        desktop_only()
    }

    fn watch(&self, watcher: Watcher) -> Answer<()> {
        let is_first = self.0.watcher.replace(Some(watcher)).is_none();
        if is_first {
            self.0.senses.replace(senses::Senses::new(&self.0));
            self.0.go_to_work();
        }
        at_once(Ok(()))
    }
}
