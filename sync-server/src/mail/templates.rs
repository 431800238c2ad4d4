//! The letters' words, each as text and as HTML, from the files in `letters/`.

use super::Letter;
use anyhow::Context as _;
use minijinja::value::Serde;
use minijinja::{Environment, Value};
use protocol::routes::page;

/// A letter ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Why a letter cannot be turned off …
const SAFETY: &str = "This letter is about your account and how you get in, so it cannot be turned off: somebody else could do that too.";
/// … or can.
const TIP: &str = "This is a tip. You get such letters because you have an account here.";

pub struct Templates {
    environment: Environment<'static>,
    /// Where people see what protects their account, and choose which letters they get.
    safety: String,
}

macro_rules! letters {
    ($($name:literal),*) => {
        /// Every template with its source, so that a missing file stops the build and not a letter.
        const SOURCES: &[(&str, &str)] = &[
            ("frame.html", include_str!("../../letters/frame.html")),
            $(
                (concat!($name, ".txt"), include_str!(concat!("../../letters/", $name, ".txt"))),
                (concat!($name, ".html"), include_str!(concat!("../../letters/", $name, ".html"))),
            )*
        ];
    };
}

letters!(
    "verify",
    "already_have_account",
    "new_device",
    "device_signed_out",
    "devices_signed_out",
    "provider_code",
    "provider_known",
    "provider_linked",
    "provider_unlinked",
    "provider_gone",
    "reset",
    "sign_in",
    "password_changed",
    "second_step_on",
    "second_step_off",
    "second_step_failed",
    "recovery_code_used",
    "recovery_codes_made",
    "passkey_added",
    "passkey_removed",
    "account_leaving",
    "account_kept",
    "account_gone",
    "export_ready",
    "export_failed",
    "email_new",
    "email_old",
    "email_changed",
    "email_welcome",
    "email_undone",
    "getting_started"
);

impl Templates {
    /// `origin`: this installation's public address, for the letters' foot.
    pub fn new(origin: String) -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        let safety = format!("{origin}{}", page::SECURITY);
        environment.add_global("origin", origin);
        environment.add_filter("spaced", spaced);
        for (name, source) in SOURCES {
            environment
                .add_template(name, source)
                .with_context(|| format!("reading the letter template {name}"))?;
        }
        Ok(Self { environment, safety })
    }

    pub fn render(&self, letter: &Letter) -> anyhow::Result<Page> {
        let stored = serde_json::to_value(letter).context("reading a letter")?;
        let name = stored.get("template").and_then(|name| name.as_str());
        let name = name.context("a letter has a template")?;
        let values = Value::from(Serde(stored.get("context")));
        let why = if letter.stop().is_some() { TIP } else { SAFETY };
        let safety = (letter.stop().is_none() && letter.has_account()).then_some(&self.safety);
        let values = minijinja::context! { why, safety, ..values };
        let text = self.fill(&format!("{name}.txt"), values.clone())?;
        let foot = match (letter.stop(), safety) {
            (Some(stop), _) => format!("{why} To turn them off:\n{stop}"),
            (None, Some(safety)) => format!("{why} What protects your account:\n{safety}"),
            (None, None) => why.to_owned(),
        };
        Ok(Page {
            subject: subject(letter).to_owned(),
            text: format!("{}\n\n{foot}\n", text.trim_end()),
            html: self.fill(&format!("{name}.html"), values)?,
        })
    }

    fn fill(&self, name: &str, values: Value) -> anyhow::Result<String> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(values))
            .with_context(|| format!("writing the letter {name}"))
    }
}

const fn subject(letter: &Letter) -> &'static str {
    match letter {
        Letter::Verify { .. } => "Confirm your e-mail address",
        Letter::AlreadyHaveAccount { .. } => "You already have an account",
        Letter::NewDevice { .. } => "A new device signed in to your account",
        Letter::DeviceSignedOut { .. } => "We signed one of your devices out",
        Letter::DevicesSignedOut { .. } => "Your other devices were signed out",
        Letter::ProviderCode { .. } => "Is this your e-mail address?",
        Letter::ProviderKnown { .. } => "Somebody tried to sign in with your e-mail address",
        Letter::ProviderLinked { .. } => "Another way to sign in to your account",
        Letter::ProviderUnlinked { .. } => "One way to sign in to your account is gone",
        Letter::ProviderGone { .. } => "You were signed out, since your sign-in service asked for it",
        Letter::Reset { .. } => "Choose a new password",
        Letter::SignIn { .. } => "Sign in to CompyMac",
        Letter::PasswordChanged { .. } => "Your password was changed",
        Letter::SecondStepOn { .. } => "A second step now protects your account",
        Letter::SecondStepOff { .. } => "The second step of your account was turned off",
        Letter::SecondStepFailed { .. } => "Somebody gave wrong codes for your account",
        Letter::RecoveryCodeUsed { .. } => "A recovery code of your account was used",
        Letter::RecoveryCodesMade { .. } => "Your account has new recovery codes",
        Letter::PasskeyAdded { .. } => "A passkey was added to your account",
        Letter::PasskeyRemoved { .. } => "A passkey of your account was removed",
        Letter::AccountLeaving { .. } => "Your account will be deleted",
        Letter::AccountKept { .. } => "Your account is kept",
        Letter::AccountGone { .. } => "Your account is deleted",
        Letter::ExportReady { .. } => "Your data is ready",
        Letter::ExportFailed { .. } => "Your data could not be gathered",
        Letter::EmailNew { .. } => "Confirm your new e-mail address",
        Letter::EmailOld { .. } => "Is your e-mail address to be changed?",
        Letter::EmailChanged { .. } => "Your e-mail address was changed",
        Letter::EmailWelcome { .. } => "This is your new e-mail address",
        Letter::EmailUndone { .. } => "The change of your e-mail address was undone",
        Letter::GettingStarted { .. } => "How to begin with CompyMac",
    }
}

/// `ABCD-EFGH`: easier to read off and type.
pub fn spaced(code: String) -> String {
    match code.split_at_checked(4) {
        Some((first, second)) if !second.is_empty() => format!("{first}-{second}"),
        _ => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters() -> Vec<Letter> {
        let link = "https://c.example/settings".to_owned();
        let device = "<b>Firefox</b> on Linux".to_owned();
        vec![
            Letter::Verify {
                link: "https://c.example/auth/verify?id=1&t=2".to_owned(),
                code: "7KM2QX9T".to_owned(),
            },
            Letter::AlreadyHaveAccount { link: link.clone() },
            Letter::NewDevice {
                device: device.clone(),
                when: "3 May 2026, 12:00 UTC".to_owned(),
                link: link.clone(),
            },
            Letter::DeviceSignedOut {
                device,
                when: "3 May 2026, 12:00 UTC".to_owned(),
                link: link.clone(),
            },
            Letter::ProviderLinked {
                provider: "GitHub".to_owned(),
                is_asked_for: true,
                when: "3 May 2026, 12:00 UTC".to_owned(),
                link: link.clone(),
            },
            Letter::ProviderUnlinked {
                provider: "GitHub".to_owned(),
                // as one of before has it
                when: String::new(),
                link: link.clone(),
            },
            Letter::Reset {
                when: "3 May 2026, 12:00 UTC".to_owned(),
                link: link.clone(),
            },
            Letter::SignIn {
                when: "3 May 2026, 12:00 UTC".to_owned(),
                link: link.clone(),
                code: "7KM2QX9T".to_owned(),
            },
            Letter::PasswordChanged {
                when: "3 May 2026, 12:00 UTC".to_owned(),
                link: link.clone(),
            },
            Letter::SecondStepOn {
                when: "3 May 2026, 12:00 UTC".to_owned(),
                link: link.clone(),
            },
            Letter::SecondStepOff {
                when: "3 May 2026, 12:00 UTC".to_owned(),
                link: link.clone(),
            },
            Letter::SecondStepFailed {
                when: "3 May 2026, 12:00 UTC".to_owned(),
                link,
            },
        ]
    }

    fn letters_about_providers() -> Vec<Letter> {
        let (provider, when) = ("<b>Firefox</b> & friends", "3 May 2026, 12:00 UTC");
        let link = "https://c.example/auth/newcomer";
        vec![
            Letter::ProviderCode {
                provider: provider.to_owned(),
                when: when.to_owned(),
                link: link.to_owned(),
                code: "7KM2QX9T".to_owned(),
            },
            Letter::ProviderKnown {
                provider: provider.to_owned(),
                when: when.to_owned(),
                link: link.to_owned(),
            },
            Letter::ProviderGone {
                provider: provider.to_owned(),
                when: when.to_owned(),
                link: link.to_owned(),
            },
        ]
    }

    fn letters_about_passkeys() -> Vec<Letter> {
        let name = "<b>Firefox</b> on Linux";
        let (when, link) = ("3 May 2026, 12:00 UTC", "https://c.example/settings/security");
        vec![
            Letter::PasskeyAdded {
                name: name.to_owned(),
                when: when.to_owned(),
                link: link.to_owned(),
            },
            Letter::PasskeyRemoved {
                name: name.to_owned(),
                when: when.to_owned(),
                link: link.to_owned(),
            },
        ]
    }

    fn letters_about_the_whole() -> Vec<Letter> {
        let link = || "https://c.example/settings".to_owned();
        let when = || "3 May 2026, 12:00 UTC".to_owned();
        let hidden = || "<b>Firefox</b>@example.org".to_owned();
        vec![
            Letter::AccountLeaving {
                until: when(),
                link: link(),
            },
            Letter::AccountKept {
                when: when(),
                link: link(),
            },
            Letter::AccountGone { link: link() },
            Letter::ExportReady {
                until: when(),
                link: link(),
            },
            Letter::ExportFailed { link: link() },
            Letter::EmailNew { link: link() },
            Letter::EmailOld {
                new: hidden(),
                when: when(),
                link: link(),
            },
            Letter::EmailChanged {
                new: hidden(),
                when: when(),
                until: when(),
                link: link(),
            },
            Letter::EmailWelcome {
                old: hidden(),
                link: link(),
            },
            Letter::EmailUndone {
                old: hidden(),
                when: when(),
                link: link(),
            },
            Letter::GettingStarted {
                link: link(),
                stop: "https://c.example/letters/x".to_owned(),
            },
            Letter::DevicesSignedOut {
                when: when(),
                link: link(),
            },
            Letter::RecoveryCodesMade {
                when: when(),
                link: link(),
            },
            Letter::RecoveryCodeUsed {
                left: 9,
                when: when(),
                link: link(),
            },
        ]
    }

    #[test]
    fn every_letter_is_written_as_text_and_as_html() {
        let templates = Templates::new("https://c.example".to_owned()).unwrap();
        let all = letters().into_iter().chain(letters_about_passkeys());
        let all = all.chain(letters_about_providers());
        for letter in all.chain(letters_about_the_whole()) {
            let page = templates.render(&letter).unwrap();
            assert!(page.text.contains("https://c.example"), "{}", page.text);
            assert!(!page.text.contains("&amp;"), "{}", page.text);
            assert!(page.html.contains("prefers-color-scheme"), "{}", page.html);
            assert!(!page.html.contains("<b>Firefox"), "{}", page.html);
            let can_stop = page.text.contains("/letters/x") && page.html.contains("letters&#x2f;x");
            assert_eq!(can_stop, letter.stop().is_some(), "{}", page.html);
            let says_why =
                page.text.contains("cannot be turned off") && page.html.contains("cannot be turned off");
            assert_eq!(says_why, letter.stop().is_none(), "{}", page.html);
            let leads_to_safety = page
                .text
                .ends_with("What protects your account:\nhttps://c.example/settings/security\n")
                && page.html.contains(">What protects your account</a>");
            let is_to_somebody_new = matches!(
                letter,
                Letter::Verify { .. }
                    | Letter::ProviderCode { .. }
                    | Letter::EmailNew { .. }
                    | Letter::AccountGone { .. }
            );
            let has_account = letter.stop().is_none() && !is_to_somebody_new;
            assert_eq!(leads_to_safety, has_account, "{}", page.text);
        }
    }

    #[test]
    fn a_letter_says_when_it_was_asked_for_and_one_of_before_is_written_without() {
        let templates = Templates::new("https://c.example".to_owned()).unwrap();
        let link = "https://c.example/reset";
        for template in [
            "reset",
            "sign_in",
            "device_signed_out",
            "provider_linked",
            "email_undone",
        ] {
            let mut context = serde_json::json!({"link": link, "code": "7KM2QX9T", "device": "Tower",
                "provider": "GitHub", "is_asked_for": true, "old": "a@example.org"});
            let before = serde_json::json!({"template": template, "context": context});
            context
                .as_object_mut()
                .unwrap()
                .insert("when".to_owned(), "3 May 2026".into());
            let now = serde_json::json!({"template": template, "context": context});
            for (stored, says) in [(before, false), (now, true)] {
                let page = templates
                    .render(&serde_json::from_value(stored).unwrap())
                    .unwrap();
                assert_eq!(page.text.contains("3 May 2026"), says, "{}", page.text);
                assert_eq!(page.html.contains("3 May 2026"), says, "{}", page.html);
                assert!(!page.text.contains("\n\n\n"), "{}", page.text);
            }
        }
    }

    #[test]
    fn the_confirmation_letter_holds_the_link_first_and_the_code() {
        let templates = Templates::new("https://c.example".to_owned()).unwrap();
        let page = templates.render(letters().first().unwrap()).unwrap();
        let first = page.text.split_whitespace().find(|word| word.starts_with("http"));
        assert_eq!(first, Some("https://c.example/auth/verify?id=1&t=2"));
        assert!(page.text.contains("7KM2-QX9T") && page.html.contains("7KM2-QX9T"));
    }
}
