//! What a person sees and touches: one set of words over Chromium and over the desktop app.

mod chromium;
mod desktop_bus;
mod keychain;
mod seat;
mod sight;

pub use desktop_bus::{Dock, Looks, Network, Notifications, Panel, Shown};
pub use seat::{Seat, holds};
pub use sight::{SCHEMES, SIZES, Sight};

use crate::hush;
use crate::offspring::Offspring;
use crate::stack::Stack;
use crate::wait::{soon, until};
use fantoccini::Locator;
use fantoccini::actions::{InputSource as _, MouseActions, PointerAction};
use fantoccini::elements::Element;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// Keeps the page drawing: WebKit takes a picture when it next draws, which on a page at rest is never, and answers nothing
/// else meanwhile.
const STIR: &str = "window.stirring = setInterval(() => { \
                    const worn = document.documentElement.style; worn.opacity = worn.opacity ? '' : '0.999' }, 30)";
const REST: &str = "clearInterval(window.stirring); document.documentElement.style.opacity = ''";

/// Which body the app runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Browser,
    Desktop,
}

#[derive(Debug)]
pub struct Screen {
    driver: fantoccini::Client,
    /// The session at the driver, as an address.
    session: String,
    body: Body,
    home: String,
    // kept until the screen is gone
    _programs: Arc<Offspring>,
    folder: Arc<TempDir>,
}

impl Screen {
    /// A fresh screen of either body, showing the app of this installation to somebody who is signed out.
    pub async fn fresh(body: Body, stack: &Stack) -> Self {
        match body {
            Body::Browser => Self::browser(stack).await,
            Body::Desktop => Seat::fresh(stack).await.launch().await,
        }
    }

    /// A browser with nothing in it, at the start page.
    pub async fn browser(stack: &Stack) -> Self {
        let screen = chromium::start(&stack.url(), true).await;
        screen.open("/").await;
        screen
    }

    /// A browser in which no script runs.
    pub async fn browser_without_script(stack: &Stack) -> Self {
        let screen = chromium::start(&stack.url(), false).await;
        screen.open("/").await;
        screen
    }

    /// A browser in which scripts run, and WebAssembly does not.
    pub async fn browser_without_webassembly(stack: &Stack) -> Self {
        Self::browser_with(stack, "delete globalThis.WebAssembly").await
    }

    /// A browser in which pages can keep nothing, as one whose storage is full.
    pub async fn browser_that_keeps_nothing(stack: &Stack) -> Self {
        let refuse =
            "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }";
        Self::browser_with(stack, refuse).await
    }

    async fn browser_with(stack: &Stack, script: &str) -> Self {
        let screen = chromium::start(&stack.url(), true).await;
        screen.begin_pages_with(script).await;
        screen.open("/").await;
        screen
    }

    pub(crate) async fn over(
        driver_url: &str,
        capabilities: Value,
        body: Body,
        home: String,
        programs: Arc<Offspring>,
        folder: Arc<TempDir>,
    ) -> Self {
        crate::stack::install_crypto();
        let http = plain_http();
        let ask = json!({"capabilities": {"alwaysMatch": capabilities, "firstMatch": [{}]}});
        let begun = until("the driver to begin a session", async || {
            let answer = http
                .post(format!("{driver_url}/session"))
                .json(&ask)
                .send()
                .await
                .ok()?;
            answer.json::<Value>().await.ok()
        })
        .await;
        let id = begun
            .pointer("/value/sessionId")
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no session at the driver: {begun}"))
            .to_owned();
        let driver = fantoccini::Client::with_existing_session(driver_url, &id, HttpConnector::new())
            .await
            .unwrap_or_else(|error| panic!("joining the driver's session: {error}"));
        Self {
            driver,
            session: format!("{driver_url}/session/{id}"),
            body,
            home,
            _programs: programs,
            folder,
        }
    }

    /// What the app has written down of itself: its log, and what broke. Empty in a browser.
    pub fn log(&self) -> String {
        seat::log_in(self.folder.path())
    }

    pub fn body(&self) -> Body {
        self.body
    }

    /// Goes to a path of the installation; in a browser only.
    pub async fn open(&self, path: &str) {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.home)
        } else {
            path.to_owned()
        };
        soon(&format!("{url} to open"), self.driver.goto(&url))
            .await
            .unwrap_or_else(|error| panic!("opening {url}: {error}"));
    }

    /// To an empty page: the one before is gone with all that it held in memory.
    pub async fn leave(&self) {
        let gone = self.driver.goto("about:blank").await;
        gone.unwrap_or_else(|error| panic!("leaving the page: {error}"));
    }

    pub async fn reload(&self) {
        soon("the page to be loaded again", self.driver.refresh())
            .await
            .unwrap_or_else(|error| panic!("reloading: {error}"));
    }

    pub async fn address(&self) -> String {
        soon("the page's address", self.driver.current_url())
            .await
            .map(|url| url.to_string())
            .unwrap_or_default()
    }

    /// Types into a field, in place of what it holds. Passwords, addresses and codes stand in no log from then on.
    pub async fn fill(&self, test_id: &str, text: &str) {
        hush::keep_field(test_id.rsplit('-').next().unwrap_or(test_id), text);
        self.act(&format!("filling in {test_id}"), &css(test_id), async |field| {
            field.clear().await.ok()?;
            // WebKit's driver takes no empty word.
            if !text.is_empty() {
                field.send_keys(text).await.ok()?;
            }
            (field.prop("value").await.ok()?.as_deref() == Some(text)).then_some(())
        })
        .await;
    }

    /// Types keys where the caret is in a field, after what it holds.
    pub async fn press(&self, test_id: &str, keys: &str) {
        self.press_on(&css(test_id), keys).await;
    }

    /// As [`Screen::press`], by a selector.
    pub async fn press_on(&self, selector: &str, keys: &str) {
        self.act(&format!("typing into {selector}"), selector, async |element| {
            element.send_keys(keys).await.ok()
        })
        .await;
    }

    /// Moves the pointer there, without a click.
    pub async fn point_at(&self, selector: &str) {
        self.act(&format!("pointing at {selector}"), selector, async |element| {
            let mouse = MouseActions::new("mouse".to_owned());
            let over = PointerAction::MoveToElement {
                element,
                duration: None,
                x: 0.0,
                y: 0.0,
            };
            self.driver.perform_actions(mouse.then(over)).await.ok()
        })
        .await;
    }

    /// Types keys wherever the focus is. What had it may be drawn anew between the look and the keys; then it is looked at
    /// again, and nothing was typed.
    pub async fn keys(&self, keys: &str) {
        until(&format!("typing {keys:?}"), async || {
            let focused = self.driver.active_element().await.ok()?;
            focused.send_keys(keys).await.ok()
        })
        .await;
    }

    /// What has the focus, by its test id.
    pub async fn focus(&self) -> Option<String> {
        let look = async {
            let focused = self.driver.active_element().await.ok()?;
            focused.attr("data-testid").await.ok()?
        };
        soon("what has the focus", look).await
    }

    /// Goes on from control to control, as Tab does, until this one has the focus.
    pub async fn tab_to(&self, test_id: &str) {
        let mut passed = Vec::new();
        for _ in 0..40 {
            match self.focus().await {
                Some(here) if here == test_id => return,
                here => passed.push(here.unwrap_or_default()),
            }
            self.keys("\u{E004}").await;
        }
        panic!("Tab does not lead to {test_id}, only to {passed:?}");
    }

    /// Where it stands: left, top, width and height, in whole pixels.
    pub async fn place_of(&self, selector: &str) -> [i64; 4] {
        self.act(
            &format!("{selector} to have a place"),
            selector,
            async |element| {
                let (x, y, width, height) = element.rectangle().await.ok()?;
                #[expect(clippy::cast_possible_truncation, reason = "a few thousand pixels")]
                let whole = [x, y, width, height].map(|length| length.round() as i64);
                (whole.iter().skip(2).all(|length| *length > 0)).then_some(whole)
            },
        )
        .await
    }

    pub async fn click(&self, test_id: &str) {
        self.click_on(&css(test_id)).await;
    }

    /// As [`Screen::click`], by a selector.
    pub async fn click_on(&self, selector: &str) {
        self.act(&format!("clicking {selector}"), selector, async |button| {
            if !button.is_displayed().await.ok()? || !button.is_enabled().await.ok()? {
                return None;
            }
            button.click().await.ok()
        })
        .await;
    }

    /// Only in a page that answers: what the desktop's core has drawn is for the eyes alone until the app takes it over.
    fn alive(&self, selector: &str) -> String {
        match self.body {
            Body::Browser => selector.to_owned(),
            Body::Desktop => format!(":is({selector}):not(:root:has(#app[inert]) *)"),
        }
    }

    async fn act<T>(&self, what: &str, selector: &str, act: impl AsyncFn(Element) -> Option<T>) -> T {
        until(what, async || {
            let element = self.driver.find(Locator::Css(&self.alive(selector))).await.ok()?;
            act(element).await
        })
        .await
    }

    /// Waits until it is there to be seen.
    pub async fn wait(&self, test_id: &str) {
        self.wait_for(&css(test_id)).await;
    }

    pub async fn wait_for(&self, selector: &str) {
        self.act(&format!("{selector} to be seen"), selector, async |element| {
            element.is_displayed().await.ok()?.then_some(())
        })
        .await;
    }

    /// Waits until an element with this test id says so; gives its whole text.
    pub async fn wait_text(&self, test_id: &str, text: &str) -> String {
        self.wait_text_in(&css(test_id), text).await
    }

    pub async fn wait_text_in(&self, selector: &str, text: &str) -> String {
        until(&format!("{selector} to say {text:?}"), async || {
            self.texts_in(selector)
                .await
                .into_iter()
                .find(|found| found.contains(text))
        })
        .await
    }

    /// Waits until a message that says so has the focus and begins inside its pane, with a little room above.
    pub async fn wait_at_message(&self, text: &str) {
        let script = "const it = document.activeElement, pane = document.getElementById('conversation'); \
                      if (document.querySelector('dialog:modal') || !it.matches('article')) return ''; \
                      const [at, view] = [it.getBoundingClientRect(), pane.getBoundingClientRect()]; \
                      return at.top >= view.top + 8 && at.top < view.bottom ? it.innerText : '';";
        until(&format!("the message {text:?} in sight"), async || {
            let seen = self.evaluate(script).await;
            let is_it = seen.as_str().is_some_and(|seen| seen.contains(text));
            is_it.then_some(())
        })
        .await;
    }

    /// Whether it is to be seen now.
    pub async fn is_seen(&self, selector: &str) -> bool {
        let look = async {
            let element = self.driver.find(Locator::Css(&self.alive(selector))).await.ok()?;
            element.is_displayed().await.ok()
        };
        soon(&format!("a look at {selector}"), look)
            .await
            .unwrap_or(false)
    }

    pub async fn wait_gone(&self, selector: &str) {
        until(&format!("{selector} to be gone"), async || {
            (self.count(selector).await == 0).then_some(())
        })
        .await;
    }

    pub async fn count(&self, selector: &str) -> usize {
        let found = soon(
            selector,
            self.driver.find_all(Locator::Css(&self.alive(selector))),
        )
        .await;
        found.map_or(usize::MAX, |found| found.len())
    }

    /// The texts of all elements that fit, as they are seen. Asked as a property of the page: WebKit's driver leaves out what
    /// stands in boxes that cut their text off with an ellipsis.
    pub async fn texts_in(&self, selector: &str) -> Vec<String> {
        soon(selector, self.read_texts(selector)).await
    }

    async fn read_texts(&self, selector: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self
            .driver
            .find_all(Locator::Css(&self.alive(selector)))
            .await
            .unwrap_or_default()
        {
            // rows that are scrolled out of sight are not laid out, and have no inner text
            let Ok(Some(mut text)) = element.prop("innerText").await else {
                continue;
            };
            if text.is_empty() {
                text = element
                    .prop("textContent")
                    .await
                    .ok()
                    .flatten()
                    .unwrap_or_default();
            }
            texts.push(text);
        }
        texts
    }

    pub async fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let look = async {
            let element = self.driver.find(Locator::Css(&self.alive(selector))).await.ok()?;
            element.attr(name).await.ok()?
        };
        soon(&format!("{name} of {selector}"), look).await
    }

    /// The connection as the page shows it.
    pub async fn wait_connection(&self, state: &str) {
        let selector = format!("{}[data-state=\"{state}\"]", css("connection"));
        until(&format!("the connection to be {state}"), async || {
            (self.count(&selector).await == 1).then_some(())
        })
        .await;
    }

    pub async fn source(&self) -> String {
        soon("the page's source", self.driver.source())
            .await
            .unwrap_or_default()
    }

    /// Runs script in the page, for what only a page can know.
    pub async fn evaluate(&self, script: &str) -> Value {
        soon(script, self.driver.execute(script, Vec::new()))
            .await
            .unwrap_or_default()
    }

    /// As [`Screen::evaluate`], for script that answers later: it calls `done` with its answer.
    pub async fn evaluate_later(&self, script: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1]; {script}");
        soon(&script, self.driver.execute_async(&script, Vec::new()))
            .await
            .unwrap_or_default()
    }

    /// Gives the browser something that holds passkeys and knows its owner, as a computer with a fingerprint reader does
    /// (WebAuthn level 3 §11).
    pub async fn hold_passkeys(&self) {
        let ask = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": true,
            "isUserConsenting": true,
        });
        let url = format!("{}/webauthn/authenticator", self.session);
        let answer = plain_http().post(url).json(&ask).send().await;
        let is_there = answer.is_ok_and(|answer| answer.status().is_success());
        assert!(is_there, "the driver gives no holder of passkeys");
    }

    pub async fn resize(&self, width: u32, height: u32) {
        let _ = soon(
            "the window's new size",
            self.driver.set_window_size(width, height),
        )
        .await;
    }

    /// Moves the window and gives it a size: left, top, width and height, in pixels.
    pub async fn place_window(&self, [x, y, width, height]: [u32; 4]) {
        let placed = soon(
            "the window's new place",
            self.driver.set_window_rect(x, y, width, height),
        )
        .await;
        placed.unwrap_or_else(|error| panic!("placing the window: {error}"));
    }

    /// Waits until the page is there and has fetched nothing more for half a second.
    pub async fn wait_quiet(&self) {
        let script = "const loaded = performance.getEntriesByType('resource').map(entry => entry.responseEnd); \
                      return document.readyState === 'complete' && performance.now() - Math.max(0, ...loaded) > 500";
        until("the page to be quiet", async || {
            self.evaluate(script).await.as_bool()?.then_some(())
        })
        .await;
    }

    /// Where the window is, as [`Screen::place_window`] takes it. A place out of sight is given as zeros.
    pub async fn window_place(&self) -> [u64; 4] {
        let found = soon("the window's place", self.driver.get_window_rect()).await;
        let (x, y, width, height) = found.unwrap_or_default();
        [x, y, width, height]
    }

    /// Keeps a picture for people to look at.
    pub async fn picture(&self, name: &str) {
        self.evaluate(STIR).await;
        let taken = soon(&format!("the picture {name}"), self.driver.screenshot()).await;
        self.evaluate(REST).await;
        if let Ok(png) = taken {
            let _ = std::fs::write(pictures().join(format!("{name}.png")), png);
        }
    }

    /// Closes the window: the browser or the app ends.
    pub async fn close(self) {
        let _ = plain_http().delete(&self.session).send().await;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let (session, body) = (self.session.clone(), self.body);
        let is_failure = std::thread::panicking();
        if is_failure && body == Body::Desktop {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
            eprintln!("--- the app's last words ---\n{}", tail.join("\n"));
        }
        let named = std::thread::current().name().unwrap_or("test").replace("::", "-");
        let _ = crate::database::outside(async move {
            let http = plain_http();
            if is_failure {
                let stir = json!({"script": STIR, "args": []});
                http.post(format!("{session}/execute/sync"))
                    .json(&stir)
                    .send()
                    .await?;
                let answer: Value = http
                    .get(format!("{session}/screenshot"))
                    .send()
                    .await?
                    .json()
                    .await?;
                let png = base64::Engine::decode(
                    &base64::engine::general_purpose::STANDARD,
                    answer.get("value").and_then(Value::as_str).unwrap_or_default(),
                )?;
                let path = pictures().join(format!("failed-{named}-{body:?}.png").to_lowercase());
                std::fs::write(&path, png)?;
                eprintln!("a picture of the failure: {}", path.display());
            }
            http.delete(&session).send().await?;
            Ok(())
        });
        seat::must_keep_quiet(self.folder.path());
    }
}

/// The selector of a test id.
fn css(test_id: &str) -> String {
    format!("[data-testid=\"{test_id}\"]")
}

/// Where pictures go: beside the built tests.
fn pictures() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let target = own
        .ancestors()
        .nth(3)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = target.join("pictures");
    let _ = std::fs::create_dir_all(&folder);
    folder
}

fn plain_http() -> reqwest::Client {
    crate::stack::install_crypto();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .unwrap_or_else(|error| panic!("building an HTTP client: {error}"))
}
