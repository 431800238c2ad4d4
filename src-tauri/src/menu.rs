//! The menu at the top of the screen, on macOS. Elsewhere there is none: the page has every act of it, under the same keys.
//!
//! Acts of the page are asked for by striking their key in it, so that one place knows what a key does.

use crate::commands::{Shell, app};
use crate::error::Result;
use crate::{update, window};
use protocol::ipc::AppAct;
#[cfg(target_os = "macos")]
use tauri::Listener as _;
use tauri::menu::{Menu, MenuBuilder, MenuEvent, MenuItem, MenuItemBuilder, SubmenuBuilder};
use tauri::{AppHandle, Manager as _, Wry};
use tauri_plugin_opener::OpenerExt as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// What this key does in the page, struck with ⌘.
    Command(&'static str),
    /// What this key does in the page by itself.
    Key(&'static str),
    Act(AppAct),
    ShowLogs,
    LookForUpdates,
}

/// A line of the menu.
#[derive(Clone, Copy, Debug)]
struct Line {
    id: &'static str,
    words: &'static str,
    keys: &'static str,
    does: Does,
}

const fn line(id: &'static str, words: &'static str, keys: &'static str, does: Does) -> Line {
    Line {
        id,
        words,
        keys,
        does,
    }
}

const SETTINGS: Line = line("settings", "Settings…", "CmdOrCtrl+Comma", Does::Command(","));
const UPDATES: Line = line("updates", "Check for Updates…", "", Does::LookForUpdates);
const NEW: Line = line("new", "New Session", "CmdOrCtrl+N", Does::Command("n"));
const RENAME: Line = line("rename", "Rename Session", "F2", Does::Key("F2"));
const PRINT: Line = line("print", "Print…", "CmdOrCtrl+P", Does::Command("p"));
const SEARCH: Line = line("search", "Search…", "CmdOrCtrl+K", Does::Command("k"));
const SIDE: Line = line("side", "Show or Hide Sessions", "CmdOrCtrl+B", Does::Command("b"));
const LARGER: Line = line("larger", "Zoom In", "CmdOrCtrl+Equal", Does::Act(AppAct::ZoomIn));
const SMALLER: Line = line(
    "smaller",
    "Zoom Out",
    "CmdOrCtrl+Minus",
    Does::Act(AppAct::ZoomOut),
);
const USUAL: Line = line("usual", "Actual Size", "CmdOrCtrl+0", Does::Act(AppAct::ZoomBack));
const DIAGNOSTICS: Line = line(
    "diagnostics",
    "Copy Diagnostics",
    "",
    Does::Act(AppAct::CopyDiagnostics),
);
const LOGS: Line = line("logs", "Show Logs", "", Does::ShowLogs);

const LINES: &[Line] = &[
    SETTINGS,
    UPDATES,
    NEW,
    RENAME,
    PRINT,
    SEARCH,
    SIDE,
    LARGER,
    SMALLER,
    USUAL,
    DIAGNOSTICS,
    LOGS,
];

/// Puts it up, and does what is chosen there.
pub fn put_up(app: &AppHandle) -> Result<()> {
    // What is done with a session waits for one to be open.
    let of_session = [item(app, RENAME)?, item(app, PRINT)?];
    for item in &of_session {
        item.set_enabled(false)?;
    }
    app.set_menu(menu(app, &of_session)?)?;
    #[cfg(target_os = "macos")]
    app.listen(window::SHOWS_SESSION, move |told| {
        for item in &of_session {
            if let Err(error) = item.set_enabled(told.payload() == "true") {
                tracing::warn!(%error, "a line of the menu could not be told what is open");
            }
        }
    });
    app.on_menu_event(|app, event| chosen(app, &event));
    Ok(())
}

fn menu(app: &AppHandle, [rename, print]: &[MenuItem<Wry>; 2]) -> Result<Menu<Wry>> {
    let own = SubmenuBuilder::new(app, "CompyMac")
        .about(None)
        .item(&item(app, UPDATES)?)
        .separator()
        .item(&item(app, SETTINGS)?)
        .separator()
        .services()
        .separator()
        .hide()
        .hide_others()
        .show_all()
        .separator()
        .quit()
        .build()?;
    let file = SubmenuBuilder::new(app, "File")
        .item(&item(app, NEW)?)
        .item(rename)
        .separator()
        .item(print)
        .separator()
        .close_window()
        .build()?;
    // Without it no field takes ⌘C and ⌘V.
    let edit = SubmenuBuilder::new(app, "Edit")
        .undo()
        .redo()
        .separator()
        .cut()
        .copy()
        .paste()
        .select_all()
        .separator()
        .item(&item(app, SEARCH)?)
        .build()?;
    let view = SubmenuBuilder::new(app, "View")
        .item(&item(app, LARGER)?)
        .item(&item(app, SMALLER)?)
        .item(&item(app, USUAL)?)
        .separator()
        .item(&item(app, SIDE)?)
        .fullscreen()
        .build()?;
    let windows = SubmenuBuilder::new(app, "Window").minimize().maximize().build()?;
    let help = SubmenuBuilder::new(app, "Help")
        .item(&item(app, DIAGNOSTICS)?)
        .item(&item(app, LOGS)?)
        .build()?;
    let all = MenuBuilder::new(app).items(&[&own, &file, &edit, &view, &windows, &help]);
    Ok(all.build()?)
}

fn item(app: &AppHandle, line: Line) -> Result<MenuItem<Wry>> {
    let item = MenuItemBuilder::with_id(line.id, line.words);
    let item = if line.keys.is_empty() {
        item
    } else {
        item.accelerator(line.keys)
    };
    Ok(item.build(app)?)
}

fn chosen(app: &AppHandle, event: &MenuEvent) {
    let Some(line) = LINES.iter().find(|line| event.id() == line.id) else {
        return;
    };
    match line.does {
        Does::Command(key) => window::strike(app, key, true),
        Does::Key(key) => window::strike(app, key, false),
        Does::Act(act) => app::act_by_itself(app, act),
        Does::LookForUpdates => update::ask(app),
        Does::ShowLogs => {
            let (app, logs) = (app.clone(), app.state::<Shell>().logs.display().to_string());
            tauri::async_runtime::spawn_blocking(move || {
                if let Err(error) = app.opener().open_path(logs, None::<&str>) {
                    tracing::warn!(%error, "the logs could not be shown");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_line_has_a_name_and_keys_of_its_own() {
        let names: BTreeSet<_> = LINES.iter().map(|line| line.id).collect();
        assert_eq!(names.len(), LINES.len());
        let keys = LINES.iter().map(|line| line.keys).filter(|keys| !keys.is_empty());
        let (all, different): (Vec<_>, BTreeSet<_>) = (keys.clone().collect(), keys.collect());
        assert_eq!(all.len(), different.len());
    }
}
