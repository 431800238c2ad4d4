//! Whether the app starts together with the desktop. It does not, unless somebody wants it.

use crate::error::Result;

#[cfg(target_os = "linux")]
pub use linux::{is_on, set};

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{is_on, set};

#[cfg(target_os = "linux")]
mod linux {
    use super::Result;
    use crate::error::Error;
    use std::fs;
    use std::io::ErrorKind;
    use std::path::{Path, PathBuf};
    use tauri::{AppHandle, Manager as _};

    /// In the folder that the Desktop Application Autostart Specification names.
    const ENTRY: &str = "autostart/dev.compymac.desktop.desktop";

    fn entry(app: &AppHandle) -> Result<PathBuf> {
        Ok(app.path().config_dir()?.join(ENTRY))
    }

    pub fn is_on(app: &AppHandle) -> bool {
        entry(app).is_ok_and(|entry| entry.is_file())
    }

    pub fn set(app: &AppHandle, wanted: bool) -> Result<()> {
        let entry = entry(app)?;
        if !wanted {
            return match fs::remove_file(&entry) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::folder(error)),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        // An AppImage's program lies in a folder that is there while it runs.
        let environment = app.env();
        let program = match &environment.appimage {
            Some(image) => PathBuf::from(image),
            None => tauri::utils::platform::current_exe().map_err(Error::folder)?,
        };
        if let Some(folder) = entry.parent() {
            fs::create_dir_all(folder).map_err(Error::folder)?;
        }
        let coming = entry.with_extension("coming");
        fs::write(&coming, text(&program))
            .and_then(|()| fs::rename(&coming, &entry))
            .map_err(Error::folder)
    }

    fn text(program: &Path) -> String {
        format!(
            "[Desktop Entry]\nType=Application\nName=CompyMac\nExec={}\nIcon=compymac\nTerminal=false\n",
            quoted(&program.to_string_lossy())
        )
    }

    /// As the Desktop Entry Specification quotes an argument, and then a string.
    fn quoted(program: &str) -> String {
        let mut text = String::from('"');
        for c in program.chars() {
            match c {
                '"' | '`' | '$' => text.extend(['\\', '\\', c]),
                '\\' => text.push_str("\\\\\\\\"),
                '%' => text.push_str("%%"),
                _ => text.push(c),
            }
        }
        text.push('"');
        text
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_programs_path_is_quoted_as_desktops_read_it() {
            assert_eq!(quoted("/home/ana maria/a"), "\"/home/ana maria/a\"");
            assert_eq!(quoted("/a$b%c"), "\"/a\\\\$b%%c\"");
            assert!(text(Path::new("/usr/bin/compymac")).contains("\nExec=\"/usr/bin/compymac\"\n"));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::Result;
    use crate::error::Error;
    use auto_launch::{AutoLaunch, AutoLaunchBuilder};
    use tauri::AppHandle;

    fn entry() -> Result<AutoLaunch> {
        let program = tauri::utils::platform::current_exe().map_err(Error::folder)?;
        let entry = AutoLaunchBuilder::new()
            .set_app_name("CompyMac")
            .set_app_path(&program.to_string_lossy())
            .build()?;
        Ok(entry)
    }

    pub fn is_on(_app: &AppHandle) -> bool {
        entry().is_ok_and(|entry| entry.is_enabled().unwrap_or(false))
    }

    pub fn set(_app: &AppHandle, wanted: bool) -> Result<()> {
        let entry = entry()?;
        if wanted {
            entry.enable()?;
        } else if entry.is_enabled()? {
            entry.disable()?;
        }
        Ok(())
    }
}
