//! What is told of the newest version, and what follows from it for this app.
//!
//! **Invariant:** no I/O, and nothing is read that is not signed with the key that the app was built with.

use super::{Installed, Refusal};
use crate::config::is_secure;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minisign_verify::{PublicKey, Signature};
use semver::Version;
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// As `.ci/update-manifest` writes it, and Tauri's updater reads it.
#[derive(Debug, Deserialize)]
struct Manifest {
    version: Version,
    /// What an app can put in its own place, by kind of computer.
    #[serde(default)]
    platforms: BTreeMap<String, File>,
    /// What a system's packager installs: `deb-x86_64`, `rpm-x86_64`.
    #[serde(default)]
    packages: BTreeMap<String, Package>,
}

#[derive(Clone, Debug, Deserialize)]
struct File {
    url: Url,
    signature: String,
}

#[derive(Debug, Deserialize)]
struct Package {
    url: Url,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// What runs is the newest.
    Newest,
    /// The person has it installed by the system, with this command, from the folder that it was downloaded to.
    Package {
        version: Version,
        at: Url,
        command: String,
    },
    Replacement(Replacement),
    /// There is a newer version, and this app was built by hand.
    Elsewhere {
        version: Version,
    },
}

/// What the app can put in its own place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    pub version: Version,
    pub at: Url,
    pub signature: String,
    /// The kind of computer, as the manifest names it.
    pub platform: String,
    /// All that was told.
    pub told: serde_json::Value,
}

impl Offer {
    /// What is newer than what runs.
    pub const fn version(&self) -> Option<&Version> {
        match self {
            Self::Newest => None,
            Self::Package { version, .. } | Self::Elsewhere { version } => Some(version),
            Self::Replacement(replacement) => Some(&replacement.version),
        }
    }
}

/// What `told` comes to for an app of this version that was installed so.
pub fn offer(
    told: &[u8],
    signature: &[u8],
    key: &str,
    running: &Version,
    installed: &Installed,
) -> Result<Offer, Refusal> {
    let signature = std::str::from_utf8(signature).map_err(|_no_text| Refusal::NotSigned)?;
    if !is_signed(told, signature, key) {
        return Err(Refusal::NotSigned);
    }
    let unreadable = |_error| Refusal::Unreadable;
    let manifest: Manifest = serde_json::from_slice(told).map_err(unreadable)?;
    let version = manifest.version.clone();
    if version <= *running {
        return Ok(Offer::Newest);
    }
    match installed {
        Installed::Deb => manifest.package("deb", "sudo apt install ./"),
        Installed::Rpm => manifest.package("rpm", "sudo dnf upgrade ./"),
        Installed::ByHand => Ok(Offer::Elsewhere { version }),
        Installed::Itself(platform) => {
            let file = manifest.platforms.get(platform).ok_or(Refusal::NotForThis)?;
            if !is_secure(&file.url) {
                return Err(Refusal::Insecure);
            }
            Ok(Offer::Replacement(Replacement {
                version,
                at: file.url.clone(),
                signature: file.signature.clone(),
                platform: platform.clone(),
                told: serde_json::from_slice(told).map_err(unreadable)?,
            }))
        }
    }
}

impl Manifest {
    fn package(&self, kind: &str, command: &str) -> Result<Offer, Refusal> {
        let name = format!("{kind}-{}", std::env::consts::ARCH);
        let at = &self.packages.get(&name).ok_or(Refusal::NotForThis)?.url;
        if !is_secure(at) {
            return Err(Refusal::Insecure);
        }
        let file = at.path_segments().and_then(|mut parts| parts.next_back());
        // A person pastes it into a terminal.
        let file = file
            .filter(|file| is_plain(file) && file.ends_with(&format!(".{kind}")))
            .ok_or(Refusal::Unreadable)?;
        Ok(Offer::Package {
            version: self.version.clone(),
            at: at.clone(),
            command: format!("{command}{file}"),
        })
    }
}

fn is_plain(name: &str) -> bool {
    name.chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-+~".contains(c))
}

/// Key and signature as Tauri's tools write them: minisign's files in base64.
pub fn is_signed(content: &[u8], signature: &str, key: &str) -> bool {
    let (Some(key), Some(signature)) = (decoded(key), decoded(signature)) else {
        return false;
    };
    let (Ok(key), Ok(signature)) = (PublicKey::decode(&key), Signature::decode(&signature)) else {
        return false;
    };
    // Minisign's older kind too, which is as good for what fits into memory.
    key.verify(content, &signature, true).is_ok()
}

fn decoded(text: &str) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(text.trim()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::signer::Signer;
    use super::*;

    const TOLD: &str = r#"{
        "version": "1.2.0",
        "platforms": {"linux-x86_64": {"url": "https://a.org/CompyMac.AppImage", "signature": "c2ln"}},
        "packages": {"deb-ARCH": {"url": "https://a.org/d/compymac_1.2.0_amd64.deb"},
                     "rpm-ARCH": {"url": "https://a.org/d/compymac-1.2.0-1.x86_64.rpm"}}
    }"#;

    fn told() -> String {
        TOLD.replace("ARCH", std::env::consts::ARCH)
    }

    fn of(told: &str, running: &str, installed: &Installed) -> Result<Offer, Refusal> {
        let signer = Signer::new(1);
        let signature = signer.sign(told.as_bytes());
        let running = Version::parse(running).unwrap();
        offer(
            told.as_bytes(),
            signature.as_bytes(),
            &signer.key(),
            &running,
            installed,
        )
    }

    #[test]
    fn what_somebody_else_signed_or_changed_is_refused_before_it_is_read() {
        let (ours, theirs) = (Signer::new(1), Signer::new(2));
        let running = Version::new(1, 0, 0);
        let told = told();
        let ask = |told: &str, signature: &str, key: &str| {
            offer(
                told.as_bytes(),
                signature.as_bytes(),
                key,
                &running,
                &Installed::Deb,
            )
        };
        let good = ours.sign(told.as_bytes());
        assert!(ask(&told, &good, &ours.key()).is_ok());
        let refused = Err(Refusal::NotSigned);
        assert_eq!(ask(&told, &theirs.sign(told.as_bytes()), &ours.key()), refused);
        assert_eq!(ask(&told.replace("1.2.0", "9.2.0"), &good, &ours.key()), refused);
        assert_eq!(ask("no JSON either", &good, &ours.key()), refused);
        let long = "A".repeat(10_000);
        for noise in ["", "!", "QUJD", &long] {
            assert_eq!(ask(&told, noise, &ours.key()), refused, "{noise}");
            assert_eq!(ask(&told, &good, noise), refused, "{noise}");
        }
        assert_eq!(ask(&told, &ours.key(), &ours.key()), refused);
        assert_eq!(ask(&told, &good, &good), refused);
        assert_eq!(
            offer(
                told.as_bytes(),
                &[0xff, 0xfe],
                &ours.key(),
                &running,
                &Installed::Deb
            ),
            refused
        );
    }

    /// What `tauri signer` wrote for a key that was thrown away.
    const TAURIS_KEY: &str = "dW50cnVzdGVkIGNvbW1lbnQ6IG1pbmlzaWduIHB1YmxpYyBrZXk6IEY0QTM5QkJCNjc4NzhDOTUKUldTVmpJZG51NXVqOUc2WkNvb0hPNFUzeThoMytqNjIwNllBOC84MEljMWJ2U256UFRPWlBxYWkK";
    const TAURIS_SIGNATURE: &str = "dW50cnVzdGVkIGNvbW1lbnQ6IHNpZ25hdHVyZSBmcm9tIHRhdXJpIHNlY3JldCBrZXkKUlVTVmpJZG51NXVqOU9YL3pFMTJib2M1dFQ3VzZEWGR6aXFrMTJqdEZlTkFDMkJSRjBlNERXSGpTTzRITEk0U21zNURTQ3dCTkVHWEpSMk1CcWVGVXdwZ0lGTnRuSXF4OFEwPQp0cnVzdGVkIGNvbW1lbnQ6IHRpbWVzdGFtcDoxNzk1ODE4NDQzCWZpbGU6bS5qc29uCmNNSkwvTXpmS0ZGcUt4c0R2RElIelNaaHI2WlplS3FUMnh3VkZadHdnb3BVZFBEdVRFQ0h1R2J4eWRMNU9CNVJFSzdFS2dnYTV3dUptZ3JlSjVlSUJRPT0K";

    #[test]
    fn what_tauris_own_tool_signed_is_read() {
        let told = br#"{"version": "1.2.0"}"#;
        assert!(is_signed(told, TAURIS_SIGNATURE, TAURIS_KEY));
        assert!(!is_signed(b"{}", TAURIS_SIGNATURE, TAURIS_KEY));
    }

    #[test]
    fn noise_is_refused_though_it_is_signed() {
        for noise in [
            "",
            "[]",
            "{}",
            "null",
            "{\"version\": 1}",
            "{\"version\": \"newest\"}",
            "{\"version\": \"1.2.0\", \"packages\": {\"deb\": 1}}",
            "<!doctype html>",
        ] {
            assert_eq!(
                of(noise, "1.0.0", &Installed::Deb),
                Err(Refusal::Unreadable),
                "{noise}"
            );
        }
    }

    #[test]
    fn an_older_version_and_the_same_are_no_news() {
        for running in ["1.2.0", "1.2.1", "2.0.0"] {
            for installed in [
                Installed::Deb,
                Installed::Itself("linux-x86_64".to_owned()),
                Installed::ByHand,
            ] {
                assert_eq!(of(&told(), running, &installed), Ok(Offer::Newest), "{running}");
            }
        }
        assert!(matches!(
            of(&told(), "1.2.0-beta.1", &Installed::ByHand),
            Ok(Offer::Elsewhere { .. })
        ));
    }

    #[test]
    fn a_package_is_left_to_the_system_and_anything_else_gets_its_file() {
        let command = |installed| match of(&told(), "1.0.0", &installed) {
            Ok(Offer::Package { command, .. }) => command,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            command(Installed::Deb),
            "sudo apt install ./compymac_1.2.0_amd64.deb"
        );
        assert_eq!(
            command(Installed::Rpm),
            "sudo dnf upgrade ./compymac-1.2.0-1.x86_64.rpm"
        );
        let itself = |platform: &str| of(&told(), "1.0.0", &Installed::Itself(platform.to_owned()));
        assert!(
            matches!(itself("linux-x86_64"), Ok(Offer::Replacement(file)) if file.at.path() == "/CompyMac.AppImage")
        );
        assert_eq!(itself("plan9-mips"), Err(Refusal::NotForThis));
    }

    #[test]
    fn what_lies_at_a_bare_http_address_is_not_offered() {
        let told = told().replace("https://", "http://");
        for installed in [
            Installed::Deb,
            Installed::Rpm,
            Installed::Itself("linux-x86_64".to_owned()),
        ] {
            assert_eq!(of(&told, "1.0.0", &installed), Err(Refusal::Insecure));
        }
    }

    #[test]
    fn no_command_says_more_than_a_plain_name() {
        for name in [
            "x.deb;reboot",
            "$(reboot).deb",
            "a b.deb",
            "",
            "compymac.rpm",
            "a%20b.deb",
        ] {
            let told = told().replace("compymac_1.2.0_amd64.deb", name);
            assert_eq!(
                of(&told, "1.0.0", &Installed::Deb),
                Err(Refusal::Unreadable),
                "{name}"
            );
        }
    }
}
