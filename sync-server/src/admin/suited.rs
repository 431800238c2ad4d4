//! The command that finds how dear a password may be on this machine.

use super::said::Said;
use crate::auth::measure::{self, LEAST_KIB};
use crate::error::Result;
use serde_json::json;

pub fn answer(memory_mib: u32) -> Result<Said> {
    let suited = measure::suit((memory_mib * 1024).max(LEAST_KIB))?;
    let (memory, passes, millis) = (suited.memory_kib, suited.passes, suited.took.as_millis());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let all_mib = u64::from(memory) * cores as u64 / 1024;
    let why = if suited.is_within() {
        format!("One hash takes {millis} ms on this machine.")
    } else {
        format!(
            "One hash takes {millis} ms on this machine, which is the nearest to 150 to 300 ms that is safe."
        )
    };
    let text = format!(
        "ARGON2_MEMORY_KIB={memory}\nARGON2_PASSES={passes}\n\n{why} {cores} at once need {all_mib} MiB. \
         Measure on a quiet machine like those that serve; hashes made before are made anew as people sign in."
    );
    let json = json!({
        "ARGON2_MEMORY_KIB": memory, "ARGON2_PASSES": passes,
        "millis": u64::try_from(millis).unwrap_or(u64::MAX), "is_within": suited.is_within(),
    });
    Ok(Said::new(text, json))
}
