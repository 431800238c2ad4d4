//! Where the built programs and services are, and starting a child that cannot outlive its test.

use nix::unistd::{Uid, User};
use std::fs::{Permissions, set_permissions};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The environment as `cargo xtask test` sets it.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' one place that reads the environment"
)]
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The number that a test draws its plan from, which it prints: the one of this setting, for living through it once more, or another
/// each time.
pub fn seed(name: &str) -> u64 {
    let said = setting(name).map(|text| text.parse::<u64>());
    said.map_or_else(rand::random, |number| {
        number.unwrap_or_else(|error| panic!("{name} is no number: {error}"))
    })
}

/// The folder of the built programs; without the setting, beside this test's own target folder.
pub(crate) fn binary(name: &str) -> PathBuf {
    let folder = setting("COMPYMAC_BIN_DIR").map_or_else(built_beside_this_test, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built; `cargo xtask test` builds it",
        path.display()
    );
    path
}

fn built_beside_this_test() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_else(|error| panic!("finding this test: {error}"));
    own.parent().and_then(Path::parent).map_or_else(
        || panic!("{} lies in no target folder", own.display()),
        Path::to_path_buf,
    )
}

/// The folder of the built page.
pub fn ui_dist() -> PathBuf {
    setting("COMPYMAC_UI_DIST").map_or_else(|| root().join("ui/dist"), PathBuf::from)
}

/// The program behind `cargo xtask`.
pub fn xtask() -> PathBuf {
    setting("COMPYMAC_XTASK").map_or_else(|| root().join("target/debug/xtask"), PathBuf::from)
}

/// Memory that a process holds now (VmRSS), in KiB.
pub fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A port for a program that cannot be given port 0 and asked: this test's alone until its process ends.
///
/// It lies below the ports that the kernel gives to connections on their way out, which may take one between our look and
/// the program's. Among tests it is claimed by the UDP socket of the same number.
pub fn free_port() -> u16 {
    static CLAIMS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    // a machine may have no IPv6: only what is said to be taken is
    let is_taken = |host: IpAddr, port: u16| {
        TcpListener::bind((host, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    // each process begins elsewhere, so that few ports are tried twice
    let first = 10_000 + u16::try_from(std::process::id() % 20_000).unwrap_or_default();
    let mut tried = (first..32_000).chain(10_000..first);
    let (claim, port) = tried
        .find_map(|port| {
            let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
            let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let is_free = !loopback.iter().any(|&host| is_taken(host, port));
            is_free.then_some((claim, port))
        })
        .unwrap_or_else(|| panic!("no port below 32000 is free"));
    CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    port
}

/// The repository, as whoever starts this program says. Not as it was compiled: the same program may serve another clone.
pub fn root() -> PathBuf {
    setting("CARGO_MANIFEST_DIR")
        .as_deref()
        .and_then(|package| Path::new(package).parent())
        .map_or_else(
            || panic!("start this by `cargo xtask`, or by cargo"),
            Path::to_path_buf,
        )
}

/// A command with an empty environment but the search path, killed by the kernel when this test's process ends.
pub(crate) fn child(program: &Path, home: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .arg(program)
        .env_clear()
        .env("PATH", setting("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("LANG", "C.UTF-8")
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null());
    command
}

/// As [`child`], for one that refuses to run as root: there it is run as nobody, whose the folder is then.
pub(crate) fn unprivileged(program: &Path, folder: &Path) -> Command {
    let nobody = Uid::effective()
        .is_root()
        .then(|| User::from_name("nobody").ok().flatten())
        .flatten();
    let Some(user) = nobody else {
        return child(program, folder);
    };
    give_away(folder, user.uid).unwrap_or_else(|error| panic!("giving {} away: {error}", folder.display()));
    let mut command = child(Path::new("setpriv"), folder);
    command
        .args(["--reuid", &user.uid.to_string()])
        .args(["--regid", &user.gid.to_string(), "--clear-groups"])
        // becoming somebody else takes back what was said about the parent's end
        .args(["--pdeathsig", "KILL"])
        .arg(program);
    command
}

/// The folder and the files that lie in it, and nobody else's any more.
fn give_away(folder: &Path, owner: Uid) -> std::io::Result<()> {
    set_permissions(folder, Permissions::from_mode(0o700))?;
    chown(folder, Some(owner.as_raw()), None)?;
    for entry in std::fs::read_dir(folder)? {
        chown(entry?.path(), Some(owner.as_raw()), None)?;
    }
    Ok(())
}

/// How a program ended that was expected to end by itself.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    /// Standard output and error together.
    pub said: String,
}

impl Ended {
    /// It did what it was asked to.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// It ended with a sentence that holds these words, and not by a panic.
    #[track_caller]
    pub fn refused(&self, words: &str) {
        assert!(self.code.is_some_and(|code| code != 0), "{self:?}");
        assert!(
            self.said.contains(words) && !self.said.contains("panicked"),
            "{words} in {self:?}"
        );
    }

    /// The JSON document that it said.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let line = self.said.lines().find(|line| line.starts_with(['{', '[']));
        line.and_then(|line| serde_json::from_str(line).ok())
            .unwrap_or_else(|| panic!("no JSON: {self:?}"))
    }
}

/// Runs a built program with these settings alone until it ends by itself.
pub async fn run_to_end(program: &str, settings: &[(&str, &str)]) -> Ended {
    run(program, settings, &[], None).await
}

/// Runs a built program with no settings but these arguments.
pub async fn run_with_arguments(program: &str, arguments: &[&str]) -> Ended {
    run(program, &[], arguments, None).await
}

/// Runs a built program with settings, arguments and, where there is any, this on its standard input.
pub(crate) async fn run(
    program: &str,
    settings: &[(&str, &str)],
    arguments: &[&str],
    input: Option<&str>,
) -> Ended {
    let home = tempfile::tempdir().unwrap_or_else(|error| panic!("making a folder: {error}"));
    let mut command = child(&binary(program), home.path());
    command
        .args(arguments)
        .envs(settings.iter().copied())
        .current_dir(home.path());
    if let Some(input) = input {
        let heard = home.path().join("heard");
        let file = std::fs::write(&heard, input).and_then(|()| std::fs::File::open(&heard));
        command.stdin(file.unwrap_or_else(|error| panic!("keeping the input: {error}")));
    }
    let output = home.path().join("said");
    let file = std::fs::File::create(&output).unwrap_or_else(|error| panic!("making a file: {error}"));
    let twin = file
        .try_clone()
        .unwrap_or_else(|error| panic!("sharing a file: {error}"));
    let mut running = command
        .stdout(file)
        .stderr(twin)
        .spawn()
        .unwrap_or_else(|error| panic!("starting {program}: {error}"));
    let begun = Instant::now();
    let status = loop {
        match running.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < crate::PATIENCE => {
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
            Ok(None) => {
                let _ = running.kill();
                let _ = running.wait();
                panic!(
                    "{program} did not end: {}",
                    std::fs::read_to_string(&output).unwrap_or_default()
                );
            }
            Err(error) => panic!("waiting for {program}: {error}"),
        }
    };
    Ended {
        code: status.code(),
        said: std::fs::read_to_string(&output).unwrap_or_default(),
    }
}
