//! Makes this program the one that its links open, where no installed package has done so: an AppImage, a build from
//! source. A package's registration is left alone: the system takes it back with the package, and would not take back ours.

use tauri::AppHandle;
use tauri_plugin_deep_link::DeepLinkExt as _;

/// Whether links with this scheme open this very program, as far as the system says.
pub fn is_ours(app: &AppHandle, scheme: &str) -> bool {
    // A bundle on macOS has its schemes from its bundle.
    if cfg!(target_os = "macos") {
        return !cfg!(debug_assertions);
    }
    #[cfg(target_os = "linux")]
    if linux::is_installed() {
        return linux::is_opened_by_the_package(scheme);
    }
    app.deep_link().is_registered(scheme).unwrap_or(false)
}

#[cfg(target_os = "linux")]
pub use linux::is_installed as is_of_a_package;

/// Only on Linux do packages of the system bring it.
#[cfg(not(target_os = "linux"))]
pub const fn is_of_a_package() -> bool {
    false
}

/// Failing is no reason not to start: codes can be pasted instead.
pub fn register(app: &AppHandle) {
    #[cfg(target_os = "linux")]
    if linux::is_installed() {
        return;
    }
    if let Err(error) = app.deep_link().register_all() {
        tracing::warn!(%error, "links to this app will not open it; codes can be pasted instead");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = linux::take_off_quotes(app) {
        tracing::warn!(%error, "links to this app may not open it on a plain desktop");
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::error::{Error, Result};
    use std::fs;
    use std::path::Path;
    use std::process::Command;
    use tauri::{AppHandle, Manager as _};

    /// Where packages put the program and its entry; `Cargo.toml` says it to those that pack.
    const PROGRAM: &str = "/usr/bin/compymac";
    const FOLDER: &str = "/usr/share/applications";
    const ENTRY: &str = "compymac.desktop";

    /// Whether a package of the system brought this program, and its entry with it.
    pub fn is_installed() -> bool {
        tauri::utils::platform::current_exe().is_ok_and(|program| program == Path::new(PROGRAM))
            && Path::new(FOLDER).join(ENTRY).is_file()
    }

    pub fn is_opened_by_the_package(scheme: &str) -> bool {
        let asked = Command::new("xdg-mime")
            .args(["query", "default", &format!("x-scheme-handler/{scheme}")])
            .output();
        asked.is_ok_and(|answer| {
            let said = String::from_utf8_lossy(&answer.stdout);
            // some backends print more lines
            said.lines().next().map(str::trim) == Some(ENTRY)
        })
    }

    /// Outside the large desktops `xdg-open` takes the quotes around the program for a part of its name (xdg-utils 1.1.3,
    /// `search_desktop_file`), and so opens nothing. A path that needs no quotes gets none.
    pub fn take_off_quotes(app: &AppHandle) -> Result<()> {
        let program = tauri::utils::platform::current_exe().map_err(Error::folder)?;
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let entry = app
            .path()
            .data_dir()?
            .join("applications")
            .join(format!("{name}-handler.desktop"));
        let text = fs::read_to_string(&entry).map_err(Error::folder)?;
        let plain = unquoted(&text);
        if plain != text {
            // whoever reads it meanwhile sees the one or the other
            let coming = entry.with_extension("coming");
            fs::write(&coming, plain)
                .and_then(|()| fs::rename(&coming, &entry))
                .map_err(Error::folder)?;
        }
        Ok(())
    }

    fn unquoted(entry: &str) -> String {
        entry
            .lines()
            .map(|line| {
                line.strip_prefix("Exec=")
                    .and_then(plain)
                    .unwrap_or_else(|| line.to_owned())
                    + "\n"
            })
            .collect()
    }

    /// `None` where the quotes are needed, or are not there.
    fn plain(command: &str) -> Option<String> {
        let (program, rest) = command.strip_prefix('"')?.split_once('"')?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
        program
            .chars()
            .all(is_plain)
            .then(|| format!("Exec={program}{rest}"))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn quotes_go_where_they_are_not_needed_and_stay_where_they_are() {
            let entry =
                |exec: &str| format!("[Desktop Entry]\nName=CompyMac\nExec={exec} %u\nTerminal=false\n");
            assert_eq!(
                unquoted(&entry("\"/opt/compymac-1.0/compymac\"")),
                entry("/opt/compymac-1.0/compymac")
            );
            for kept in [
                "\"/home/ana maria/compymac\"",
                "\"/opt/a$b/compymac\"",
                "/usr/bin/compymac",
            ] {
                assert_eq!(unquoted(&entry(kept)), entry(kept));
            }
        }
    }
}
