//! Where the window is, kept from one start to the next. Its own and not the plugin's, which keeps it only at an orderly
//! end, moves a window that is already seen, and takes one corner for a window in sight.

use crate::error::{Error, Result};
use crate::folder::{read_if_there, write_private};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tauri::{PhysicalPosition, PhysicalSize, WebviewWindow};

/// In the app's folder.
const FILE: &str = "window.json";

/// A hand that drags moves the window many times in this time; it is written down once.
const REST: Duration = Duration::from_millis(300);

/// So much of the title bar has to be in sight that a hand can take it.
const HANDLE: PhysicalSize<i32> = PhysicalSize::new(120, 24);

/// In physical pixels, of all screens together; the size is that of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    x: i32,
    y: i32,
    width: u32,
    height: u32,
    /// The rest is then where it goes back to.
    #[serde(default)]
    maximized: bool,
}

impl Place {
    fn new(at: PhysicalPosition<i32>, size: PhysicalSize<u32>) -> Self {
        Self {
            x: at.x,
            y: at.y,
            width: size.width,
            height: size.height,
            maximized: false,
        }
    }

    /// Whether enough of the title bar lies on a screen.
    fn can_be_taken(&self, screen: PhysicalPosition<i32>, extent: PhysicalSize<u32>) -> bool {
        let end = |start: i32, length: u32| start.saturating_add_unsigned(length);
        let right = end(self.x, self.width).min(end(screen.x, extent.width));
        let is_wide_enough = right.saturating_sub(self.x.max(screen.x)) >= HANDLE.width;
        let foot = self.y.saturating_add(HANDLE.height);
        is_wide_enough && self.y >= screen.y && foot <= end(screen.y, extent.height)
    }

    /// As large as it was, or as the screen is.
    fn in_the_middle(self, screen: PhysicalPosition<i32>, extent: PhysicalSize<u32>) -> Self {
        let (width, height) = (self.width.min(extent.width), self.height.min(extent.height));
        Self {
            x: screen.x.saturating_add_unsigned((extent.width - width) / 2),
            y: screen.y.saturating_add_unsigned((extent.height - height) / 2),
            width,
            height,
            ..self
        }
    }
}

/// Looks where the window goes, and writes it down once it rests.
#[derive(Clone, Debug)]
pub struct Keeper {
    file: PathBuf,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    place: Option<Place>,
    will_write: bool,
}

impl Keeper {
    pub fn new(folder: &Path) -> Self {
        Self {
            file: folder.join(FILE),
            seen: Arc::default(),
        }
    }

    /// Puts the window where it was, if a hand can take it there on the screens of today.
    pub fn put_back(&self, window: &WebviewWindow) -> Result<()> {
        let Some(place) = self.read() else {
            return Ok(());
        };
        let screens = window.available_monitors()?;
        let mut extents = screens.iter().map(|screen| (*screen.position(), *screen.size()));
        let is_in_sight = extents.any(|(screen, extent)| place.can_be_taken(screen, extent));
        let main = window.primary_monitor()?;
        let place = match main.as_ref().or(screens.first()) {
            Some(main) if !is_in_sight => place.in_the_middle(*main.position(), *main.size()),
            _ => place,
        };
        window.set_size(PhysicalSize::new(place.width, place.height))?;
        window.set_position(PhysicalPosition::new(place.x, place.y))?;
        if place.maximized {
            window.maximize()?;
        }
        self.seen().place = Some(place);
        Ok(())
    }

    /// What cannot be read is no place.
    fn read(&self) -> Option<Place> {
        let text = read_if_there(&self.file)
            .inspect_err(|error| tracing::warn!(%error, "where the window was cannot be read"))
            .ok()??;
        serde_json::from_slice(&text)
            .inspect_err(|error| tracing::warn!(%error, "where the window was cannot be read"))
            .ok()
    }

    /// Takes down where the window is now.
    pub fn look(&self, window: &WebviewWindow) {
        let before = self.seen().place;
        match where_it_is(window, before) {
            Ok(place) => self.keep(place),
            Err(error) => tracing::warn!(%error, "where the window is cannot be told"),
        }
    }

    fn keep(&self, place: Option<Place>) {
        let mut seen = self.seen();
        if place.is_none() || seen.place == place {
            return;
        }
        seen.place = place;
        if !std::mem::replace(&mut seen.will_write, true) {
            let keeper = self.clone();
            tauri::async_runtime::spawn(async move {
                tokio::time::sleep(REST).await;
                let _ = tauri::async_runtime::spawn_blocking(move || keeper.write()).await;
            });
        }
    }

    fn write(&self) {
        let place = {
            let mut seen = self.seen();
            seen.will_write = false;
            seen.place
        };
        let written = serde_json::to_vec(&place)
            .map_err(Error::settings)
            .and_then(|text| write_private(&self.file, &text));
        if let Err(error) = written {
            tracing::warn!(%error, "where the window is was not kept");
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None`: nowhere that one would want to come back to.
fn where_it_is(window: &WebviewWindow, before: Option<Place>) -> Result<Option<Place>> {
    if window.is_minimized()? || window.is_fullscreen()? {
        return Ok(None);
    }
    if window.is_maximized()? {
        return Ok(before.map(|place| Place {
            maximized: true,
            ..place
        }));
    }
    let (at, size) = (window.outer_position()?, window.inner_size()?);
    // A window that was never drawn has no size.
    Ok((size.width > 0 && size.height > 0).then(|| Place::new(at, size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_no_hand_can_take_is_out_of_sight() {
        let screen = (PhysicalPosition::new(0, 0), PhysicalSize::new(1280, 900));
        let second = (PhysicalPosition::new(1280, 0), PhysicalSize::new(1920, 1080));
        let window = |x, y| (PhysicalPosition::new(x, y), PhysicalSize::new(1000, 700));
        let taken = |(at, size), (screen, extent)| Place::new(at, size).can_be_taken(screen, extent);
        assert!(taken(window(0, 0), screen));
        assert!(
            taken(window(-880, 100), screen),
            "120 pixels of its end are there"
        );
        assert!(!taken(window(-881, 100), screen));
        assert!(taken(window(1160, 876), screen));
        assert!(!taken(window(1161, 100), screen));
        assert!(
            !taken(window(100, 877), screen),
            "the title bar is under the edge"
        );
        assert!(!taken(window(100, -1), screen), "the title bar is over the edge");
        assert!(!taken(window(1500, 100), screen) && taken(window(1500, 100), second));
        assert!(!taken(window(i32::MAX, i32::MIN), screen) && !taken(window(i32::MIN, 0), screen));
    }

    #[test]
    fn a_lost_window_goes_to_the_middle_and_fits() {
        let middle = |size| {
            let lost = Place::new(PhysicalPosition::new(9000, 9000), size);
            lost.in_the_middle(PhysicalPosition::new(1280, 0), PhysicalSize::new(1920, 1080))
        };
        let fits = middle(PhysicalSize::new(1000, 680));
        assert_eq!([fits.x, fits.y], [1740, 200]);
        let large = middle(PhysicalSize::new(4000, 680));
        assert_eq!((large.x, large.width, large.height), (1280, 1920, 680));
    }

    #[test]
    fn a_place_reads_back_and_noise_is_no_place() {
        let home = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(home.path());
        assert_eq!(keeper.read(), None);
        let place = Place::new(PhysicalPosition::new(-40, 7), PhysicalSize::new(900, 640));
        keeper.seen().place = Some(place);
        keeper.write();
        assert_eq!(keeper.read(), Some(place));
        for noise in ["", "null", "{\"main\": [1, 2", "{\"x\": 1e99}"] {
            std::fs::write(home.path().join(FILE), noise).unwrap();
            assert_eq!(keeper.read(), None, "{noise}");
        }
    }
}
