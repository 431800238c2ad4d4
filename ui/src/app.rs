//! The whole page: which room is shown, and what all rooms may use.

mod keyboard;

use crate::auth::{CheckMail, SignIn, SignUp};
use crate::backend::Handle;
use crate::controls::announce::announce;
use crate::controls::flash::flashes;
use crate::controls::shortcuts::shortcuts;
use crate::sessions::conversation::Conversation;
use crate::sessions::frame::Frame;
use crate::sessions::home::{archive, home, nowhere};
use crate::sessions::row::title_of;
use crate::settings::Settings;
use crate::state::follow::use_follow;
use crate::state::listen::on_window;
use crate::state::{Ahead, Place, Scene, Stage};
use protocol::view::{Boot, Connection};
use std::rc::Rc;
use yew::prelude::*;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct AppProps {
    pub boot: Rc<Boot>,
    /// Of the address; the place is read from it.
    pub path: AttrValue,
    /// `None` on the server.
    pub handle: Option<Handle>,
}

#[component]
pub fn App(props: &AppProps) -> Html {
    let scene = {
        let (boot, path) = (props.boot.clone(), props.path.clone());
        use_reducer(move || Scene::first(&boot, &path))
    };
    let ahead = use_memo((), |()| Ahead::default());
    let stage = Stage {
        handle: props.handle.clone(),
        body: props.boot.body,
        csrf: AttrValue::from(props.boot.csrf.clone()),
        dispatch: scene.dispatcher(),
        ahead: Ahead::clone(&ahead),
    };
    use_follow(&stage, &scene);
    let title = title(&scene);
    use_effect_with(title, |title| {
        if let Some(document) = web_sys::window().and_then(|window| window.document()) {
            document.set_title(title);
        }
    });
    let striking = stage.clone();
    use_effect_with((), |()| {
        on_window("keydown", move |event| keyboard::strike(&striking, &event))
    });
    let shown = Rc::new(Scene::clone(&scene));
    let is_awake = scene.is_awake.then_some("is-awake");
    html! {
        <ContextProvider<Stage> context={stage.clone()}>
            <div class={classes!("app", is_awake)} data-place={place_word(&scene)}>
                { room(shown, stage) }
            </div>
            { flashes(&scene.flashes) }
            { announce(&scene.said) }
            if scene.is_awake {
                { shortcuts(props.boot.body) }
            }
        </ContextProvider<Stage>>
    }
}

/// Whom the server wants to sign in again may go to the door, and stays inside otherwise.
fn shown_place(scene: &Scene) -> Place {
    let may_go_out = scene.connection == Connection::SignedOut && scene.place.is_outside();
    if may_go_out {
        scene.place
    } else {
        scene.place.for_someone(scene.me.is_some())
    }
}

fn room(scene: Rc<Scene>, stage: Stage) -> Html {
    let problem = scene.problem.clone();
    let inside = match shown_place(&scene) {
        Place::SignIn => return html! { <SignIn {scene} {stage} /> },
        Place::SignUp => return html! { <SignUp {scene} {stage} /> },
        Place::CheckMail => return html! { <CheckMail {scene} {stage} /> },
        Place::Home => {
            let typed = AttrValue::from(scene.typed.text.clone());
            html! { { home(&stage, problem.as_ref(), typed, &scene.linked) } }
        }
        Place::Archived => html! { { archive() } },
        Place::Session(session) => html! {
            <Conversation
                key={session.to_string()}
                stage={stage.clone()}
                {session}
                open={scene.open.clone()}
                {problem}
                typed={AttrValue::from(scene.typed.text.clone())}
                sought={scene.sought}
                now={scene.now}
                is_awake={scene.is_awake}
            />
        },
        Place::Settings => html! { <Settings scene={scene.clone()} stage={stage.clone()} /> },
        Place::Missing => html! { { nowhere() } },
    };
    html! { <Frame {scene} {stage}>{ inside }</Frame> }
}

/// For the style sheet: a narrow window shows either the list or the page.
fn place_word(scene: &Scene) -> &'static str {
    match shown_place(scene) {
        Place::Home => "home",
        Place::Archived => "archived",
        Place::Session(_) => "session",
        Place::Settings => "settings",
        Place::Missing => "missing",
        Place::SignIn | Place::SignUp | Place::CheckMail => "outside",
    }
}

/// The window's title.
pub fn title(scene: &Scene) -> String {
    let of_place = match shown_place(scene) {
        Place::Home | Place::Missing => return "CompyMac".to_owned(),
        Place::Archived => "Archived".to_owned(),
        Place::Session(_) => scene
            .open
            .as_ref()
            .map_or_else(|| "Session".to_owned(), |open| title_of(&open.session)),
        Place::Settings => "Settings".to_owned(),
        Place::SignIn => "Sign in".to_owned(),
        Place::SignUp => "Create an account".to_owned(),
        Place::CheckMail => "Check your mail".to_owned(),
    };
    format!("{of_place} · CompyMac")
}
