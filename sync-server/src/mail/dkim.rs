//! Signing letters (DKIM, RFC 6376), so that a mailbox can tell that they are this installation's and as they were sent.

use crate::config::Config;
use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::Mailbox;
use lettre::message::dkim::{
    DkimCanonicalization, DkimCanonicalizationType, DkimConfig, DkimSigningAlgorithm, DkimSigningKey,
};
use lettre::message::header::HeaderName;
use pkcs8::der::pem::{self, LineEnding};
use pkcs8::{ObjectIdentifier, PrivateKeyInfo};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What nobody may change on the way, nor add: those that a letter has not are signed as missing. The two of RFC 8058 are
/// worth something only signed (§4). Not the type of the body, which lettre writes behind what it signs; another one would
/// show the same parts otherwise, and no other words.
const SIGNED: [&str; 8] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];

/// `None`: letters leave unsigned, and whoever carries them may sign.
pub fn of(config: &Config, sender: &Mailbox) -> anyhow::Result<Option<DkimConfig>> {
    let Some(file) = &config.dkim_key_file else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("DKIM_KEY_FILE: {} cannot be read", file.display()))?;
    let key = key(&text).with_context(|| format!("DKIM_KEY_FILE: {}", file.display()))?;
    let domain = config
        .dkim_domain
        .clone()
        .unwrap_or_else(|| sender.email.domain().to_owned());
    for (name, value) in [("DKIM_SELECTOR", &config.dkim_selector), ("DKIM_DOMAIN", &domain)] {
        let is_name = !value.is_empty()
            && value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        ensure!(is_name, "{name} must be a name in the DNS, but is {value:?}");
    }
    Ok(Some(DkimConfig::new(
        config.dkim_selector.clone(),
        domain,
        key,
        SIGNED.map(HeaderName::new_from_ascii_str).to_vec(),
        DkimCanonicalization {
            header: DkimCanonicalizationType::Relaxed,
            body: DkimCanonicalizationType::Relaxed,
        },
    )))
}

/// As OpenSSL writes one: PKCS #8 of RSA or Ed25519, or RSA's own form.
fn key(text: &str) -> anyhow::Result<DkimSigningKey> {
    const SHAPE: &str = "it must be a private key in PEM, RSA or Ed25519; `openssl genrsa 2048` makes one";
    let text = text.trim();
    let (label, bytes) = pem::decode_vec(text.as_bytes())
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context(SHAPE)?;
    if label == "RSA PRIVATE KEY" {
        return DkimSigningKey::new(text, DkimSigningAlgorithm::Rsa).context(SHAPE);
    }
    let info = PrivateKeyInfo::try_from(bytes.as_slice())
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context(SHAPE)?;
    match info.algorithm.oid {
        RSA => {
            let own = pem::encode_string("RSA PRIVATE KEY", LineEnding::LF, info.private_key)
                .map_err(|error| anyhow::anyhow!("{error}"))
                .context(SHAPE)?;
            DkimSigningKey::new(&own, DkimSigningAlgorithm::Rsa).context(SHAPE)
        }
        ED25519 => {
            // an OCTET STRING of 32 bytes (RFC 8410 §7)
            let seed = info.private_key.strip_prefix(&[4, 32]).context(SHAPE)?;
            DkimSigningKey::new(&STANDARD.encode(seed), DkimSigningAlgorithm::Ed25519).context(SHAPE)
        }
        _ => bail!("{SHAPE}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signs nothing but letters of tests.
    const ED25519_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

    #[test]
    fn a_key_is_read_as_openssl_writes_it_and_what_is_none_is_not_shown() {
        assert!(key(ED25519_KEY).is_ok());
        for wrong in [
            "hidden-word",
            "",
            "-----BEGIN PRIVATE KEY-----\naGlkZGVuLXdvcmQ=\n-----END PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\naGlkZGVuLXdvcmQ=\n-----END RSA PRIVATE KEY-----\n",
        ] {
            let told = format!("{:#}", key(wrong).map(drop).unwrap_err());
            assert!(
                told.contains("openssl") && !told.contains("hidden-word"),
                "{told}"
            );
        }
    }
}
