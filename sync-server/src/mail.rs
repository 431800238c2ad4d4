//! Letters: put into `email_outbox` by whoever wants one sent, in that very transaction; rendered and sent from there.
//!
//! **Invariant:** links in letters begin with the public address of the settings, whatever a request's headers say.

mod dkim;
mod outbox;
mod refusal;
pub mod suppressions;
mod templates;

pub use outbox::{purge, put};
pub use templates::spaced;

use crate::config::Config;
use crate::database::Pool;
use anyhow::Context as _;
use lettre::message::dkim::DkimConfig;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use outbox::Waiting;
use refusal::Refusal;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use suppressions::{Standing, Veil};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What a letter says. Stored as its template's name and what the template needs. `when` says from where too, where that is known;
/// it is empty in letters that waited since before they said it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "template", content = "context", rename_all = "snake_case")]
pub enum Letter {
    /// Confirm this address.
    Verify { link: String, code: String },
    /// Somebody signed up with an address that has an account.
    AlreadyHaveAccount { link: String },
    /// A device signed in that was not the first.
    NewDevice {
        device: String,
        when: String,
        link: String,
    },
    /// A device was signed out since its credential was used twice.
    DeviceSignedOut {
        device: String,
        #[serde(default)]
        when: String,
        link: String,
    },
    /// Every device but the one that asked for it was signed out.
    DevicesSignedOut { when: String, link: String },
    /// A provider now opens this account too.
    ProviderLinked {
        provider: String,
        /// Its owner did it on the page for that, and did not sign in with it first.
        is_asked_for: bool,
        #[serde(default)]
        when: String,
        link: String,
    },
    /// Somebody new comes by a provider that does not vouch for this address: here is what proves it. The link only leads to where
    /// the code is typed.
    ProviderCode {
        provider: String,
        when: String,
        link: String,
        code: String,
    },
    /// The same, with an address that has an account.
    ProviderKnown {
        provider: String,
        when: String,
        link: String,
    },
    /// An account at a provider signs nobody in any more.
    ProviderUnlinked {
        provider: String,
        #[serde(default)]
        when: String,
        link: String,
    },
    /// The provider says that this person took it back there: it signs nobody in any more, and no device is left.
    ProviderGone {
        provider: String,
        when: String,
        link: String,
    },
    /// Choose a new password.
    Reset {
        #[serde(default)]
        when: String,
        link: String,
    },
    /// Sign in.
    SignIn {
        #[serde(default)]
        when: String,
        link: String,
        code: String,
    },
    /// A new password was chosen.
    PasswordChanged { when: String, link: String },
    /// Signing in asks for a code of an authenticator app from now on.
    SecondStepOn { when: String, link: String },
    /// It does so no more.
    SecondStepOff { when: String, link: String },
    /// Somebody showed the first step, and gave wrong codes for the second.
    SecondStepFailed { when: String, link: String },
    /// A passkey signs in to the account from now on.
    PasskeyAdded {
        name: String,
        when: String,
        link: String,
    },
    /// It does so no more.
    PasskeyRemoved {
        name: String,
        when: String,
        link: String,
    },
    /// The account is to be deleted.
    AccountLeaving { until: String, link: String },
    /// It is not, after all.
    AccountKept { when: String, link: String },
    /// It is deleted, and everything in it. The last letter that there is.
    AccountGone { link: String },
    /// A copy of everything can be fetched.
    ExportReady { until: String, link: String },
    /// None could be made.
    ExportFailed { link: String },
    /// To the new address of an account: is it theirs?
    EmailNew { link: String },
    /// To the address that the account has: may it be changed?
    EmailOld { new: String, when: String, link: String },
    /// To the address that the account had.
    EmailChanged {
        new: String,
        when: String,
        until: String,
        link: String,
    },
    /// To the address that the account has now.
    EmailWelcome { old: String, link: String },
    /// To both: the account has its former address again.
    EmailUndone {
        old: String,
        #[serde(default)]
        when: String,
        link: String,
    },
    /// Somebody signed in by a code that was written down.
    RecoveryCodeUsed { left: i64, when: String, link: String },
    /// New ones were made, and those of before are worthless.
    RecoveryCodesMade { when: String, link: String },
    /// How to begin, for somebody who joined and has not.
    GettingStarted {
        link: String,
        /// Turns such letters off.
        stop: String,
    },
}

/// How long what a letter opens is good for, from when it was asked for.
pub const VERIFY_GOOD_FOR: time::Duration = time::Duration::hours(24);
pub const SIGN_IN_GOOD_FOR: time::Duration = time::Duration::minutes(10);
pub const RESET_GOOD_FOR: time::Duration = time::Duration::minutes(30);
pub const EMAIL_GOOD_FOR: time::Duration = time::Duration::hours(24);

impl Letter {
    /// Of a letter whose link or code works for a while; later it would only tell its reader that it does not.
    const fn good_for(&self) -> Option<time::Duration> {
        match self {
            Self::Verify { .. } => Some(VERIFY_GOOD_FOR),
            Self::SignIn { .. } | Self::ProviderCode { .. } => Some(SIGN_IN_GOOD_FOR),
            Self::Reset { .. } => Some(RESET_GOOD_FOR),
            Self::EmailNew { .. } | Self::EmailOld { .. } => Some(EMAIL_GOOD_FOR),
            Self::AlreadyHaveAccount { .. }
            | Self::NewDevice { .. }
            | Self::DeviceSignedOut { .. }
            | Self::DevicesSignedOut { .. }
            | Self::ProviderLinked { .. }
            | Self::ProviderKnown { .. }
            | Self::ProviderUnlinked { .. }
            | Self::ProviderGone { .. }
            | Self::PasswordChanged { .. }
            | Self::SecondStepOn { .. }
            | Self::SecondStepOff { .. }
            | Self::SecondStepFailed { .. }
            | Self::PasskeyAdded { .. }
            | Self::PasskeyRemoved { .. }
            | Self::AccountLeaving { .. }
            | Self::AccountKept { .. }
            | Self::AccountGone { .. }
            | Self::ExportReady { .. }
            | Self::ExportFailed { .. }
            | Self::EmailChanged { .. }
            | Self::EmailWelcome { .. }
            | Self::EmailUndone { .. }
            | Self::RecoveryCodeUsed { .. }
            | Self::RecoveryCodesMade { .. }
            | Self::GettingStarted { .. } => None,
        }
    }

    /// Where a letter is turned off that can be. All others are about the account's safety, or were asked for.
    fn stop(&self) -> Option<&str> {
        if let Self::GettingStarted { stop, .. } = self {
            Some(stop)
        } else {
            None
        }
    }

    /// Whether its reader has an account whose page of safety it can name.
    const fn has_account(&self) -> bool {
        !matches!(
            self,
            Self::Verify { .. }
                | Self::ProviderCode { .. }
                | Self::EmailNew { .. }
                | Self::AccountGone { .. }
        )
    }
}

/// A letter may hold a one-time link, so its content is in no log.
impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Verify { .. } => "Letter::Verify(…)",
            Self::AlreadyHaveAccount { .. } => "Letter::AlreadyHaveAccount(…)",
            Self::NewDevice { .. } => "Letter::NewDevice(…)",
            Self::DeviceSignedOut { .. } => "Letter::DeviceSignedOut(…)",
            Self::DevicesSignedOut { .. } => "Letter::DevicesSignedOut(…)",
            Self::ProviderLinked { .. } => "Letter::ProviderLinked(…)",
            Self::ProviderCode { .. } => "Letter::ProviderCode(…)",
            Self::ProviderKnown { .. } => "Letter::ProviderKnown(…)",
            Self::ProviderUnlinked { .. } => "Letter::ProviderUnlinked(…)",
            Self::ProviderGone { .. } => "Letter::ProviderGone(…)",
            Self::Reset { .. } => "Letter::Reset(…)",
            Self::SignIn { .. } => "Letter::SignIn(…)",
            Self::PasswordChanged { .. } => "Letter::PasswordChanged(…)",
            Self::SecondStepOn { .. } => "Letter::SecondStepOn(…)",
            Self::SecondStepOff { .. } => "Letter::SecondStepOff(…)",
            Self::SecondStepFailed { .. } => "Letter::SecondStepFailed(…)",
            Self::PasskeyAdded { .. } => "Letter::PasskeyAdded(…)",
            Self::PasskeyRemoved { .. } => "Letter::PasskeyRemoved(…)",
            Self::AccountLeaving { .. } => "Letter::AccountLeaving(…)",
            Self::AccountKept { .. } => "Letter::AccountKept(…)",
            Self::AccountGone { .. } => "Letter::AccountGone(…)",
            Self::ExportReady { .. } => "Letter::ExportReady(…)",
            Self::ExportFailed { .. } => "Letter::ExportFailed(…)",
            Self::EmailNew { .. } => "Letter::EmailNew(…)",
            Self::EmailOld { .. } => "Letter::EmailOld(…)",
            Self::EmailChanged { .. } => "Letter::EmailChanged(…)",
            Self::EmailWelcome { .. } => "Letter::EmailWelcome(…)",
            Self::EmailUndone { .. } => "Letter::EmailUndone(…)",
            Self::RecoveryCodeUsed { .. } => "Letter::RecoveryCodeUsed(…)",
            Self::RecoveryCodesMade { .. } => "Letter::RecoveryCodesMade(…)",
            Self::GettingStarted { .. } => "Letter::GettingStarted(…)",
        })
    }
}

/// How long letters wait at most when nobody wakes the carrier: another node's, and those to be tried again.
const POLL: Duration = Duration::from_secs(5);
/// How often it is told how many wait.
const LOOK: Duration = Duration::from_secs(30);
/// Letters that are carried at once.
const TOGETHER: i64 = 8;

/// Brings letters to the mail server. One for each process that works.
pub struct Carrier {
    pool: Pool,
    veil: Veil,
    sender: Mailbox,
    /// Signs what leaves.
    signer: Option<DkimConfig>,
    host: String,
    templates: templates::Templates,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    wake: Arc<Notify>,
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Carrier(as {})", self.sender)
    }
}

impl Carrier {
    /// Reads the settings; each failure names the one that is wrong.
    pub fn new(config: &Config, pool: Pool, veil: Veil, wake: Arc<Notify>) -> anyhow::Result<Self> {
        let sender: Mailbox = config.mail_from.parse().with_context(|| {
            format!(
                "MAIL_FROM must look like `Name <address>`, but is {}",
                config.mail_from
            )
        })?;
        Ok(Self {
            pool,
            veil,
            signer: dkim::of(config, &sender)?,
            sender,
            host: config.public_url.host_str().unwrap_or("localhost").to_owned(),
            templates: templates::Templates::new(config.origin())?,
            transport: transport(config.smtp_url.expose())?,
            wake,
        })
    }

    /// Until the process ends: carries what is due, then waits to be woken.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut looked: Option<Instant> = None;
        while !shutdown.is_cancelled() {
            if looked.is_none_or(|at| at.elapsed() > LOOK) {
                looked = Some(Instant::now());
                self.tell_of_backlog().await;
            }
            match self.carry_due().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::warn!(error = %error, "reading the letters that wait"),
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// How many wait, and since when the oldest does: for whoever runs the server.
    async fn tell_of_backlog(&self) {
        match outbox::backlog(&self.pool).await {
            Ok((waiting, oldest)) => {
                metrics::gauge!("letters_waiting").set(waiting);
                metrics::gauge!("letters_oldest_seconds").set(oldest);
            }
            Err(error) => tracing::warn!(error = %error, "counting the letters that wait"),
        }
    }

    async fn carry_due(&self) -> sqlx::Result<usize> {
        let due = outbox::claim(&self.pool, TOGETHER).await?;
        let count = due.len();
        let carried = due.into_iter().map(|waiting| self.carry(waiting));
        for outcome in futures_util::future::join_all(carried).await {
            outcome?;
        }
        Ok(count)
    }

    async fn carry(&self, waiting: Waiting) -> sqlx::Result<()> {
        let standing = suppressions::of(&self.pool, &self.veil, &waiting.recipient).await?;
        let now = OffsetDateTime::now_utc();
        let outcome = match self.compose(&waiting) {
            Ok((_, letter)) if waiting.is_late(&letter, now) => {
                count(&waiting, "late");
                return outbox::not_sent(&self.pool, &waiting, LATE, true).await;
            }
            Ok((message, letter)) => match judge(standing, letter.stop().is_none(), now) {
                Verdict::Send => self.hand_over(message).await,
                Verdict::Wait(until) => {
                    count(&waiting, "waits");
                    return outbox::wait(&self.pool, waiting.id, until).await;
                }
                Verdict::Drop => {
                    count(&waiting, "suppressed");
                    return outbox::not_sent(&self.pool, &waiting, SUPPRESSED, true).await;
                }
            },
            Err(error) => Err(Refusal::ours(&error)),
        };
        let Err(refusal) = outcome else {
            count(&waiting, "sent");
            // first: what was delivered is not delivered again, whatever fails then
            outbox::sent(&self.pool, &waiting).await?;
            if standing.is_some() {
                suppressions::forgive(&self.pool, &waiting.recipient).await?;
            }
            return Ok(());
        };
        count(&waiting, if refusal.is_final { "refused" } else { "waits" });
        let Refusal { words, is_final, .. } = &refusal;
        tracing::warn!(letter = %waiting.id, error = words, is_final, "a letter was not taken");
        if refusal.is_of_the_address && !waiting.is_last() {
            suppressions::note_refusal(&self.pool, &waiting.recipient, words).await?;
        }
        outbox::not_sent(&self.pool, &waiting, words, *is_final).await
    }

    async fn hand_over(&self, message: Message) -> Result<(), Refusal> {
        let answer = self.transport.send(message).await;
        answer.map(drop).map_err(|error| Refusal::of(&error))
    }

    /// The letter as it leaves, and what it says.
    fn compose(&self, waiting: &Waiting) -> anyhow::Result<(Message, Letter)> {
        let letter = waiting.letter()?;
        let page = self.templates.render(&letter)?;
        let mut head = Message::builder()
            .from(self.sender.clone())
            .to(Mailbox::new(
                None,
                waiting.recipient.parse().context("the recipient's address")?,
            ))
            .subject(page.subject)
            // the same letter carried twice is one letter to a mailbox
            .message_id(Some(format!("<{}@{}>", waiting.id, self.host)));
        if let Some(stop) = letter.stop() {
            // RFC 8058: the mail program's own button
            for (name, value) in [
                ("List-Unsubscribe", format!("<{stop}>")),
                ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()),
            ] {
                head = head.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
            }
        }
        let mut message = head
            .multipart(MultiPart::alternative_plain_html(page.text, page.html))
            .context("writing the letter")?;
        if let Some(signer) = &self.signer {
            message.sign(signer);
        }
        Ok((message, letter))
    }
}

/// What the table says of a letter that was not even tried.
const SUPPRESSED: &str = "the address is left alone";
/// Of one that was held back, or could not be carried, for longer than its link works.
const LATE: &str = "its link is worthless by now";

/// What is done with a letter to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Send,
    Wait(OffsetDateTime),
    Drop,
}

/// Where an address refused, only letters about safety are tried again, and not before it was quiet for a while: they are
/// how somebody gets back in, and a mailbox may be full or misread for a day.
fn judge(standing: Option<Standing>, is_safety: bool, now: OffsetDateTime) -> Verdict {
    match (standing, is_safety) {
        (None, _) => Verdict::Send,
        (Some(Standing::LeftAlone), _) | (Some(Standing::Refused { .. }), false) => Verdict::Drop,
        (Some(Standing::Refused { quiet_until }), true) if quiet_until > now => Verdict::Wait(quiet_until),
        (Some(Standing::Refused { .. }), true) => Verdict::Send,
    }
}

fn count(waiting: &Waiting, result: &'static str) {
    let template = waiting.template.clone();
    metrics::counter!("letters_total", "template" => template, "result" => result).increment(1);
}

fn transport(smtp_url: &str) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    const WRONG: &str = "SMTP_URL must look like smtp://host:port, smtp+starttls://user:password@host:587 or smtps://user:password@host";
    // STARTTLS as lettre writes it
    let url = match smtp_url.strip_prefix("smtp+starttls://") {
        Some(rest) => format!("smtp://{rest}?tls=required"),
        None => smtp_url.to_owned(),
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url)
        .map_err(|error| anyhow::anyhow!("{WRONG}: {error}"))?;
    Ok(builder
        .timeout(Some(Duration::from_secs(20)))
        .pool_config(
            PoolConfig::new()
                .max_size(4)
                .idle_timeout(Duration::from_secs(30)),
        )
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_three_ways_to_name_a_mail_server_are_read() {
        for url in [
            "smtp://127.0.0.1:1025",
            "smtp+starttls://u:p@mail.example:587",
            "smtps://u:p@mail.example",
        ] {
            assert!(transport(url).is_ok(), "{url}");
        }
        let error = transport("http://mail.example").unwrap_err().to_string();
        assert!(error.contains("SMTP_URL"), "{error}");
    }

    #[test]
    fn who_refused_gets_only_letters_about_safety_and_those_after_a_while() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let later = now + time::Duration::HOUR;
        let refused = |quiet_until| Some(Standing::Refused { quiet_until });
        for (standing, is_safety, verdict) in [
            (None, true, Verdict::Send),
            (None, false, Verdict::Send),
            (refused(later), true, Verdict::Wait(later)),
            (refused(now), true, Verdict::Send),
            (refused(now), false, Verdict::Drop),
            (refused(later), false, Verdict::Drop),
            (Some(Standing::LeftAlone), true, Verdict::Drop),
            (Some(Standing::LeftAlone), false, Verdict::Drop),
        ] {
            assert_eq!(
                judge(standing, is_safety, now),
                verdict,
                "{standing:?} {is_safety}"
            );
        }
    }

    #[test]
    fn a_letter_in_a_log_shows_no_link() {
        let letter = Letter::Verify {
            link: "https://secret".to_owned(),
            code: "ABCD".to_owned(),
        };
        assert!(!format!("{letter:?}").contains("secret"));
    }
}
