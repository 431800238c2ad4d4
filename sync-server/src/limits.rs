//! How often a stranger may try: one GCRA in Redis for all nodes, a stricter one in this process while Redis is away. What is
//! asked for too often to ask Redis first is counted in this process alone.
//!
//! **Invariant:** never open for everyone and never closed for everyone, whatever Redis does.

pub mod address;
mod bucket;
mod local;
mod stuffing;

use crate::app::App;
use crate::error::Error;
use crate::keyspace::Partition;
use bucket::{Bucket, Rate, SCRIPT_GIVE_BACK, SCRIPT_TAKE};
use protocol::{Code, Problem};
use redis::Cmd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is counted. Its rates are in [`Class::rates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Password sign-in.
    Password,
    SignUp,
    /// Those that need no work first.
    FreeSignUp,
    /// Letters that a stranger can cause.
    Letter,
    /// Letters of every such kind together: to one address, and to everybody.
    Mail,
    /// Codes of letters.
    CodeTry,
    /// Codes of an authenticator app and recovery codes: a class of its own, since only who proved the first step counts
    /// here. Nobody else can shut the owner out by it.
    SecondStep,
    /// Passkeys: asked for, and answering.
    Passkey,
    PasskeyTry,
    /// The way out to a provider, and pushed authorization requests.
    OAuthStart,
    /// Codes for programs without a browser: asked for, and typed.
    DeviceCode,
    DeviceCodeTry,
    /// Ways back from a provider that lead nowhere, and notices that none has signed.
    ProviderReturn,
    Token,
    /// Copies of everything that somebody has.
    Export,
    /// Whatever is asked for, of every kind together. By [`Limits::take_here`].
    Request,
    /// Sockets that are asked for. By [`Limits::take_here`].
    Socket,
}

/// Who is counted.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// A network prefix, as [`address::prefix`] gives it.
    Address(&'a str),
    /// A keyed hash of an address people sign in with, known here or not.
    Account(&'a str),
    Device(uuid::Uuid),
    /// All at once, as the settings say.
    Everyone,
}

impl Class {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SignUp => "sign-up",
            Self::FreeSignUp => "free-sign-up",
            Self::Letter => "letter",
            Self::Mail => "mail",
            Self::CodeTry => "code",
            Self::SecondStep => "second-step",
            Self::Passkey => "passkey",
            Self::PasskeyTry => "passkey-try",
            Self::OAuthStart => "oauth",
            Self::DeviceCode => "device-code",
            Self::DeviceCodeTry => "device-code-try",
            Self::ProviderReturn => "provider-return",
            Self::Token => "token",
            Self::Export => "export",
            Self::Request => "request",
            Self::Socket => "socket",
        }
    }

    /// The rates that hold for this kind of key; the strictest decides.
    fn rates(self, who: Who<'_>) -> Vec<Rate> {
        const MINUTE: u32 = 60;
        const HOUR: u32 = 3600;
        match (self, who) {
            (Self::Password, Who::Address(_)) => vec![Rate::new(20, 5 * MINUTE)],
            (Self::FreeSignUp, Who::Address(_)) => vec![Rate::new(5, HOUR)],
            (Self::SignUp, Who::Address(_)) => vec![Rate::new(20, HOUR)],
            (Self::SignUp, Who::Account(_)) => vec![Rate::new(3, HOUR)],
            (Self::Letter, Who::Address(_)) => vec![Rate::new(10, HOUR)],
            // three an hour, and a minute between two
            (Self::Letter, Who::Account(_)) => vec![Rate::new(3, HOUR), Rate::new(1, MINUTE)],
            (Self::Mail, Who::Account(_)) => vec![Rate::new(10, 24 * HOUR)],
            (Self::CodeTry | Self::SecondStep, Who::Address(_)) => vec![Rate::new(30, 10 * MINUTE)],
            // after ten that were wrong, one each quarter of an hour
            (Self::SecondStep, Who::Account(_)) => vec![Rate::new(10, 10 * PAUSE)],
            // of somebody who is signed in: proving it again, and whatever else has a password hashed
            (Self::Password, Who::Device(_)) => vec![Rate::new(10, 15 * MINUTE)],
            // whoever goes on waits no less than if the wait doubled with each guess, from two seconds to a quarter of an hour
            (Self::Password, Who::Account(_)) => vec![Rate::new(10, PAUSE), Rate::new(17, 17 * PAUSE)],
            // each letter has five tries of its own, in its own window; strangers can use these up, so they are soon back
            (Self::CodeTry, Who::Account(_)) => vec![Rate::new(10, PAUSE)],
            (Self::Passkey | Self::PasskeyTry | Self::OAuthStart | Self::ProviderReturn, Who::Address(_)) => {
                vec![Rate::new(60, 5 * MINUTE)]
            }
            (Self::Passkey, Who::Account(_)) => vec![Rate::new(20, 5 * MINUTE)],
            (Self::DeviceCode, Who::Address(_)) => vec![Rate::new(10, HOUR)],
            (Self::DeviceCodeTry, Who::Address(_)) => vec![Rate::new(10, 10 * MINUTE)],
            (Self::DeviceCodeTry, Who::Device(_)) => vec![Rate::new(5, 10 * MINUTE)],
            (Self::Token, Who::Address(_)) => vec![Rate::new(120, 5 * MINUTE)],
            (Self::Token, Who::Device(_)) => vec![Rate::new(30, 5 * MINUTE)],
            // each reads all that somebody has
            (Self::Export, Who::Account(_)) => vec![Rate::new(3, 24 * HOUR)],
            (Self::Request, Who::Address(_)) => vec![Rate::new(600, MINUTE)],
            (Self::Request, Who::Device(_)) => vec![Rate::new(1200, MINUTE)],
            (Self::Socket, Who::Address(_)) => vec![Rate::new(60, MINUTE)],
            (Self::Socket, Who::Device(_)) => vec![Rate::new(10, MINUTE)],
            // nobody counts these
            (
                Self::SignUp
                | Self::FreeSignUp
                | Self::Letter
                | Self::Mail
                | Self::CodeTry
                | Self::SecondStep
                | Self::Passkey
                | Self::PasskeyTry
                | Self::OAuthStart
                | Self::ProviderReturn
                | Self::DeviceCode
                | Self::Export,
                Who::Device(_),
            )
            | (Self::Export | Self::Mail, Who::Address(_))
            | (_, Who::Everyone)
            | (
                Self::PasskeyTry
                | Self::OAuthStart
                | Self::ProviderReturn
                | Self::DeviceCode
                | Self::DeviceCodeTry
                | Self::Token
                | Self::FreeSignUp
                | Self::Request
                | Self::Socket,
                Who::Account(_),
            ) => vec![],
        }
    }
}

/// A try that was one too many.
#[derive(Debug)]
pub struct Limited {
    pub problem: Box<Problem>,
    /// The first refusal in a while of one of those that were counted, by its place: worth a note. All others would let
    /// whoever tries fill the log.
    pub is_news_of: Option<usize>,
}

/// For whoever has `most` of something at once already: `told` says of what, and what to do.
pub fn one_too_many(most: usize, told: &str) -> Problem {
    Problem::new(Code::RateLimited)
        .detail(format!("{most} {told}"))
        .limit(most as u64)
        .retry_after(2)
}

impl From<Limited> for Error {
    fn from(limited: Limited) -> Self {
        (*limited.problem).into()
    }
}

/// How long to wait, and whose refusal is news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verdict {
    wait: Duration,
    is_news_of: Option<usize>,
}

impl Verdict {
    fn judged(self, class: Class) -> Result<(), Limited> {
        if self.wait.is_zero() {
            return Ok(());
        }
        metrics::counter!("rate_limited_total", "class" => class.name()).increment(1);
        let seconds = u32::try_from(self.wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        Err(Limited {
            problem: Box::new(
                Problem::new(Code::RateLimited)
                    .detail(format!(
                        "That was tried too often. Please wait {} and try again.",
                        in_words(seconds)
                    ))
                    .retry_after(seconds),
            ),
            is_news_of: self.is_news_of,
        })
    }
}

/// Who holds a whole IPv6 /48 has 65,536 networks to come from: all of them together may try as often as ten.
const WIDER: u32 = 10;

/// Whose tries are counted together: the network's, and the site's that it is one of. Each with how often it may try in
/// proportion to one network.
pub fn counted(prefix: &str) -> Vec<(String, u32)> {
    let site = address::wider(prefix).map(|site| (site, WIDER));
    std::iter::once((prefix.to_owned(), 1)).chain(site).collect()
}

/// Seconds that whoever goes on guessing at an account waits for each guess, at the most.
const PAUSE: u32 = 15 * 60;

/// Seconds for which a refusal is no news once it was told, at the least.
const NEWS: u32 = 15 * 60;

/// Of so many shares of every rate each node allows one while Redis is away, since the others count too.
const AWAY_SHARE: u32 = 4;

/// After a failed call to Redis, how long this process counts by itself before it asks again.
const AWAY: Duration = Duration::from_secs(1);

pub struct Limits {
    app: App,
    /// For while Redis is away.
    away: local::Buckets,
    /// For what is never asked of Redis.
    here: local::Buckets,
    started: Instant,
    /// Milliseconds since `started` until which Redis is left alone.
    away_until: AtomicU64,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Limits")
    }
}

impl Limits {
    pub fn new(app: App) -> Self {
        Self {
            app,
            away: local::Buckets::new(AWAY_SHARE),
            here: local::Buckets::new(1),
            started: Instant::now(),
            away_until: AtomicU64::new(0),
        }
    }

    /// Counts one try for each of `whos`, all or none. Refused: 429 with the seconds to wait.
    pub async fn take(&self, class: Class, whos: &[Who<'_>]) -> Result<(), Limited> {
        let buckets = self.buckets(class, whos);
        if buckets.is_empty() {
            return Ok(());
        }
        let verdict = match self.take_from_redis(class, &buckets).await {
            Some(verdict) => verdict,
            None => self.away.take(&buckets, self.started.elapsed()),
        };
        verdict.judged(class)
    }

    /// Counts one try at this node alone, whatever Redis does: what comes with each request is not worth a round trip more.
    pub fn take_here(&self, class: Class, who: Who<'_>) -> Result<(), Limited> {
        let mut buckets = self.buckets(class, &[who]);
        for bucket in &mut buckets {
            // told by a metric alone
            bucket.news_ms = 0;
        }
        self.here.take(&buckets, self.started.elapsed()).judged(class)
    }

    /// Takes back what a success counted: only failures use up a person's tries.
    pub async fn give_back(&self, class: Class, whos: &[Who<'_>]) {
        let buckets = self.buckets(class, whos);
        // Where it was counted is not remembered: taking back from both errs by one try, on the kind side.
        self.away.give_back(&buckets);
        if buckets.is_empty() || self.is_away() {
            return;
        }
        let mut call = self.call(SCRIPT_GIVE_BACK, class, &["limit"], &buckets);
        for bucket in &buckets {
            call.arg(bucket.rate.interval_ms());
        }
        let outcome: redis::RedisResult<()> = self.app.redis.ask(&call).await;
        if let Err(error) = outcome {
            self.note_away(&error);
        }
    }

    fn buckets(&self, class: Class, whos: &[Who<'_>]) -> Vec<Bucket> {
        let mut buckets = Vec::new();
        for (place, who) in whos.iter().enumerate() {
            let rates = match (class, who) {
                (Class::FreeSignUp, Who::Everyone) => vec![Rate::new(self.app.config.sign_ups_an_hour, 3600)],
                (Class::Mail, Who::Everyone) => vec![Rate::new(self.app.config.letters_an_hour, 3600)],
                _ => class.rates(*who),
            };
            let longest = rates.iter().map(|rate| rate.seconds).max().unwrap_or_default();
            for rate in rates {
                let mut push = |name: &str, factor: u32| {
                    buckets.push(Bucket {
                        key: format!("{}:{}:{name}", class.name(), rate.seconds),
                        rate: rate.times(factor * self.app.config.rate_limit_factor),
                        place,
                        news_ms: u64::from(longest.max(NEWS)) * 1000,
                    });
                };
                match who {
                    Who::Address(prefix) => {
                        for (network, factor) in counted(prefix) {
                            push(&format!("ip:{network}"), factor);
                        }
                    }
                    Who::Account(hash) => push(&format!("acct:{hash}"), 1),
                    Who::Device(id) => push(&format!("device:{id}"), 1),
                    Who::Everyone => push("all", 1),
                }
            }
        }
        buckets
    }

    /// A script's call, in full: Redis knows it by its text, and a shard that has restarted does not have to be taught it.
    /// A class lies in one partition, so that an address and an account are counted together, both or none.
    fn call(&self, script: &str, class: Class, kinds: &[&str], buckets: &[Bucket]) -> Cmd {
        let mut call = redis::cmd("EVAL");
        call.arg(script).arg(kinds.len() * buckets.len());
        let partition = Partition::of(class.name());
        for kind in kinds {
            for bucket in buckets {
                call.arg(self.app.key_in(partition, format_args!("{kind}:{}", bucket.key)));
            }
        }
        call
    }

    /// `None`: Redis could not be asked.
    async fn take_from_redis(&self, class: Class, buckets: &[Bucket]) -> Option<Verdict> {
        if self.is_away() {
            return None;
        }
        let mut call = self.call(SCRIPT_TAKE, class, &["limit", "limit-news"], buckets);
        for bucket in buckets {
            call.arg(bucket.rate.interval_ms())
                .arg(bucket.rate.tolerance_ms())
                .arg(bucket.news_ms);
        }
        let outcome: redis::RedisResult<(u64, usize)> = self.app.redis.ask(&call).await;
        match outcome {
            Ok((wait, news)) => Some(Verdict {
                wait: Duration::from_millis(wait),
                is_news_of: news
                    .checked_sub(1)
                    .and_then(|index| buckets.get(index))
                    .map(|bucket| bucket.place),
            }),
            Err(error) => {
                self.note_away(&error);
                None
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_away(&self) -> bool {
        self.now_ms() < self.away_until.load(Ordering::Relaxed)
    }

    fn note_away(&self, error: &redis::RedisError) {
        tracing::warn!(error = %error, "redis away: counting tries in this process");
        let until = self.now_ms() + u64::try_from(AWAY.as_millis()).unwrap_or(1000);
        self.away_until.store(until, Ordering::Relaxed);
    }
}

fn in_words(seconds: u32) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_said_in_words() {
        assert_eq!(in_words(1), "a second");
        assert_eq!(in_words(42), "42 seconds");
        assert_eq!(in_words(600), "10 minutes");
    }

    #[test]
    fn letters_of_every_kind_to_one_address_are_ten_a_day() {
        assert_eq!(Class::Mail.rates(Who::Account("x")), [Rate::new(10, 24 * 3600)]);
    }

    /// Milliseconds at which tries pass, of whoever tries whenever they may.
    fn passes(rates: &[Rate], tries: usize) -> Vec<u64> {
        let mut kept = vec![None; rates.len()];
        let mut now = 0;
        let mut passed = Vec::new();
        while passed.len() < tries {
            let taken = rates.iter().zip(&kept).map(|(rate, time)| rate.take(now, *time));
            let taken: Vec<_> = taken.collect();
            if let Some(wait) = taken.iter().filter_map(|taken| taken.err()).max() {
                now += wait;
            } else {
                passed.push(now);
                kept = taken.into_iter().map(Result::ok).collect();
            }
        }
        passed
    }

    #[test]
    fn guesses_at_one_password_wait_no_less_than_if_the_wait_doubled_each_time() {
        let passed = passes(&Class::Password.rates(Who::Account("x")), 200);
        let (at_once, later) = passed.split_at(10);
        assert!(at_once.iter().all(|at| *at == 0), "{at_once:?}");
        let waits = (1..).map(|guess: u32| 2_u64.saturating_pow(guess).min(900) * 1000);
        let doubling = waits.scan(0, |now, wait| {
            *now += wait;
            Some(*now)
        });
        for (guess, (at, least)) in later.iter().zip(doubling).enumerate() {
            assert!(*at >= least, "guess {guess} after the ten: {at} and not {least}");
        }
    }

    #[test]
    fn codes_of_the_second_step_wait_a_quarter_of_an_hour_after_ten() {
        let passed = passes(&Class::SecondStep.rates(Who::Account("x")), 14);
        let (at_once, later) = passed.split_at(10);
        assert!(at_once.iter().all(|at| *at == 0), "{at_once:?}");
        assert_eq!(later, [900_000, 1_800_000, 2_700_000, 3_600_000]);
    }

    #[test]
    fn letters_to_one_address_keep_a_minute_between_them() {
        assert!(Class::Letter.rates(Who::Account("x")).contains(&Rate::new(1, 60)));
    }
}
