//! Makes this program the one that its links open, where no installed package has done so: an AppImage, a build from
//! source.

use tauri::AppHandle;
use tauri_plugin_deep_link::DeepLinkExt as _;

/// Failing is no reason not to start: codes can be pasted instead.
pub fn register(app: &AppHandle) {
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
    use tauri::{AppHandle, Manager as _};

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
