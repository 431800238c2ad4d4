//! What a seat's keychain holds, read as any program of the same person may read it (the Secret Service).

use super::Seat;
use std::collections::HashMap;
use zbus::Proxy;
use zbus::connection::Builder;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

const KEYCHAIN: &str = "org.freedesktop.secrets";
const PATH: &str = "/org/freedesktop/secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const ITEM: &str = "org.freedesktop.Secret.Item";
/// How the app calls itself there.
const APP: &str = "dev.compymac.desktop";

/// A secret on its way: whose session it is read in, how it is sealed, itself, and what it is.
type Handed = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

impl Seat {
    /// What the app keeps in the keychain under this name.
    pub async fn kept_secret(&self, name: &str) -> serde_json::Value {
        let secret = self.kept_bytes(name).await;
        serde_json::from_slice(&secret).unwrap_or_else(|error| panic!("{name} in the keychain: {error}"))
    }

    /// The same, as it lies there.
    pub async fn kept_bytes(&self, name: &str) -> Vec<u8> {
        read(self.bus(), name)
            .await
            .unwrap_or_else(|error| panic!("reading {name} in the keychain: {error}"))
            .unwrap_or_else(|| panic!("the keychain has no {name}"))
    }
}

async fn read(bus: &str, name: &str) -> zbus::Result<Option<Vec<u8>>> {
    let bus = Builder::address(bus)?.build().await?;
    let keychain = Proxy::new(&bus, KEYCHAIN, PATH, SERVICE).await?;
    // unsealed: nobody else is on this bus
    let way = ("plain", Value::from(""));
    let (_, session): (OwnedValue, OwnedObjectPath) = keychain.call("OpenSession", &way).await?;
    let ours = HashMap::from([("service", APP)]);
    let (open, _locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) =
        keychain.call("SearchItems", &ours).await?;
    for path in open {
        let item = Proxy::new(&bus, KEYCHAIN, path.as_str().to_owned(), ITEM).await?;
        let attributes: HashMap<String, String> = item.get_property("Attributes").await?;
        // a name, and the server and folder that it is for
        let called = attributes
            .get("username")
            .and_then(|called| called.split(' ').next());
        if called == Some(name) {
            let (_, _, secret, _): Handed = item.call("GetSecret", &session).await?;
            return Ok(Some(secret));
        }
    }
    Ok(None)
}
