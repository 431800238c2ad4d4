//! What a desktop answers on its session bus: it shows notifications and icons, numbers on icons too, and says whether it is dark and
//! its network metered.

use super::Seat;
use crate::wait::until;
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use zbus::connection::Builder;
use zbus::message::Type;
use zbus::zvariant::{OwnedValue, Value};
use zbus::{Connection, MatchRule, MessageStream, Proxy};

const NOTIFICATIONS: &str = "org.freedesktop.Notifications";
const NOTIFICATIONS_PATH: &str = "/org/freedesktop/Notifications";
const PORTAL: &str = "org.freedesktop.portal.Desktop";
const PORTAL_PATH: &str = "/org/freedesktop/portal/desktop";
const SETTINGS: &str = "org.freedesktop.portal.Settings";
const NETWORK: &str = "org.freedesktop.portal.NetworkMonitor";
const APPEARANCE: &str = "org.freedesktop.appearance";
const SCHEME: &str = "color-scheme";
const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const WATCHER_PATH: &str = "/StatusNotifierWatcher";
const ICON: &str = "org.kde.StatusNotifierItem";
const ICON_PATH: &str = "/StatusNotifierItem";
const MENU: &str = "com.canonical.dbusmenu";
const LAUNCHER: &str = "com.canonical.Unity.LauncherEntry";
const LAUNCHER_ENTRY: &str = "application://compymac.desktop";

/// A notification as it was asked for.
#[derive(Clone, Debug)]
pub struct Shown {
    pub app: String,
    pub number: u32,
    /// The number of the one that it took the place of, or 0.
    pub replaces: u32,
    pub title: String,
    pub body: String,
    pub actions: Vec<String>,
}

/// Where a seat's notifications come to.
#[derive(Debug)]
pub struct Notifications {
    bus: Connection,
    shown: Arc<Mutex<Vec<Shown>>>,
}

struct Daemon(Arc<Mutex<Vec<Shown>>>);

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Daemon {
    #[expect(clippy::too_many_arguments, reason = "as the specification has it")]
    fn notify(
        &self,
        app: String,
        replaces: u32,
        icon: String,
        title: String,
        body: String,
        actions: Vec<String>,
        hints: HashMap<String, OwnedValue>,
        timeout: i32,
    ) -> u32 {
        // Read, and of no interest.
        drop((icon, hints, timeout));
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = u32::try_from(shown.len()).unwrap_or_default() + 1;
        let number = if replaces == 0 { next } else { replaces };
        shown.push(Shown {
            app,
            number,
            replaces,
            title,
            body,
            actions,
        });
        number
    }
}

impl Notifications {
    pub async fn at(seat: &Seat) -> Self {
        let shown = Arc::default();
        let daemon = Daemon(Arc::clone(&shown));
        let bus = serve(seat, NOTIFICATIONS, NOTIFICATIONS_PATH, daemon).await;
        Self { bus, shown }
    }

    /// All so far, oldest first.
    pub fn shown(&self) -> Vec<Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the one with this title, and gives it.
    pub async fn titled(&self, title: &str) -> Shown {
        until(&format!("a notification {title:?}"), async || {
            self.shown().into_iter().rfind(|shown| shown.title == title)
        })
        .await
    }

    /// What a click on it does.
    pub async fn click(&self, shown: &Shown) {
        let what = (shown.number, "default");
        let told = self
            .bus
            .emit_signal(
                None::<&str>,
                NOTIFICATIONS_PATH,
                NOTIFICATIONS,
                "ActionInvoked",
                &what,
            )
            .await;
        told.unwrap_or_else(|error| panic!("telling of a click: {error}"));
    }
}

/// What shows a seat's icons in its tray.
#[derive(Debug)]
pub struct Panel {
    bus: Connection,
    icons: Arc<Mutex<Vec<String>>>,
}

struct Watcher(Arc<Mutex<Vec<String>>>);

#[expect(clippy::unused_self, reason = "as the specification has it")]
#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, name: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }
}

/// A line of a menu: its number, what it is, and the lines in it.
type Line = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

impl Panel {
    pub async fn at(seat: &Seat) -> Self {
        let icons = Arc::default();
        let bus = serve(seat, WATCHER, WATCHER_PATH, Watcher(Arc::clone(&icons))).await;
        Self { bus, icons }
    }

    /// How many came so far.
    pub fn icons(&self) -> usize {
        self.names().len()
    }

    fn names(&self) -> Vec<String> {
        self.icons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its end: whatever it showed is not seen any more.
    pub async fn end(self) {
        let closed = self.bus.close().await;
        closed.unwrap_or_else(|error| panic!("ending the panel: {error}"));
    }

    /// A click on the icon, as soon as there is one.
    pub async fn click(&self) {
        let clicked = self
            .icon(ICON_PATH, ICON)
            .await
            .call::<_, _, ()>("Activate", &(0, 0))
            .await;
        clicked.unwrap_or_else(|error| panic!("clicking the icon: {error}"));
    }

    /// What its menu says.
    pub async fn lines(&self) -> Vec<String> {
        let menu = self.menu().await;
        menu.lines().await.into_iter().map(|(_, words)| words).collect()
    }

    /// Chooses that line of its menu.
    pub async fn choose(&self, words: &str) {
        let menu = self.menu().await;
        let lines = menu.lines().await;
        let found = lines.iter().find(|(_, line)| line == words);
        let (number, _) = found.unwrap_or_else(|| panic!("no {words:?} in {lines:?}"));
        let what = (number, "clicked", Value::I32(0), 0_u32);
        let chosen = menu.0.call::<_, _, ()>("Event", &what).await;
        chosen.unwrap_or_else(|error| panic!("choosing {words}: {error}"));
    }

    async fn menu(&self) -> Menu {
        let icon = self.icon(ICON_PATH, ICON).await;
        let path: zbus::zvariant::OwnedObjectPath = icon
            .get_property("Menu")
            .await
            .unwrap_or_else(|error| panic!("asking where the menu is: {error}"));
        let pictures: OwnedValue = icon
            .get_property("IconPixmap")
            .await
            .unwrap_or_else(|error| panic!("asking for the picture: {error}"));
        assert!(is_whole(&pictures), "the picture: {pictures:?}");
        Menu(self.icon(path.as_str(), MENU).await)
    }

    async fn icon(&self, path: &str, interface: &'static str) -> Proxy<'static> {
        let name = until("an icon in the tray", async || self.names().pop()).await;
        Proxy::new(&self.bus, name, path.to_owned(), interface)
            .await
            .unwrap_or_else(|error| panic!("the icon: {error}"))
    }
}

struct Menu(Proxy<'static>);

impl Menu {
    async fn lines(&self) -> Vec<(i32, String)> {
        let everything = (0, -1, Vec::<String>::new());
        let (_, (_, _, lines)): (u32, Line) = self
            .0
            .call("GetLayout", &everything)
            .await
            .unwrap_or_else(|error| panic!("reading the menu: {error}"));
        lines.iter().filter_map(|line| numbered(line)).collect()
    }
}

/// A picture with four bytes for each of its points.
fn is_whole(pictures: &Value<'_>) -> bool {
    let Value::Array(pictures) = pictures else {
        return false;
    };
    let Some(Value::Structure(picture)) = pictures.first() else {
        return false;
    };
    let [Value::I32(width), Value::I32(height), Value::Array(points)] = picture.fields() else {
        return false;
    };
    *width > 0 && usize::try_from(width * height * 4).is_ok_and(|bytes| bytes == points.len())
}

fn numbered(line: &Value<'_>) -> Option<(i32, String)> {
    let Value::Structure(line) = line else {
        return None;
    };
    let [Value::I32(number), Value::Dict(properties), ..] = line.fields() else {
        return None;
    };
    let words: String = properties.get(&"label").ok()??;
    Some((*number, words))
}

/// Where a seat's icons stand, with the numbers that programs give them.
#[derive(Debug)]
pub struct Dock {
    number: Arc<Mutex<i64>>,
}

impl Dock {
    pub async fn at(seat: &Seat) -> Self {
        let mut told = hear(seat)
            .await
            .unwrap_or_else(|error| panic!("the dock: {error}"));
        let number: Arc<Mutex<i64>> = Arc::default();
        let shown = Arc::clone(&number);
        tokio::spawn(async move {
            while let Some(Ok(message)) = told.next().await {
                let said = message
                    .body()
                    .deserialize::<(String, HashMap<String, OwnedValue>)>();
                if let Ok((entry, says)) = said
                    && entry == LAUNCHER_ENTRY
                {
                    *shown.lock().unwrap_or_else(PoisonError::into_inner) = number_in(says);
                }
            }
        });
        Self { number }
    }

    /// Waits until the app's icon bears this number; 0: none.
    pub async fn shows(&self, wanted: i64) {
        until(&format!("{wanted} on the app's icon"), async || {
            let shown = *self.number.lock().unwrap_or_else(PoisonError::into_inner);
            (shown == wanted).then_some(())
        })
        .await;
    }
}

async fn hear(seat: &Seat) -> zbus::Result<MessageStream> {
    let bus = Builder::address(seat.bus())?.build().await?;
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .interface(LAUNCHER)?
        .member("Update")?
        .build();
    MessageStream::for_match_rule(rule, &bus, None).await
}

fn number_in(mut says: HashMap<String, OwnedValue>) -> i64 {
    let mut taken = |name: &str| says.remove(name);
    let is_seen = taken("count-visible").and_then(|is| bool::try_from(is).ok());
    let count = taken("count").and_then(|count| i64::try_from(count).ok());
    count.filter(|_| is_seen == Some(true)).unwrap_or_default()
}

/// What a seat's desktop says of its looks.
#[derive(Debug)]
pub struct Looks {
    bus: Connection,
    is_dark: Arc<Mutex<bool>>,
}

struct Portal(Arc<Mutex<bool>>);

#[zbus::interface(name = "org.freedesktop.portal.Settings")]
impl Portal {
    /// The old way to ask, whose answer is wrapped twice.
    fn read(&self, namespace: String, key: String) -> zbus::fdo::Result<Value<'static>> {
        if (namespace.as_str(), key.as_str()) != (APPEARANCE, SCHEME) {
            return Err(zbus::fdo::Error::Failed("there is no such setting".to_owned()));
        }
        let is_dark = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Value::Value(Box::new(Value::U32(scheme(is_dark)))))
    }
}

impl Looks {
    pub async fn at(seat: &Seat, is_dark: bool) -> Self {
        let is_dark = Arc::new(Mutex::new(is_dark));
        let bus = serve(seat, PORTAL, PORTAL_PATH, Portal(Arc::clone(&is_dark))).await;
        Self { bus, is_dark }
    }

    pub async fn become_dark(&self, is_dark: bool) {
        *self.is_dark.lock().unwrap_or_else(PoisonError::into_inner) = is_dark;
        let what = (APPEARANCE, SCHEME, Value::U32(scheme(is_dark)));
        let told = self
            .bus
            .emit_signal(None::<&str>, PORTAL_PATH, SETTINGS, "SettingChanged", &what)
            .await;
        told.unwrap_or_else(|error| panic!("telling of the new looks: {error}"));
    }
}

/// What a seat's desktop says of its network.
#[derive(Debug)]
pub struct Network {
    bus: Connection,
    is_metered: Arc<Mutex<bool>>,
}

struct Monitor(Arc<Mutex<bool>>);

#[zbus::interface(name = "org.freedesktop.portal.NetworkMonitor")]
impl Monitor {
    #[zbus(name = "GetMetered")]
    fn is_metered(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network {
    pub async fn at(seat: &Seat, is_metered: bool) -> Self {
        let is_metered = Arc::new(Mutex::new(is_metered));
        let bus = serve(seat, PORTAL, PORTAL_PATH, Monitor(Arc::clone(&is_metered))).await;
        Self { bus, is_metered }
    }

    pub async fn become_metered(&self, is_metered: bool) {
        *self.is_metered.lock().unwrap_or_else(PoisonError::into_inner) = is_metered;
        let told = self
            .bus
            .emit_signal(None::<&str>, PORTAL_PATH, NETWORK, "changed", &())
            .await;
        told.unwrap_or_else(|error| panic!("telling of the network: {error}"));
    }
}

const fn scheme(is_dark: bool) -> u32 {
    if is_dark { 1 } else { 2 }
}

async fn serve<I: zbus::object_server::Interface>(
    seat: &Seat,
    name: &'static str,
    path: &'static str,
    object: I,
) -> Connection {
    let built = async {
        Builder::address(seat.bus())?
            .name(name)?
            .serve_at(path, object)?
            .build()
            .await
    };
    built
        .await
        .unwrap_or_else(|error: zbus::Error| panic!("answering as {name}: {error}"))
}
