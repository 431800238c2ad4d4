//! Asking for the answer to a message that was stored without one: the place of the answer and the run that fills it,
//! under the head lock, once for each message.

use super::push::{Applied, Judged, Stamp, repeated};
use super::runs::Prompt;
use super::{Sync, Work, heads, mutations, runs};
use crate::error::Result;
use crate::hints::Hint;
use protocol::mutation::OpResult;
use protocol::{Code, MessageId, RunId, SessionId};

/// A message that has its answer keeps it, whoever asks again.
pub async fn ask(sync: &Sync, stamp: &Stamp, session: SessionId, message: MessageId) -> Result<Judged> {
    let Some(mut lock) = heads::lock(&sync.pool, stamp.user).await? else {
        return Err(Code::NotFound.into());
    };
    let epoch = lock.head.epoch;
    if let Some(result) = repeated(&mut lock, stamp).await? {
        return Ok((result, epoch));
    }
    let Some(prompt) = runs::find(lock.connection(), stamp, session, message).await? else {
        // it may come with a later batch: not remembered
        return Ok((OpResult::refused(Code::NotFound), epoch));
    };
    if prompt.run.is_some() || prompt.session_is_deleted || prompt.is_deleted || prompt.role != "user" {
        let result = settled(&prompt);
        let head = lock.head.seq;
        mutations::remember(lock.connection(), stamp, &result, head).await?;
        lock.transaction.commit().await?;
        return Ok((result, epoch));
    }
    begin(sync, stamp, lock, session, message).await
}

/// There is nothing to begin.
fn settled(prompt: &Prompt) -> OpResult {
    match prompt.reply_seq {
        _ if prompt.session_is_deleted => OpResult::refused(Code::SessionDeleted),
        Some(seq) => OpResult::Applied {
            seq,
            ord: None,
            run: prompt.run,
            reply: prompt.reply,
        },
        None if prompt.is_deleted => OpResult::refused(Code::Gone),
        None => OpResult::refused(Code::Invalid),
    }
}

/// One commit; whoever makes replies takes the run up.
async fn begin(
    sync: &Sync,
    stamp: &Stamp,
    mut lock: heads::Lock,
    session: SessionId,
    message: MessageId,
) -> Result<Judged> {
    let (run, reply) = (RunId::fresh(), MessageId::fresh());
    let ord = runs::insert(&mut lock, stamp, session, message, (run, reply)).await?;
    let mut applied = Applied::plain(lock.head, 2, Vec::new());
    applied.ord = Some(ord);
    applied.run = Some((run, reply));
    let result = applied.result();
    let head = lock.head.seq;
    mutations::remember(lock.connection(), stamp, &result, head).await?;
    lock.transaction.commit().await?;
    sync.tell(Work::Waiting);
    // rare enough for devices to pull it
    sync.hints().publish(stamp.user, Hint::Head(applied.head));
    Ok((result, applied.head.epoch))
}
