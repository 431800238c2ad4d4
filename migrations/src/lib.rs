//! The histories of the three schemas, part of the programs: what the folders here held when these were compiled.
//!
//! A crate of its own, and each file listed by name: cargo notes a file outside the crate that includes it, and `sqlx::migrate!`
//! any, by its whole path, and every clone would compile server and client anew.

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number, and what it is about: `0001_identity`.
    pub name: &'static str,
    pub sql: &'static str,
}

macro_rules! of {
    ($folder:literal: [$($name:literal),* $(,)?]) => {
        &[$(Migration {
            name: $name,
            sql: include_str!(concat!("../", $folder, "/", $name, ".sql")),
        }),*]
    };
}

/// The server's. One that is applied to a database and is not here stops the server from starting.
pub const POSTGRES: &[Migration] = of!("postgres": [
    "0001_identity",
    "0002_sync",
    "0003_sessions_of_user",
    "0004_purge",
    "0005_password_reset",
    "0006_second_step",
    "0007_letter_sign_in",
    "0008_operators",
    "0009_rights",
    "0010_device_codes",
    "0011_passkeys",
    "0012_long_sessions",
    "0013_vouched_codes",
    "0015_letters",
    "0016_audit_partitions",
    "0017_proofs_of_possession",
    "0018_places",
    "0019_wrong_codes",
    "0020_former_cookies",
    "0021_stays",
    "0022_signed_out",
    "0023_provider_tokens",
    "0024_newcomers",
    "0025_relays_turned_off",
]);

/// Of `cache.db` on a device.
pub const CACHE: &[Migration] = of!("sqlite/cache": [
    "0001_rows",
    "0002_verified",
    "0003_search",
    "0004_whole",
    "0005_openings",
    "0006_recent",
]);

/// Of `outbox.db` beside it.
pub const OUTBOX: &[Migration] = of!("sqlite/outbox": [
    "0001_outbox",
    "0002_acceptance",
    "0003_drafts",
    "0004_kept",
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_history_is_in_order() {
        for history in [POSTGRES, CACHE, OUTBOX] {
            assert!(history.is_sorted_by(|one, next| one.name < next.name));
        }
    }
}
