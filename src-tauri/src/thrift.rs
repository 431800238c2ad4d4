//! Whether the connection is metered or the battery to be spared, as the desktop says (XDG Desktop Portal, NetworkMonitor and
//! PowerProfileMonitor). Then nothing is loaded in the background; what a person opens is loaded all the same.

use crate::sync::Sync;
use futures_util::StreamExt as _;
use sync_client::Device;
use zbus::{Connection, Proxy};

const PORTAL: &str = "org.freedesktop.portal.Desktop";
const PATH: &str = "/org/freedesktop/portal/desktop";
const NETWORK: &str = "org.freedesktop.portal.NetworkMonitor";
const POWER: &str = "org.freedesktop.portal.PowerProfileMonitor";
const SAVING: &str = "power-saver-enabled";

pub fn watch(sync: Sync) {
    tauri::async_runtime::spawn(async move {
        let mut turn = None;
        loop {
            let (now, device) = sync.next(turn).await;
            turn = Some(now);
            tokio::select! {
                followed = follow(&device) => if let Err(error) = followed {
                    tracing::info!(%error, "nobody says whether the network and the battery are to be spared");
                    return;
                },
                _next = sync.next(turn) => {}
            }
        }
    });
}

async fn follow(device: &Device) -> zbus::Result<()> {
    let bus = Connection::session().await?;
    let network = Proxy::new(&bus, PORTAL, PATH, NETWORK).await?;
    let power = Proxy::new(&bus, PORTAL, PATH, POWER).await?;
    let mut changed = network.receive_signal("changed").await?;
    let mut saving = power.receive_property_changed::<bool>(SAVING).await;
    loop {
        // A desktop without one of the two says nothing about it.
        let is_metered = network.call("GetMetered", &()).await.unwrap_or(false);
        let is_saving = power.get_property(SAVING).await.unwrap_or(false);
        device.pause_hydration(is_metered || is_saving);
        tokio::select! {
            Some(_) = changed.next() => {}
            Some(_) = saving.next() => {}
            else => return Ok(()),
        }
    }
}
