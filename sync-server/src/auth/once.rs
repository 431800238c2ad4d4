//! What is good once: remembered in Redis for as long as it could come again.

use super::{Auth, cookies};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

impl Auth {
    /// Whether this came for the first time. An error: Redis is away, and nobody remembers; what that means is the caller's.
    pub(super) async fn is_first(&self, kind: &str, what: &str, seconds: u64) -> redis::RedisResult<bool> {
        let name = URL_SAFE_NO_PAD.encode(cookies::digest(what));
        let mut call = redis::cmd("SET");
        call.arg(self.key(format_args!("{kind}:{name}")))
            .arg(1)
            .arg("NX")
            .arg("EX")
            .arg(seconds);
        let first: Option<String> = self.redis.ask(&call).await?;
        Ok(first.is_some())
    }
}
