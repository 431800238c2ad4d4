//! Writes. The first try is one statement that the database judges; where it refuses, a second look under the head
//! lock says why: a repeat, a session that is gone, a newer title.
//!
//! **Invariant:** a mutation id has one outcome, however often it is sent.

use super::messages::{Reply, Written};
use super::{Claimed, Sync, Work, agent_sessions, answers, heads, messages, mutations, workspace};
use crate::auth::Caller;
use crate::body;
use crate::error::{Error, Result};
use anyhow::Context as _;
use axum::Json;
use axum::extract::State;
use protocol::mutation::{
    Batch, BatchAnswer, CurrentTitle, Mutation, OP_VERSION, Op, OpResult, Outcome, RunMode,
};
use protocol::sync::{Change, Cursor, Epoch, Ord, Seq};
use protocol::{Code, DeviceId, MessageId, MutationId, Problem, RunId, SessionId, UserId, limits};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;

/// Tries before a write that keeps colliding is put off. Each second look happens under the lock, so one repeat is the rule.
const TRIES: usize = 4;

/// Who writes what, as the ledger keeps it.
pub struct Stamp {
    pub user: UserId,
    pub device: Option<DeviceId>,
    pub mutation: MutationId,
    /// SHA-256 of the op: the same id with other content is another request.
    pub request: [u8; 32],
}

/// A result, and the history that it was reached in.
pub type Judged = (OpResult, Epoch);

/// What a statement changed.
pub struct Applied {
    pub head: Cursor,
    /// How many numbers it took.
    pub count: i64,
    pub changes: Vec<Change>,
    pub ord: Option<Ord>,
    /// The run that answers, and the message it fills.
    pub run: Option<(RunId, MessageId)>,
    /// The run is this node's already.
    pub is_begun: bool,
    /// Runs that lost their session.
    pub ended: Vec<RunId>,
}

impl Applied {
    pub const fn plain(head: Cursor, count: i64, changes: Vec<Change>) -> Self {
        Self {
            head,
            count,
            changes,
            ord: None,
            run: None,
            is_begun: false,
            ended: Vec::new(),
        }
    }

    pub(super) fn result(&self) -> OpResult {
        OpResult::Applied {
            seq: self.head.seq,
            ord: self.ord,
            run: self.run.map(|(run, _)| run),
            reply: self.run.map(|(_, reply)| reply),
        }
    }

    fn judged(&self) -> Judged {
        (self.result(), self.head.epoch)
    }
}

/// At most 50 writes, in order. Each succeeds or fails alone; after a failure the later ones of the same session are `skipped`.
#[utoipa::path(post, path = protocol::routes::MUTATIONS, request_body = Batch, tag = "sync",
    responses((status = 200, body = BatchAnswer), (status = 413, description = "more than 50 writes or 2 MiB", body = Problem)))]
pub async fn write(
    State(sync): State<Sync>,
    caller: Caller,
    body::Json(batch): body::Json<Batch, { limits::BATCH_BYTES }>,
) -> Result<Json<BatchAnswer>> {
    if batch.ops.len() > limits::BATCH_OPS {
        return Err(Problem::new(Code::TooLarge)
            .detail(format!(
                "Please send at most {} changes at once.",
                limits::BATCH_OPS
            ))
            .limit(limits::BATCH_OPS as u64)
            .into());
    }
    let mut failed: HashSet<SessionId> = HashSet::new();
    let mut results = Vec::with_capacity(batch.ops.len());
    let mut head: Option<Seq> = None;
    let mut epoch: Option<Epoch> = None;
    for mutation in batch.ops {
        let (id, session) = (mutation.id, mutation.op.session());
        let outcome = if failed.contains(&session) {
            Outcome {
                id,
                result: OpResult::Skipped,
            }
        } else {
            let (outcome, reached_in) = weigh(&sync, caller.user, Some(caller.device), mutation).await?;
            // restored in between: what came later is said of the earlier history, and so believed by nobody of the later
            epoch = epoch.or(reached_in);
            outcome
        };
        match &outcome.result {
            OpResult::Applied { seq, .. } => head = head.max(Some(*seq)),
            OpResult::Refused { .. } | OpResult::Skipped => {
                failed.insert(session);
            }
        }
        results.push(outcome);
    }
    let (head, epoch) = match (head, epoch) {
        (Some(head), Some(epoch)) => (head, epoch),
        _nothing_applied => {
            let standing = heads::standing(&sync.pool, caller.user).await?;
            let at = standing.ok_or(Code::NotFound)?.head;
            (at.seq, epoch.unwrap_or(at.epoch))
        }
    };
    Ok(Json(BatchAnswer { results, head, epoch }))
}

/// One write, whoever asks: its outcome now, or the one it had the first time.
pub async fn push(
    sync: &Sync,
    user: UserId,
    device: Option<DeviceId>,
    mutation: Mutation,
) -> Result<Outcome> {
    Ok(weigh(sync, user, device, mutation).await?.0)
}

/// The outcome, and the history that it was reached in; none where it was refused unasked.
async fn weigh(
    sync: &Sync,
    user: UserId,
    device: Option<DeviceId>,
    mutation: Mutation,
) -> Result<(Outcome, Option<Epoch>)> {
    let (id, name) = (mutation.id, op_name(&mutation.op));
    let (result, epoch) = match check(&mutation) {
        Err(problem) => {
            let current = None;
            (OpResult::Refused { problem, current }, None)
        }
        Ok(request) => {
            let stamp = Stamp {
                user,
                device,
                mutation: id,
                request,
            };
            // a task of its own: whoever asks may leave between the commit and what follows from it
            let (owned, op) = (sync.clone(), mutation.op);
            let settling = async move { settle(&owned, &stamp, &op).await };
            let settled = sync.tasks.spawn(settling).await;
            let (result, epoch) = settled.context("waiting for a write")??;
            (result, Some(epoch))
        }
    };
    metrics::counter!("mutations_total", "op" => name, "result" => result_name(&result)).increment(1);
    Ok((Outcome { id, result }, epoch))
}

/// The bounds that both ends keep, and the hash that tells requests apart.
fn check(mutation: &Mutation) -> Result<[u8; 32], Problem> {
    if mutation.v == 0 || mutation.v > OP_VERSION {
        return Err(Problem::new(Code::Invalid).field("v").detail(
            "This server does not know that version of the change. Please update the app or the server.",
        ));
    }
    mutation.op.check()?;
    let text = serde_json::to_vec(&(mutation.v, &mutation.op)).unwrap_or_default();
    Ok(Sha256::digest(text).into())
}

const fn op_name(op: &Op) -> &'static str {
    match op {
        Op::SessionCreate { .. } => "session.create",
        Op::SessionRename { .. } => "session.rename",
        Op::SessionArchive { .. } => "session.archive",
        Op::SessionDelete { .. } => "session.delete",
        Op::MessageCreate { .. } => "message.create",
        Op::MessageAnswer { .. } => "message.answer",
    }
}

const fn result_name(result: &OpResult) -> &'static str {
    match result {
        OpResult::Applied { .. } => "applied",
        OpResult::Refused { .. } => "refused",
        OpResult::Skipped => "skipped",
    }
}

async fn settle(sync: &Sync, stamp: &Stamp, op: &Op) -> Result<Judged> {
    let _turn = sync.0.turns.take(stamp.user).await?;
    for _ in 0..TRIES {
        match apply(sync, stamp, op).await {
            Ok(result) => return Ok(result),
            Err(Error::Kept(error)) if is_judged(&error) => {}
            Err(error) => return Err(error),
        }
        if let Some(result) = look(sync, stamp, op).await? {
            if let Op::SessionCreate { id, .. } = op {
                leave_no_folder(sync, stamp.user, *id).await?;
            }
            return Ok(result);
        }
    }
    Err(Problem::new(Code::Unavailable).retry_after(1).into())
}

/// A repeat has made the folder of a session that may have been deleted since. Nothing brings one back, so what stands
/// in the database now holds for good.
async fn leave_no_folder(sync: &Sync, user: UserId, id: SessionId) -> Result<()> {
    let found = agent_sessions::find(&sync.pool, user, id).await?;
    if found.is_some_and(|found| found.is_deleted) {
        workspace::remove(workspace::path(&sync.config.workspaces, user, id)).await;
    }
    Ok(())
}

/// Whether the database refused what the statement rests on, rather than failed: our own code, a unique or foreign key,
/// a deadlock or a serialisation failure.
fn is_judged(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<sqlx::Error>()
        .and_then(sqlx::Error::as_database_error)
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| matches!(&*code, "CM001" | "23505" | "23503" | "23502" | "40P01" | "40001"))
}

/// The write itself; then its news, and the work it asks for. Nothing after the commit is waited for.
async fn apply(sync: &Sync, stamp: &Stamp, op: &Op) -> Result<Judged> {
    let applied = match op {
        Op::SessionCreate { id, title } => {
            let path = workspace::path(&sync.config.workspaces, stamp.user, *id);
            let made = workspace::make(path.clone()).await;
            made.map_err(|error| anyhow::Error::new(error).context("making a session's workspace"))?;
            agent_sessions::create(&sync.pool, stamp, *id, title, &path).await?
        }
        Op::SessionRename { session, title, base } => {
            agent_sessions::rename(&sync.pool, stamp, *session, title, *base).await?
        }
        Op::SessionArchive { session, archived } => {
            agent_sessions::archive(&sync.pool, stamp, *session, *archived).await?
        }
        Op::SessionDelete { session } => agent_sessions::delete(&sync.pool, stamp, *session).await?,
        Op::MessageCreate {
            id,
            session,
            parent,
            content,
            run,
        } => {
            let written = Written {
                id: *id,
                session: *session,
                parent: *parent,
                content,
            };
            return say(sync, stamp, &written, *run).await;
        }
        Op::MessageAnswer { session, message } => return answers::ask(sync, stamp, *session, *message).await,
    };
    let judged = applied.judged();
    if let Op::SessionDelete { session } = op {
        let path = workspace::path(&sync.config.workspaces, stamp.user, *session);
        sync.tasks.spawn(workspace::remove(path));
        for run in &applied.ended {
            sync.tell(Work::Stop(*run));
        }
    }
    sync.announce(stamp.user, applied.head, applied.count, applied.changes);
    Ok(judged)
}

async fn say(sync: &Sync, stamp: &Stamp, written: &Written<'_>, mode: RunMode) -> Result<Judged> {
    if mode == RunMode::Manual {
        let applied = messages::create(&sync.pool, stamp, written).await?;
        let judged = applied.judged();
        sync.announce(stamp.user, applied.head, applied.count, applied.changes);
        return Ok(judged);
    }
    let slot = sync.slot();
    let reply = Reply {
        run: RunId::fresh(),
        message: MessageId::fresh(),
        node: slot.as_ref().map(|_| sync.node),
    };
    let applied = messages::create_with_reply(&sync.pool, stamp, written, &reply).await?;
    let judged = applied.judged();
    match slot {
        Some(slot) if applied.is_begun => sync.tell(Work::Begin(Claimed {
            user: stamp.user,
            session: written.session,
            run: reply.run,
            reply: reply.message,
            attempt: 1,
            prompt: written.content.to_owned(),
            slot,
        })),
        // a session that is busy is taken up by whoever makes its reply now
        _ => sync.tell(Work::Waiting),
    }
    sync.announce(stamp.user, applied.head, applied.count, applied.changes);
    Ok(judged)
}

/// Why a write did not go through, under the head lock. `None`: no reason any more, try again.
async fn look(sync: &Sync, stamp: &Stamp, op: &Op) -> Result<Option<Judged>> {
    let Some(mut lock) = heads::lock(&sync.pool, stamp.user).await? else {
        return Err(Code::NotFound.into());
    };
    let epoch = lock.head.epoch;
    if let Some(result) = repeated(&mut lock, stamp).await? {
        return Ok(Some((result, epoch)));
    }
    let result = match op {
        Op::SessionCreate { id, .. } => existing(&mut lock, stamp, *id).await?,
        Op::SessionDelete { session } => deleted(&mut lock, stamp, *session).await?,
        Op::SessionRename { session, base, .. } => standing(&mut lock, stamp, *session, Some(*base)).await?,
        Op::SessionArchive { session, .. } => standing(&mut lock, stamp, *session, None).await?,
        Op::MessageCreate {
            id,
            session,
            parent,
            content,
            ..
        } => {
            let written = Written {
                id: *id,
                session: *session,
                parent: *parent,
                content,
            };
            said(&mut lock, stamp, &written).await?
        }
        // judged under the lock already
        Op::MessageAnswer { .. } => None,
    };
    if let Some(result) = &result
        && is_final(result)
    {
        let head = lock.head.seq;
        mutations::remember(lock.connection(), stamp, result, head).await?;
        lock.transaction.commit().await?;
    }
    Ok(result.map(|result| (result, epoch)))
}

/// What became of this mutation the first time, if it was sent before.
pub(super) async fn repeated(lock: &mut heads::Lock, stamp: &Stamp) -> Result<Option<OpResult>> {
    let Some(remembered) = mutations::find(lock.connection(), stamp).await? else {
        return Ok(None);
    };
    if remembered.request != stamp.request {
        return Ok(Some(OpResult::refused(Code::MutationReuse)));
    }
    let outcome = serde_json::from_value(remembered.outcome);
    Ok(Some(outcome.map_err(anyhow::Error::new)?))
}

/// What is not there yet may come with a later batch; everything else stays as it is.
fn is_final(result: &OpResult) -> bool {
    match result {
        OpResult::Applied { .. } => true,
        OpResult::Refused { problem, .. } => problem.code != Code::NotFound,
        OpResult::Skipped => false,
    }
}

/// A session made again by the same id is the session that is there.
async fn existing(lock: &mut heads::Lock, stamp: &Stamp, id: SessionId) -> Result<Option<OpResult>> {
    let found = agent_sessions::find(lock.connection(), stamp.user, id).await?;
    Ok(found.map(|found| {
        if found.is_deleted {
            OpResult::refused(Code::Gone)
        } else {
            OpResult::applied(found.seq)
        }
    }))
}

/// What is deleted already is as it was asked to be.
async fn deleted(lock: &mut heads::Lock, stamp: &Stamp, id: SessionId) -> Result<Option<OpResult>> {
    let found = agent_sessions::find(lock.connection(), stamp.user, id).await?;
    Ok(match found {
        None => Some(OpResult::refused(Code::NotFound)),
        Some(found) => found.is_deleted.then(|| OpResult::applied(found.seq)),
    })
}

/// Why a session was not changed; `base` of a rename.
async fn standing(
    lock: &mut heads::Lock,
    stamp: &Stamp,
    id: SessionId,
    base: Option<Seq>,
) -> Result<Option<OpResult>> {
    let Some(found) = agent_sessions::find(lock.connection(), stamp.user, id).await? else {
        return Ok(Some(OpResult::refused(Code::NotFound)));
    };
    if found.is_deleted {
        return Ok(Some(OpResult::refused(Code::Gone)));
    }
    let newer = |title: &CurrentTitle| base.is_some_and(|base| title.title_seq > base);
    Ok(found.by_user.filter(newer).map(|current| OpResult::Refused {
        problem: Problem::new(Code::Superseded),
        current: Some(current),
    }))
}

/// Why a message was not stored: it is there already, or its session is not.
async fn said(lock: &mut heads::Lock, stamp: &Stamp, written: &Written<'_>) -> Result<Option<OpResult>> {
    if let Some(result) = messages::find(lock.connection(), stamp.user, written).await? {
        return Ok(Some(result));
    }
    if messages::is_there(lock.connection(), stamp.user, written.id).await? {
        return Ok(Some(OpResult::refused(Code::MutationReuse)));
    }
    let session = agent_sessions::find(lock.connection(), stamp.user, written.session).await?;
    Ok(match session {
        None => Some(OpResult::refused(Code::NotFound)),
        Some(found) => found.is_deleted.then(|| OpResult::refused(Code::SessionDeleted)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(op: Op) -> Mutation {
        Mutation {
            id: MutationId::fresh(),
            v: OP_VERSION,
            op,
        }
    }

    #[test]
    fn a_request_is_known_by_its_content_and_not_by_its_id() {
        let session = SessionId::fresh();
        let archive = |archived| Op::SessionArchive { session, archived };
        let hash = |op| check(&mutation(op)).unwrap();
        assert_eq!(hash(archive(true)), hash(archive(true)));
        assert_ne!(hash(archive(true)), hash(archive(false)));
    }

    #[test]
    fn a_version_from_the_future_is_refused() {
        let mut future = mutation(Op::SessionDelete {
            session: SessionId::fresh(),
        });
        future.v = OP_VERSION + 1;
        assert_eq!(check(&future).unwrap_err().code, Code::Invalid);
    }

    #[test]
    fn only_what_may_still_change_is_not_remembered() {
        assert!(is_final(&OpResult::refused(Code::SessionDeleted)) && is_final(&OpResult::applied(3)));
        assert!(!is_final(&OpResult::refused(Code::NotFound)) && !is_final(&OpResult::Skipped));
    }
}
