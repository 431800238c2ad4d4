//! What the person chose for the app on this computer. A file of its own; what cannot be read is as if nothing was chosen.

use crate::error::{Error, Result};
use crate::folder::{read_if_there, write_private};
use protocol::ipc::CacheLimit;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// In the app's folder.
const FILE: &str = "preferences.json";

/// The steps of the page's size, in hundredths.
const ZOOM_STEPS: &[u32] = &[50, 67, 80, 90, 100, 110, 125, 150, 175, 200, 250, 300];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chosen {
    /// Tells when a reply is ready and nobody looks.
    pub notify: bool,
    /// With what it says.
    pub notify_text: bool,
    /// In hundredths.
    pub zoom: u32,
    /// An icon in the tray; closing the window leaves the app there.
    pub tray: bool,
    /// How much is kept here of each account.
    pub limit: CacheLimit,
}

impl Default for Chosen {
    fn default() -> Self {
        Self {
            notify: true,
            notify_text: false,
            zoom: 100,
            tray: false,
            limit: CacheLimit::default(),
        }
    }
}

impl Chosen {
    /// One step larger or smaller, or as at first.
    pub fn zoomed(self, by: Step) -> Self {
        let zoom = match by {
            Step::In => ZOOM_STEPS.iter().copied().find(|step| *step > self.zoom),
            Step::Out => ZOOM_STEPS.iter().copied().rfind(|step| *step < self.zoom),
            Step::Back => Some(100),
        };
        Self {
            zoom: zoom.unwrap_or(self.zoom),
            ..self
        }
    }

    fn within_bounds(self) -> Self {
        let (least, most) = (ZOOM_STEPS.first(), ZOOM_STEPS.last());
        Self {
            zoom: self.zoom.clamp(*least.unwrap_or(&100), *most.unwrap_or(&100)),
            ..self
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    In,
    Out,
    Back,
}

#[derive(Debug)]
pub struct Preferences {
    file: PathBuf,
    chosen: Mutex<Chosen>,
}

impl Preferences {
    pub fn read(folder: &Path) -> Self {
        let file = folder.join(FILE);
        let text = read_if_there(&file).unwrap_or_default().unwrap_or_default();
        let chosen: Chosen = serde_json::from_slice(&text).unwrap_or_default();
        Self {
            file,
            chosen: Mutex::new(chosen.within_bounds()),
        }
    }

    pub fn chosen(&self) -> Chosen {
        *self.now()
    }

    /// On the disk before it returns.
    pub fn change(&self, change: impl FnOnce(Chosen) -> Chosen) -> Result<Chosen> {
        let mut now = self.now();
        let chosen = change(*now);
        if chosen != *now {
            let text = serde_json::to_vec(&chosen).map_err(Error::settings)?;
            write_private(&self.file, &text)?;
            *now = chosen;
        }
        Ok(chosen)
    }

    fn now(&self) -> MutexGuard<'_, Chosen> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_there_at_the_next_start_and_noise_is_nothing_chosen() {
        let home = tempfile::tempdir().unwrap();
        let preferences = Preferences::read(home.path());
        assert_eq!(preferences.chosen(), Chosen::default());
        let wanted = Chosen {
            notify: false,
            notify_text: true,
            zoom: 125,
            tray: true,
            limit: CacheLimit::Small,
        };
        preferences.change(|_| wanted).unwrap();
        assert_eq!(Preferences::read(home.path()).chosen(), wanted);
        for (noise, zoom) in [
            ("", 100),
            ("[1", 100),
            ("{\"zoom\": 9999}", 300),
            ("{\"zoom\": 0}", 50),
        ] {
            std::fs::write(home.path().join(FILE), noise).unwrap();
            assert_eq!(Preferences::read(home.path()).chosen().zoom, zoom, "{noise}");
        }
    }

    #[test]
    fn the_page_grows_and_shrinks_by_steps_within_bounds() {
        let mut chosen = Chosen::default();
        for _ in 0..20 {
            chosen = chosen.zoomed(Step::In);
        }
        assert_eq!(chosen.zoom, 300);
        chosen = chosen.zoomed(Step::Back).zoomed(Step::Out);
        assert_eq!(chosen.zoom, 90);
        for _ in 0..20 {
            chosen = chosen.zoomed(Step::Out);
        }
        assert_eq!(chosen.zoom, 50);
    }
}
