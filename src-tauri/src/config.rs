//! The settings of the shell, read once at the start. `--help` is the manual.
//!
//! **Invariant:** nothing else here reads or writes the environment.

use clap::{CommandFactory as _, FromArgMatches as _, error::ErrorKind};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::time::Instant;
use url::{Host, Url};
#[cfg(target_os = "linux")]
use webkit2gtk::ffi::{webkit_get_major_version, webkit_get_minor_version};

/// CompyMac on the desktop.
#[derive(Debug, clap::Parser)]
#[command(version, ignore_errors = true)]
struct Flags {
    /// A link to open, as the system hands it over.
    link: Option<String>,
    /// The server that keeps the sessions; https, or http on this computer.
    #[arg(long, env = "COMPYMAC_SERVER", default_value = "https://compymac.dev")]
    server: String,
    /// The folder for settings, cache and logs, instead of the system's own place for them.
    #[arg(long, env = "COMPYMAC_HOME")]
    home: Option<PathBuf>,
    /// What to write to the log, as in `info,sync_client=debug`.
    #[arg(long, env = "COMPYMAC_LOG", default_value = "info")]
    log: String,
    /// Draw without the graphics card. Slower; helps where the window stays empty.
    #[arg(long)]
    safe_rendering: bool,
    /// Look for a newer version at once, and say what came of it.
    #[arg(long)]
    check_for_updates: bool,
}

/// As a second start says it to the first.
pub const CHECK_FOR_UPDATES: &str = "--check-for-updates";

#[derive(Clone, Debug)]
pub struct Config {
    /// When this program was started.
    pub begun: Instant,
    pub server: Url,
    pub home: Option<PathBuf>,
    pub log: String,
    pub safe_rendering: bool,
    pub check_for_updates: bool,
    /// What the list of devices calls this computer.
    pub computer: String,
}

impl Config {
    /// Ends the program with a sentence where a setting cannot be used. Unknown arguments are passed over, since
    /// launchers add their own.
    pub fn read() -> Self {
        let begun = Instant::now();
        let parsed = Flags::command()
            .try_get_matches()
            .and_then(|matches| Flags::from_arg_matches(&matches));
        let flags = parsed.unwrap_or_else(|error| error.exit());
        let server = server_address(&flags.server).unwrap_or_else(|why| {
            let text = format!("the server's address cannot be used: {why}\n");
            Flags::command().error(ErrorKind::ValueValidation, text).exit()
        });
        Self {
            begun,
            server,
            home: flags.home,
            log: flags.log,
            safe_rendering: flags.safe_rendering,
            check_for_updates: flags.check_for_updates,
            computer: computer_name(),
        }
    }
}

impl Config {
    /// Tells a data folder of the person's choice from the system's own and from others: two of them are two apps.
    pub fn mark(&self) -> Option<String> {
        let digest: [u8; 32] = Sha256::digest(self.home.as_ref()?.as_os_str().as_encoded_bytes()).into();
        let [a, b, c, d, ..] = digest;
        Some(format!("{:08x}", u32::from_be_bytes([a, b, c, d])))
    }
}

/// An origin: https, or http where nobody else can listen.
pub fn server_address(text: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(text).map_err(|_unreadable| "it is not a web address")?;
    if !is_secure(&url) {
        return Err("use https, or http for a server on this computer");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave out the name and password");
    }
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Whether nobody on the way can read or change what comes from there: https, or a server on this computer.
pub fn is_secure(address: &Url) -> bool {
    let is_loopback = match address.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    address.scheme() == "https" || (address.scheme() == "http" && is_loopback)
}

/// Where newer versions are told of, and the public key that is the makers'.
#[derive(Clone, Debug)]
pub struct UpdateSource {
    pub manifest: Url,
    /// As Tauri's tools write it.
    pub key: String,
}

/// As `COMPYMAC_UPDATE_MANIFEST` and `COMPYMAC_UPDATE_KEY` said when this program was built; without both there are no updates.
pub fn update_source() -> Option<UpdateSource> {
    let said = |setting: Option<&'static str>| setting.filter(|said| !said.is_empty());
    let manifest = said(option_env!("COMPYMAC_UPDATE_MANIFEST"))?;
    let key = said(option_env!("COMPYMAC_UPDATE_KEY"))?.to_owned();
    let Ok(manifest) = Url::parse(manifest) else {
        tracing::error!("this app was built with an address of updates that is none");
        return None;
    };
    Some(UpdateSource { manifest, key })
}

fn computer_name() -> String {
    let name = hostname::get().ok().and_then(|name| name.into_string().ok());
    let name: String = name
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect();
    if name.is_empty() {
        "This computer".to_owned()
    } else {
        name
    }
}

/// WebKitGTK's DMABUF renderer leaves the window empty on many drivers and virtual machines, so it is off unless the
/// person set it.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the environment is changed before any other thread exists"
)]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the module that reads the environment"
)]
pub fn calm_the_renderer(config: &Config) {
    let mut settings = vec![("WEBKIT_DISABLE_DMABUF_RENDERER", "1")];
    if config.safe_rendering {
        settings.extend([
            ("WEBKIT_DISABLE_COMPOSITING_MODE", "1"),
            ("WEBKIT_SKIA_ENABLE_CPU_RENDERING", "1"),
            ("LIBGL_ALWAYS_SOFTWARE", "1"),
        ]);
    }
    // Sound: two constants of the library.
    let version = unsafe { (webkit_get_major_version(), webkit_get_minor_version()) };
    if version == (2, 50) {
        // With its compilers of WebAssembly that version loses the page once in some hundred starts. Interpreted alone the
        // page is up in half the time and for half the work, and what there is to compute is computed by the core.
        settings.push(("JSC_useBBQJIT", "0"));
    }
    for (name, value) in settings {
        if std::env::var_os(name).is_none() {
            // Sound: called first thing in `run`, on the only thread.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub fn calm_the_renderer(_config: &Config) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_reached_by_https_or_on_this_computer() {
        for good in [
            "https://compymac.dev",
            "http://127.0.0.1:8080/",
            "http://localhost:1",
            "http://[::1]:2",
        ] {
            assert!(server_address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://compymac.dev",
            "compymac.dev",
            "file:///etc",
            "https://a:b@c.d",
            "http://127.0.0.1.evil.org",
        ] {
            assert!(server_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_origin_is_kept() {
        assert_eq!(
            server_address("https://a.org/x?y#z").unwrap().as_str(),
            "https://a.org/"
        );
    }
}
