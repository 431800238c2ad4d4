//! Asks where a file is to go, by the system's own dialog.

use crate::error::Result;
use std::path::PathBuf;
use tauri::AppHandle;

const HEADING: &str = "Export session";

/// A kind of file: how people call it, and how its name ends.
pub type Kind = (&'static str, &'static str);

/// `None`: the person thought better of it. The name ends as its kind wants it.
#[cfg(target_os = "linux")]
pub async fn ask_where(app: &AppHandle, name: String, kinds: Vec<Kind>) -> Result<Option<PathBuf>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let inside = app.clone();
    app.run_on_main_thread(move || {
        gtk::glib::MainContext::default().spawn_local(async move {
            let _ = tell.send(linux::ask_where(&inside, &name, &kinds).await);
        });
    })?;
    // Not told: the app ends.
    Ok(told.await.unwrap_or_default())
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{HEADING, Kind, with_own_ending};
    use gtk::prelude::{FileChooserExt as _, NativeDialogExtManual as _};
    use gtk::{FileChooserAction, FileChooserNative, FileFilter, ResponseType};
    use std::path::{Path, PathBuf};
    use tauri::{AppHandle, Manager as _};

    pub async fn ask_where(app: &AppHandle, name: &str, kinds: &[Kind]) -> Option<PathBuf> {
        let window = app.get_webview_window(crate::window::MAIN);
        let parent = window.and_then(|window| window.gtk_window().ok());
        let dialog = FileChooserNative::new(
            Some(HEADING),
            parent.as_ref(),
            FileChooserAction::Save,
            Some("_Save"),
            Some("_Cancel"),
        );
        dialog.set_do_overwrite_confirmation(true);
        for (label, ending) in kinds {
            let filter = FileFilter::new();
            filter.set_name(Some(label));
            filter.add_pattern(&format!("*.{ending}"));
            dialog.add_filter(filter);
        }
        let (_, first) = kinds.first()?;
        dialog.set_current_name(&format!("{name}.{first}"));
        let known: Vec<Kind> = kinds.to_vec();
        // Whoever chooses another kind does not have to change the name too.
        dialog.connect_filter_notify(move |dialog| {
            if let (Some(name), Some(ending)) = (dialog.current_name(), chosen(dialog, &known)) {
                dialog.set_current_name(&with_ending(Path::new(name.as_str()), ending).to_string_lossy());
            }
        });
        if dialog.run_future().await != ResponseType::Accept {
            return None;
        }
        let path = dialog.filename()?;
        let ending = chosen(&dialog, kinds).unwrap_or(first);
        Some(with_own_ending(path, kinds, ending))
    }

    fn chosen(dialog: &FileChooserNative, kinds: &[Kind]) -> Option<&'static str> {
        let label = dialog.filter()?.name()?;
        let kind = kinds.iter().find(|(known, _)| *known == label.as_str());
        kind.map(|(_, ending)| *ending)
    }

    fn with_ending(name: &Path, ending: &str) -> PathBuf {
        name.with_extension(ending)
    }
}

#[cfg(not(target_os = "linux"))]
pub async fn ask_where(_app: &AppHandle, name: String, kinds: Vec<Kind>) -> Result<Option<PathBuf>> {
    let mut dialog = rfd::AsyncFileDialog::new().set_title(HEADING);
    for (label, ending) in &kinds {
        dialog = dialog.add_filter(*label, &[*ending]);
    }
    let first = kinds.first().map(|(_, ending)| *ending).unwrap_or_default();
    let asked = dialog.set_file_name(format!("{name}.{first}")).save_file().await;
    Ok(asked.map(|file| with_own_ending(file.path().to_owned(), &kinds, first)))
}

/// What was typed without the ending of its kind gets it. The person was asked about a file of the name that they typed, so that
/// none of another name is written over.
fn with_own_ending(path: PathBuf, kinds: &[Kind], ending: &str) -> PathBuf {
    let typed = path.extension().unwrap_or_default().to_string_lossy();
    if kinds.iter().any(|(_, known)| known.eq_ignore_ascii_case(&typed)) {
        return path;
    }
    let named = |number: u32| {
        let mut name = path.clone().into_os_string();
        if number > 1 {
            name.push(format!(" ({number})"));
        }
        name.push(".");
        name.push(ending);
        PathBuf::from(name)
    };
    let free = (1..=u32::MAX).map(named).find(|path| !path.exists());
    free.unwrap_or_else(|| named(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gets_the_ending_of_its_kind_and_takes_no_other_files_place() {
        let home = tempfile::tempdir().unwrap();
        let kinds = [("Markdown", "md"), ("Web page", "html")];
        let named = |name: &str| {
            let path = with_own_ending(home.path().join(name), &kinds, "md");
            path.file_name().unwrap().to_string_lossy().into_owned()
        };
        assert_eq!(named("log.md"), "log.md");
        assert_eq!(named("log.HTML"), "log.HTML");
        assert_eq!(named("log"), "log.md");
        assert_eq!(named("log 1.2"), "log 1.2.md");
        std::fs::write(home.path().join("log.md"), "of yesterday").unwrap();
        assert_eq!(named("log.md"), "log.md", "that was agreed to");
        assert_eq!(named("log"), "log (2).md");
        std::fs::write(home.path().join("log (2).md"), "too").unwrap();
        assert_eq!(named("log"), "log (3).md");
    }
}
