//! The tray of a Linux desktop: the icon and its menu are objects on the session bus that the desktop reads and calls
//! (StatusNotifierItem and com.canonical.dbusmenu, as KDE, GNOME's extension and most panels have them). Spoken here and not
//! by the library for it, which has to be installed, and which ends the program where it is not.

use super::Line;
use crate::error::{Error, Result};
use crate::window;
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tauri::AppHandle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::proxy::CacheProperties;
use zbus::zvariant::{ObjectPath, OwnedValue, Value};
use zbus::{Connection, Proxy};

/// Who knows the desktop's icons.
const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const WATCHER_PATH: &str = "/StatusNotifierWatcher";
/// Where the desktop looks by itself.
const ITEM_PATH: &str = "/StatusNotifierItem";
const MENU_PATH: &str = "/MenuBar";

/// A call over the bus has no end of its own: a desktop that hangs would keep the settings waiting, and whoever changes their mind.
const PATIENCE: Duration = Duration::from_secs(5);

/// The icon, as long as it is wanted: it goes up again by itself with a desktop that comes back.
#[derive(Debug, Default)]
pub struct Tray {
    is_up: Arc<AtomicBool>,
    standing: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Tray {
    /// There is an icon, and somebody who shows it.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    /// Refused where nobody shows icons: then nothing is changed.
    pub async fn choose(&self, app: &AppHandle, is_wanted: bool) -> Result<()> {
        if !is_wanted {
            let mut standing = self.standing.lock().await;
            if let Some(following) = standing.take() {
                following.abort();
                // It may be saying this moment that the icon is up: what is said below is to be the last word.
                let _ = following.await;
            }
            self.is_up.store(false, Ordering::Release);
            return Ok(());
        }
        if is_followed(self.standing.lock().await.as_ref()) {
            return Ok(());
        }
        if !timeout(PATIENCE, is_shown_here()).await.unwrap_or(Ok(false))? {
            return Err(Error::NoTray);
        }
        self.put_up(app).await
    }

    /// Also where nobody shows it yet.
    pub async fn put_up(&self, app: &AppHandle) -> Result<()> {
        let mut standing = self.standing.lock().await;
        if is_followed(standing.as_ref()) {
            return Ok(());
        }
        let name = fresh_name();
        let bus = serve(app, &name).await?;
        let watcher = watcher(&bus).await?;
        let (tell, told) = oneshot::channel();
        let (app, is_up) = (app.clone(), self.is_up.clone());
        *standing = Some(tokio::spawn(async move {
            // With it goes the icon.
            let _bus = bus;
            if let Err(error) = follow(&app, &watcher, &name, &is_up, tell).await {
                tracing::warn!(%error, "the tray was lost");
                gone(&app, &is_up);
            }
        }));
        // Not told: it was lost at once. Where the desktop is late, it goes up by itself.
        let _ = timeout(PATIENCE, told).await;
        Ok(())
    }
}

/// Whether an icon is wanted already. One that was lost is put up anew.
fn is_followed(standing: Option<&JoinHandle<()>>) -> bool {
    standing.is_some_and(|following| !following.is_finished())
}

async fn watcher(bus: &Connection) -> zbus::Result<Proxy<'static>> {
    zbus::proxy::Builder::new(bus)
        .destination(WATCHER)?
        .path(WATCHER_PATH)?
        .interface(WATCHER)?
        .cache_properties(CacheProperties::No)
        .build()
        .await
}

async fn is_shown_here() -> zbus::Result<bool> {
    Ok(is_shown(&watcher(&Connection::session().await?).await?).await)
}

/// Somebody says that they show icons.
async fn is_shown(watcher: &Proxy<'_>) -> bool {
    watcher
        .get_property("IsStatusNotifierHostRegistered")
        .await
        .unwrap_or(false)
}

/// A name as such icons have: one that was taken down may still be on its way off the bus.
fn fresh_name() -> String {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let number = TAKEN.fetch_add(1, Ordering::Relaxed) + 1;
    format!("org.kde.StatusNotifierItem-{}-{number}", std::process::id())
}

async fn serve(app: &AppHandle, name: &str) -> zbus::Result<Connection> {
    Builder::session()?
        .name(name.to_owned())?
        .serve_at(ITEM_PATH, Item { app: app.clone() })?
        .serve_at(MENU_PATH, Menu { app: app.clone() })?
        .build()
        .await
}

/// The desktop looks for the icon under this name.
async fn announce(watcher: &Proxy<'_>, name: &str) -> zbus::Result<()> {
    watcher.call("RegisterStatusNotifierItem", &name).await
}

/// With each change of who shows icons; tells when it has looked once.
async fn follow(
    app: &AppHandle,
    watcher: &Proxy<'static>,
    name: &str,
    is_up: &AtomicBool,
    tell: oneshot::Sender<()>,
) -> zbus::Result<()> {
    let mut owner = watcher.receive_owner_changed().await?;
    let mut came = watcher.receive_signal("StatusNotifierHostRegistered").await?;
    let mut went = watcher.receive_signal("StatusNotifierHostUnregistered").await?;
    let mut tell = Some(tell);
    loop {
        if is_shown(watcher).await && announce(watcher, name).await.is_ok() {
            is_up.store(true, Ordering::Release);
        } else {
            gone(app, is_up);
        }
        if let Some(tell) = tell.take() {
            let _ = tell.send(());
        }
        tokio::select! {
            Some(_) = owner.next() => {}
            Some(_) = came.next() => {}
            Some(_) = went.next() => {}
            else => return Err(zbus::Error::InputOutput(Arc::new(std::io::ErrorKind::BrokenPipe.into()))),
        }
    }
}

/// Nobody could bring a window back that is out of sight.
fn gone(app: &AppHandle, is_up: &AtomicBool) {
    if is_up.swap(false, Ordering::AcqRel) {
        window::focus(app);
    }
}

/// As the desktop takes a picture: width, height, and each point's alpha, red, green and blue.
type Picture = (i32, i32, Vec<u8>);

struct Item {
    app: AppHandle,
}

#[expect(
    clippy::unused_self,
    reason = "the desktop asks an object for each of these, whether it is always the same or not"
)]
#[zbus::interface(name = "org.kde.StatusNotifierItem")]
impl Item {
    #[zbus(property(emits_changed_signal = "const"))]
    fn category(&self) -> &'static str {
        "Communications"
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> &'static str {
        "compymac"
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn title(&self) -> &'static str {
        "CompyMac"
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn status(&self) -> &'static str {
        "Active"
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn window_id(&self) -> i32 {
        0
    }

    /// Of no theme: the picture itself is handed over, wherever the program lies.
    #[zbus(property(emits_changed_signal = "const"))]
    fn icon_name(&self) -> &'static str {
        ""
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn icon_pixmap(&self) -> Vec<Picture> {
        let icon = self.app.default_window_icon();
        icon.and_then(|icon| picture(icon.width(), icon.height(), icon.rgba()))
            .into_iter()
            .collect()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn tool_tip(&self) -> (&'static str, Vec<Picture>, &'static str, &'static str) {
        ("", Vec::new(), "CompyMac", "")
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn item_is_menu(&self) -> bool {
        false
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn menu(&self) -> ObjectPath<'static> {
        ObjectPath::from_static_str_unchecked(MENU_PATH)
    }

    /// A click.
    fn activate(&self, x: i32, y: i32) {
        // Where on the screen it was does not matter; nor does it below.
        let _ = (x, y);
        Line::Open.act(&self.app);
    }

    fn secondary_activate(&self, x: i32, y: i32) {
        let _ = (x, y);
        Line::Open.act(&self.app);
    }
}

fn picture(width: u32, height: u32, rgba: &[u8]) -> Option<Picture> {
    let points = rgba.chunks_exact(4).flat_map(|point| match *point {
        [red, green, blue, alpha] => [alpha, red, green, blue],
        _ => [0; 4],
    });
    Some((width.try_into().ok()?, height.try_into().ok()?, points.collect()))
}

type Properties = HashMap<&'static str, Value<'static>>;
/// Its number, what it is, and what stands in it.
type Node = (i32, Properties, Vec<Value<'static>>);

/// Numbers of lines, from 1; 0 is the whole.
fn numbered() -> impl Iterator<Item = (i32, Line)> {
    (1..).zip(Line::ALL)
}

fn properties(number: i32) -> Properties {
    let line = numbered().find(|(of, _)| *of == number);
    match line {
        Some((_, line)) => HashMap::from([("label", Value::from(line.words()))]),
        None => HashMap::from([("children-display", Value::from("submenu"))]),
    }
}

fn tree() -> Node {
    let lines = numbered().map(|(number, _)| {
        let line: Node = (number, properties(number), Vec::new());
        Value::from(line)
    });
    (0, properties(0), lines.collect())
}

struct Menu {
    app: AppHandle,
}

impl Menu {
    fn told(&self, number: i32, what: &str) {
        let line = numbered().find(|(of, _)| *of == number);
        if let (Some((_, line)), "clicked") = (line, what) {
            line.act(&self.app);
        }
    }
}

#[expect(
    clippy::unused_self,
    reason = "the desktop asks an object for each of these, whether it is always the same or not"
)]
#[zbus::interface(name = "com.canonical.dbusmenu")]
impl Menu {
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> u32 {
        3
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn status(&self) -> &'static str {
        "normal"
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn text_direction(&self) -> &'static str {
        "ltr"
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn icon_theme_path(&self) -> Vec<String> {
        Vec::new()
    }

    /// As deep as it goes, and all of each line, however little was asked for.
    #[zbus(name = "GetLayout")]
    fn layout(&self, parent: i32, depth: i32, names: Vec<String>) -> (u32, Node) {
        let _ = (depth, names);
        let node = match parent {
            0 => tree(),
            line => (line, properties(line), Vec::new()),
        };
        (1, node)
    }

    #[zbus(name = "GetGroupProperties")]
    fn group_properties(&self, ids: Vec<i32>, names: Vec<String>) -> Vec<(i32, Properties)> {
        let _ = names;
        ids.into_iter().map(|id| (id, properties(id))).collect()
    }

    #[zbus(name = "GetProperty")]
    fn one_property(&self, id: i32, name: String) -> zbus::fdo::Result<Value<'static>> {
        let found = properties(id).remove(name.as_str());
        found.ok_or_else(|| zbus::fdo::Error::InvalidArgs("there is no such property".to_owned()))
    }

    fn event(&self, id: i32, what: String, data: OwnedValue, at: u32) {
        let _ = (data, at);
        self.told(id, &what);
    }

    fn event_group(&self, events: Vec<(i32, String, OwnedValue, u32)>) -> Vec<i32> {
        for (id, what, _, _) in events {
            self.told(id, &what);
        }
        Vec::new()
    }

    /// Whether it has changed; it never does.
    fn about_to_show(&self, id: i32) -> bool {
        let _ = id;
        false
    }

    fn about_to_show_group(&self, ids: Vec<i32>) -> (Vec<i32>, Vec<i32>) {
        let _ = ids;
        (Vec::new(), Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_alpha_in_front() {
        let found = picture(2, 1, &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(found, Some((2, 1, vec![4, 1, 2, 3, 8, 5, 6, 7])));
    }

    #[test]
    fn every_line_stands_in_the_menu_under_a_number_of_its_own() {
        let (_, _, lines) = tree();
        assert_eq!(lines.len(), Line::ALL.len());
        for (number, line) in numbered() {
            assert_eq!(properties(number)["label"], Value::from(line.words()));
        }
        assert!(properties(0).contains_key("children-display"));
    }
}
