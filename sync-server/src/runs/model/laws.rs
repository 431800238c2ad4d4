//! What must hold of a run after every step, and in the end.

use super::world::{Viewer, World, agent};
use protocol::run::Status;

#[derive(Clone, Debug)]
pub struct Broken {
    pub law: &'static str,
    #[expect(dead_code, reason = "read where a broken law is printed")]
    pub how: String,
}

pub type Held = Result<(), Broken>;

fn hold(is_held: bool, law: &'static str, how: impl FnOnce() -> String) -> Held {
    if is_held {
        return Ok(());
    }
    Err(Broken { law, how: how() })
}

pub fn at_all_times(world: &World) -> Held {
    ends_once(world)?;
    single_writer(world)?;
    for viewer in [&world.here, &world.there] {
        stream_prefix(viewer)?;
    }
    shown_is_logged(world)
}

fn ends_once(world: &World) -> Held {
    let row = &world.row;
    hold(row.ends <= 1, "EndsOnce", || format!("ended {} times", row.ends))?;
    let is_kept = row.checkpoint.is_some() && row.status.is_terminal();
    hold(!is_kept, "NothingAfterTheEnd", || {
        format!("kept {:?}", row.checkpoint)
    })?;
    hold(!row.was_taken_alive, "LivingKeepsItsRun", || {
        "a run was ended by somebody else while its lease was good".to_owned()
    })?;
    let is_stopped = !row.was_stop_promised || !row.status.is_terminal() || row.status == Status::Cancelled;
    hold(is_stopped, "CancelWins", || format!("ended as {:?}", row.status))
}

/// Nothing is logged after what stands above it.
fn single_writer(world: &World) -> Held {
    let ats: Vec<_> = world.log.iter().map(|entry| entry.at).collect();
    hold(ats.is_sorted(), "SingleWriterRun", || format!("{ats:?}"))
}

fn stream_prefix(viewer: &Viewer) -> Held {
    hold(!viewer.has_hole, "StreamPrefix", || {
        format!("a piece that does not continue {:?}", viewer.seen)
    })?;
    hold(agent().starts_with(&viewer.seen), "StreamPrefix", || {
        format!("{:?} was never said", viewer.seen)
    })
}

/// While there is a log, nothing is shown that neither it nor the row has.
fn shown_is_logged(world: &World) -> Held {
    if world.raced {
        return Ok(());
    }
    let kept = world.kept();
    for viewer in [&world.here, &world.there] {
        hold(kept.starts_with(&viewer.seen), "ShownIsLogged", || {
            format!("{:?} is shown, and only {kept:?} is kept", viewer.seen)
        })?;
    }
    Ok(())
}

/// Once a lease is over for longer than a reaper's round, the run has ended, and whoever follows it has heard of that.
pub fn in_time(world: &World) -> Held {
    let has_ended = world.row.status.is_terminal() && world.there.is_over;
    hold(!world.is_due() || has_ended, "EndEventually", || {
        format!("is {:?} after its lease", world.row.status)
    })
}

/// When everybody has come back and the reaper has been by.
pub fn in_the_end(world: &World) -> Held {
    let row = &world.row;
    hold(row.status.is_terminal(), "EndEventually", || {
        format!("is {:?}", row.status)
    })?;
    hold(world.there.is_over, "EndEventually", || {
        "the follower has not heard of it".to_owned()
    })?;
    hold(agent().starts_with(&row.text), "StreamPrefix", || {
        format!("{:?} is committed", row.text)
    })?;
    let is_whole = row.status != Status::Complete || row.text == agent();
    hold(is_whole, "StreamPrefix", || {
        format!("{:?} is called complete", row.text)
    })?;
    // Viewers of what the reaper had not read get the message in its place.
    if world.raced {
        return Ok(());
    }
    for viewer in [&world.here, &world.there] {
        hold(row.text.starts_with(&viewer.seen), "NoWordTakenBack", || {
            format!("{:?} was read, {:?} is committed", viewer.seen, row.text)
        })?;
    }
    Ok(())
}
