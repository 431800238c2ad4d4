//! Keeps the scene in step with the body: asks at the right moments, hears pushes, follows the address bar and the clock.

use super::listen::on_window;
use super::{Action, Place, Scene, Sought, Stage};
use gloo_timers::callback::Interval;
use protocol::view::{Body, Connection, Push, Transcript};
use protocol::{MessageId, Problem, UnixMillis};
use std::cell::Cell;
use std::rc::Rc;
use web_sys::Event;
use yew::{hook, use_effect_with, use_memo};

/// Relative times change by the minute; twice that often keeps them honest.
const TICK_MILLIS: u32 = 30_000;

/// One kind of question: never two on their way at once, so that answers cannot overtake each other.
#[derive(Default)]
struct Lane {
    is_busy: Cell<bool>,
    /// Something changed while it was on its way.
    is_due: Cell<bool>,
}

impl Lane {
    fn may_ask(&self) -> bool {
        if self.is_busy.replace(true) {
            self.is_due.set(true);
            return false;
        }
        true
    }

    /// Whether to ask once more.
    fn answered(&self) -> bool {
        self.is_busy.set(false);
        self.is_due.take()
    }
}

struct Asker {
    stage: Stage,
    place: Cell<Place>,
    /// Where it was asked for what is there.
    arrived: Cell<Place>,
    sought: Cell<Option<Sought>>,
    /// How many rows of the list.
    depth: Cell<usize>,
    /// As heard last.
    connection: Cell<Option<Connection>>,
    list: Lane,
    open: Lane,
}

impl Asker {
    fn ask_list(self: &Rc<Self>) {
        if !self.list.may_ask() {
            return;
        }
        let archived = is_archive(self.place.get());
        let rows = self.depth.get();
        let asker = self.clone();
        self.stage.ask(
            |body| body.list(archived, rows),
            move |stage, answer| {
                // Without an answer the list stays as it is; the connection's state says why.
                if let Ok(rows) = answer {
                    stage.tell(Action::List { archived, rows });
                }
                if asker.list.answered() {
                    asker.ask_list();
                }
            },
        );
    }

    fn ask_open(self: &Rc<Self>) {
        let Some(session) = self.place.get().session() else {
            return;
        };
        if !self.open.may_ask() {
            return;
        }
        let asker = self.clone();
        let sought = self.sought.get().filter(|sought| sought.session == session);
        self.stage.ask(
            |body| match sought {
                Some(sought) => body.reach(session, sought.message),
                None => body.open(session),
            },
            move |stage, answer| {
                let is_missed = sought.is_some_and(|sought| !has(&answer, sought.message));
                stage.tell(match answer {
                    Ok(transcript) => Action::Opened(Box::new(transcript)),
                    Err(problem) => Action::Shut { session, problem },
                });
                if is_missed {
                    stage.tell(Action::Reached);
                    stage.tell(Action::Note("That message cannot be shown now.".to_owned()));
                }
                if asker.open.answered() {
                    asker.ask_open();
                }
            },
        );
    }

    fn ask_devices(&self) {
        self.stage.ask(
            |body| body.devices(),
            |stage, answer| {
                if let Ok(devices) = answer {
                    stage.tell(Action::Devices(devices));
                }
            },
        );
    }

    /// What was told of somebody who is signed in came without them.
    fn ask_providers(&self) {
        self.stage.ask(
            |body| body.providers(),
            |stage, answer| {
                if let Ok(providers) = answer {
                    stage.tell(Action::Providers(providers));
                }
            },
        );
    }

    /// Asks for what this place shows, once for each time that one comes there.
    fn arrive(self: &Rc<Self>, place: Place) {
        let before = self.arrived.replace(place);
        if before == place {
            return;
        }
        self.place.set(place);
        match place {
            Place::Session(_) => self.ask_open(),
            Place::Settings => self.ask_devices(),
            Place::SignIn => self.ask_providers(),
            Place::Home | Place::Archived | Place::Missing | Place::SignUp | Place::CheckMail => {}
        }
        // Pushes keep the list in step that stands there.
        if !place.is_outside() && (before.is_outside() || is_archive(before) != is_archive(place)) {
            self.ask_list();
        }
    }

    fn hear(self: &Rc<Self>, push: Push) {
        match push {
            Push::Connection { connection } => {
                self.connection.set(Some(connection));
                self.stage.tell(Action::Connection(connection));
            }
            Push::List => self.ask_list(),
            Push::Transcript { session } if self.place.get().session() == Some(session) => self.ask_open(),
            Push::Transcript { .. } => {}
            Push::Tail {
                session,
                message,
                offset,
                text,
            } => {
                self.stage.tell(Action::Tail {
                    session,
                    message,
                    offset,
                    text,
                });
            }
            Push::Me { me: Some(_) } => self.start_afresh(),
            Push::Me { me: None } => self.leave(),
            Push::Refused { problem } => self.stage.tell(Action::Trouble(problem)),
            Push::SignInFailed { problem } => self.stage.tell(Action::Problem(Some(problem))),
            Push::Open { session } => self.stage.go(Place::Session(session)),
            Push::Prompt { text } => self.begin_with(text),
        }
    }

    /// Shown where a session begins. Whoever is at the door stays there.
    fn begin_with(&self, prompt: String) {
        self.stage.tell(Action::Brought(prompt));
        if !self.place.get().is_outside() {
            self.stage.go(Place::Home);
        }
    }

    fn start_afresh(self: &Rc<Self>) {
        let place = self.place.get().for_someone(true);
        let asker = self.clone();
        self.stage.ask(
            |body| body.boot(place == Place::Archived, place.session()),
            move |stage, answer| match answer {
                Ok(boot) => {
                    stage.tell(Action::Fresh(Box::new(boot)));
                    stage.go(place);
                    // what was told while the answer was on its way is newer than the answer
                    if let Some(connection) = asker.connection.get() {
                        stage.tell(Action::Connection(connection));
                    }
                    asker.ask_list();
                }
                Err(problem) => stage.tell(Action::Problem(Some(problem))),
            },
        );
    }

    fn leave(&self) {
        match (self.stage.body, web_sys::window()) {
            // The forms of this page carry the token of the sign-in that ended: a page drawn anew has its own.
            (Body::Browser, Some(window)) => {
                let _ = window.location().assign(&Place::SignIn.path());
            }
            (Body::Browser | Body::Desktop, _) => {
                self.stage.tell(Action::SignedOut);
                self.stage.go(Place::SignIn);
            }
        }
    }
}

fn has(answer: &Result<Transcript, Problem>, id: MessageId) -> bool {
    let messages = answer.iter().flat_map(|transcript| &transcript.messages);
    messages.map(|message| message.id).any(|here| here == id)
}

fn is_archive(place: Place) -> bool {
    place == Place::Archived
}

/// Now, by this computer's clock; only for showing.
#[expect(
    clippy::cast_possible_truncation,
    reason = "whole milliseconds, far below 2^53"
)]
pub fn now() -> UnixMillis {
    js_sys::Date::now() as UnixMillis
}

fn wake(asker: &Rc<Asker>) -> impl FnOnce() + use<> {
    let stage = asker.stage.clone();
    stage.tell(Action::Awake);
    stage.tell(Action::Tick(now()));
    let hearing = asker.clone();
    stage.attempt(|body| body.watch(Rc::new(move |push| hearing.hear(push))));
    stage.attempt(|body| body.ui_ready());
    let ahead = asker.clone();
    stage.ahead.is(Box::new(move |place| ahead.arrive(place)));
    let ticking = stage.clone();
    let ticks = Interval::new(TICK_MILLIS, move || ticking.tell(Action::Tick(now())));
    let steps = on_window("popstate", move |_: Event| {
        let path = web_sys::window().and_then(|window| window.location().pathname().ok());
        stage.turn_to(Place::parse(&path.unwrap_or_default()));
    });
    move || {
        drop(ticks);
        steps();
    }
}

/// To be called once, by the app.
#[hook]
pub fn use_follow(stage: &Stage, scene: &Scene) {
    let stage = stage.clone();
    let place = scene.place;
    let asker = use_memo((), move |()| {
        Rc::new(Asker {
            stage,
            place: Cell::new(place),
            // The first paint came with its data.
            arrived: Cell::new(place),
            sought: Cell::new(None),
            depth: Cell::new(0),
            connection: Cell::new(None),
            list: Lane::default(),
            open: Lane::default(),
        })
    });
    asker.place.set(place);
    asker.sought.set(scene.sought);
    let was = asker.depth.replace(scene.depth);

    let waking = asker.clone();
    use_effect_with((), move |()| wake(&waking));

    let arriving = asker.clone();
    use_effect_with(place, move |place| arriving.arrive(*place));

    let deepening = asker.clone();
    use_effect_with(scene.depth, move |depth| {
        if was != 0 && was != *depth {
            deepening.ask_list();
        }
    });

    let catching_up = asker;
    use_effect_with(scene.stale, move |stale| {
        if *stale > 0 {
            catching_up.ask_open();
        }
    });
}
