//! The commands that the desktop's page may call on its core: one name, one argument, one answer each.
//!
//! **Invariant:** no token, verifier or key is in any type here.

use crate::auth::{Device, Email, Password, Provider};
use crate::search::Found;
use crate::view::{Boot, Picture, SessionRow, Transcript};
use crate::{DeviceId, MessageId, MutationId, RunId, SessionId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A command; the page passes it as `{ "ask": …, "page": …, "number": … }` and gets `Out` or a [`crate::Problem`]. `page` is a number of
/// its own: what a page asks that was drawn for another account than the one on the screen is refused. `number` counts what it asks:
/// the same comes twice where the page goes away meanwhile, and is done once. Only [`Send`] may come again.
pub trait Command: Serialize {
    const NAME: &'static str;
    type Out: DeserializeOwned;
}

macro_rules! commands {
    ($( $(#[$doc:meta])* $name:literal $ty:ident { $($field:ident : $kind:ty),* } -> $out:ty; )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Serialize, Deserialize)]
            pub struct $ty { $(pub $field: $kind),* }
            impl Command for $ty { const NAME: &'static str = $name; type Out = $out; }
        )*
        /// Every command's name: the shell grants exactly these.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

commands! {
    "boot" GetBoot { archived: bool, open: Option<SessionId> } -> Boot;
    /// The newest rows, at most so many.
    "list" List { archived: bool, rows: usize } -> Vec<SessionRow>;
    "open" Open { session: SessionId } -> Transcript;
    /// Loads the page before what is loaded, then answers the whole.
    "earlier" Earlier { session: SessionId } -> Transcript;
    /// Opens a session with enough earlier messages that this one is among them, if it can be had.
    "reach" Reach { session: SessionId, message: MessageId } -> Transcript;
    /// Looks through everything that is here, or through the messages of one session; any text will do.
    "search" Search { typed: String, within: Option<SessionId> } -> Found;
    "create" Create { } -> SessionId;
    /// What was being written in this session; `null`: where one begins.
    "draft" GetDraft { session: Option<SessionId> } -> String;
    /// An empty text is no draft. What is sent is none any more by itself.
    "keep_draft" KeepDraft { session: Option<SessionId>, text: String } -> ();
    /// By an id that the page makes as the person presses: asked again with the same text it is the same message, however often.
    "send" Send { session: SessionId, message: MessageId, text: String } -> ();
    /// Asks for the answer to a message that was stored without one.
    "answer" Answer { session: SessionId, message: MessageId } -> ();
    "rename" Rename { session: SessionId, title: String } -> ();
    "archive" Archive { session: SessionId, archived: bool } -> ();
    /// Hidden at once, sent after ten seconds; until then `undo` takes it back.
    "delete" Delete { session: SessionId } -> MutationId;
    "undo" Undo { mutation: MutationId } -> ();
    /// Sends what was refused once more.
    "retry" Retry { mutation: MutationId } -> ();
    "stop" Stop { run: RunId } -> ();
    /// The ways in besides a password, for somebody who is to sign in now; `boot` has them for whoever is not signed in then.
    "providers" GetProviders { } -> Vec<Provider>;
    "sign_up" SignUp { email: Email, password: Password } -> ();
    "verify" Verify { email: Email, code: String } -> ();
    "resend" Resend { email: Email } -> ();
    "sign_in" SignIn { email: Email, password: Password } -> ();
    /// The code that `sign_in` asked for by `second_step_required`; the core keeps what it belongs to.
    "second_step" SecondStep { code: String } -> ();
    /// Opens the system browser; the app goes on when the link comes home.
    "browser_sign_in" BrowserSignIn { provider: Option<String> } -> BrowserSignInStarted;
    "cancel_sign_in" CancelSignIn { } -> ();
    /// The code from the last browser page, pasted.
    "finish_sign_in" FinishSignIn { code: String } -> ();
    /// Wipes the cache and the keychain entry. Without `even_if_waiting`, refuses while the outbox holds messages.
    "sign_out" SignOut { even_if_waiting: bool } -> ();
    "devices" Devices { } -> Vec<Device>;
    "revoke" Revoke { device: DeviceId } -> ();
    /// The accounts of this computer. Where `go` says so, another one comes on the screen, and this page goes.
    "accounts" Accounts { go: Option<Going> } -> KeptAccounts;
    "storage" GetStorage { } -> Storage;
    /// Chooses, if there is something to choose; answers what is chosen.
    "prefer" Prefer { to: Option<Preferences> } -> Preferences;
    /// What the app does by itself. Answers what to tell the person; nothing where it is empty.
    "act" Act { act: AppAct } -> String;
    "consent" Consent { to: SecretStore } -> ();
    /// Opens an https, http or mailto link outside.
    "open_link" OpenLink { url: String } -> ();
    /// From now on every [`crate::view::Push`] goes to the channel that the page passes beside `ask`, as `channel`.
    "watch" Watch { } -> ();
    /// The page is drawn; the watchdog may rest.
    "ui_ready" UiReady { } -> ();
    /// The page's program is lost. Said by the page's starter, which is none of it: what it said last, and where it was.
    "page_broke" PageBroke { what: String } -> ();
    /// Where no browser can be opened: a code for one elsewhere. The app goes on when it was answered there; `cancel_sign_in` gives it up.
    "device_code" DeviceCode { } -> DeviceCodeShown;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserSignInStarted {
    /// For "Copy link". Holds a one-use request reference, no secret.
    pub link: String,
}

/// For the person. What the app asks the server by is another code, which stays in the core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCodeShown {
    pub code: String,
    /// Where it is typed …
    pub address: String,
    /// … and the same for a phone. There is no code in it: a link with one would be there to trick people with.
    pub picture: Option<Picture>,
    pub minutes: u64,
}

/// Where to go among the accounts of this computer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Going {
    /// By [`KeptAccount::name`].
    To(String),
    /// To the door of this server; the other accounts stay.
    Add(String),
}

/// The accounts of this computer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAccounts {
    /// What becomes of what waits to be sent in the one on the screen while another is there, in words. Empty: nothing waits.
    pub waits: String,
    /// Those that are not on the screen.
    pub others: Vec<KeptAccount>,
}

/// An account of this computer that is not on the screen, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAccount {
    pub name: String,
    /// Whose it is.
    pub whose: String,
    /// Its server, and how much waits there to be sent until it is on the screen again.
    pub about: String,
}

/// Where this computer keeps what signs it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretStore {
    /// The system's keychain.
    Keychain,
    /// A file that only this user may read. Weaker: whoever reads the disk reads it.
    File,
    /// Nowhere: signed out when the app ends.
    Memory,
}

/// What this computer holds, for the settings page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// `None`: there is no keychain and the person has not chosen yet.
    pub secrets: Option<SecretStore>,
    pub cache_bytes: u64,
    pub sessions: u64,
    pub messages: u64,
    /// How much may be kept here: whichever is met first.
    pub most_bytes: u64,
    pub most_messages: u64,
    /// As it was chosen.
    pub limit: CacheLimit,
    /// Sessions that stay here whatever room there is.
    pub kept: u64,
    pub waiting: u64,
    /// The background loads nothing, to spare the connection or the battery.
    pub is_paused: bool,
    /// Whether it is encrypted, and by a key that lies where, for people.
    pub protection: String,
    pub aside: Option<Aside>,
}

/// Files with unsent messages that did not open, and were put aside rather than deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    pub files: u64,
    pub bytes: u64,
    /// Where they lie.
    pub folder: String,
}

/// What the person chose for the app on this computer.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the settings"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// Tells when a reply is ready and nobody looks.
    pub notify: bool,
    /// With what it says.
    pub notify_text: bool,
    /// The app starts together with the desktop.
    pub autostart: bool,
    /// An icon in the tray; closing the window leaves the app there.
    pub tray: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppAct {
    /// For whoever helps; without anything private.
    CopyDiagnostics,
    ZoomIn,
    ZoomOut,
    ZoomBack,
    /// Asks where to, and writes all of a session there.
    Export(SessionId),
    /// All of a session, by the dialog of the system; `None`: of the one that is open.
    Print(Option<SessionId>),
    /// From now on all of a session stays on this computer, or no longer than there is room.
    Keep(SessionId, bool),
    /// Shows the folder of what was put aside.
    ShowAside,
    /// Asks, and deletes what was put aside.
    RemoveAside,
    /// Closes the window, as its own button does.
    Close,
    Quit,
    /// From now on no more than this is kept here.
    Limit(CacheLimit),
    /// Asks, and removes from this computer what the server has anyway.
    ClearCache,
}

/// How much of what the server has is kept on this computer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheLimit {
    Small,
    /// Years of talk, and little beside what else is on a disk.
    #[default]
    Usual,
    Large,
}

impl CacheLimit {
    pub const ALL: [Self; 3] = [Self::Small, Self::Usual, Self::Large];

    pub const fn bytes(self) -> u64 {
        match self {
            Self::Small => 256 << 20,
            Self::Usual => 2 << 30,
            Self::Large => 16 << 30,
        }
    }

    /// In proportion.
    pub const fn messages(self) -> u64 {
        match self {
            Self::Small => 125_000,
            Self::Usual => 1_000_000,
            Self::Large => 8_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_name_of_its_own() {
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
    }
}
