//! An HTTP client as a browser (cookies, origin) or as a native program (tokens), with a typed call for each route.

use crate::hush;
use crate::wait::until;
use http::{HeaderMap, Method, StatusCode, header};
use protocol::auth::{Device, Me, SignedIn, Ticket, Tokens};
use protocol::mutation::{Batch, BatchAnswer, Mutation, OP_VERSION, Op, OpResult, RunMode};
use protocol::oauth::{CLIENT_ID, Grant, TokenError};
use protocol::sync::{Bootstrap, Cursor, History, Message, Role, Session, SessionsPage, SyncPage};
use protocol::{Code, DeviceId, MessageId, MutationId, Problem, SessionId, routes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub const SESSION_COOKIE: &str = "__Host-compymac_sid";

/// Below it lies what is asked with secrets.
const DOOR: &str = "/api/v1/auth/";

/// Cheap to clone; clones share the credential.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    base: String,
    /// What a browser sends as its origin: the installation's public address.
    origin: String,
    credential: Mutex<Credential>,
}

#[derive(Clone, Debug)]
enum Credential {
    Cookies(BTreeMap<String, String>),
    Tokens(Option<Tokens>),
}

impl Client {
    /// `base`: the node that is spoken to; `origin`: the installation's public address.
    pub fn browser(base: &str, origin: &str) -> Self {
        Self::with(base, origin, Credential::Cookies(BTreeMap::new()))
    }

    pub fn native(base: &str) -> Self {
        Self::with(base, base, Credential::Tokens(None))
    }

    fn with(base: &str, origin: &str, credential: Credential) -> Self {
        crate::stack::install_crypto();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(crate::PATIENCE)
            // A server ends a connection that says nothing for ten seconds. Used again at that very moment, a request would be lost
            // that nobody may send twice.
            .pool_idle_timeout(Duration::from_secs(5))
            .build()
            .unwrap_or_else(|error| panic!("building an HTTP client: {error}"));
        Self(Arc::new(Inner {
            http,
            base: base.trim_end_matches('/').to_owned(),
            origin: origin.trim_end_matches('/').to_owned(),
            credential: Mutex::new(credential),
        }))
    }

    /// The same credential, at another node.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        let credential = self.lock().clone();
        Self::with(base, &self.0.origin, credential)
    }

    pub fn base(&self) -> &str {
        &self.0.base
    }

    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    fn lock(&self) -> MutexGuard<'_, Credential> {
        self.0.credential.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_browser(&self) -> bool {
        matches!(*self.lock(), Credential::Cookies(_))
    }

    /// Whether it holds the cookie of somebody who is signed in.
    pub fn is_in(&self) -> bool {
        self.cookie(SESSION_COOKIE).is_some_and(|value| !value.is_empty())
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        match &*self.lock() {
            Credential::Cookies(cookies) => cookies.get(name).cloned(),
            Credential::Tokens(_) => None,
        }
    }

    pub fn put_cookie(&self, name: &str, value: &str) {
        if let Credential::Cookies(cookies) = &mut *self.lock() {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    pub fn tokens(&self) -> Tokens {
        match &*self.lock() {
            Credential::Tokens(Some(tokens)) => tokens.clone(),
            Credential::Tokens(None) | Credential::Cookies(_) => panic!("this client holds no tokens"),
        }
    }

    pub fn hold(&self, tokens: Tokens) {
        hush::keep_secret(&tokens.access_token);
        hush::keep_secret(&tokens.refresh_token);
        *self.lock() = Credential::Tokens(Some(tokens));
    }

    /// The credential as request headers, without what a browser adds about the page it comes from.
    pub fn credential_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: header::HeaderName, value: String| {
            headers.insert(
                name,
                value.parse().unwrap_or_else(|_| panic!("a header of {value:?}")),
            );
        };
        match &*self.lock() {
            Credential::Cookies(cookies) if cookies.is_empty() => {}
            Credential::Cookies(cookies) => {
                let pairs: Vec<String> = cookies
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                put(header::COOKIE, pairs.join("; "));
            }
            Credential::Tokens(Some(tokens)) => {
                put(header::AUTHORIZATION, format!("Bearer {}", tokens.access_token));
            }
            Credential::Tokens(None) => {}
        }
        headers
    }

    /// A request with the credential and nothing else.
    pub fn bare(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http://") {
            path.to_owned()
        } else {
            format!("{}{path}", self.0.base)
        };
        self.0
            .http
            .request(method, url)
            .headers(self.credential_headers())
    }

    /// A request as this kind of client sends it.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let is_safe = method.is_safe();
        let mut request = self.bare(method, path);
        if self.is_browser() && is_page(path) {
            request = request.header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");
        }
        match (self.is_browser(), is_safe) {
            (true, true) => request.header("Sec-Fetch-Site", "none"),
            (true, false) => request
                .header("Sec-Fetch-Site", "same-origin")
                .header(header::ORIGIN, &self.0.origin),
            (false, _) => request,
        }
    }

    /// Sends it, keeps the cookies that come back, and fails the test where nobody answers.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request)
            .await
            .unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// As [`Client::send`], where the network may be broken.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer {
            status: status.as_u16(),
            headers,
            body: response.bytes().await?.to_vec(),
        };
        self.keep_cookies(&answer);
        hush::keep_answer(&answer);
        Ok(answer)
    }

    /// Fails the test where a cookie of ours would go along from other sites.
    fn keep_cookies(&self, answer: &Answer) {
        let set = answer.set_cookies();
        for line in set.iter().filter(|line| line.starts_with("__Host-compymac")) {
            let is_lax = line
                .split(';')
                .any(|attribute| attribute.trim() == "SameSite=Lax");
            assert!(is_lax, "{line}");
        }
        let Credential::Cookies(cookies) = &mut *self.lock() else {
            return;
        };
        for line in set {
            let (pair, attributes) = line.split_once(';').unwrap_or((&line, ""));
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            if value.is_empty() || attributes.to_lowercase().contains("max-age=0") {
                cookies.remove(name.trim());
            } else {
                hush::keep_secret(value.trim());
                cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        if path.starts_with(DOOR) {
            hush::keep_fields(body);
        }
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Presses the button of the form on `page` that posts to `action`, having filled in `fields`.
    pub async fn submit(&self, page: &Answer, action: &str, fields: &[(&str, &str)]) -> Answer {
        let form = page.form(action);
        let mut all = form.hidden.clone();
        for (name, value) in fields {
            hush::keep_field(name, value);
            all.retain(|(other, _)| other != name);
            all.push(((*name).to_owned(), (*value).to_owned()));
        }
        self.send(self.request(Method::POST, &form.action).form(&all))
            .await
    }

    /// Goes to a page by its path, and on through redirects of this site.
    pub async fn visit(&self, path: &str) -> Answer {
        let answer = self.get(path).await;
        self.follow(answer).await
    }

    /// Goes on through the redirects of this site that begin with `answer`.
    pub async fn follow(&self, mut answer: Answer) -> Answer {
        for _ in 0..8 {
            let location = answer.location();
            let path = location.strip_prefix(&self.0.origin).unwrap_or(&location);
            if !(300..400).contains(&answer.status) || !path.starts_with('/') {
                return answer;
            }
            answer = self.get(path).await;
        }
        panic!("redirects without end: {answer:?}")
    }

    // The routes.

    pub async fn me(&self) -> Me {
        self.get(routes::ME).await.expect()
    }

    pub async fn devices(&self) -> Vec<Device> {
        self.get(routes::DEVICES).await.expect()
    }

    pub async fn revoke(&self, device: DeviceId) -> Answer {
        self.delete(&routes::device(device)).await
    }

    pub async fn sign_out(&self) -> Answer {
        self.send(self.request(Method::POST, routes::SIGN_OUT)).await
    }

    pub async fn ticket(&self) -> String {
        let answer = self.send(self.request(Method::POST, routes::SOCKET_TICKET)).await;
        answer.expect::<Ticket>().ticket
    }

    pub async fn token(&self, grant: &Grant) -> Answer {
        hush::keep_fields(grant);
        let request = self
            .0
            .http
            .post(format!("{}{}", self.0.base, routes::TOKEN))
            .form(grant);
        self.send(request).await
    }

    /// Presents a refresh token and keeps nothing of the answer.
    pub async fn refresh_with(&self, refresh_token: &str) -> Answer {
        self.token(&Grant::RefreshToken {
            refresh_token: refresh_token.to_owned(),
            client_id: CLIENT_ID.to_owned(),
        })
        .await
    }

    /// Renews this client's tokens.
    pub async fn refresh(&self) -> Tokens {
        let answer = self.refresh_with(&self.tokens().refresh_token).await;
        let tokens = answer
            .expect::<SignedIn>()
            .tokens
            .unwrap_or_else(|| panic!("a refresh without tokens"));
        self.hold(tokens.clone());
        tokens
    }

    pub async fn sessions(&self) -> Vec<Session> {
        self.get(routes::SESSIONS).await.expect::<SessionsPage>().sessions
    }

    /// The session at the head of the list; fails the test where there is none.
    pub async fn newest_session(&self) -> SessionId {
        let sessions = self.sessions().await;
        sessions.first().unwrap_or_else(|| panic!("no session yet")).id
    }

    pub async fn session(&self, id: SessionId) -> Session {
        self.get(&routes::session(id)).await.expect()
    }

    /// A session's messages from the first to the last.
    pub async fn history(&self, id: SessionId) -> History {
        let mut whole: History = self.get(&routes::messages(id)).await.expect();
        while whole.lo > 1 {
            let path = format!("{}?before_ord={}", routes::messages(id), whole.lo);
            let earlier: History = self.get(&path).await.expect();
            assert!(earlier.lo < whole.lo, "a page before the page");
            whole.messages.splice(0..0, earlier.messages);
            whole.lo = earlier.lo;
        }
        whole
    }

    /// The committed reply, once it has come to an end.
    pub async fn committed(&self, session: SessionId, reply: MessageId) -> Message {
        until("the reply to be committed", async || {
            let history = self.history(session).await;
            history
                .messages
                .into_iter()
                .find(|message| message.id == reply && message.status.is_terminal())
        })
        .await
    }

    pub async fn bootstrap(&self) -> Bootstrap {
        self.get(routes::BOOTSTRAP).await.expect()
    }

    pub async fn pull(&self, cursor: Cursor) -> Answer {
        self.get(&format!("{}?cursor={cursor}", routes::SYNC)).await
    }

    /// Pulls page after page until nothing more is there.
    pub async fn pull_all(&self, from: Cursor, limit: usize) -> Vec<SyncPage> {
        let mut pages = Vec::new();
        let mut cursor = from;
        loop {
            let path = format!("{}?cursor={cursor}&limit={limit}", routes::SYNC);
            let page: SyncPage = self.get(&path).await.expect();
            cursor = page.to;
            let has_more = page.more;
            pages.push(page);
            if !has_more {
                return pages;
            }
        }
    }

    pub async fn push(&self, mutations: &[Mutation]) -> BatchAnswer {
        let batch = Batch {
            ops: mutations.to_vec(),
        };
        self.post(routes::MUTATIONS, &batch).await.expect()
    }

    /// One write, and what became of it.
    pub async fn write(&self, op: Op) -> OpResult {
        let mutation = mutation(op);
        let answer = self.push(std::slice::from_ref(&mutation)).await;
        match answer.results.as_slice() {
            [outcome] => {
                assert_eq!(outcome.id, mutation.id, "an outcome names its mutation");
                outcome.result.clone()
            }
            other => panic!("one outcome for one op, not {other:?}"),
        }
    }

    pub async fn create_session(&self, title: &str) -> SessionId {
        let id = SessionId::fresh();
        let result = self
            .write(Op::SessionCreate {
                id,
                title: title.to_owned(),
            })
            .await;
        assert!(
            matches!(result, OpResult::Applied { .. }),
            "creating a session: {result:?}"
        );
        id
    }

    /// How often the server has this message of the person's.
    pub async fn times_kept(&self, session: SessionId, text: &str) -> usize {
        let history = self.history(session).await;
        let kept = history.messages.iter();
        kept.filter(|message| message.role == Role::User && message.content == text)
            .count()
    }

    /// Sends a message that the agent answers.
    pub async fn say(&self, session: SessionId, text: &str) -> crate::Sent {
        self.say_as(session, text, RunMode::Auto).await
    }

    /// Sends a message that nobody answers.
    pub async fn note(&self, session: SessionId, text: &str) -> crate::Sent {
        self.say_as(session, text, RunMode::Manual).await
    }

    async fn say_as(&self, session: SessionId, text: &str, run: RunMode) -> crate::Sent {
        let id = MessageId::fresh();
        let op = Op::MessageCreate {
            id,
            session,
            parent: None,
            content: text.to_owned(),
            run,
        };
        match self.write(op).await {
            OpResult::Applied { seq, ord, run, reply } => crate::Sent {
                id,
                seq,
                ord,
                run,
                reply,
            },
            other => panic!("sending a message: {other:?}"),
        }
    }
}

/// A write with a fresh id.
pub fn mutation(op: Op) -> Mutation {
    Mutation {
        id: MutationId::fresh(),
        v: OP_VERSION,
        op,
    }
}

/// What came back.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn set_cookies(&self) -> Vec<String> {
        self.headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect()
    }

    /// The body of a success; fails the test on anything else.
    #[track_caller]
    pub fn expect<T: DeserializeOwned>(&self) -> T {
        assert!((200..300).contains(&self.status), "a refusal: {self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("reading {self:?}: {error}"))
    }

    /// Fails the test unless it is a success.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        assert!((200..300).contains(&self.status), "a refusal: {self:?}");
        self
    }

    /// The refusal, checked to be one as RFC 9457 writes it.
    #[track_caller]
    pub fn problem(&self) -> Problem {
        let problem: Problem = serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no problem: {self:?}: {error}"));
        let kind = self.header("content-type").unwrap_or_default();
        assert!(
            kind.starts_with(protocol::problem::CONTENT_TYPE),
            "a problem's content type: {self:?}"
        );
        assert_eq!(problem.status, self.status, "{self:?}");
        problem
    }

    /// Fails the test unless it is this refusal, with this code's status.
    #[track_caller]
    pub fn refused(&self, code: Code) -> Problem {
        let problem = self.problem();
        assert_eq!((problem.code, self.status), (code, code.status()), "{self:?}");
        problem
    }

    /// The name of a refusal as OAuth has it (RFC 6749 §5.2).
    #[track_caller]
    pub fn oauth_error(&self) -> String {
        let refusal: TokenError = serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no refusal of OAuth's: {self:?}: {error}"));
        refusal.error
    }

    #[track_caller]
    pub fn has_status(&self, status: StatusCode) -> &Self {
        assert_eq!(self.status, status.as_u16(), "{self:?}");
        self
    }

    pub fn location(&self) -> String {
        self.header("location").unwrap_or_default().to_owned()
    }

    /// The form on a page that posts to an address beginning with `action`.
    #[track_caller]
    pub fn form(&self, action: &str) -> PageForm {
        self.forms()
            .into_iter()
            .find(|form| form.action.split('?').next() == Some(action))
            .unwrap_or_else(|| panic!("no form that posts to {action}: {}\n{}", self.status, self.text()))
    }

    /// Every form on the page.
    pub fn forms(&self) -> Vec<PageForm> {
        let page = self.text();
        page.split("<form")
            .skip(1)
            .filter_map(|rest| rest.split("</form>").next())
            .map(PageForm::read)
            .collect()
    }

    /// Every address that the page's links lead to.
    pub fn links(&self) -> Vec<String> {
        let page = self.text();
        page.split("<a ")
            .skip(1)
            .filter_map(|rest| rest.split('>').next())
            .filter_map(|tag| attribute(&format!(" {tag}"), "href"))
            .collect()
    }

    /// What stands directly in the first element that carries this `data-testid`.
    pub fn text_of(&self, test_id: &str) -> String {
        let page = self.text();
        page.split(&format!("data-testid=\"{test_id}\""))
            .nth(1)
            .and_then(|rest| rest.split('>').nth(1))
            .and_then(|rest| rest.split('<').next())
            .unwrap_or_else(|| panic!("no {test_id} on the page: {self:?}"))
            .to_owned()
    }

    /// Those that the page gives, to be written down.
    pub fn recovery_codes(&self) -> Vec<String> {
        let page = self.text();
        let list = page
            .split("data-testid=\"recovery-codes\"")
            .nth(1)
            .and_then(|rest| rest.split("</ul>").next())
            .unwrap_or_else(|| panic!("no codes: {self:?}"));
        let codes = list
            .split("<code>")
            .skip(1)
            .filter_map(|rest| rest.split('<').next());
        codes
            .inspect(|code| hush::keep_code(code))
            .map(str::to_owned)
            .collect()
    }

    /// The attribute of the first element that carries this `data-testid`.
    pub fn attribute_of(&self, test_id: &str, name: &str) -> Option<String> {
        let page = self.text();
        let tag = page
            .split('<')
            .filter_map(|rest| rest.split('>').next())
            .find(|tag| attribute(tag, "data-testid").as_deref() == Some(test_id))
            .map(str::to_owned)?;
        attribute(&tag, name)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = self.text().chars().take(1500).collect();
        write!(f, "{} {:?}\n{body}", self.status, self.headers)
    }
}

/// Whether a browser comes here by a click and not by a script.
fn is_page(path: &str) -> bool {
    let programs = [
        "/api/",
        "/ws",
        "/app/",
        "/.well-known/",
        routes::TOKEN,
        routes::PAR,
        routes::DEVICE_AUTHORIZATION,
    ];
    let operations = [routes::HEALTH, routes::READY, routes::METRICS];
    path.starts_with('/')
        && !programs
            .iter()
            .chain(&operations)
            .any(|program| path.starts_with(program))
}

/// A form as it stands in a page.
#[derive(Clone, Debug)]
pub struct PageForm {
    pub action: String,
    /// Hidden fields and buttons with a value, in order.
    pub hidden: Vec<(String, String)>,
}

impl PageForm {
    fn read(text: &str) -> Self {
        let head = text.split('>').next().unwrap_or_default();
        let hidden = text
            .split('<')
            .filter_map(|rest| rest.split('>').next())
            .filter(|tag| {
                let kind = attribute(tag, "type");
                tag.starts_with("input") && kind.as_deref() == Some("hidden")
            })
            .filter_map(|tag| {
                Some((
                    attribute(tag, "name")?,
                    attribute(tag, "value").unwrap_or_default(),
                ))
            })
            .collect();
        Self {
            action: attribute(head, "action").unwrap_or_default(),
            hidden,
        }
    }

    /// A hidden field's value.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.hidden
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let value = rest.split('"').next()?;
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&#x27;", "'")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&#x2F;", "/")
            .replace("&#x2f;", "/")
            .replace("&amp;", "&"),
    )
}
