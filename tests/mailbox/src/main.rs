//! `mailbox [--smtp ADDRESS] [--http ADDRESS]`: the mailbox as a program. Prints where it listens, then keeps letters
//! until SIGTERM or Ctrl-C.
#![expect(clippy::print_stdout, reason = "where it listens is what this program says")]

use anyhow::{Context as _, bail};
use mailbox::Mailbox;
use std::net::SocketAddr;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut smtp = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut http = smtp;
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{flag} needs an address like 127.0.0.1:0"))?;
        let address = value
            .parse()
            .with_context(|| format!("{flag} {value}: not an address"))?;
        match flag.as_str() {
            "--smtp" => smtp = address,
            "--http" => http = address,
            _ => bail!("mailbox [--smtp ADDRESS] [--http ADDRESS]"),
        }
    }
    let mailbox = Mailbox::start_at(smtp, http).await?;
    println!("mailbox {} {}", mailbox.smtp_url(), mailbox.http_url());
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}
