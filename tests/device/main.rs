//! A device as a program without a window: `device FOLDER SERVER`. The same local half as the desktop app's, over files
//! in FOLDER; reads an ask a line and says the answer to it, one after the other. Meant to be killed.
#![expect(clippy::print_stdout, reason = "it answers on its standard output")]

mod credential;

use anyhow::Context as _;
use credential::InFile;
use harness::{Ask, Said};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use protocol::auth::Password;
use protocol::{Code, Problem};
use serde::Serialize;
use std::io::BufRead as _;
use std::path::Path;
use std::time::Duration;
use sync_client::Device;
use sync_client::driver::Computer;
use tokio::sync::mpsc;

/// A server that is away stops nothing, and nobody waits for it.
const STOP_WITHIN: Duration = Duration::from_millis(300);

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, server] = words.as_slice() else {
        anyhow::bail!("device FOLDER SERVER");
    };
    harness::install_crypto();
    tracing_subscriber::fmt()
        .with_env_filter("sync_client=debug")
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let folder = Path::new(folder);
    let computer = Computer {
        name: "Laptop".to_owned(),
        os: "linux".to_owned(),
        version: "0.1.0".to_owned(),
    };
    let credentials = InFile::beside(folder);
    let device = Device::open(folder, server.parse()?, computer, credentials).await?;
    let mut asks = asks();
    while let Some(ask) = asks.recv().await {
        let answer = answer(&device, ask?).await;
        println!("{}", serde_json::to_string(&answer)?);
    }
    Ok(())
}

/// From the standard input, read aside.
fn asks() -> mpsc::Receiver<anyhow::Result<Ask>> {
    let (tell, told) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let ask = serde_json::from_str(&line).with_context(|| format!("reading {line}"));
            if tell.blocking_send(ask).is_err() {
                return;
            }
        }
    });
    told
}

async fn answer(device: &Device, ask: Ask) -> Said {
    match ask {
        Ask::SignIn { email, password } => {
            let signed_in = device.sign_in(email, Password::typed(&password)).await;
            said(signed_in.map(drop))
        }
        Ask::Send { session, text } => said(device.send(session, &text).await.map(drop)),
        Ask::Rename { session, title } => said(device.rename(session, &title).await),
        Ask::Archive { session, archived } => said(device.archive(session, archived).await),
        Ask::Delete(session) => said(device.delete(session).await.map(drop)),
        Ask::Stop(run) => {
            let _ = tokio::time::timeout(STOP_WITHIN, device.stop(run)).await;
            said(Ok(()))
        }
        Ask::Wake => {
            device.wake();
            said(Ok(()))
        }
        Ask::Connection => said(Ok(device.connection())),
        Ask::Waiting => said(device.storage().await.map(|numbers| numbers.waiting)),
        Ask::Messages(session) => {
            let transcript = device.transcript(session).await;
            said(transcript.map(|transcript| transcript.messages))
        }
        Ask::Compare => said(device.compare().await),
        Ask::FillDisk(is_full) => said(fill_disk(is_full)),
    }
}

fn said<T: Serialize>(outcome: Result<T, Problem>) -> Said {
    serde_json::to_value(outcome?).map_err(|_unwritable| Problem::new(Code::Internal))
}

/// No write to a file may reach past its first byte. Needs the signal that comes with it to be ignored, which whoever
/// starts this program sees to.
fn fill_disk(is_full: bool) -> Result<(), Problem> {
    let room = if is_full { 1 } else { RLIM_INFINITY };
    setrlimit(Resource::RLIMIT_FSIZE, room, RLIM_INFINITY).map_err(|_refused| Problem::new(Code::Internal))
}
