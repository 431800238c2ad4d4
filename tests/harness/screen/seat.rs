//! A computer for the desktop app: a display, a session bus, a keychain and a home of its own.

use super::{Body, Screen};
use crate::hush;
use crate::offspring::{Offspring, end_process, system_program};
use crate::programs::{binary, free_port, setting};
use crate::stack::Stack;
use crate::wait::until;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// What the web view has a process for.
const WEB_PROCESSES: [&str; 3] = ["WebKitWebProcess", "WebKitNetworkProcess", "WebKitGPUProcess"];

/// How long a file of the app may become while its disk counts as full. What its web view hands over in shared memory counts as
/// one too, and has to fit.
const ROOM: u64 = 256 * 1024;

/// Whether what the display shows can be read while it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Display {
    Closed,
    Read,
}

/// Stays while the app comes and goes.
#[derive(Debug)]
pub struct Seat {
    programs: Arc<Offspring>,
    folder: Arc<TempDir>,
    environment: Vec<(String, String)>,
    server: String,
    /// The app's program.
    app: PathBuf,
}

impl Seat {
    pub async fn fresh(stack: &Stack) -> Self {
        let seat = Self::without_keychain(stack).await;
        seat.start_keychain().await;
        seat
    }

    /// At a computer whose clock is wrong by so much, in words of libfaketime's, as `-10y`. How time passes is as ever.
    pub async fn with_clock_off(stack: &Stack, by: &str) -> Self {
        let mut seat = Self::fresh(stack).await;
        let settings = [
            // the loader knows where the libraries of its own kind lie
            ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1"),
            ("FAKETIME", by),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        seat.environment.extend(settings);
        seat
    }

    /// As where nobody has installed one.
    pub async fn without_keychain(stack: &Stack) -> Self {
        Self::with(binary("desktop"), stack.url(), Display::Closed).await
    }

    /// For a built program that is to be measured, and the server that it asks: its display can be read.
    pub async fn measured(program: &str, server: String) -> Self {
        let seat = Self::with(binary(program), server, Display::Read).await;
        seat.start_keychain().await;
        seat
    }

    /// Of somebody whose app asks a server that is none of ours.
    pub async fn before(server: String) -> Self {
        let seat = Self::with(binary("desktop"), server, Display::Closed).await;
        seat.start_keychain().await;
        seat
    }

    /// With the app that a package installed, and nobody at its server's address.
    pub async fn with_installed(app: &Path) -> Self {
        let nobody = format!("http://127.0.0.1:{}", free_port());
        let seat = Self::with(app.to_owned(), nobody, Display::Closed).await;
        seat.start_keychain().await;
        seat
    }

    async fn with(app: PathBuf, server: String, display: Display) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("compymac-seat-")
            .tempdir()
            .unwrap_or_else(|error| panic!("making a folder: {error}"));
        let mut seat = Self {
            programs: Arc::new(Offspring::new()),
            environment: surroundings(folder.path(), &server),
            server,
            app,
            folder: Arc::new(folder),
        };
        seat.lay_out();
        seat.start_display(display).await;
        seat.start_bus().await;
        seat
    }

    /// From here on the web view runs no WebAssembly, so that the app's page never comes.
    pub fn take_webassembly_away(&mut self) {
        self.environment.push(("JSC_useWasm".to_owned(), "0".to_owned()));
    }

    /// From here on links to the app open another program, whatever the app says to the system.
    pub fn lead_links_elsewhere(&self) {
        self.put_program("xdg-mime", "echo another.desktop");
    }

    /// The folder in which the app keeps what it keeps.
    pub fn app_home(&self) -> PathBuf {
        self.folder.path().join("app")
    }

    /// Starts the app under its driver and waits for its window.
    pub async fn launch(&self) -> Screen {
        self.launch_with(&[]).await
    }

    /// The same by a link, as the system does where the app is not running.
    pub async fn launch_by(&self, link: &str) -> Screen {
        self.launch_with(&[link]).await
    }

    async fn launch_with(&self, arguments: &[&str]) -> Screen {
        let driver = self.start_driver().await;
        let capabilities = json!({"tauri:options": {"application": self.app, "args": arguments}});
        Screen::over(
            &driver,
            capabilities,
            Body::Desktop,
            self.server.clone(),
            Arc::clone(&self.programs),
            Arc::clone(&self.folder),
        )
        .await
    }

    /// Hands a link to the system, as a browser does when its page leads to one.
    pub fn hand_over(&self, link: &str) {
        // the real one: the seat's own only writes down what the app wants opened
        let mut command = self.command("/usr/bin/xdg-open");
        command.arg(link);
        self.programs
            .start(&mut command, &self.folder.path().join("xdg-open.log"));
    }

    /// Starts the app with a link as its argument, without a driver.
    pub fn start_with(&self, link: &str) {
        self.start(&[link]);
    }

    /// Starts the app with these arguments, without a driver.
    pub fn start(&self, arguments: &[&str]) {
        let mut command = self.command(&self.app.display().to_string());
        command.args(arguments);
        self.programs
            .start(&mut command, &self.folder.path().join("second.log"));
    }

    /// The entry that the system opens links of this scheme by; empty: none.
    pub fn opens(&self, scheme: &str) -> String {
        let mut ask = self.command("xdg-mime");
        ask.args(["query", "default", &format!("x-scheme-handler/{scheme}")]);
        let answer = ask
            .output()
            .unwrap_or_else(|error| panic!("asking xdg-mime: {error}"));
        String::from_utf8_lossy(&answer.stdout).trim().to_owned()
    }

    /// Waits for a dialog with this heading and strikes the key of one of its buttons.
    pub async fn answer(&self, heading: &str, key: &str) {
        let window = until(&format!("the dialog {heading:?}"), async || self.window(heading)).await;
        let mut strike = self.command("xdotool");
        strike.args(["windowfocus", "--sync", &window, "key", &format!("alt+{key}")]);
        let struck = strike.status();
        assert!(
            struck.is_ok_and(|status| status.success()),
            "the key {key} could not be struck"
        );
    }

    /// The window on the display that has this title, as xdotool calls it.
    pub fn window(&self, title: &str) -> Option<String> {
        let mut search = self.command("xdotool");
        let asked = format!("^{}$", title.replace('?', "\\?"));
        search.args(["search", "--onlyvisible", "--name", &asked]);
        let found = search.output().ok()?;
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        found.lines().next().map(str::to_owned)
    }

    /// The address of its session bus.
    pub(super) fn bus(&self) -> &str {
        let found = self
            .environment
            .iter()
            .find(|(name, _)| name == "DBUS_SESSION_BUS_ADDRESS");
        found.map_or("", |(_, address)| address)
    }

    /// Gives the app's window the keyboard, as a click on it does.
    pub async fn look_at(&self, title: &str) {
        let window = until(&format!("the window {title:?}"), async || self.window(title)).await;
        self.strike(&["windowfocus", "--sync", &window]);
    }

    /// Moves real keys: what `xdotool` is told.
    pub fn strike(&self, words: &[&str]) {
        let struck = self.command("xdotool").args(words).status();
        assert!(struck.is_ok_and(|status| status.success()), "xdotool {words:?}");
    }

    /// A folder of the person's.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Where programs keep what they are set to.
    pub fn settings(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// The files of the app that runs cannot become longer than a little, as on a full disk; or they can again. What is longer
    /// already can be read, and not added to.
    pub fn fill_disk(&self, is_full: bool) {
        let room = if is_full {
            ROOM.to_string()
        } else {
            "unlimited".to_owned()
        };
        let running = self.programs.running(&[self.app.as_path()]);
        assert!(!running.is_empty(), "the app does not run");
        for process in running {
            let mut command = self.command("prlimit");
            command.args(["--pid", &process.to_string(), &format!("--fsize={room}:")]);
            let limited = command.status();
            assert!(limited.is_ok_and(|status| status.success()), "{command:?}");
        }
    }

    /// Whether a file of this name below the app's folder is longer than any may become on a full disk.
    pub fn is_past_room(&self, name: &str) -> bool {
        longest(&self.app_home(), name) > ROOM
    }

    /// Ends the app without a word, as a lost power supply does.
    pub fn end_app(&self) {
        self.programs.end_program(&self.app);
    }

    /// The app's program lies in another folder from here on, as an AppImage does that somebody moved; gives its new place.
    pub fn move_app(&mut self) -> PathBuf {
        let folder = self.folder.path().join("moved");
        let place = folder.join(self.app.file_name().unwrap_or_default());
        let moved = std::fs::create_dir_all(&folder).and_then(|()| {
            // the folder may lie on another disk
            std::fs::hard_link(&self.app, &place).or_else(|_| std::fs::copy(&self.app, &place).map(drop))
        });
        moved.unwrap_or_else(|error| panic!("moving the app: {error}"));
        self.app.clone_from(&place);
        place
    }

    /// What the person's own entry for links of this scheme runs; empty: there is none.
    pub fn runs_for(&self, scheme: &str) -> String {
        let entries = self.folder.path().join("data/applications");
        let entry = std::fs::read_to_string(entries.join(self.opens(scheme))).unwrap_or_default();
        let run = entry.lines().find_map(|line| line.strip_prefix("Exec="));
        run.unwrap_or_default().to_owned()
    }

    /// How many times the app runs.
    pub fn copies(&self) -> usize {
        self.programs.running(&[self.app.as_path()]).len()
    }

    /// The processes that the app has now, those of its web view among them.
    pub fn app_processes(&self) -> Vec<u32> {
        let web = WEB_PROCESSES.iter().map(Path::new);
        let programs: Vec<&Path> = web.chain([self.app.as_path()]).collect();
        self.programs.running(&programs)
    }

    /// The file that holds what the display shows, as `xwd` has it; at a seat for measuring.
    pub fn picture_file(&self) -> PathBuf {
        self.folder.path().join("Xvfb_screen0")
    }

    /// Whether the app runs.
    pub fn runs_app(&self) -> bool {
        self.programs.runs(&self.app)
    }

    /// Ends the process that draws the app's page, as a fault of its own does.
    pub fn end_page_process(&self) {
        self.programs.end_program(Path::new("WebKitWebProcess"));
    }

    /// The addresses that the app wanted opened in the person's browser, oldest first.
    pub fn opened(&self) -> Vec<String> {
        let kept = std::fs::read_to_string(self.folder.path().join("opened")).unwrap_or_default();
        kept.lines().map(str::to_owned).collect()
    }

    /// Whether any file below the app's folder holds this text.
    pub fn keeps(&self, text: &str) -> bool {
        holds(&self.app_home(), text.as_bytes())
    }

    /// The keychain is not there from here on; what it holds stays on its disk.
    pub async fn end_keychain(&self) {
        let process = self.keychain_process();
        end_process(process.unwrap_or_else(|| panic!("there is no keychain to end")));
        until("the keychain to be gone", async || {
            self.keychain_process().is_none().then_some(())
        })
        .await;
    }

    /// What the app has written to its log.
    pub fn log(&self) -> String {
        log_in(self.folder.path())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.programs.command(program, &self.folder.path().join("home"));
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path());
        command
    }

    fn lay_out(&self) {
        let here = self.folder.path();
        for name in ["home", "bin", "run", "config", "data", "cache", "state"] {
            std::fs::create_dir_all(here.join(name)).unwrap_or_else(|error| panic!("making {name}: {error}"));
        }
        make_private(&here.join("run"));
        // The bus starts no keychain by itself: there is one where a test has started it.
        let services = here.join("data/dbus-1/services");
        let none = "[D-BUS Service]\nName=org.freedesktop.secrets\nExec=/bin/false\n";
        std::fs::create_dir_all(&services)
            .and_then(|()| std::fs::write(services.join("org.freedesktop.secrets.service"), none))
            .unwrap_or_else(|error| panic!("taking the keychain away: {error}"));
        let recorder = format!("printf '%s\\n' \"$1\" >> '{}'", here.join("opened").display());
        for name in ["xdg-open", "gio", "gnome-open", "kde-open", "wslview"] {
            self.put_program(name, &recorder);
        }
    }

    /// One that is found here before the system's own.
    fn put_program(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))
            .unwrap_or_else(|error| panic!("writing {name}: {error}"));
        make_private(&path);
    }

    async fn start_display(&mut self, display: Display) {
        let mut command = self.command("Xvfb");
        command.args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1280x900x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ]);
        if display == Display::Read {
            command.arg("-fbdir").arg(self.folder.path());
        }
        let log = self.folder.path().join("xvfb.log");
        let number: u32 = self
            .programs
            .start_reading(&mut command, &log, |line| line.trim().parse().ok())
            .await;
        self.environment
            .push(("DISPLAY".to_owned(), format!(":{number}")));
    }

    async fn start_bus(&mut self) {
        let mut command = self.command("dbus-daemon");
        command.args(["--session", "--nofork", "--print-address=1"]);
        let log = self.folder.path().join("bus.log");
        let address = self
            .programs
            .start_reading(&mut command, &log, |line| {
                line.starts_with("unix:").then(|| line.to_owned())
            })
            .await;
        self.environment
            .push(("DBUS_SESSION_BUS_ADDRESS".to_owned(), address));
    }

    /// Starts the keychain, unlocked and with what it held before.
    pub async fn start_keychain(&self) {
        let mut command = self.command("gnome-keyring-daemon");
        command.args(["--foreground", "--unlock", "--components=secrets"]);
        let log = self.folder.path().join("keyring.log");
        self.programs
            .start_telling(&mut command, &log, "the test's own\n");
        until("the keychain to be there", async || self.keychain_process()).await;
    }

    /// What answers as the keychain, by its id; the bus starts none for being asked.
    fn keychain_process(&self) -> Option<u32> {
        let mut ask = self.command("dbus-send");
        ask.args([
            "--session",
            "--dest=org.freedesktop.DBus",
            "--print-reply=literal",
            "/",
            "org.freedesktop.DBus.GetConnectionUnixProcessID",
            "string:org.freedesktop.secrets",
        ]);
        let told = ask.output().ok()?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        told.split_whitespace().last()?.parse().ok()
    }

    /// A driver for one launch; gives its address.
    async fn start_driver(&self) -> String {
        let driver = setting("COMPYMAC_TOOLS").map_or_else(
            || system_program("tauri-driver"),
            |folder| Path::new(&folder).join("bin/tauri-driver"),
        );
        let (port, native) = (free_port(), free_port());
        let mut command = self.command("/bin/sh");
        command
            // a file that cannot grow is an error to be dealt with, as on a full disk, and not the end
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
            .arg(driver)
            .args(["--port", &port.to_string(), "--native-port", &native.to_string()])
            .arg("--native-driver")
            .arg(system_program("WebKitWebDriver"));
        self.programs
            .start(&mut command, &self.folder.path().join("driver.log"));
        let url = format!("http://127.0.0.1:{port}");
        until("the driver to listen", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", native)).await.ok()?;
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        url
    }
}

/// What the app at a seat has written to its log.
/// Nothing that a test has used stands in the log of an app, wherever it ran.
pub(super) fn must_keep_quiet(seat: &Path) {
    if !std::thread::panicking()
        && let Some((line, secret)) = hush::told(&log_in(seat), &[])
    {
        panic!("the app's log tells {secret}: {line}");
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        must_keep_quiet(self.folder.path());
    }
}

pub(super) fn log_in(seat: &Path) -> String {
    let files = std::fs::read_dir(seat.join("app/logs"))
        .into_iter()
        .flatten()
        .flatten();
    files
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .collect()
}

/// Everything that a desktop session tells its programs, pointing into the seat's own folders.
fn surroundings(here: &Path, server: &str) -> Vec<(String, String)> {
    let folder = |name: &str| here.join(name).display().to_string();
    let path = format!("{}:{}", folder("bin"), setting("PATH").unwrap_or_default());
    [
        ("PATH", path),
        ("HOME", folder("home")),
        ("XDG_RUNTIME_DIR", folder("run")),
        ("XDG_CONFIG_HOME", folder("config")),
        ("XDG_DATA_HOME", folder("data")),
        ("XDG_CACHE_HOME", folder("cache")),
        ("XDG_STATE_HOME", folder("state")),
        ("XDG_DATA_DIRS", "/usr/local/share:/usr/share".to_owned()),
        ("XDG_CURRENT_DESKTOP", "X-Generic".to_owned()),
        ("NO_AT_BRIDGE", "1".to_owned()),
        ("GDK_BACKEND", "x11".to_owned()),
        ("LIBGL_ALWAYS_SOFTWARE", "1".to_owned()),
        ("WEBKIT_DISABLE_DMABUF_RENDERER", "1".to_owned()),
        ("WEBKIT_DISABLE_COMPOSITING_MODE", "1".to_owned()),
        ("COMPYMAC_SERVER", server.to_owned()),
        ("COMPYMAC_HOME", folder("app")),
        ("COMPYMAC_LOG", "info,sync_client=debug,desktop=debug".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn make_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(path, mode).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The length of the longest file of this name in the folder.
fn longest(folder: &Path, name: &str) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let lengths = entries.map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            longest(&path, name)
        } else if entry.file_name() == name {
            entry.metadata().map_or(0, |metadata| metadata.len())
        } else {
            0
        }
    });
    lengths.max().unwrap_or(0)
}

/// Whether any file in the folder has these bytes.
pub fn holds(folder: &Path, text: &[u8]) -> bool {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return holds(&path, text);
            }
            std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text))
        })
}
