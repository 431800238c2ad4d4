//! Pages drawn on the server: each route's first paint, whole and usable without WebAssembly.

use crate::asked::{Asked, Id};
use crate::auth::{self, Auth, Caller};
use crate::error::{Error, Result};
use crate::rights::Rights;
use crate::runs::Runs;
use crate::sessions;
use crate::web::assets::Manifest;
use axum::Router;
use axum::extract::{FromRef, OriginalUri, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum_extra::extract::CookieJar;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use protocol::routes::page;
use protocol::view::{Body, Boot, Connection, SessionRow, Transcript, TranscriptState, Typed, unanswered};
use protocol::{Code, Problem, SessionId, limits};
use serde::{Deserialize, Deserializer};
use std::sync::Arc;
use ui::page::{Failed, Notice, Shell, Theme, WORN};

/// What every page is made with. Cheap to clone.
#[derive(Clone)]
pub struct Pages {
    pub runs: Runs,
    pub rights: Rights,
    assets: Arc<Manifest>,
}

/// What a form that led here had to say.
#[derive(Default)]
pub struct Said {
    pub problem: Option<Problem>,
    pub typed: Typed,
}

/// The query of a page: where to go on after signing in, and why one is here.
#[derive(Deserialize)]
pub struct Hints {
    #[serde(default)]
    pub next: String,
    #[serde(default, deserialize_with = "known")]
    pub problem: Option<Code>,
}

/// A code that this version does not have says nothing: the page is shown without it.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Code>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(serde_json::from_value(text.into()).ok())
}

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::HOME, get(home))
        .route(page::ARCHIVED, get(archived))
        .route(page::SESSION, get(session))
        .route(page::SETTINGS, get(settings))
        .route(page::SIGN_IN, get(door))
        .route(page::SIGN_UP, get(door))
        .route(page::CHECK_MAIL, get(door))
        .with_state(pages)
}

/// The look that this browser's person chose; anything else the computer decides.
fn worn(headers: &HeaderMap) -> Theme {
    CookieJar::from_headers(headers)
        .get(WORN)
        .and_then(|cookie| Theme::named(cookie.value()))
        .unwrap_or_default()
}

/// Of a page that tells a problem.
fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The page to sign in at, and those that lead to it without a visit to the server.
fn is_door(path: &str) -> bool {
    [page::SIGN_IN, page::SIGN_UP, page::CHECK_MAIL].contains(&path)
}

impl FromRef<Pages> for Auth {
    fn from_ref(pages: &Pages) -> Self {
        pages.auth().clone()
    }
}

impl Pages {
    pub fn open(rights: Rights, manifest: &Manifest) -> Self {
        Self {
            runs: Runs::clone(&rights),
            rights,
            assets: Arc::new(manifest.clone()),
        }
    }

    /// Address of the style sheet.
    pub fn style(&self) -> &str {
        &self.assets.style
    }

    pub fn auth(&self) -> &Auth {
        self.runs.sync().auth()
    }

    /// The page for a path, alive once its script has loaded.
    pub async fn draw(&self, headers: &HeaderMap, path: &str, boot: Boot) -> Response {
        let (csrf, cookie) = self.auth().csrf_token(headers);
        let boot = Boot { csrf, ..boot };
        let status = boot.problem.as_ref().map_or(StatusCode::OK, status_of);
        let body = ui::page::render(boot.clone(), path).await;
        let html = ui::page::shell(&Shell {
            title: &ui::page::title_of(&boot, path),
            theme: worn(headers),
            body: &body,
            boot: Some((&boot, path)),
            style: &self.assets.style,
            script: Some(&self.assets.boot),
            module: self.passkeys_on(is_door(path)),
            preload: Some((&self.assets.script, &self.assets.wasm)),
        });
        let jar = cookie.into_iter().fold(CookieJar::new(), CookieJar::add);
        (status, jar, Html(html)).into_response()
    }

    /// The script that talks to the browser's passkeys, on a page that has to do with them.
    fn passkeys_on(&self, is_such: bool) -> Option<&str> {
        (is_such && auth::offers_passkeys(self.auth())).then_some(&*self.assets.passkeys)
    }

    /// A page that runs no script, or one that answers its form.
    pub async fn draw_notice(
        &self,
        headers: &HeaderMap,
        status: StatusCode,
        title: &str,
        notice: impl FnOnce(String) -> Notice,
    ) -> Response {
        let (csrf, cookie) = self.auth().csrf_token(headers);
        let notice = notice(csrf);
        let module = if notice.asks_for_work() {
            Some(&*self.assets.work)
        } else {
            self.passkeys_on(notice.asks_for_passkeys())
        };
        let body = ui::page::render_notice(notice).await;
        let style = &self.assets.style;
        let html = ui::page::shell(&Shell {
            title,
            theme: worn(headers),
            body: &body,
            boot: None,
            style,
            script: None,
            module,
            preload: None,
        });
        (
            status,
            cookie.into_iter().fold(CookieJar::new(), CookieJar::add),
            Html(html),
        )
            .into_response()
    }

    /// A page with a form: with what was refused of it the last time, and that refusal's status, or as it is at first.
    pub async fn draw_form(
        &self,
        headers: &HeaderMap,
        title: &str,
        problem: Option<Problem>,
        notice: impl FnOnce(String, Option<Problem>) -> Notice,
    ) -> Response {
        let status = problem.as_ref().map_or(StatusCode::OK, status_of);
        self.draw_notice(headers, status, title, |csrf| notice(csrf, problem))
            .await
    }

    /// What nothing on its page can mend any more: only signing in anew, and going on to `next` then.
    pub async fn draw_end(&self, headers: &HeaderMap, title: &str, problem: Problem, next: &str) -> Response {
        let status = status_of(&problem);
        let door = page::leading_on(page::SIGN_IN, &auth::safe_next(next));
        let way_on = Some((door, "Go to sign in".to_owned()));
        let notice = |_csrf| Notice::Failed(Failed { problem, way_on });
        self.draw_notice(headers, status, title, notice).await
    }

    /// The page of a letter's link that opens nothing.
    pub async fn draw_dead_link(&self, headers: &HeaderMap) -> Response {
        let problem = Problem::new(Code::InvalidOrExpiredLink);
        self.draw_end(headers, "This link is no longer valid", problem, page::HOME)
            .await
    }

    /// A refusal as a page with a way on.
    pub async fn problem(&self, headers: &HeaderMap, problem: Problem) -> Response {
        let (status, wait) = (status_of(&problem), problem.retry_after);
        let notice = |_csrf| {
            Notice::Failed(Failed {
                problem,
                way_on: None,
            })
        };
        let mut response = self.draw_notice(headers, status, "CompyMac", notice).await;
        if let Some(seconds) = wait {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// What a page of anybody's begins with.
    pub fn boot(&self, caller: Option<&Caller>, said: Said) -> Boot {
        Boot {
            body: Body::Browser,
            csrf: String::new(),
            providers: auth::providers(self.auth()),
            me: caller.map(Caller::me),
            list: Vec::new(),
            open: None,
            devices: Vec::new(),
            problem: said.problem,
            typed: said.typed,
            server: self.auth().config.origin(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            connection: Connection::Connecting,
            now: now(),
        }
    }

    /// A session's page, with what a refused form left behind.
    pub async fn session_page(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        id: SessionId,
        said: Said,
    ) -> Result<Response> {
        let pool = &self.auth().pool;
        let (row, history, list) = tokio::try_join!(
            sessions::session(pool, caller.user, id),
            sessions::history(pool, caller.user, id, None, limits::MESSAGE_PAGE),
            sessions::list(pool, caller.user, false, None, limits::SESSION_PAGE),
        )?;
        let open = Transcript {
            session: row.into(),
            state: TranscriptState::Ready,
            has_earlier: history.lo > 1,
            unanswered: unanswered(&history.messages),
            messages: history
                .messages
                .into_iter()
                .filter(|message| !message.deleted)
                .map(Into::into)
                .collect(),
        };
        let mut boot = self.boot(Some(caller), said);
        boot.list = list.sessions.into_iter().map(SessionRow::from).collect();
        boot.open = Some(open);
        Ok(self.draw(headers, &page::session(id), boot).await)
    }

    /// The list's page.
    pub async fn list_page(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        archived: bool,
        said: Said,
    ) -> Result<Response> {
        let rows = sessions::list(
            &self.auth().pool,
            caller.user,
            archived,
            None,
            limits::SESSION_PAGE,
        )
        .await?;
        let mut boot = self.boot(Some(caller), said);
        boot.list = rows.sessions.into_iter().map(SessionRow::from).collect();
        Ok(self
            .draw(headers, if archived { page::ARCHIVED } else { page::HOME }, boot)
            .await)
    }
}

/// A page for people who are signed in; others are sent to the door, and back here afterwards.
pub async fn signed_in(
    pages: &Pages,
    headers: &HeaderMap,
    path: &str,
) -> Result<std::result::Result<Caller, Response>> {
    match pages.auth().caller_by_headers(headers).await {
        Ok(Some(caller)) => Ok(Ok(caller)),
        Ok(None) => Ok(Err(to_the_door(path))),
        Err(Error::Told(problem)) if problem.status == 401 => Ok(Err(to_the_door(path))),
        Err(error) => Err(error),
    }
}

pub fn to_the_door(path: &str) -> Response {
    Redirect::to(&page::leading_on(page::SIGN_IN, path)).into_response()
}

async fn home(State(pages): State<Pages>, headers: HeaderMap) -> Result<Response> {
    match signed_in(&pages, &headers, page::HOME).await? {
        Ok(caller) => pages.list_page(&headers, &caller, false, Said::default()).await,
        Err(door) => Ok(door),
    }
}

async fn archived(State(pages): State<Pages>, headers: HeaderMap) -> Result<Response> {
    match signed_in(&pages, &headers, page::ARCHIVED).await? {
        Ok(caller) => pages.list_page(&headers, &caller, true, Said::default()).await,
        Err(door) => Ok(door),
    }
}

async fn session(State(pages): State<Pages>, headers: HeaderMap, Id(id): Id<SessionId>) -> Result<Response> {
    match signed_in(&pages, &headers, &page::session(id)).await? {
        Ok(caller) => pages.session_page(&headers, &caller, id, Said::default()).await,
        Err(door) => Ok(door),
    }
}

async fn settings(State(pages): State<Pages>, headers: HeaderMap) -> Result<Response> {
    match signed_in(&pages, &headers, page::SETTINGS).await? {
        Ok(caller) => {
            let mut boot = pages.boot(Some(&caller), Said::default());
            boot.devices = auth::devices_of(pages.auth(), &caller).await?;
            Ok(pages.draw(&headers, page::SETTINGS, boot).await)
        }
        Err(door) => Ok(door),
    }
}

/// Sign in, sign up, check your mail: for people who are out; others are sent home.
async fn door(
    State(pages): State<Pages>,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Asked(hints): Asked<Hints>,
) -> Result<Response> {
    let next = auth::safe_next(&hints.next);
    match pages.auth().caller_by_headers(&headers).await {
        Ok(Some(_)) => return Ok(Redirect::to(&next).into_response()),
        // too often: that is not to be out
        Err(Error::Told(problem)) if problem.status == 429 => return Err(Error::Told(problem)),
        Ok(None) | Err(_) => {}
    }
    // whose letter, only the form that led there knew
    if uri.path() == page::CHECK_MAIL {
        return Ok(Redirect::to(page::SIGN_IN).into_response());
    }
    let typed = Typed {
        next,
        ..Typed::default()
    };
    let boot = pages.boot(
        None,
        Said {
            problem: hints.problem.map(Problem::new),
            typed,
        },
    );
    Ok(pages.draw(&headers, uri.path(), boot).await)
}

/// For showing only.
fn now() -> i64 {
    i64::try_from(time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}
