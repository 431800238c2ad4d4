//! Drawing pages where no script runs: the app's first paint, on the server and in the desktop's core; the few pages that are no
//! part of it; and the document around both.

mod accounts;
mod device_code;
mod fields;
mod letter;
mod letters;
mod notice;
mod passkeys;
mod picture;
mod rights;
mod safety;
mod shell;
mod whence;
mod work;

pub use crate::state::keep::{Theme, WORN};
pub use accounts::{Accounts, Connected};
pub use device_code::{DeviceCodeAnswered, DeviceCodeAsk, DeviceCodeFound};
pub use letter::{LetterAsk, LetterLink, LetterSent, Newcomer};
pub use letters::Letters;
pub use notice::{Authorize, Authorized, Failed, Forgot, NewPassword, Notice, ToProvider, VerifyLink};
pub use passkeys::Passkey;
pub use picture::picture;
pub use rights::{Change, EmailLink, EmailUndo, Export, Keep, Rights, Told};
pub use safety::{Event, Prove, SecondStep, Security, SetUp};
pub use shell::{Shell, filled, shell};
pub use whence::Whence;
pub use work::Work;

use crate::app::{App, AppProps, title};
use crate::state::{Place, Scene};
use protocol::SessionId;
use protocol::view::Boot;
use std::rc::Rc;
use yew::{AttrValue, ServerRenderer};

/// The inside of `<div id="app">` for this path: what the app takes over in the browser.
pub async fn render(boot: Boot, path: &str) -> String {
    let path = path.to_owned();
    ServerRenderer::<App>::with_props(move || AppProps {
        boot: Rc::new(boot),
        path: AttrValue::from(path),
        handle: None,
    })
    .render()
    .await
}

/// The inside of `<div id="app">` for a page that runs no script of the app's.
pub async fn render_notice(notice: Notice) -> String {
    ServerRenderer::<notice::Page>::with_props(move || notice::PageProps {
        notice: Rc::new(notice),
    })
    .hydratable(false)
    .render()
    .await
}

/// Whether the place at this path shows what is archived, and which session; `None`: it shows something else than sessions.
pub fn sessions_at(path: &str) -> Option<(bool, Option<SessionId>)> {
    match Place::parse(path) {
        Place::Home => Some((false, None)),
        Place::Archived => Some((true, None)),
        Place::Session(session) => Some((false, Some(session))),
        Place::Settings | Place::Missing | Place::SignIn | Place::SignUp | Place::CheckMail => None,
    }
}

/// The document's title for this path.
pub fn title_of(boot: &Boot, path: &str) -> String {
    title(&Scene::first(boot, path))
}
