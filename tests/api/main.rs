//! Lets schemathesis make up requests out of the server's own document, as nobody and as somebody who is signed in: `api SECONDS
//! SEED`, started by `cargo xtask fuzz api`. Wants every answer to be as the document says, and none to be a fault of the server.
#![expect(
    clippy::disallowed_methods,
    reason = "the environment is read once, here, as `cargo xtask fuzz` sets it"
)]

use anyhow::{Context as _, bail};
use harness::{Person, Stack};
use protocol::routes;
use std::time::Duration;
use tokio::process::Command;

/// What each answer is looked at for. That what is signed in to is refused to others is claimed by the suite itself.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// Sockets are spoken to otherwise, numbers are not the product's, and whoever signs out has nothing more to ask.
const LEFT_OUT: &str = "^/(ws|metrics)|/sign-out$";
/// An access token holds for ten minutes.
const LONGEST: Duration = Duration::from_mins(8);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [seconds, seed] = words.as_slice() else {
        bail!("api SECONDS SEED");
    };
    let time = Duration::from_secs(seconds.parse().context("SECONDS is a number")?).min(LONGEST);
    let seed: u64 = seed.parse().context("SEED is a number")?;
    let program = std::env::var("COMPYMAC_SCHEMATHESIS").context("reading COMPYMAC_SCHEMATHESIS")?;
    let stack = Stack::start().await;
    let (_, laptop) = Person::join_natively(&stack).await;
    laptop.create_session("Something to be found").await;
    let token = laptop.tokens().access_token;
    let document = format!("{}{}", stack.url(), routes::OPENAPI);
    for headers in [vec![], vec![format!("Authorization: Bearer {token}")]] {
        let mut command = Command::new(&program);
        command
            .args([
                "run",
                &document,
                "--checks",
                CHECKS,
                "--exclude-path-regex",
                LEFT_OUT,
            ])
            .args(["--seed", &seed.to_string(), "--continue-on-failure", "--no-color"])
            .args(["--max-time", &(time.as_secs() / 2).to_string()])
            .args(headers.iter().flat_map(|header| ["--header", header]))
            .current_dir(stack.folder())
            .kill_on_drop(true);
        let status = command.status().await.context("starting schemathesis")?;
        if !status.success() {
            bail!("something above is not as the document says; the seed was {seed}");
        }
    }
    Ok(())
}
