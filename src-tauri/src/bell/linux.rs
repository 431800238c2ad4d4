//! The desktop's notifications (the Desktop Notifications Specification 1.2), over the session bus. Asked for here and not by a
//! library that listens for the click only once the notification is there, each time anew. The number on the app's icon goes the same
//! way: Tauri's own wants a library of Unity's, and Unity.

use super::{About, Note};
use futures_util::StreamExt as _;
use std::collections::{BTreeMap, HashMap};
use tauri::AppHandle;
use zbus::proxy::SignalStream;
use zbus::zvariant::Value;
use zbus::{Connection, Proxy};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// The action of a click on the notification itself.
const CLICK: &str = "default";
/// As the package's entry is called.
const ENTRY: &str = "compymac";
/// Docks and taskbars hear it from whoever says it (KDE, Ubuntu's, Dash to Dock), and forget it when that program is gone.
const LAUNCHER: &str = "com.canonical.Unity.LauncherEntry";
const LAUNCHER_PATH: &str = "/com/canonical/unity/launcherentry/compymac";
const LAUNCHER_ENTRY: &str = "application://compymac.desktop";

#[derive(Debug)]
pub struct System {
    proxy: Proxy<'static>,
    actions: SignalStream<'static>,
    /// One for each session, and one: a newer one takes its place.
    shown: BTreeMap<About, u32>,
}

impl System {
    pub async fn connect() -> zbus::Result<Self> {
        let bus = Connection::session().await?;
        let proxy = Proxy::new(&bus, NAME, PATH, NAME).await?;
        let actions = proxy.receive_signal("ActionInvoked").await?;
        Ok(Self {
            proxy,
            actions,
            shown: BTreeMap::new(),
        })
    }

    pub async fn show(&mut self, note: Note) -> zbus::Result<()> {
        let replaces = self.shown.get(&note.about).copied().unwrap_or_default();
        let hints = HashMap::from([
            ("desktop-entry", Value::from(ENTRY)),
            ("category", Value::from(category(note.about))),
        ]);
        let actions = vec![CLICK, "Open"];
        let body = plain(&note.body);
        // As long as the desktop likes.
        let timeout = -1_i32;
        let ask = (
            "CompyMac", replaces, ENTRY, note.title, body, actions, hints, timeout,
        );
        let number = self.proxy.call("Notify", &ask).await?;
        self.shown.insert(note.about, number);
        Ok(())
    }

    /// On the app's icon; 0: none.
    pub async fn badge(&self, _app: &AppHandle, count: u32) -> zbus::Result<()> {
        let says = HashMap::from([
            ("count", Value::from(i64::from(count))),
            ("count-visible", Value::from(count > 0)),
        ]);
        let bus = self.proxy.connection();
        let what = (LAUNCHER_ENTRY, says);
        bus.emit_signal(None::<&str>, LAUNCHER_PATH, LAUNCHER, "Update", &what)
            .await
    }

    /// What the notification is about that is clicked next; waits for it.
    pub async fn clicked(&mut self) -> About {
        while let Some(message) = self.actions.next().await {
            let Ok((number, action)) = message.body().deserialize::<(u32, String)>() else {
                continue;
            };
            let of = self.shown.iter().find(|(_, shown)| **shown == number);
            if let (true, Some((about, _))) = (action == CLICK, of) {
                return *about;
            }
        }
        // The bus is gone, and with it whatever was shown.
        std::future::pending().await
    }
}

/// As the specification names them.
const fn category(about: About) -> &'static str {
    match about {
        About::Session(_) => "im.received",
        About::Update => "transfer",
    }
}

/// Some desktops read the body as markup.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
