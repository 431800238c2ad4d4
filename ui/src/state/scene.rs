//! Everything that is on the screen, and how each thing that happens changes it.
//!
//! **Invariant:** pure. Asking, waiting and storing happen in `state/follow.rs` and in the rooms.

use super::linked::Linked;
use super::place::Place;
use super::transcript::{Grown, Opened};
use protocol::auth::{Device, Me, Provider};
use protocol::view::{Boot, Connection, LIST_ROWS, SessionRow, Transcript, Typed};
use protocol::{MessageId, MutationId, Problem, SessionId, UnixMillis};
use std::rc::Rc;
use yew::{AttrValue, Reducible};

pub type Rows = Rc<Vec<Rc<SessionRow>>>;

#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    pub place: Place,
    pub me: Option<Me>,
    pub providers: Rc<Vec<Provider>>,
    /// The server's address and the app's version, for the small print.
    pub server: String,
    pub version: String,
    pub connection: Connection,
    /// Sessions in use; `None` until somebody said what they are.
    pub active: Option<Rows>,
    pub archived: Option<Rows>,
    /// How many rows of a list are asked for.
    pub depth: usize,
    pub open: Option<Rc<Opened>>,
    /// The message to be gone to, until the page is there.
    pub sought: Option<Sought>,
    pub devices: Option<Rc<Vec<Device>>>,
    /// What the last form or request on this page came to.
    pub problem: Option<Problem>,
    pub typed: Typed,
    pub linked: Linked,
    pub flashes: Rc<Vec<Flash>>,
    /// For the one polite live region.
    pub said: String,
    pub now: UnixMillis,
    /// Script runs; false while the server draws and at the first paint in a browser.
    pub is_awake: bool,
    /// Grows when the open transcript has to be asked for again.
    pub stale: u32,
    next_flash: u32,
}

/// A message of a session that somebody looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    pub session: SessionId,
    pub message: MessageId,
}

/// A short note at the edge of the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Flash {
    pub number: u32,
    pub text: String,
    pub is_trouble: bool,
    /// Takes back what the note tells of.
    pub undo: Option<(MutationId, SessionId)>,
}

#[derive(Clone, Debug)]
pub enum Action {
    Awake,
    Tick(UnixMillis),
    Go(Place),
    /// The body told everything afresh, as after signing in.
    Fresh(Box<Boot>),
    Connection(Connection),
    List {
        archived: bool,
        rows: Vec<SessionRow>,
    },
    /// So many rows of the list are wanted.
    Deeper(usize),
    /// As many as at first are enough.
    Shallow,
    Opened(Box<Transcript>),
    /// The session could not be opened.
    Shut {
        session: SessionId,
        problem: Problem,
    },
    /// Goes to a message, which may be further up than what is loaded.
    Seek(Sought),
    /// It is in sight, or cannot be.
    Reached,
    Tail {
        session: SessionId,
        message: MessageId,
        offset: u64,
        text: String,
    },
    Devices(Vec<Device>),
    Providers(Vec<Provider>),
    SignedOut,
    Typed(Typed),
    /// A link brought this to begin a session with.
    Brought(String),
    Linked(Linked),
    Problem(Option<Problem>),
    Say(String),
    Note(String),
    Trouble(Problem),
    Deleted {
        session: SessionId,
        undo: MutationId,
    },
    DropFlash(u32),
}

impl Scene {
    /// The first paint: from `boot` and the path alone, so that server and browser draw the same.
    pub fn first(boot: &Boot, path: &str) -> Self {
        let mut scene = Self {
            place: Place::parse(path),
            me: None,
            providers: Rc::default(),
            server: String::new(),
            version: String::new(),
            connection: boot.connection,
            active: None,
            archived: None,
            depth: LIST_ROWS,
            open: None,
            sought: None,
            devices: None,
            problem: boot.problem.clone(),
            typed: boot.typed.clone(),
            linked: Linked::default(),
            flashes: Rc::default(),
            said: String::new(),
            now: boot.now,
            is_awake: false,
            stale: 0,
            next_flash: 0,
        };
        scene.take(boot);
        scene
    }

    fn take(&mut self, boot: &Boot) {
        self.me.clone_from(&boot.me);
        self.providers = Rc::new(boot.providers.clone());
        self.server.clone_from(&boot.server);
        self.version.clone_from(&boot.version);
        self.connection = boot.connection;
        let rows = Some(rows(boot.list.clone()));
        if self.place == Place::Archived {
            self.archived = rows;
        } else {
            self.active = rows;
        }
        self.open = boot.open.clone().map(|open| Rc::new(Opened::from(open)));
        if self.place == Place::Settings && boot.me.is_some() {
            self.devices = Some(Rc::new(boot.devices.clone()));
        }
    }

    /// The list that stands beside the page.
    pub fn list(&self) -> Option<&Rows> {
        if self.place == Place::Archived {
            self.archived.as_ref()
        } else {
            self.active.as_ref()
        }
    }

    fn flash(&mut self, text: String, is_trouble: bool, undo: Option<(MutationId, SessionId)>) {
        self.next_flash += 1;
        let flash = Flash {
            number: self.next_flash,
            text,
            is_trouble,
            undo,
        };
        let mut flashes = Vec::clone(&self.flashes);
        // Three at once are as many as can be read.
        if flashes.len() >= 3 {
            flashes.remove(0);
        }
        flashes.push(flash);
        self.flashes = Rc::new(flashes);
    }

    fn go(&mut self, place: Place) {
        if place == self.place {
            return;
        }
        self.problem = None;
        self.sought = None;
        let wanted = place.session();
        if self.open.as_ref().map(|open| open.session.id) != wanted {
            let row = wanted.and_then(|id| self.row(id));
            self.open = row.map(|row| Rc::new(Opened::loading(row)));
        }
        self.place = place;
    }

    /// Whoever is at the door finds it inside.
    fn bring(&mut self, prompt: String) {
        self.linked.brought = Some(AttrValue::from(prompt));
        let told = "A link brought a prompt.";
        if self.me.is_none() || self.place.is_outside() {
            self.flash(format!("{told} It waits until you have signed in."), false, None);
        } else {
            told.clone_into(&mut self.said);
        }
    }

    fn row(&self, id: SessionId) -> Option<Rc<SessionRow>> {
        let lists = [self.active.as_ref(), self.archived.as_ref()];
        lists
            .into_iter()
            .flatten()
            .flat_map(|rows| rows.iter())
            .find(|row| row.id == id)
            .cloned()
    }

    fn connect(&mut self, connection: Connection) {
        let was_online = self.connection == Connection::Online;
        match connection {
            Connection::Online if !was_online && self.is_awake => {
                "Connected again".clone_into(&mut self.said);
            }
            Connection::Offline { .. } if was_online => "Connection lost".clone_into(&mut self.said),
            Connection::Online
            | Connection::Offline { .. }
            | Connection::Connecting
            | Connection::SignedOut
            | Connection::Stopped { .. } => {}
        }
        self.connection = connection;
    }

    fn refresh(&mut self, archived: bool, new: Vec<SessionRow>) {
        let rows = rows(new);
        if let Some(open) = &self.open
            && let Some(row) = rows.iter().find(|row| row.id == open.session.id)
            && open.session != *row
        {
            self.open = Some(Rc::new(Opened {
                session: row.clone(),
                ..Opened::clone(open)
            }));
        }
        if archived {
            self.archived = Some(rows);
        } else {
            self.active = Some(rows);
        }
    }

    fn opened(&mut self, new: Transcript) {
        if self.place.session() != Some(new.session.id) {
            return;
        }
        let (open, said) = Opened::merge(self.open.as_deref(), new);
        if let Some(said) = said {
            self.said = said;
        }
        self.open = Some(Rc::new(open));
        self.problem = None;
    }

    fn tail(&mut self, session: SessionId, message: MessageId, offset: u64, text: &str) {
        let Some(open) = self.open.as_mut().filter(|open| open.session.id == session) else {
            return;
        };
        match Rc::make_mut(open).grow(message, offset, text) {
            Grown::Yes | Grown::Already => {}
            Grown::Lost => self.stale += 1,
        }
    }

    fn hide(&mut self, session: SessionId) {
        for list in [&mut self.active, &mut self.archived].into_iter().flatten() {
            Rc::make_mut(list).retain(|row| row.id != session);
        }
    }
}

fn rows(new: Vec<SessionRow>) -> Rows {
    Rc::new(new.into_iter().map(Rc::new).collect())
}

impl Reducible for Scene {
    type Action = Action;

    fn reduce(self: Rc<Self>, action: Action) -> Rc<Self> {
        let mut new = Rc::unwrap_or_clone(self);
        match action {
            Action::Awake => new.is_awake = true,
            Action::Tick(now) => new.now = now,
            Action::Go(place) => new.go(place),
            Action::Fresh(boot) => {
                new.problem = None;
                new.take(&boot);
                new.go(new.place.for_someone(new.me.is_some()));
            }
            Action::Connection(connection) => new.connect(connection),
            // An answer that was on its way when they signed out is nobody's.
            Action::List { .. } if new.me.is_none() => {}
            Action::List { archived, rows } => new.refresh(archived, rows),
            Action::Deeper(depth) => new.depth = new.depth.max(depth),
            Action::Shallow => new.depth = LIST_ROWS,
            Action::Opened(transcript) => new.opened(*transcript),
            Action::Shut { session, problem } if new.place.session() == Some(session) => {
                new.problem = Some(problem);
            }
            Action::Shut { .. } => {}
            Action::Seek(sought) => {
                new.go(Place::Session(sought.session));
                new.sought = Some(sought);
                new.stale += 1;
            }
            Action::Reached => new.sought = None,
            Action::Tail {
                session,
                message,
                offset,
                text,
            } => new.tail(session, message, offset, &text),
            Action::Devices(devices) => new.devices = Some(Rc::new(devices)),
            Action::Providers(providers) => new.providers = Rc::new(providers),
            Action::SignedOut => {
                new.me = None;
                new.active = None;
                new.archived = None;
                new.open = None;
                new.devices = None;
                new.linked = Linked::default();
                new.go(Place::SignIn);
            }
            Action::Typed(typed) => new.typed = typed,
            Action::Brought(prompt) => new.bring(prompt),
            Action::Linked(linked) => new.linked = linked,
            Action::Problem(problem) => new.problem = problem,
            Action::Say(text) => new.said = text,
            Action::Note(text) => new.flash(text, false, None),
            Action::Trouble(problem) => new.flash(problem.sentence().to_owned(), true, None),
            Action::Deleted { session, undo } => {
                new.hide(session);
                new.flash("Session deleted".to_owned(), false, Some((undo, session)));
            }
            Action::DropFlash(number) => {
                Rc::make_mut(&mut new.flashes).retain(|flash| flash.number != number);
            }
        }
        Rc::new(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::view::Body;

    #[test]
    fn a_list_that_is_answered_after_a_sign_out_is_not_kept_for_whoever_comes_next() {
        let boot = Boot {
            body: Body::Desktop,
            csrf: String::new(),
            providers: Vec::new(),
            me: None,
            list: Vec::new(),
            open: None,
            devices: Vec::new(),
            problem: None,
            typed: Typed::default(),
            server: String::new(),
            version: String::new(),
            connection: Connection::SignedOut,
            now: 0,
        };
        let scene = Rc::new(Scene::first(&boot, "/archived")).reduce(Action::SignedOut);
        let late = Action::List {
            archived: true,
            rows: Vec::new(),
        };
        assert_eq!(scene.reduce(late).archived, None);
    }
}
