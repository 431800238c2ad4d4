//! The page that does not come: some drivers leave the window empty without a word. Whoever sits before it is asked what to do,
//! and may start again without the graphics card.

use crate::commands::Shell;
use crate::config::CHECK_FOR_UPDATES;
use crate::deep_link;
use crate::error::{Error, Result};
use crate::window::{self, Choice};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tauri::{AppHandle, Manager as _};
use tauri_plugin_opener::OpenerExt as _;

/// A page that is not drawn by then is taken for stuck.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The setting that [`crate::config`] reads.
const SAFE: &str = "--safe-rendering";

/// Asks, if the page does not come in time; once at a time.
pub fn watch_over_the_page(app: AppHandle) {
    tauri::async_runtime::spawn(async move {
        let shell = app.state::<Shell>();
        let mut is_drawn = shell.is_drawn.subscribe();
        // Before that there is nothing to draw, and its owner may be asked for the key of it. Open or not, the page comes then.
        let _ = shell.sync.device().await;
        if tokio::time::timeout(PATIENCE, is_drawn.wait_for(|&is| is))
            .await
            .is_ok()
        {
            return;
        }
        tracing::error!("the page was not drawn in 10 s; starting with {SAFE} may help");
        if shell.rescue.is_asking.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = help(&app, &shell).await {
            tracing::error!(%error, "nothing could be done for the page");
        }
        shell.rescue.is_asking.store(false, Ordering::Relaxed);
    });
}

async fn help(app: &AppHandle, shell: &Shell) -> Result<()> {
    loop {
        let is_safe = shell.config.safe_rendering;
        let choice = window::ask(app, is_safe, shell.is_drawn.subscribe()).await?;
        tracing::info!(?choice, "the person was asked what to do for the page");
        match choice {
            Choice::StartSafely => {
                shell.rescue.starts_again.store(true, Ordering::Relaxed);
                app.exit(0);
                return Ok(());
            }
            // The question is still open.
            Choice::ShowLogs => {
                let logs = shell.logs.display().to_string();
                let shown = outside(app, move |app| app.opener().open_path(logs, None::<&str>)).await;
                note_failure(shown);
            }
            Choice::UseBrowser => {
                let server = shell.profiles.here().server.to_string();
                let opened = outside(app, move |app| app.opener().open_url(server, None::<&str>)).await;
                if note_failure(opened) {
                    return Ok(());
                }
            }
            Choice::Wait => return Ok(()),
        }
    }
}

/// Whether it went well. Where it did not the person is asked again: there is nothing else on the screen.
fn note_failure(done: Result<()>) -> bool {
    match done {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "what the person chose could not be opened; they are asked again");
            false
        }
    }
}

/// Opening waits for the system.
async fn outside(
    app: &AppHandle,
    open: impl FnOnce(&AppHandle) -> std::result::Result<(), tauri_plugin_opener::Error> + Send + 'static,
) -> Result<()> {
    let app = app.clone();
    let opened = tokio::task::spawn_blocking(move || open(&app).map_err(Error::from));
    opened.await?
}

/// The last thing that this program does.
pub fn start_again_if_asked(app: &AppHandle) {
    let shell = app.state::<Shell>();
    let is_to_be_safe = shell.rescue.starts_again.load(Ordering::Relaxed);
    if !is_to_be_safe && !shell.updates.starts_again.load(Ordering::Relaxed) {
        return;
    }
    // Or the next one would hand over to this one, and end.
    tauri_plugin_single_instance::destroy(app);
    let environment = app.env();
    let former = environment.args_os.iter().skip(1);
    // A link was followed already, and the code in it is good for once.
    let kept = former.filter(|word| {
        let word = word.to_string_lossy();
        word != CHECK_FOR_UPDATES && word != SAFE && deep_link::parse(&word).is_none()
    });
    let is_safe = is_to_be_safe || shell.config.safe_rendering;
    let started = tauri::process::current_binary(&environment).and_then(|program| {
        let mut command = Command::new(program);
        command.args(kept).args(is_safe.then_some(SAFE)).spawn()
    });
    if let Err(error) = started {
        tracing::error!(%error, is_safe, "the app could not be started again; start it by hand");
    }
}
