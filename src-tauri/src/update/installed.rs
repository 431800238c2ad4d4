//! How this app came to where it is: who put it there puts a newer one there.

use crate::registration;
use std::path::Path;
use tauri::AppHandle;
#[cfg(target_os = "linux")]
use tauri::Manager as _;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// By apt or dpkg.
    Deb,
    /// By dnf or rpm.
    Rpm,
    /// In a file of its own, which it may change: the kind of computer, as a release names it.
    Itself(String),
    /// Built here.
    ByHand,
}

/// Where dpkg lists what it brought.
const BROUGHT_BY_DPKG: &str = "/var/lib/dpkg/info/compymac.list";

impl Installed {
    pub fn here(app: &AppHandle) -> Self {
        // First: another program's AppImage may have started this one, and left its name in the environment.
        if registration::is_of_a_package() {
            return if Path::new(BROUGHT_BY_DPKG).is_file() {
                Self::Deb
            } else {
                Self::Rpm
            };
        }
        if is_bundle(app) {
            Self::Itself(platform())
        } else {
            Self::ByHand
        }
    }
}

#[cfg(target_os = "linux")]
fn is_bundle(app: &AppHandle) -> bool {
    app.env().appimage.is_some()
}

/// The bundler writes into the program what it made of it.
#[cfg(not(target_os = "linux"))]
fn is_bundle(_app: &AppHandle) -> bool {
    !cfg!(debug_assertions) && tauri::utils::platform::bundle_type().is_some()
}

fn platform() -> String {
    use tauri::utils::config::BundleType;
    use tauri::utils::platform::bundle_type;
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    // The two kinds of Windows' installers do not know of each other.
    let kind = if matches!(bundle_type(), Some(BundleType::Msi)) {
        "-msi"
    } else {
        ""
    };
    format!("{system}-{}{kind}", std::env::consts::ARCH)
}
