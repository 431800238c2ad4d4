//! A certified OpenID provider, in a process of its own: what this server says to it and believes of it was not written by the
//! same hand. `tests/certified_provider` sets it up as Google, Microsoft and Apple are.

use crate::client::{Answer, Client};
use crate::offspring::{Offspring, system_program};
use crate::open_id_provider::{APPLE_KEY, CLIENT, CLIENT_SECRET, microsoft};
use crate::programs::{root, setting};
use serde_json::json;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const APPLE_PUBLIC_KEY: &str = include_str!("open_id_provider/apple_public_key.pem");

/// Ended with the test.
#[derive(Debug)]
pub struct CertifiedProvider {
    url: String,
    _programs: Offspring,
    _folder: TempDir,
}

impl CertifiedProvider {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("making a folder: {error}"));
        lay_out(folder.path()).unwrap_or_else(|error| panic!("laying a provider out: {error}"));
        let programs = Offspring::new();
        let node = system_program("node");
        let mut command = programs.command(&node.to_string_lossy(), folder.path());
        command.arg("provider.mjs").current_dir(folder.path());
        let url = programs
            .start_reading(&mut command, &folder.path().join("provider.log"), |line| {
                line.starts_with("http://").then(|| line.to_owned())
            })
            .await;
        Self {
            url,
            _programs: programs,
            _folder: folder,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// For the server's `PROVIDERS`: this one in each of its three ways.
    pub fn settings(&self) -> String {
        let url = &self.url;
        json!([
            {"id": "google", "name": "Google", "kind": "oidc", "issuer": format!("{url}/google"),
             "client_id": CLIENT, "client_secret": CLIENT_SECRET},
            {"id": "microsoft", "name": "Microsoft", "kind": "microsoft", "tenant": "common", "base": format!("{url}/microsoft"),
             "client_id": CLIENT, "client_secret": CLIENT_SECRET},
            {"id": "apple", "name": "Apple", "kind": "apple", "issuer": format!("{url}/apple"), "client_id": CLIENT,
             "team_id": "TEAM", "key_id": "KEY", "private_key": APPLE_KEY},
        ])
        .to_string()
    }

    /// Lets the server at this address be its client, as whoever sets a server up writes its way back down there.
    pub async fn admit(&self, server: &str) {
        let outside = self.browser();
        let request = outside.bare(http::Method::POST, "/for").body(server.to_owned());
        outside.send(request).await.succeeds();
    }

    /// It signs by another key from now on, and lists no other.
    pub async fn rotate_keys(&self) {
        self.browser().get("/rotate").await.succeeds();
    }

    /// Goes to where the server sent a browser, and signs in there. Gives what leads back: a redirect, or a page with a form.
    pub async fn sign_in(&self, address: &str, email: &str) -> Answer {
        let browser = self.browser();
        let page = browser.visit(address).await;
        let action = page
            .attribute_of("sign-in", "action")
            .unwrap_or_else(|| panic!("the provider asks who it is: {page:?}"));
        let answer = browser.submit(&page, &action, &[("email", email)]).await;
        browser.follow(answer).await
    }

    fn browser(&self) -> Client {
        Client::browser(&self.url, &self.url)
    }
}

/// The program with what it imports beside it, as node looks for it.
fn lay_out(folder: &Path) -> std::io::Result<()> {
    let settings = json!({
        "client_id": CLIENT,
        "client_secret": CLIENT_SECRET,
        "directory": microsoft::WORK,
        "team_id": "TEAM",
        "key_id": "KEY",
        "apple_public_key": APPLE_PUBLIC_KEY,
    });
    let written = root().join("tests/certified_provider/provider.mjs");
    std::fs::copy(written, folder.join("provider.mjs"))?;
    std::fs::write(folder.join("settings.json"), settings.to_string())?;
    std::os::unix::fs::symlink(modules(), folder.join("node_modules"))
}

fn modules() -> PathBuf {
    setting("COMPYMAC_NODE_MODULES").map_or_else(
        || panic!("the certified provider is not installed; `cargo xtask test` installs it"),
        PathBuf::from,
    )
}
