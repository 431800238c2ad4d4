//! An icon in the desktop's tray, for whoever wants one: then closing the window leaves the app there.
//!
//! **Invariant:** there is always a window or an icon. Where nobody shows icons, closing the window ends the app; where the
//! tray goes while the window is out of sight, the window comes back.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

use crate::window;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::Tray;
#[cfg(target_os = "linux")]
pub use linux::Tray;
use tauri::AppHandle;

/// A line of the icon's menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Open,
    NewSession,
    Quit,
}

impl Line {
    const ALL: [Self; 3] = [Self::Open, Self::NewSession, Self::Quit];

    const fn words(self) -> &'static str {
        match self {
            Self::Open => "Open CompyMac",
            Self::NewSession => "New session",
            Self::Quit => "Quit",
        }
    }

    fn act(self, app: &AppHandle) {
        match self {
            Self::Open => window::focus(app),
            Self::NewSession => {
                window::focus(app);
                window::strike(app, "n", true);
            }
            Self::Quit => app.exit(0),
        }
    }
}
