//! Where the built programs and services are, and starting a child that cannot outlive its test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The environment as `cargo xtask test` sets it.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' one place that reads the environment"
)]
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
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

/// A port that nobody listens on now.
pub async fn free_port() -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    listener.and_then(|listener| listener.local_addr()).map_or_else(
        |error| panic!("finding a free port: {error}"),
        |address| address.port(),
    )
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| panic!("the tests lie in the workspace"), Path::to_path_buf)
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

/// How a program ended that was expected to end by itself.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    /// Standard output and error together.
    pub said: String,
}

/// Runs a built program with these settings alone until it ends by itself.
pub async fn run_to_end(program: &str, settings: &[(&str, &str)]) -> Ended {
    run(program, settings, &[]).await
}

/// Runs a built program with no settings but these arguments.
pub async fn run_with_arguments(program: &str, arguments: &[&str]) -> Ended {
    run(program, &[], arguments).await
}

async fn run(program: &str, settings: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let home = tempfile::tempdir().unwrap_or_else(|error| panic!("making a folder: {error}"));
    let mut command = child(&binary(program), home.path());
    command
        .args(arguments)
        .envs(settings.iter().copied())
        .current_dir(home.path());
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
