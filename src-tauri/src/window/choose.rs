//! Asks something by a dialog of the system, which takes nothing from the page.

use crate::error::Result;
use tauri::AppHandle;

/// Gives the number of the chosen button; `None`: the dialog was shut. A `_` in a label stands before its key.
#[cfg(target_os = "linux")]
pub async fn choose(
    app: &AppHandle,
    heading: &'static str,
    text: String,
    labels: Vec<&'static str>,
) -> Result<Option<usize>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let inside = app.clone();
    app.run_on_main_thread(move || {
        gtk::glib::MainContext::default().spawn_local(async move {
            let _ = tell.send(linux::choose(&inside, heading, &text, &labels).await);
        });
    })?;
    // Not told: the app ends.
    Ok(told.await.unwrap_or_default())
}

#[cfg(target_os = "linux")]
mod linux {
    use gtk::prelude::{DialogExtManual as _, GtkWindowExt as _};
    use gtk::traits::{DialogExt as _, MessageDialogExt as _};
    use gtk::{ButtonsType, DialogFlags, MessageDialog, MessageType, ResponseType};
    use tauri::{AppHandle, Manager as _};

    pub async fn choose(app: &AppHandle, heading: &str, text: &str, labels: &[&str]) -> Option<usize> {
        let window = app.get_webview_window(crate::window::MAIN);
        let parent = window.and_then(|window| window.gtk_window().ok());
        let dialog = MessageDialog::new(
            parent.as_ref(),
            DialogFlags::DESTROY_WITH_PARENT,
            MessageType::Info,
            ButtonsType::None,
            heading,
        );
        dialog.set_title(heading);
        dialog.set_secondary_text(Some(text));
        for (number, label) in (0..).zip(labels) {
            dialog.add_button(label, ResponseType::Other(number));
        }
        dialog.set_default_response(ResponseType::Other(0));
        let answer = dialog.run_future().await;
        if answer != ResponseType::DeleteEvent {
            dialog.close();
        }
        let ResponseType::Other(number) = answer else {
            return None;
        };
        Some(usize::from(number))
    }
}

/// There are three buttons at most.
#[cfg(not(target_os = "linux"))]
pub async fn choose(
    _app: &AppHandle,
    heading: &'static str,
    text: String,
    labels: Vec<&'static str>,
) -> Result<Option<usize>> {
    use rfd::{AsyncMessageDialog, MessageButtons, MessageDialogResult};
    let plain: Vec<String> = labels.iter().map(|label| label.replace('_', "")).collect();
    let buttons = match &plain[..] {
        [] | [_] => MessageButtons::Ok,
        [first, second] => MessageButtons::OkCancelCustom(first.clone(), second.clone()),
        [first, second, third, ..] => {
            MessageButtons::YesNoCancelCustom(first.clone(), second.clone(), third.clone())
        }
    };
    let dialog = AsyncMessageDialog::new()
        .set_title(heading)
        .set_description(text)
        .set_buttons(buttons);
    let MessageDialogResult::Custom(chosen) = dialog.show().await else {
        return Ok(None);
    };
    Ok(plain.iter().position(|label| *label == chosen))
}
