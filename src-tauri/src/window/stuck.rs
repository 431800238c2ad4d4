//! What is asked where the page does not come: by a dialog of the system, which needs no page.

use crate::error::Result;
use tauri::AppHandle;
use tokio::sync::watch;

const HEADING: &str = "CompyMac could not draw its window";
const TEXT: &str = "The graphics driver is a common reason. Your messages are safe: what you wrote is on this computer's disk.";
const STILL: &str = "It does not come without the graphics card either. Your messages are safe: what you wrote is on this computer's disk.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Once more, without the graphics card.
    StartSafely,
    ShowLogs,
    UseBrowser,
    /// The page may still come; or it has come meanwhile.
    Wait,
}

impl Choice {
    /// What may be chosen; `is_safe`: there is no graphics card to leave out any more.
    fn offered(is_safe: bool) -> &'static [Self] {
        const ALL: &[Choice] = &[
            Choice::StartSafely,
            Choice::ShowLogs,
            Choice::UseBrowser,
            Choice::Wait,
        ];
        if is_safe {
            ALL.get(1..).unwrap_or_default()
        } else {
            ALL
        }
    }

    /// With the key that chooses it after a `_`.
    const fn label(self) -> &'static str {
        match self {
            Self::StartSafely => "Start in _safe mode",
            Self::ShowLogs => "Show _logs",
            Self::UseBrowser => "Use the _browser",
            Self::Wait => "Keep _waiting",
        }
    }
}

const fn text(is_safe: bool) -> &'static str {
    if is_safe { STILL } else { TEXT }
}

/// Asks, until there is an answer or the page has come after all.
#[cfg(target_os = "linux")]
pub async fn ask(app: &AppHandle, is_safe: bool, is_drawn: watch::Receiver<bool>) -> Result<Choice> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let inside = app.clone();
    app.run_on_main_thread(move || {
        gtk::glib::MainContext::default().spawn_local(async move {
            let _ = tell.send(linux::ask(&inside, is_safe, is_drawn).await);
        });
    })?;
    // Not told: the app ends.
    Ok(told.await.unwrap_or(Choice::Wait))
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{Choice, HEADING, text};
    use gtk::prelude::{DialogExtManual as _, GtkWindowExt as _};
    use gtk::traits::{DialogExt as _, MessageDialogExt as _};
    use gtk::{ButtonsType, DialogFlags, MessageDialog, MessageType, ResponseType};
    use tauri::{AppHandle, Manager as _};
    use tokio::sync::watch;

    pub async fn ask(app: &AppHandle, is_safe: bool, mut is_drawn: watch::Receiver<bool>) -> Choice {
        let window = app.get_webview_window(crate::window::MAIN);
        let parent = window.and_then(|window| window.gtk_window().ok());
        let dialog = MessageDialog::new(
            parent.as_ref(),
            DialogFlags::DESTROY_WITH_PARENT,
            MessageType::Warning,
            ButtonsType::None,
            HEADING,
        );
        dialog.set_title(HEADING);
        dialog.set_secondary_text(Some(text(is_safe)));
        let choices = Choice::offered(is_safe);
        for (number, choice) in (0..).zip(choices) {
            dialog.add_button(choice.label(), ResponseType::Other(number));
        }
        dialog.set_default_response(ResponseType::Other(0));
        let answer = tokio::select! {
            answer = dialog.run_future() => answer,
            _ = is_drawn.wait_for(|&is| is) => ResponseType::None,
        };
        if answer != ResponseType::DeleteEvent {
            dialog.close();
        }
        let ResponseType::Other(number) = answer else {
            return Choice::Wait;
        };
        choices.get(usize::from(number)).copied().unwrap_or(Choice::Wait)
    }
}

/// As on Linux; there are three buttons at most, and shutting the dialog is to wait.
#[cfg(not(target_os = "linux"))]
pub async fn ask(_app: &AppHandle, is_safe: bool, mut is_drawn: watch::Receiver<bool>) -> Result<Choice> {
    use rfd::{AsyncMessageDialog, MessageButtons, MessageDialogResult, MessageLevel};
    let label = |choice: Choice| choice.label().replace('_', "");
    let buttons = if is_safe {
        MessageButtons::OkCancelCustom(label(Choice::ShowLogs), label(Choice::UseBrowser))
    } else {
        MessageButtons::YesNoCancelCustom(
            label(Choice::StartSafely),
            label(Choice::ShowLogs),
            label(Choice::UseBrowser),
        )
    };
    let dialog = AsyncMessageDialog::new()
        .set_level(MessageLevel::Warning)
        .set_title(HEADING)
        .set_description(text(is_safe))
        .set_buttons(buttons);
    let answer = tokio::select! {
        answer = dialog.show() => answer,
        _ = is_drawn.wait_for(|&is| is) => return Ok(Choice::Wait),
    };
    let MessageDialogResult::Custom(chosen) = answer else {
        return Ok(Choice::Wait);
    };
    let mut choices = Choice::offered(is_safe).iter();
    let chosen = choices.find(|choice| label(**choice) == chosen);
    Ok(chosen.copied().unwrap_or(Choice::Wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn safe_mode_is_not_offered_in_safe_mode() {
        assert!(Choice::offered(false).contains(&Choice::StartSafely));
        assert!(!Choice::offered(true).contains(&Choice::StartSafely));
    }

    #[test]
    fn each_choice_has_a_key_of_its_own() {
        let keys: BTreeSet<_> = Choice::offered(false)
            .iter()
            .filter_map(|choice| choice.label().split_once('_')?.1.chars().next())
            .collect();
        assert_eq!(keys.len(), Choice::offered(false).len());
    }
}
