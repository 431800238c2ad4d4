//! Chromium with an empty profile, driven by chromedriver.

use super::{Body, Screen, pictures, plain_http};
use crate::offspring::{Offspring, system_program};
use crate::programs::free_port;
use crate::wait::until;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;

const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--window-size=1280,900",
];

impl Screen {
    /// Draws pages at this width and in this colour scheme from now on, as on another screen.
    pub async fn wear(&self, width: u32, scheme: &str) {
        self.wear_at([width, 1000], scheme).await;
    }

    /// The same in a window of this width and height.
    pub async fn wear_at(&self, [width, height]: [u32; 2], scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", size).await;
        let wish = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", wish).await;
    }

    /// Keeps a picture of all that is on the page for people to look at, with what is out of sight.
    pub async fn whole_picture(&self, name: &str) {
        let size = "return [document.documentElement.clientWidth, document.body.scrollHeight]";
        let size = self.evaluate(size).await;
        let clip = json!({"x": 0, "y": 0, "width": size.get(0), "height": size.get(1), "scale": 1});
        let ask = json!({"clip": clip, "captureBeyondViewport": true});
        let taken = self.command("Page.captureScreenshot", ask).await;
        let data = taken.get("data").and_then(Value::as_str).unwrap_or_default();
        let png = STANDARD.decode(data).unwrap_or_default();
        let _ = std::fs::write(pictures().join(format!("{name}.png")), png);
    }

    /// From here on every page begins with this script.
    pub(super) async fn begin_pages_with(&self, script: &str) {
        let source = json!({"source": script});
        self.command("Page.addScriptToEvaluateOnNewDocument", source)
            .await;
    }

    /// What cookies there are, those that no script sees among them.
    pub async fn cookie_names(&self) -> Vec<String> {
        let all = self.command("Network.getAllCookies", json!({})).await;
        let cookies = all.get("cookies").and_then(Value::as_array);
        let names = cookies
            .into_iter()
            .flatten()
            .filter_map(|cookie| cookie.get("name"));
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Clicks what gives a file of this name, and reads that: it is called so once it is there whole.
    pub async fn download(&self, test_id: &str, name: &str) -> Vec<u8> {
        let folder = self.folder.path().join("downloads");
        std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("making a folder: {error}"));
        let wish = json!({"behavior": "allow", "downloadPath": folder});
        self.command("Browser.setDownloadBehavior", wish).await;
        self.click(test_id).await;
        until(&format!("{name} to be downloaded"), async || {
            std::fs::read(folder.join(name)).ok()
        })
        .await
    }

    /// The browser has no cookies any more.
    pub async fn forget_cookies(&self) {
        self.command("Network.clearBrowserCookies", json!({})).await;
    }

    /// A command of Chromium's own (the DevTools protocol), by chromedriver.
    async fn command(&self, name: &str, parameters: Value) -> Value {
        let url = format!("{}/goog/cdp/execute", self.session);
        let ask = json!({"cmd": name, "params": parameters});
        let answer = plain_http().post(url).json(&ask).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut answer: Value = answer.json().await.unwrap_or_default();
        assert!(answer.pointer("/value/error").is_none(), "{name}: {answer}");
        answer.get_mut("value").map(Value::take).unwrap_or_default()
    }
}

pub(super) async fn start(home: &str, has_script: bool) -> Screen {
    let folder = tempfile::Builder::new()
        .prefix("compymac-chromium-")
        .tempdir()
        .unwrap_or_else(|error| panic!("making a folder: {error}"));
    let programs = Offspring::new();
    let mut command = programs.command("chromedriver", folder.path());
    // Given port 0 it takes a free one of IPv6 and ends where that of IPv4 is not free too.
    let port = free_port();
    command.arg(format!("--port={port}")).env("TMPDIR", folder.path());
    programs
        .start_reading(&mut command, &folder.path().join("chromedriver.log"), |line| {
            line.contains("started successfully").then_some(())
        })
        .await;
    let mut arguments: Vec<String> = ARGUMENTS.iter().map(|&argument| argument.to_owned()).collect();
    arguments.push(format!(
        "--user-data-dir={}",
        folder.path().join("profile").display()
    ));
    let script = if has_script { 1 } else { 2 };
    let capabilities = json!({
        "goog:chromeOptions": {
            "binary": system_program("chromium"),
            "args": arguments,
            "prefs": {"profile.managed_default_content_settings.javascript": script},
        },
        "goog:loggingPrefs": {"browser": "ALL"},
    });
    let driver = format!("http://127.0.0.1:{port}");
    Screen::over(
        &driver,
        capabilities,
        Body::Browser,
        home.to_owned(),
        Arc::new(programs),
        Arc::new(folder),
    )
    .await
}
