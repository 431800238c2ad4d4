//! Every address, once: the server mounts them, the clients call them, the page links to them.

use crate::{RunId, SessionId};

pub const HEALTH: &str = "/healthz";
pub const READY: &str = "/readyz";
pub const METRICS: &str = "/metrics";
pub const OPENAPI: &str = "/api/openapi.json";
/// A page to read the OpenAPI document.
pub const API_DOCS: &str = "/api";

pub const SIGN_UP: &str = "/api/v1/auth/sign-up";
pub const VERIFY: &str = "/api/v1/auth/verify";
pub const RESEND: &str = "/api/v1/auth/resend";
pub const SIGN_IN: &str = "/api/v1/auth/sign-in";
pub const SECOND_STEP: &str = "/api/v1/auth/second-step";
pub const SIGN_OUT: &str = "/api/v1/auth/sign-out";
pub const PROVIDERS: &str = "/api/v1/auth/providers";
/// Where a provider tells of its own accord what became of somebody; Apple alone does. Registered there, so it stays as it is.
pub const PROVIDER_EVENTS: &str = "/api/v1/auth/providers/{provider}/events";
pub const ME: &str = "/api/v1/me";
/// `DELETE`: signs every device but this one out.
pub const DEVICES: &str = "/api/v1/devices";
/// `DELETE`: signs that device out.
pub const DEVICE: &str = "/api/v1/devices/{id}";

pub const PAR: &str = "/oauth/par";
pub const AUTHORIZE: &str = "/oauth/authorize";
pub const TOKEN: &str = "/oauth/token";
pub const DEVICE_AUTHORIZATION: &str = "/oauth/device_authorization";
pub const JWKS: &str = "/.well-known/jwks.json";
pub const OAUTH_METADATA: &str = "/.well-known/oauth-authorization-server";

pub const SYNC: &str = "/api/v1/sync";
pub const BOOTSTRAP: &str = "/api/v1/bootstrap";
pub const MUTATIONS: &str = "/api/v1/mutations";
pub const VERIFY_CACHE: &str = "/api/v1/verify";
/// `POST`: the newest messages of many sessions.
pub const HISTORIES: &str = "/api/v1/histories";
pub const SESSIONS: &str = "/api/v1/sessions";
pub const SESSION: &str = "/api/v1/sessions/{id}";
pub const MESSAGES: &str = "/api/v1/sessions/{id}/messages";
/// The text of a reply as server-sent events, for whoever gets no socket.
pub const RUN: &str = "/api/v1/runs/{id}";
pub const RUN_CANCEL: &str = "/api/v1/runs/{id}/cancel";

pub const SOCKET: &str = "/ws";
pub const SESSION_SOCKET: &str = "/ws/{session_id}";
pub const SOCKET_TICKET: &str = "/ws/ticket";

pub fn session(id: SessionId) -> String {
    SESSION.replace("{id}", &id.to_string())
}

pub fn messages(id: SessionId) -> String {
    MESSAGES.replace("{id}", &id.to_string())
}

pub fn run(id: RunId) -> String {
    RUN.replace("{id}", &id.to_string())
}

pub fn run_cancel(id: RunId) -> String {
    RUN_CANCEL.replace("{id}", &id.to_string())
}

pub fn device(id: crate::DeviceId) -> String {
    DEVICE.replace("{id}", &id.to_string())
}

pub fn session_socket(id: SessionId) -> String {
    SESSION_SOCKET.replace("{session_id}", &id.to_string())
}

/// Pages that a person sees, and the forms on them that work without WebAssembly.
pub mod page {
    pub const HOME: &str = "/";
    pub const ARCHIVED: &str = "/archived";
    pub const SESSION: &str = "/s/{id}";
    pub const SETTINGS: &str = "/settings";
    pub const SIGN_IN: &str = "/sign-in";
    pub const SIGN_UP: &str = "/sign-up";
    pub const CHECK_MAIL: &str = "/check-mail";
    /// The link in the confirmation letter. The page is never cached and sends no referrer; only its button acts.
    pub const VERIFY: &str = "/auth/verify";
    /// Asking for a letter to choose a new password by. Drawn by the server alone.
    pub const FORGOT: &str = "/auth/forgot";
    /// The link in that letter; as with [`VERIFY`], only its button acts.
    pub const RESET: &str = "/auth/reset";

    /// Signs in with a passkey, as a script of the sign-in page fills it in.
    pub const PASSKEY: &str = "/auth/passkey";
    /// Begins that. By this rule the script finds it: the form's address, and `/options`.
    pub const PASSKEY_OPTIONS: &str = "/auth/passkey/options";

    /// Asking for a letter to sign in by. Drawn by the server alone, as the next two.
    pub const LETTER_ASK: &str = "/auth/letter";
    /// Where that letter's code is typed.
    pub const FORM_LETTER_CODE: &str = "/auth/letter/code";
    /// The link in that letter; as with [`VERIFY`], only its buttons act.
    pub const LETTER: &str = "/auth/letter/open";
    /// Where somebody new types the code that proves an address for which their provider does not vouch. Drawn by the server alone.
    pub const NEWCOMER: &str = "/auth/newcomer";
    /// Where a code is typed that a program without a browser shows. Drawn by the server alone.
    pub const DEVICE_CODE: &str = "/device";
    /// The second step of a sign-in. Drawn by the server alone, as all that keeps an account safe.
    pub const SECOND_STEP: &str = "/auth/second-step";
    /// Password, second step, recent events, a copy of everything, and the way out. The desktop opens it in the system's browser.
    pub const SECURITY: &str = "/settings/security";
    /// Shows that it is still the same person.
    pub const PROVE: &str = "/settings/security/prove";
    /// The same with a passkey; and begins it.
    pub const PROVE_PASSKEY: &str = "/settings/security/prove/passkey";
    pub const PROVE_PASSKEY_OPTIONS: &str = "/settings/security/prove/passkey/options";
    /// Adds a passkey; and begins that.
    pub const FORM_PASSKEY_ADD: &str = "/settings/security/passkeys";
    pub const PASSKEY_ADD_OPTIONS: &str = "/settings/security/passkeys/options";
    pub const FORM_PASSKEY_RENAME: &str = "/settings/security/passkeys/{id}/rename";
    pub const FORM_PASSKEY_REMOVE: &str = "/settings/security/passkeys/{id}/remove";
    pub const FORM_PASSWORD: &str = "/settings/security/password";
    /// Begins a second step: the page shows what the authenticator app wants to know.
    pub const SECOND_STEP_BEGIN: &str = "/settings/security/second-step";
    pub const FORM_SECOND_STEP_ON: &str = "/settings/security/second-step/on";
    pub const FORM_SECOND_STEP_OFF: &str = "/settings/security/second-step/off";
    pub const FORM_RECOVERY_CODES: &str = "/settings/security/recovery-codes";
    /// Signs every device but this one out.
    pub const FORM_SIGN_OUT_OTHERS: &str = "/settings/security/devices/sign-out";
    /// Connects an account at a provider to one's own (`POST` with the form token): leads there and back.
    pub const FORM_LINK: &str = "/settings/security/accounts/{provider}/link";
    /// Takes one away again.
    pub const FORM_UNLINK: &str = "/settings/security/accounts/unlink";
    /// Asks for the account to be deleted.
    pub const FORM_LEAVE: &str = "/settings/security/leave";
    /// A sign-in to an account that is to be deleted: is it kept?
    pub const KEEP: &str = "/auth/keep";
    /// Asks for a copy of everything.
    pub const FORM_EXPORT: &str = "/settings/security/export";
    /// That copy, for its owner.
    pub const EXPORT: &str = "/settings/security/export/{id}";
    /// Asks for another e-mail address.
    pub const FORM_EMAIL: &str = "/settings/security/email";
    /// Calls that off.
    pub const FORM_EMAIL_STOP: &str = "/settings/security/email/stop";
    /// The link in the letters to both addresses; as with [`VERIFY`], only its buttons act.
    pub const EMAIL_LINK: &str = "/auth/email";
    /// Which letters one wants.
    pub const FORM_LETTERS: &str = "/settings/security/letters";
    /// The link in letters that can be turned off; only its button acts, or a mail program's own (RFC 8058).
    pub const LETTERS_LINK: &str = "/letters/{token}";
    /// The link that takes a change back; as with [`VERIFY`], only its button acts.
    pub const EMAIL_UNDO: &str = "/auth/email/undo";

    /// Form posts: each answers 303 to a page, or the page again with the problem.
    pub const FORM_SIGN_IN: &str = "/auth/sign-in";
    pub const FORM_SIGN_UP: &str = "/auth/sign-up";
    pub const FORM_SIGN_OUT: &str = "/auth/sign-out";
    pub const FORM_CHECK_MAIL: &str = "/auth/check-mail";
    pub const FORM_RESEND: &str = "/auth/resend";
    pub const FORM_NEW_SESSION: &str = "/s";
    pub const FORM_SEND: &str = "/s/{id}/messages";
    pub const FORM_ANSWER: &str = "/s/{id}/answer";
    pub const FORM_RENAME: &str = "/s/{id}/rename";
    pub const FORM_ARCHIVE: &str = "/s/{id}/archive";
    pub const FORM_DELETE: &str = "/s/{id}/delete";
    pub const FORM_STOP: &str = "/s/{id}/stop";
    pub const FORM_SIGN_OUT_DEVICE: &str = "/settings/devices/{id}/sign-out";

    /// Leads to the provider (`POST` with the form token), and back.
    pub const PROVIDER_START: &str = "/auth/{provider}/start";
    pub const PROVIDER_CALLBACK: &str = "/auth/{provider}/callback";

    pub fn session(id: crate::SessionId) -> String {
        with_id(SESSION, id)
    }

    /// One of these that comes first, and leads on to `next`, a path of this site. From home nothing has to be led on.
    pub fn leading_on(page: &str, next: &str) -> String {
        use std::fmt::Write as _;
        let mut path = page.to_owned();
        if matches!(next, "" | HOME) {
            return path;
        }
        path.push_str("?next=");
        for byte in next.bytes() {
            // as RFC 3986 §2.3 has them, these mean themselves
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                path.push(char::from(byte));
            } else {
                // writing to a string cannot fail
                let _ = write!(path, "%{byte:02X}");
            }
        }
        path
    }

    /// Fills the `{id}` of any of these.
    pub fn with_id(route: &str, id: impl std::fmt::Display) -> String {
        route.replace("{id}", &id.to_string())
    }

    pub fn provider_start(provider: &str) -> String {
        PROVIDER_START.replace("{provider}", provider)
    }

    pub fn form_link(provider: &str) -> String {
        FORM_LINK.replace("{provider}", provider)
    }
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn a_way_is_written_so_that_it_ends_no_query() {
        assert_eq!(page::leading_on(page::SIGN_UP, page::HOME), page::SIGN_UP);
        assert_eq!(page::leading_on(page::SIGN_UP, ""), page::SIGN_UP);
        assert_eq!(
            page::leading_on(page::SIGN_UP, "/s/a?b=c&d=\u{e9}#e"),
            "/sign-up?next=%2Fs%2Fa%3Fb%3Dc%26d%3D%C3%A9%23e"
        );
    }
}
