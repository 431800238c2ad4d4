//! What a desktop answers on its session bus: it shows notifications, and says whether it is dark and its network metered.

use super::Seat;
use crate::wait::until;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use zbus::Connection;
use zbus::connection::Builder;
use zbus::zvariant::{OwnedValue, Value};

const NOTIFICATIONS: &str = "org.freedesktop.Notifications";
const NOTIFICATIONS_PATH: &str = "/org/freedesktop/Notifications";
const PORTAL: &str = "org.freedesktop.portal.Desktop";
const PORTAL_PATH: &str = "/org/freedesktop/portal/desktop";
const SETTINGS: &str = "org.freedesktop.portal.Settings";
const NETWORK: &str = "org.freedesktop.portal.NetworkMonitor";
const APPEARANCE: &str = "org.freedesktop.appearance";
const SCHEME: &str = "color-scheme";

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
