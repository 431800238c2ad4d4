//! What stands around every page of someone who is signed in: the list beside, the page in the middle.

use super::connection::{Reconnecting, connection_line};
use super::list::List;
use super::search::{Search, search_button};
use crate::controls::icon::mark;
use crate::controls::{Link, PostForm, Sign, Splitter, icon};
use crate::state::{Action, Place, Scene, Stage};
use protocol::routes::page;
use protocol::view::Body;
use protocol::{MutationId, SessionId};
use std::rc::Rc;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct FrameProps {
    pub scene: Rc<Scene>,
    pub stage: Stage,
    pub children: Html,
}

#[component]
pub fn Frame(props: &FrameProps) -> Html {
    let scene = &props.scene;
    html! {
        <>
            <a class="skip" href="#composer-input">{ "Skip to the message box" }</a>
            <nav class="side" aria-label="Sessions">
                <div class="side-top">
                    <Link to={Place::Home} class="brand" testid="home-link" is_current={scene.place == Place::Home}>
                        { mark() }<span>{ "CompyMac" }</span>
                    </Link>
                    if scene.is_awake || props.stage.body == Body::Desktop {
                        { search_button() }
                    }
                    <NewSession stage={props.stage.clone()} blank={blank(scene)} />
                </div>
                if scene.place == Place::Archived {
                    <div class="side-head">
                        <Link to={Place::Home} class="row-link">{ icon(Sign::Back) }{ "All sessions" }</Link>
                        <h2>{ "Archived" }</h2>
                    </div>
                }
                <List
                    stage={props.stage.clone()}
                    rows={scene.list().cloned()}
                    current={scene.place.session()}
                    now={scene.now}
                    is_archive={scene.place == Place::Archived}
                    connection={scene.connection}
                />
                <div class="side-foot">
                    <Link
                        to={Place::Archived}
                        class="row-link"
                        testid="archived-link"
                        is_current={scene.place == Place::Archived}
                    >
                        { icon(Sign::Archive) }{ "Archived" }
                    </Link>
                    <Link
                        to={Place::Settings}
                        class="row-link"
                        testid="settings"
                        is_current={scene.place == Place::Settings}
                    >
                        { icon(Sign::Gear) }<bdi class="cut">{ who(scene) }</bdi>
                    </Link>
                    { connection_line(scene.connection, scene.is_awake) }
                </div>
                if scene.is_awake {
                    <Splitter />
                }
            </nav>
            <main class="main" id="main">
                <Reconnecting body={props.stage.body} connection={scene.connection} />
                { props.children.clone() }
            </main>
            if scene.is_awake {
                <Search stage={props.stage.clone()} now={scene.now} />
            }
        </>
    }
}

fn who(scene: &Scene) -> String {
    let me = scene.me.as_ref();
    me.map_or_else(
        || "Settings".to_owned(),
        |me| me.name.clone().unwrap_or_else(|| me.email.to_string()),
    )
}

/// The session that is open has nothing in it yet: a new one would be the same again.
fn blank(scene: &Scene) -> Option<SessionId> {
    let open = scene.open.as_ref()?;
    let has_nothing =
        open.messages.is_empty() && open.session.title.is_empty() && open.session.preview.is_empty();
    has_nothing.then_some(open.session.id)
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct NewSessionProps {
    stage: Stage,
    blank: Option<SessionId>,
}

#[component]
fn NewSession(props: &NewSessionProps) -> Html {
    let (session, mutation) = (use_state(SessionId::fresh), use_state(MutationId::fresh));
    let (stage, blank) = (props.stage.clone(), props.blank);
    let onpost = Callback::from(move |()| {
        if let Some(session) = blank {
            super::composer::focus(session);
            return;
        }
        stage.ask(
            |body| body.create(),
            |stage, answer| match answer {
                Ok(session) => {
                    stage.go(Place::Session(session));
                    super::composer::focus(session);
                }
                Err(problem) => stage.tell(Action::Trouble(problem)),
            },
        );
    });
    html! {
        <PostForm action={page::FORM_NEW_SESSION} csrf={props.stage.csrf.clone()} {onpost}>
            <input type="hidden" name="session" value={session.to_string()} />
            <input type="hidden" name="m_create" value={mutation.to_string()} />
            <button class="button" data-testid="new-session">{ icon(Sign::Add) }{ "New session" }</button>
        </PostForm>
    }
}
