//! Sending the outbox: each lane by itself, one batch in flight in each.

use super::core::Core;
use crate::engine::Failure;
use crate::http::{Call, Trouble};
use crate::lanes::Lanes;
use crate::outbox::{Plan, Report};
use protocol::mutation::{Batch, BatchAnswer};
use protocol::view::Push;
use protocol::{Problem, SessionId, UserId, routes};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// A batch that came back.
struct Answered {
    lane: SessionId,
    batch: Batch,
    result: Result<BatchAnswer, Failure>,
}

/// Works until the device is closed.
pub async fn run(core: Arc<Core>) {
    let mut lanes = Lanes::default();
    let (answers, mut answered) = mpsc::channel(64);
    loop {
        if core.resume.swap(false, Ordering::AcqRel) {
            lanes.resume();
        }
        let mut wait = Duration::from_hours(1);
        if core.may_upload.load(Ordering::Acquire) {
            send_ready(&core, &mut lanes, &answers).await;
            let now = core.clock.now();
            if let Some(at) = lanes.next_at(&core.outbox(), now) {
                wait = wait.min(Duration::from_millis((at - now).unsigned_abs() + 1));
            }
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.upload.notified() => {}
            () = tokio::time::sleep(wait) => {}
            Some(answer) = answered.recv() => take(&core, &mut lanes, answer).await,
        }
    }
}

async fn send_ready(core: &Arc<Core>, lanes: &mut Lanes, answers: &mpsc::Sender<Answered>) {
    let Some(user) = core.user() else { return };
    for (lane, most) in lanes.ready(&core.outbox(), core.clock.now()) {
        let now = core.clock.now();
        let planned = core
            .plan(move |outbox| {
                let dispatched = outbox.dispatch(lane, most, now);
                Ok(dispatched.map_or((None, Plan::default()), |(batch, plan)| (Some(batch), plan)))
            })
            .await;
        match planned {
            Ok((Some(batch), _)) => {
                lanes.sending(lane);
                core.tasks
                    .spawn(send(Arc::clone(core), user, lane, batch, answers.clone()));
            }
            Ok((None, _)) => {}
            Err(problem) => {
                tracing::warn!(code = %problem.code, "the outbox could not be marked");
                lanes.failed(
                    lane,
                    &Failure::Later {
                        retry_after: Some(10),
                    },
                    core.clock.moment(),
                );
            }
        }
    }
}

async fn send(core: Arc<Core>, user: UserId, lane: SessionId, batch: Batch, answers: mpsc::Sender<Answered>) {
    let call = Call::post(routes::MUTATIONS).json(&batch);
    let result = tokio::select! {
        () = core.stop.cancelled() => return,
        result = core.ask(user, call) => result.map_err(|trouble: Trouble| trouble.failure),
    };
    let _ = answers.send(Answered { lane, batch, result }).await;
}

async fn take(core: &Arc<Core>, lanes: &mut Lanes, answered: Answered) {
    let Answered { lane, batch, result } = answered;
    let failure = result.as_ref().err().cloned();
    // Where the cache cannot tell, the text waits a little longer.
    let is_gone = core.store.is_gone(lane).await.unwrap_or(false);
    let sent = batch.clone();
    let sent_ops = batch.ops.len();
    let planned = core
        .plan(move |outbox| {
            let plan = match &result {
                Ok(answer) => outbox.answered(&sent, answer, is_gone),
                Err(failure) => outbox.failed(&sent, failure),
            };
            Ok(((), plan))
        })
        .await;
    tracing::debug!(%lane, ops = sent_ops, ?failure, written = planned.is_ok(), "a batch came back");
    let now = core.clock.moment();
    match (&failure, &planned) {
        (Some(failure), _) => lanes.failed(lane, failure, now),
        (None, Ok(((), plan))) => lanes.answered(lane, plan.again, now),
        // Accepted there, and not written down here: the same again is the same write.
        (None, Err(_)) => lanes.failed(
            lane,
            &Failure::Later {
                retry_after: Some(10),
            },
            now,
        ),
    }
    if planned.is_err() {
        core.release(&batch).await;
    }
    if failure == Some(Failure::Unauthorized) {
        let core = Arc::clone(core);
        core.tasks.clone().spawn(async move { core.renew().await });
    }
    core.settle().await;
    core.push(Push::List);
    core.push(Push::Transcript { session: lane });
    match planned {
        Ok(((), plan)) => plan
            .reports
            .into_iter()
            .for_each(|report| core.push(told(report))),
        Err(problem) => log(&problem),
    }
}

fn told(report: Report) -> Push {
    Push::Refused {
        problem: report.problem,
    }
}

fn log(problem: &Problem) {
    tracing::warn!(code = %problem.code, "an answer could not be written down");
}
