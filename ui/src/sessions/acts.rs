//! What can be done with a whole session: the same from its head and from its row's menu.

use crate::state::{Action, Place, Stage};
use protocol::SessionId;
use protocol::view::SessionRow;

/// Gives it another name, if that is one.
pub fn rename(stage: &Stage, row: &SessionRow, title: &str) {
    let title = title.trim().to_owned();
    if !title.is_empty() && title != row.title {
        let session = row.id;
        stage.attempt(|body| body.rename(session, title));
    }
}

/// Puts it away, or takes it back. Whoever has it open is led home when it goes.
pub fn archive(stage: &Stage, session: SessionId, archived: bool, is_open: bool) {
    stage.ask(
        |body| body.archive(session, archived),
        move |stage, answer| match answer {
            Ok(()) if archived => {
                stage.tell(Action::Note("Session archived".to_owned()));
                if is_open {
                    stage.go(Place::Home);
                }
            }
            Ok(()) => stage.tell(Action::Note("Session brought back".to_owned())),
            Err(problem) => stage.tell(Action::Trouble(problem)),
        },
    );
}

/// At once, and it can be undone for a while.
pub fn delete(stage: &Stage, session: SessionId, is_open: bool) {
    stage.ask(
        |body| body.delete(session),
        move |stage, answer| match answer {
            Ok(undo) => {
                if is_open {
                    stage.go(Place::Home);
                }
                stage.tell(Action::Deleted { session, undo });
            }
            Err(problem) => stage.tell(Action::Trouble(problem)),
        },
    );
}
