//! Carries out what the device in memory wants: each want is one request, one frame or one timer, and its answer is handed
//! back in.

use super::{Page, fetch};
use gloo_timers::callback::Timeout;
use protocol::auth::Me;
use protocol::frame::ClientFrame;
use protocol::routes;
use protocol::sync::{Cursor, Ord, SessionsBefore};
use protocol::{SessionId, UnixMillis, limits};
use std::future::Future;
use std::rc::Rc;
use sync_client::engine::{Event, Ticket};
use sync_client::tab::{Input, Want};
use wasm_bindgen_futures::spawn_local;

/// The close code that stands for a socket which was given up.
const GIVEN_UP: u16 = 1006;

pub fn run(page: &Rc<Page>, want: Want) {
    match want {
        Want::Bootstrap { ticket } => bootstrap(page, ticket),
        Want::Pull { ticket, from, wait } => pull(page, ticket, from, wait),
        Want::OpenSocket { ticket, cursor } => {
            let reporting = page.clone();
            let report = Rc::new(move |event: Event| hear(&reporting, event));
            page.socket.open(ticket, cursor, report);
        }
        Want::CloseSocket => page.socket.shut(),
        // A page cannot ping. A socket that said something lately needs no proof; any other is given up.
        Want::Probe { ticket } => {
            page.socket.shut();
            let code = GIVEN_UP;
            later(page, async move {
                Input::Engine(Event::SocketClosed { ticket, code })
            });
        }
        Want::Send(frame) => {
            // What is asked for from another place on is read anew from there.
            if let ClientFrame::Attach { run, .. } = frame {
                page.streams.again(run);
            }
            page.socket.send(&frame);
        }
        Want::Renew => renew(page),
        Want::Timer { at } => set_timer(page, at),
        Want::Upload { lane, batch } => later(page, async move {
            let result = fetch::write(routes::MUTATIONS, &batch).await;
            let result = result.map_err(fetch::Refusal::failure);
            Input::Uploaded { lane, result }
        }),
        Want::Load { session, before } => load(page, session, before),
        Want::LoadList { archived, before } => load_list(page, archived, before),
        Want::Push(push) => page.push(push),
    }
}

/// Asks, and hands the answer in as the next thing that happens.
fn later(page: &Rc<Page>, errand: impl Future<Output = Input> + 'static) {
    let page = page.clone();
    spawn_local(async move {
        let input = errand.await;
        page.turn(input);
    });
}

fn bootstrap(page: &Rc<Page>, ticket: Ticket) {
    later(page, async move {
        Input::Engine(match fetch::read(routes::BOOTSTRAP).await {
            Ok(bootstrap) => Event::Bootstrapped {
                ticket,
                bootstrap: Box::new(bootstrap),
            },
            Err(refusal) => Event::Failed {
                ticket,
                failure: refusal.failure(),
            },
        })
    });
}

fn pull(page: &Rc<Page>, ticket: Ticket, from: Cursor, wait: u16) {
    later(page, async move {
        let path = format!("{}?cursor={from}&wait={wait}", routes::SYNC);
        Input::Engine(match fetch::read_within(&path, wait).await {
            Ok(changes) => Event::Pulled {
                ticket,
                page: Box::new(changes),
            },
            Err(refusal) => Event::Failed {
                ticket,
                failure: refusal.failure(),
            },
        })
    });
}

/// The socket's own word on whose it is comes before anything else that it says.
fn hear(page: &Rc<Page>, event: Event) {
    if let Event::Frame { frame, .. } = &event
        && let protocol::frame::ServerFrame::Welcome { device, .. } = &**frame
    {
        let is_mine = page.me.borrow().as_ref().is_some_and(|me| me.device == *device);
        if !is_mine {
            super::senses::draw_anew();
            return;
        }
    }
    page.happened(event);
}

/// Whether the cookie still signs this page in, and as the same person.
fn renew(page: &Rc<Page>) {
    let asking = page.clone();
    later(page, async move {
        let answer = fetch::read::<Me>(routes::ME).await;
        let refusal = match answer {
            Ok(me) => {
                let is_same = asking
                    .me
                    .borrow()
                    .as_ref()
                    .is_some_and(|mine| mine.device == me.device);
                if !is_same {
                    super::senses::draw_anew();
                }
                return Input::Engine(if is_same {
                    Event::Renewed
                } else {
                    Event::RenewalFailed
                });
            }
            Err(refusal) => refusal,
        };
        Input::Engine(match refusal {
            fetch::Refusal::Problem(problem) if problem.status == 401 => Event::RenewalRefused,
            fetch::Refusal::Problem(_) | fetch::Refusal::NotSent | fetch::Refusal::Cut => {
                Event::RenewalFailed
            }
        })
    });
}

fn set_timer(page: &Rc<Page>, at: UnixMillis) {
    let wait = at - page.moment().at;
    // A browser's timer holds no more than 2^31 milliseconds; an early tick asks for the next.
    let wait = u32::try_from(wait.clamp(0, i64::from(i32::MAX))).unwrap_or(0);
    let ticking = page.clone();
    let timer = Timeout::new(wait, move || ticking.happened(Event::Tick));
    page.timer.replace(Some(timer));
}

fn load(page: &Rc<Page>, session: SessionId, before: Option<Ord>) {
    page.loads.borrow_mut().insert(session);
    let loading = page.clone();
    later(page, async move {
        let mut path = format!("{}?limit={}", routes::messages(session), limits::MESSAGE_PAGE);
        if let Some(before) = before {
            path.push_str("&before_ord=");
            path.push_str(&before.to_string());
        }
        let result = fetch::read(&path).await.map_err(fetch::Refusal::failure);
        loading.loads.borrow_mut().remove(&session);
        Input::Loaded { session, result }
    });
}

fn load_list(page: &Rc<Page>, archived: bool, before: SessionsBefore) {
    later(page, async move {
        let path = format!(
            "{}?archived={archived}&before={before}&limit={}",
            routes::SESSIONS,
            limits::SESSION_PAGE
        );
        let result = fetch::read(&path).await.map_err(fetch::Refusal::failure);
        Input::ListLoaded { result }
    });
}
