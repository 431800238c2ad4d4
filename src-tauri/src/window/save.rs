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
    use super::{HEADING, Kind};
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
        let ending = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if kinds.iter().any(|(_, known)| known.eq_ignore_ascii_case(&ending)) {
            return Some(path);
        }
        let mut name = path.into_os_string();
        name.push(".");
        name.push(chosen(&dialog, kinds).unwrap_or(first));
        Some(PathBuf::from(name))
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
    Ok(asked.map(|file| {
        let path = file.path().to_owned();
        let ending = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if kinds.iter().any(|(_, known)| known.eq_ignore_ascii_case(&ending)) {
            path
        } else {
            let mut name = path.into_os_string();
            name.push(".");
            name.push(first);
            PathBuf::from(name)
        }
    }))
}
