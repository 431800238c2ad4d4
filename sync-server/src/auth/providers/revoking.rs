//! Takes back at its provider what that one gave for an identity that is nobody's here any more: it was disconnected, or went
//! with its account.
//!
//! **Invariant:** nobody waits for a provider but this. Whoever lets go of an identity leaves its token behind and is done.

use super::super::Auth;
use super::Way;
use super::provider_tokens::{self, Due};
use anyhow::{Context as _, bail};
use std::time::Duration;
use time::OffsetDateTime;

/// How long a token waits at most before it is tried.
const POLL: Duration = Duration::from_secs(5);
/// A provider that is away for longer, or settings that are wrong for longer, are not waited for.
const PATIENCE: time::Duration = time::Duration::days(7);

/// Until the process ends.
pub async fn watch(auth: Auth) {
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = auth.shutdown.cancelled() => return,
            _ = tick.tick() => {
                if let Err(error) = take_back_due(&auth).await {
                    tracing::warn!(error = %error, "looking for tokens to be taken back");
                }
            }
        }
    }
}

async fn take_back_due(auth: &Auth) -> sqlx::Result<()> {
    while !auth.shutdown.is_cancelled()
        && let Some(due) = provider_tokens::claim(&auth.pool).await?
    {
        let Err(error) = take_back(auth, &due).await else {
            count("done");
            provider_tokens::remove(&auth.pool, due.id).await?;
            continue;
        };
        let (provider, error) = (&due.provider, format!("{error:#}"));
        if OffsetDateTime::now_utc() - due.begun_at > PATIENCE {
            tracing::error!(provider, error, "a token is given up that was not taken back");
            count("given_up");
            provider_tokens::remove(&auth.pool, due.id).await?;
        } else {
            tracing::warn!(provider, error, "a token was not taken back");
            count("waits");
            provider_tokens::put_off(&auth.pool, due.id, pause_seconds(due.tries)).await?;
        }
    }
    Ok(())
}

async fn take_back(auth: &Auth, due: &Due) -> anyhow::Result<()> {
    let token = due.open(&auth.keys).context("no secret opens it")?;
    let known = auth.0.providers.known(&due.provider).ok();
    let known = known.context("the settings name no such provider")?;
    match &known.way {
        Way::Oidc(oidc) => oidc.revoke(&known.http, &token).await,
        Way::GitHub(_) => bail!("nothing of GitHub's is kept"),
    }
}

/// 5 s, 15 s, 45 s, … at most an hour.
fn pause_seconds(tries: i16) -> f64 {
    let tries = u32::try_from(tries - 1).unwrap_or_default().min(8);
    f64::from((5 * 3_u32.pow(tries)).min(3600))
}

fn count(result: &'static str) {
    metrics::counter!("tokens_taken_back_total", "result" => result).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_tried_less_and_less_often() {
        let pauses = [1, 2, 3, 200].map(|tries| Duration::from_secs_f64(pause_seconds(tries)).as_secs());
        assert_eq!(pauses, [5, 15, 45, 3600]);
    }
}
