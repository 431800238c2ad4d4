//! `cargo xtask dev`: the whole product on one computer, from nothing, and gone again on Ctrl-C.

mod demo;
mod http;

use crate::compile::{self, Page};
use crate::place::{Place, home, setting, which};
use crate::ports::Ports;
use crate::services::{Lasting, make_private, postgres, random, redis, write_private};
use crate::setup::{self, Need};
use crate::supervisor::{Over, Service, Supervisor, bound, tail};
use crate::terminal::{print, say};
use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The port that people find it at when nothing else has taken it.
const USUAL_PORT: u16 = 8080;
/// What --messages gives at most: a few minutes' work and a gigabyte.
const MOST_MESSAGES: u32 = 2_000_000;

#[derive(Debug)]
pub struct Options {
    port: Option<u16>,
    data: PathBuf,
    has_desktop: bool,
    opens_browser: bool,
    /// Given to the demo account, beside what it has.
    messages: Option<u32>,
}

impl Options {
    pub fn parse(words: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            port: None,
            data: home()?.join(".local/share/compymac-dev"),
            has_desktop: false,
            opens_browser: true,
            messages: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--port" => {
                    let number = words.next().context("--port needs a number")?;
                    options.port = Some(
                        number
                            .parse()
                            .with_context(|| format!("--port {number}: not a port"))?,
                    );
                }
                "--data" => {
                    let folder = words.next().context("--data needs a folder")?;
                    options.data = std::path::absolute(folder).context("--data")?;
                }
                "--messages" => {
                    let number = words.next().context("--messages needs a number")?;
                    let wanted = number
                        .parse()
                        .ok()
                        .filter(|number| (1..=MOST_MESSAGES).contains(number));
                    let wanted = wanted.with_context(|| {
                        format!("--messages {number}: not a number from 1 to {MOST_MESSAGES}")
                    })?;
                    options.messages = Some(wanted);
                }
                "--desktop" => options.has_desktop = true,
                "--no-open" => options.opens_browser = false,
                other => {
                    bail!(
                        "`dev` does not know {other}: dev [--port N] [--data DIR] [--desktop] [--no-open] [--messages N]"
                    )
                }
            }
        }
        Ok(options)
    }
}

pub fn run(place: &Place, supervisor: &mut Supervisor, options: &Options) -> anyhow::Result<()> {
    let begun = Instant::now();
    make_private(&options.data)?;
    let _alone = alone(&options.data)?;
    supervisor.note_in(options.data.join("running"))?;
    let mut ports = Ports::read(&options.data.join("ports"));
    // Before the build, since a refusal after it would be a waste of minutes.
    let port = match options.port {
        Some(port) => ports.demand("server", port)?,
        None => ports.choose("server", Some(USUAL_PORT))?,
    };
    let need = if options.has_desktop {
        Need::Desktop
    } else {
        Need::Dev
    };
    setup::ensure(place, supervisor, need)?;
    say("building the server");
    compile::programs(place, supervisor)?;
    say("building the page");
    // Not where other commands build it: they would take it away from under the running server.
    compile::page(place, supervisor, Page::Quick, &options.data.join("page"))?;
    if options.has_desktop {
        say("building the desktop app");
        compile::page(place, supervisor, Page::Quick, &place.page())?;
        compile::desktop(place, supervisor)?;
    }
    let stores = Stores::start(supervisor, &options.data, &mut ports)?;
    let mailbox = mailbox(place, supervisor, &options.data, &mut ports)?;
    ports.write(&options.data.join("ports"))?;
    let url = serve(place, supervisor, options, port, &stores, &mailbox)?;
    say(&format!("started in {:.1} s", begun.elapsed().as_secs_f64()));
    print(&format!("ready {url}"));
    print(&format!("mailbox {}", mailbox.page));
    let account = demo::account(&options.data, &url, &mailbox.page, &stores.postgres)?;
    print(&format!("demo account: {} / {}", account.email, account.password));
    if let Some(messages) = options.messages {
        say(&format!("giving the demo account {messages} messages more"));
        demo::fill(&account, &stores.postgres, &options.data, messages)?;
    }
    print(&format!("data and logs: {}", options.data.display()));
    if options.opens_browser {
        open_browser(&url);
    }
    if options.has_desktop {
        desktop(place, supervisor, options, &url)?;
    }
    print("Ctrl-C ends it.");
    stay(supervisor, options)
}

/// Two of these on one folder would break each other's data.
fn alone(data: &Path) -> anyhow::Result<File> {
    let file = File::create(data.join("lock")).context("making the lock file")?;
    if file.try_lock().is_err() {
        bail!(
            "another `cargo xtask dev` runs with {}; end it first, or choose another folder with --data",
            data.display()
        );
    }
    Ok(file)
}

/// Until somebody asks to end, or a part that is needed ends by itself.
fn stay(supervisor: &mut Supervisor, options: &Options) -> anyhow::Result<()> {
    loop {
        match supervisor.wait() {
            Over::Asked => {
                say("stopping");
                supervisor.stop_all();
                return Ok(());
            }
            Over::Ended(name) if name == "the desktop app" => {
                say("the desktop app was closed; the server goes on");
            }
            Over::Ended(name) => {
                let log = options.data.join("server.log");
                bail!(
                    "{name} has ended. The server's last words ({}):\n{}",
                    log.display(),
                    tail(&log)
                );
            }
        }
    }
}

struct Stores {
    postgres: String,
    redis: String,
}

impl Stores {
    fn start(supervisor: &mut Supervisor, data: &Path, ports: &mut Ports) -> anyhow::Result<Self> {
        let postgres = if let Some(url) = setting("DATABASE_URL") {
            url
        } else {
            let port = ports.choose("postgres", None)?;
            postgres(supervisor, &data.join("postgres"), port, Lasting::Kept)?
        };
        let redis = if let Some(url) = setting("REDIS_URL") {
            url
        } else {
            let port = ports.choose("redis", None)?;
            redis(supervisor, &data.join("redis"), port, Lasting::Kept)?
        };
        Ok(Self { postgres, redis })
    }
}

struct Mailbox {
    smtp: String,
    page: String,
}

fn mailbox(
    place: &Place,
    supervisor: &mut Supervisor,
    data: &Path,
    ports: &mut Ports,
) -> anyhow::Result<Mailbox> {
    let mut command = bound(&place.program("mailbox"), None, "TERM");
    for (flag, name, usual) in [
        ("--smtp", "mailbox-smtp", None),
        ("--http", "mailbox-page", Some(USUAL_PORT + 1)),
    ] {
        command.args([flag, &format!("127.0.0.1:{}", ports.choose(name, usual)?)]);
    }
    let line = supervisor.start(Service {
        name: "the mailbox".to_owned(),
        command,
        ready: "mailbox smtp://".to_owned(),
        log: data.join("mailbox.log"),
        signal: Signal::SIGTERM,
    })?;
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [_, smtp, page] => Ok(Mailbox {
            smtp: (*smtp).to_owned(),
            page: (*page).to_owned(),
        }),
        _ => bail!("the mailbox said {line:?}, which names no addresses"),
    }
}

/// Starts the server; gives its address.
fn serve(
    place: &Place,
    supervisor: &mut Supervisor,
    options: &Options,
    port: u16,
    stores: &Stores,
    mailbox: &Mailbox,
) -> anyhow::Result<String> {
    let url = format!("http://127.0.0.1:{port}");
    let mut command = bound(&place.program("sync-server"), None, "TERM");
    command
        .current_dir(&options.data)
        .env("LISTEN", format!("127.0.0.1:{port}"))
        .env("PUBLIC_URL", &url)
        .env("DATABASE_URL", &stores.postgres)
        .env("REDIS_URL", &stores.redis)
        .env("COMPYMAC_SECRET", secret(&options.data)?)
        .env("WORKSPACES", options.data.join("workspaces"))
        .env("UI_DIST", options.data.join("page"))
        .env("SMTP_URL", &mailbox.smtp)
        // Nothing of a trial leaves this machine.
        .env("BREACHED_PASSWORDS", "off")
        // No balancer has to notice, and Ctrl-C means now.
        .env("DRAIN_AFTER", "0")
        .env("DRAIN_WITHIN", "0")
        // Its last words are shown here; a backtrace would hide what they say.
        .env("RUST_LIB_BACKTRACE", "0");
    supervisor.start(Service {
        name: "the server".to_owned(),
        command,
        ready: "ready http://".to_owned(),
        log: options.data.join("server.log"),
        signal: Signal::SIGTERM,
    })?;
    Ok(url)
}

/// The server's master secret, made once: with another, everybody would be signed out.
fn secret(data: &Path) -> anyhow::Result<String> {
    let file = data.join("secret");
    if let Ok(kept) = fs::read_to_string(&file) {
        return Ok(kept.trim().to_owned());
    }
    let secret = base64(&random(48)?);
    write_private(&file, secret.as_bytes())?;
    Ok(secret)
}

/// Base 64 (RFC 4648 §4) of a number of bytes that three divides, so that it needs no padding.
fn base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .collect();
    bytes
        .chunks(3)
        .flat_map(|three| {
            let number = three
                .iter()
                .fold(0_usize, |number, byte| (number << 8) | usize::from(*byte));
            [18, 12, 6, 0].map(|shift| (number >> shift) & 63)
        })
        .filter_map(|place| alphabet.get(place))
        .collect()
}

fn open_browser(url: &str) {
    let has_display =
        cfg!(target_os = "macos") || setting("DISPLAY").is_some() || setting("WAYLAND_DISPLAY").is_some();
    let opener = which("xdg-open").or_else(|| which("open"));
    if let (true, Some(opener)) = (has_display, opener) {
        let opening = Command::new(opener)
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        // The address stands above; a browser that does not open is no failure.
        if let Ok(mut opening) = opening {
            std::thread::spawn(move || opening.wait());
        }
    }
}

fn desktop(place: &Place, supervisor: &mut Supervisor, options: &Options, url: &str) -> anyhow::Result<()> {
    let mut command = bound(&place.program("desktop"), None, "TERM");
    command.env("COMPYMAC_SERVER", url).current_dir(&options.data);
    supervisor.spawn("the desktop app", &mut command, &options.data.join("desktop.log"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_written_as_others_read_it() {
        assert_eq!(super::base64(b"Man"), "TWFu");
        assert_eq!(super::base64(&[0xff, 0xfe, 0xfd, 0, 1, 2]), "//79AAEC");
    }
}
