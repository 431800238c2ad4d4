//! What must hold: at a turn, at all times, and in the end. Each law bears the name that it has among the invariants.

use super::device::{Phone, page_in};
use super::script::Kind;
use super::world::World;
use crate::engine::Event;
use crate::outbox::{Entry, Standing};
use crate::replica::Replica;
use crate::tab::{Input, Want};
use protocol::mutation::{Op, OpResult};
use protocol::sync::{Change, Cursor, Ord, Seq};
use protocol::view::{Delivery, Push};
use protocol::{Code, MessageId, MutationId, SessionId};
use std::collections::BTreeSet;

/// The law that did not hold, and how.
#[derive(Clone, Debug)]
pub struct Broken {
    pub law: &'static str,
    #[expect(dead_code, reason = "printed with the seed")]
    what: String,
}

impl Broken {
    pub const fn new(law: &'static str, what: String) -> Self {
        Self { law, what }
    }
}

type Held = Result<(), Broken>;

pub fn hold(law: &'static str, is_sound: bool, what: impl FnOnce() -> String) -> Held {
    if is_sound {
        Ok(())
    } else {
        Err(Broken::new(law, what()))
    }
}

/// After one turn of one device: what came, and what it was taken for.
pub fn at_a_turn(before: &Replica, phone: &Phone, came: &Input, taken: &Input) -> Held {
    let after = phone.tab.replica();
    no_gap_apply(before.cursor(), after.cursor(), came)?;
    // A device with little room gives things up on purpose.
    if phone.kind != Kind::Windowed {
        backfill_safe(before, after, taken)?;
    }
    apply_idempotent(phone, taken)
}

/// Between any two deeds.
pub fn at_all_times(world: &World) -> Held {
    dense_seq(world)?;
    ord_contiguous(world)?;
    exactly_once_effect(world)?;
    no_silent_loss(world)?;
    for phone in &world.phones {
        // Until a device has met a restored server, it stands in another history.
        let cursor = phone.tab.replica().cursor();
        if let Some(cursor) = cursor.filter(|cursor| cursor.epoch == world.server.place().epoch) {
            tombstone_terminal(world, phone, cursor)?;
            cursor_honest(world, phone, cursor)?;
            overlay_monotone(world, phone, cursor)?;
        }
        if world.rules.keep_all() {
            memory_agrees(phone)?;
        }
    }
    Ok(())
}

/// After a fair network.
pub fn at_the_end(world: &World) -> Held {
    restore_heals(world)?;
    for phone in &world.phones {
        disk_agrees(phone)?;
        nothing_is_lost(world, phone)?;
        convergence(world, phone)?;
    }
    Ok(())
}

/// What SQLite has been handed says what the rows in memory say, and what was written down.
pub fn disk_agrees(phone: &Phone) -> Held {
    let disk = phone.disk.as_ref();
    let differs = disk.and_then(|disk| disk.differs_from(phone.tab.replica()).unwrap());
    match differs.or_else(|| phone.letters.differs_from(&phone.tab.body.letters).unwrap()) {
        Some(what) => Err(Broken::new("DiskAgrees", what)),
        None => Ok(()),
    }
}

/// What is in the outbox in memory is on the disk, and what is open or refused there is here.
fn memory_agrees(phone: &Phone) -> Held {
    let letters = &phone.tab.body.letters;
    // What was on its way when the device crashed waits again, and is written down as on its way until it is sent.
    let waits = |entry: &Entry| match entry.standing {
        Standing::Inflight => Entry {
            standing: Standing::Queued,
            ..entry.clone()
        },
        Standing::Queued | Standing::Acked { .. } | Standing::Dead { .. } => entry.clone(),
    };
    let mut here = phone.tab.outbox().entries();
    let is_written = here.all(|entry| letters.get(&entry.n).map(waits) == Some(waits(entry)));
    let is_accepted = |entry: &Entry| matches!(entry.standing, Standing::Acked { .. });
    let there = letters.values().filter(|entry| !is_accepted(entry)).count();
    let here = phone
        .tab
        .outbox()
        .entries()
        .filter(|entry| !is_accepted(entry))
        .count();
    hold("DiskAgrees", is_written && here == there, || {
        format!("{:?} is not {letters:?}", phone.tab.outbox())
    })
}

/// Every seq up to the head was given to one row at most, and the newest row has the head.
fn dense_seq(world: &World) -> Held {
    let seqs: Vec<Seq> = world.server.changes().iter().map(Change::seq).collect();
    let is_one_each = seqs.windows(2).all(|pair| pair[0] < pair[1]);
    let is_whole = seqs.last().copied().unwrap_or(0) == world.server.head;
    hold("DenseSeq", is_one_each && is_whole, || {
        format!("{seqs:?} at {}", world.server.head)
    })
}

/// On the server, and in every stretch that a device believes to have.
fn ord_contiguous(world: &World) -> Held {
    for (id, session) in &world.server.sessions {
        let ords: Vec<Ord> = world.server.rows(*id).iter().map(|row| row.ord).collect();
        hold(
            "OrdContiguous",
            ords.iter().copied().eq(1..=session.last_ord),
            || format!("{id}: {ords:?}"),
        )?;
        for phone in &world.phones {
            let replica = phone.tab.replica();
            let here: BTreeSet<Ord> = replica.messages(*id).map(|row| row.ord).collect();
            let mut believed = replica.stretches(*id).iter().flat_map(|&(lo, hi)| lo..=hi);
            hold("OrdContiguous", believed.all(|ord| here.contains(&ord)), || {
                format!("{id}: {here:?} is not {:?}", replica.stretches(*id))
            })?;
        }
    }
    Ok(())
}

/// What a device has is what the server had at its cursor, in whatever it believes to have; newer rows may be there.
fn cursor_honest(world: &World, phone: &Phone, cursor: Cursor) -> Held {
    let replica = phone.tab.replica();
    for (id, row) in world
        .server
        .sessions
        .iter()
        .filter(|(_, row)| row.seq <= cursor.seq)
    {
        let is_honest = match replica.session(*id) {
            Some(here) => here == row,
            None => !phone.tab.is_whole(),
        };
        hold("CursorHonest", is_honest, || {
            format!("{row:?} at {cursor:?}: {:?}", replica.session(*id))
        })?;
    }
    for here in replica.sessions() {
        let there = world.server.sessions.get(&here.id).map(|row| row.seq);
        let now = there.or_else(|| world.server.gone.get(&here.id).copied());
        let is_honest = now.is_some_and(|seq| seq > cursor.seq || there == Some(here.seq));
        hold("CursorHonest", is_honest, || {
            format!("{here:?} at {cursor:?}: {now:?}")
        })?;
    }
    for id in world.server.sessions.keys() {
        for row in world.server.rows(*id).iter().filter(|row| row.seq <= cursor.seq) {
            let is_believed = |&&(lo, hi): &&(Ord, Ord)| lo <= row.ord && row.ord <= hi;
            let here = replica.messages(*id).find(|here| here.ord == row.ord);
            let is_honest = here.map_or(
                replica.stretches(*id).iter().find(is_believed).is_none(),
                |here| here == row,
            );
            hold("CursorHonest", is_honest, || {
                format!("{row:?} at {cursor:?}: {here:?}")
            })?;
        }
    }
    Ok(())
}

/// Whatever came comes once more, and older pages after it: nothing changes.
fn apply_idempotent(phone: &Phone, input: &Input) -> Held {
    let replica = phone.tab.replica();
    let Some(cursor) = replica.cursor() else {
        return Ok(());
    };
    let mut again = replica.clone();
    match input {
        // What came may have been given up at once.
        Input::Loaded {
            result: Ok(history), ..
        } if phone.kind != Kind::Windowed => {
            again.apply_history(history);
        }
        Input::ListLoaded { result: Ok(page) } => {
            again.apply_sessions(page);
        }
        _other => {}
    }
    for page in phone.pages.iter().rev() {
        if page.to.epoch == cursor.epoch && page.to.seq <= cursor.seq && page.from != page.to {
            again.apply_page(&phone.page_taken_for(page.clone()));
        }
    }
    hold("ApplyIdempotent", again == *replica, || format!("{input:?}"))
}

/// The cursor moves only by a page that begins at it, to where that page ends, or by a fresh start.
fn no_gap_apply(before: Option<Cursor>, after: Option<Cursor>, input: &Input) -> Held {
    let is_sound = match input {
        _unmoved if before == after => true,
        Input::Engine(Event::Bootstrapped { bootstrap, .. }) => after == Some(bootstrap.as_of),
        other => page_in(&mut other.clone())
            .is_some_and(|page| before == Some(page.from) && after == Some(page.to)),
    };
    hold("NoGapApply", is_sound, || {
        format!("from {before:?} to {after:?} by {input:?}")
    })
}

/// No back-filled row takes the place of a newer one, and none that is gone comes back.
fn backfill_safe(before: &Replica, after: &Replica, input: &Input) -> Held {
    if !matches!(input, Input::Loaded { .. } | Input::ListLoaded { .. }) {
        return Ok(());
    }
    for row in before.sessions() {
        let is_kept = after.session(row.id).is_some_and(|now| now.seq >= row.seq);
        hold("BackfillSafe", is_kept, || format!("{row:?} after {input:?}"))?;
        for message in before.messages(row.id) {
            let mut now = after.messages(row.id);
            let is_kept = now.any(|now| now.ord == message.ord && now.seq >= message.seq);
            hold("BackfillSafe", is_kept, || format!("{message:?} after {input:?}"))?;
        }
    }
    let came_back = after.sessions().find(|row| before.is_gone(row.id));
    hold("BackfillSafe", came_back.is_none(), || {
        format!("{came_back:?} after {input:?}")
    })
}

fn exactly_once_effect(world: &World) -> Held {
    let twice = world.server.effects.iter().find(|(_, count)| **count != 1);
    hold("ExactlyOnceEffect", twice.is_none(), || format!("{twice:?}"))
}

/// Every text is on the server, on the disk of its device, be it to be sent, accepted or refused, or went with its session.
fn no_silent_loss(world: &World) -> Held {
    for phone in &world.phones {
        let kept = phone.tab.body.letters.values();
        let kept: BTreeSet<MessageId> = kept.filter_map(|entry| text_in(&entry.mutation.op)).collect();
        for (session, message) in &phone.written {
            let is_safe = kept.contains(message) || is_there(world, *session, *message);
            hold("NoSilentLoss", is_safe, || format!("{message} of {session}"))?;
        }
    }
    Ok(())
}

/// The same in the end, when what is only in a journal, or believed to be accepted, counts as lost.
fn nothing_is_lost(world: &World, phone: &Phone) -> Held {
    let entries = phone.tab.outbox().entries();
    let refused = entries.filter(|entry| matches!(entry.standing, Standing::Dead { .. }));
    let refused: BTreeSet<MessageId> = refused.filter_map(|entry| text_in(&entry.mutation.op)).collect();
    for (session, message) in &phone.written {
        let is_safe = refused.contains(message) || is_there(world, *session, *message);
        hold("NoSilentLoss", is_safe, || {
            format!("{message} of {session}, in the end")
        })?;
    }
    Ok(())
}

const fn text_in(op: &Op) -> Option<MessageId> {
    match op {
        Op::MessageCreate { id, .. } => Some(*id),
        Op::SessionCreate { .. }
        | Op::SessionRename { .. }
        | Op::SessionArchive { .. }
        | Op::SessionDelete { .. }
        | Op::MessageAnswer { .. } => None,
    }
}

fn is_there(world: &World, session: SessionId, message: MessageId) -> bool {
    world.server.effects.contains_key(&message) || world.server.gone.contains_key(&session)
}

/// What was written here is shown here, from the moment it was written, in a session that is here. So is a session that
/// was begun here, unless a fresh start is not over: the list is still read, or what moved meanwhile is still to come.
fn overlay_monotone(world: &World, phone: &Phone, cursor: Cursor) -> Held {
    let shown = [false, true].map(|archived| phone.tab.list(archived, usize::MAX));
    let shown: BTreeSet<SessionId> = shown.iter().flatten().map(|row| row.id).collect();
    for session in &phone.begun {
        let ops = phone.tab.outbox().lane(*session).map(|entry| &entry.mutation.op);
        let is_let_go = ops.into_iter().any(|op| matches!(op, Op::SessionDelete { .. }));
        let is_nowhere = !world.server.sessions.contains_key(session);
        let is_shown = shown.contains(session) || phone.tab.replica().whole() < phone.begun_at;
        hold("OverlayMonotone", is_shown || is_let_go || is_nowhere, || {
            format!("{session} left the list at {cursor:?}")
        })?;
    }
    for (session, message) in &phone.written {
        let Some(transcript) = phone.tab.transcript(*session) else {
            continue;
        };
        let replica = phone.tab.replica();
        let may_be_further_back = replica.missing(*session, Ord::MAX).is_some();
        let row_is_to_come = replica.session(*session).is_none() && !phone.tab.is_whole();
        let is_here = transcript.messages.iter().any(|view| view.id == *message);
        let went_with_it =
            world.server.gone.contains_key(session) && world.server.effects.contains_key(message);
        hold(
            "OverlayMonotone",
            is_here || may_be_further_back || row_is_to_come || went_with_it,
            || {
                let lane = phone.tab.outbox().lane(*session);
                let lane: Vec<_> = lane.map(|entry| (&entry.mutation.op, &entry.standing)).collect();
                format!("{message} of {session} vanished at {cursor:?}: {lane:?}")
            },
        )?;
    }
    Ok(())
}

fn tombstone_terminal(world: &World, phone: &Phone, cursor: Cursor) -> Held {
    for (id, seq) in &world.server.gone {
        let is_gone_there = !world.server.sessions.contains_key(id);
        let replica = phone.tab.replica();
        let is_here = replica.session(*id).is_some() || replica.messages(*id).next().is_some();
        hold(
            "TombstoneTerminal",
            is_gone_there && (*seq > cursor.seq || !is_here),
            || format!("{id} at {cursor:?}"),
        )?;
    }
    Ok(())
}

/// How many renames this answer tells the device to be superseded.
pub fn superseded(phone: &Phone, input: &Input) -> usize {
    let Input::Uploaded {
        result: Ok(answer),
        lane,
    } = input
    else {
        return 0;
    };
    let is_asked = phone.tab.sent.contains_key(lane) && phone.stands_in(answer.epoch);
    let results = answer.results.iter().filter(|outcome| {
        let is_kept = phone.tab.outbox().entry(outcome.id).is_some();
        is_kept && matches!(&outcome.result, OpResult::Refused { problem, .. } if problem.code == Code::Superseded)
    });
    if is_asked { results.count() } else { 0 }
}

/// A superseded rename is always told. (That the title stands is [`convergence`].)
pub fn human_title_wins(superseded: usize, wants: &[Want]) -> Held {
    let is_told = |want: &&Want| match want {
        Want::Push(Push::Refused { problem }) => problem.code == Code::Superseded,
        _other => false,
    };
    let told = wants.iter().filter(is_told).count();
    hold("HumanTitleWins", told == superseded, || {
        format!("{superseded} superseded, {told} told")
    })
}

/// Whatever the server has accepted, in whatever history, it knows of in the end, or its session was deleted.
fn restore_heals(world: &World) -> Held {
    let accepted = world.phones.iter().flat_map(|phone| &phone.accepted);
    let is_lost = |(id, session): &(&MutationId, &SessionId)| {
        !world.server.ledger.contains_key(id) && !world.server.gone.contains_key(session)
    };
    let lost: Vec<_> = accepted.filter(is_lost).collect();
    hold("RestoreHeals", lost.is_empty(), || format!("{lost:?}"))
}

/// A device that has read everything has what the server has, and nothing else.
fn convergence(world: &World, phone: &Phone) -> Held {
    let server = &world.server;
    let replica = phone.tab.replica();
    let here: Vec<_> = replica.sessions().collect();
    let there: Vec<_> = server.sessions.values().collect();
    hold("Convergence", here == there, || {
        format!("{here:?} is not {there:?}")
    })?;
    for (id, title) in &server.human_titles {
        let is_sound = server.sessions.get(id).is_none_or(|row| row.title == *title);
        hold("HumanTitleWins", is_sound, || format!("{id} is not {title}"))?;
    }
    // Who has room for a few agreed on each when it was read.
    let all = server.sessions.keys().filter(|_| phone.kind != Kind::Windowed);
    all.copied().try_for_each(|id| agree_on(world, phone, id))
}

/// The session has been read to its beginning.
pub fn agree_on(world: &World, phone: &Phone, id: SessionId) -> Held {
    let Some(transcript) = phone.tab.transcript(id) else {
        let is_gone = !world.server.sessions.contains_key(&id);
        return hold("Convergence", is_gone, || format!("{id} is not shown"));
    };
    let shown = transcript.messages.iter();
    let sent = shown.filter(|view| view.delivery == Delivery::Sent);
    let sent: Vec<_> = sent.map(|view| (view.id, &view.content)).collect();
    let rows = world.server.rows(id).iter();
    let rows: Vec<_> = rows.map(|row| (row.id, &row.content)).collect();
    hold("Convergence", sent == rows, || {
        format!("{id}: {sent:?} is not {rows:?}")
    })
}
