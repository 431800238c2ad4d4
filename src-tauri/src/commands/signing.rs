//! Signing up, in and out, and the person's devices.

use super::{Answer, Shell, accounts, blocking, now};
use crate::deep_link::{Callback, SCHEME};
use crate::error::Error;
use crate::registration;
use crate::sign_in::{Homecoming, Loopback};
use crate::sync::Turn;
use crate::window;
use protocol::auth::Device as SignedInDevice;
use protocol::ipc;
use protocol::oauth::REDIRECT_DEEP_LINK;
use protocol::view::Push;
use protocol::{Code, Problem};
use std::future::Future;
use std::time::Duration;
use sync_client::Device;
use sync_client::driver::Admission;
use tauri::{AppHandle, Manager as _, State};
use tauri_plugin_opener::OpenerExt as _;
use tokio::task::JoinHandle;

/// Looked at before anything is sent: a sign-in that could not be kept would be lost at the next start. Whoever asks has the device by
/// then: while the system is waited for, another account may come on the screen, and the sign-in is not for that one.
async fn has_place_for_secrets(turn: Turn, shell: &Shell) -> Answer<()> {
    let keychain = shell.keychain_of(&shell.profile(turn)?);
    blocking(move || keychain.has_place()).await
}

/// Where links lead is told by a program of the system. One that does not answer is done without.
const LOOKED_WITHIN: Duration = Duration::from_secs(10);

/// How the browser gives the code back to this app.
enum WayHome {
    DeepLink,
    /// Where links to this app lead nowhere, or to somebody else.
    Loopback(Loopback),
}

impl WayHome {
    async fn find(app: &AppHandle) -> Answer<Self> {
        let looking = app.clone();
        let mut is_registered = app.state::<Shell>().is_registered.subscribe();
        // It is said in the end, however that went; not, where the program ends.
        let _ = is_registered.wait_for(|&is| is).await;
        let looked = blocking(move || Ok(registration::is_ours(&looking, SCHEME)));
        if let Ok(is_ours) = tokio::time::timeout(LOOKED_WITHIN, looked).await
            && is_ours?
        {
            return Ok(Self::DeepLink);
        }
        tracing::info!("links to this app do not lead to it; the browser comes home by a local door");
        let door = Loopback::open().await.map_err(Error::Door)?;
        Ok(Self::Loopback(door))
    }

    fn redirect_uri(&self) -> String {
        match self {
            Self::DeepLink => REDIRECT_DEEP_LINK.to_owned(),
            Self::Loopback(door) => door.redirect_uri(),
        }
    }

    fn listen<F: Future<Output = ()> + Send + 'static>(
        self,
        state: String,
        then: impl FnOnce(Callback) -> F + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        let Self::Loopback(door) = self else { return None };
        Some(tokio::spawn(async move {
            if let Some(callback) = door.answer(&state).await {
                then(callback).await;
            }
        }))
    }
}

/// The browser is done: the sign-in is finished where it was begun, and the window comes to the front.
pub async fn come_home(app: AppHandle, callback: Callback) {
    match finish(&app, callback).await {
        Ok(Homecoming::SignedIn) => window::focus(&app),
        Ok(Homecoming::Ignored) => {}
        Err(problem) => {
            app.state::<Shell>().sync.push(Push::SignInFailed { problem });
            window::focus(&app);
        }
    }
}

async fn finish(app: &AppHandle, callback: Callback) -> Answer<Homecoming> {
    accounts::turn_to_who_began(app, &callback).await?;
    let shell = app.state::<Shell>();
    let turn = shell.sync.now();
    let device = shell.device(turn).await?;
    let came = shell.sign_in(turn)?.come_home(&device, callback, now()).await;
    if accounts::follow_sign_in(app).await? {
        return Ok(Homecoming::SignedIn);
    }
    Ok(came?)
}

/// A sign-in was made, or refused; one that was kept as another account's is followed there. Whoever is in waits for no browser any
/// more: it might let somebody else in, in their place.
async fn done<T>(app: &AppHandle, signed_in: Answer<T>) -> Answer<()> {
    let is_followed = accounts::follow_sign_in(app).await?;
    if is_followed || signed_in.is_ok() {
        app.state::<Shell>().waits_at(None);
    }
    if is_followed { Ok(()) } else { signed_in.map(drop) }
}

#[tauri::command]
pub async fn sign_up(ask: ipc::SignUp, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    let device = shell.device(turn).await?;
    has_place_for_secrets(turn, &shell).await?;
    device.sign_up(ask.email, ask.password).await
}

#[tauri::command]
pub async fn verify(ask: ipc::Verify, turn: Turn, app: AppHandle, shell: State<'_, Shell>) -> Answer<()> {
    let device = shell.device(turn).await?;
    has_place_for_secrets(turn, &shell).await?;
    let verified = device.verify(ask.email, ask.code).await;
    done(&app, verified).await
}

#[tauri::command]
pub async fn resend(ask: ipc::Resend, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    shell.device(turn).await?.resend(ask.email).await
}

#[tauri::command]
pub async fn sign_in(ask: ipc::SignIn, turn: Turn, app: AppHandle, shell: State<'_, Shell>) -> Answer<()> {
    let device = shell.device(turn).await?;
    has_place_for_secrets(turn, &shell).await?;
    let signed_in = device.sign_in(ask.email, ask.password).await;
    done(&app, signed_in).await
}

#[tauri::command]
pub async fn second_step(
    ask: ipc::SecondStep,
    turn: Turn,
    app: AppHandle,
    shell: State<'_, Shell>,
) -> Answer<()> {
    let signed_in = shell.device(turn).await?.second_step(ask.code).await;
    done(&app, signed_in).await
}

#[tauri::command]
pub async fn browser_sign_in(
    ask: ipc::BrowserSignIn,
    turn: Turn,
    app: AppHandle,
    shell: State<'_, Shell>,
) -> Answer<ipc::BrowserSignInStarted> {
    let sign_in = shell.sign_in(turn)?;
    let device = shell.device(turn).await?;
    has_place_for_secrets(turn, &shell).await?;
    let way = WayHome::find(&app).await?;
    let begun = sign_in
        .begin(&device, ask.provider, &way.redirect_uri(), now())
        .await?;
    let listening = app.clone();
    let door = way.listen(begun.state, move |callback| come_home(listening, callback));
    shell.waits_at(door);
    let link = begun.page.to_string();
    let opening = link.clone();
    let opened = blocking(move || app.opener().open_url(opening, None::<&str>).map_err(Error::from));
    // The page offers "Copy link", so a browser that will not open is not the end.
    let _ = opened.await;
    Ok(ipc::BrowserSignInStarted { link })
}

/// Asks for a code, and goes on when it was answered in a browser elsewhere. It takes the place of what was begun by the browser here:
/// one sign-in at a time is on its way.
#[tauri::command]
pub async fn device_code(
    ask: ipc::DeviceCode,
    turn: Turn,
    app: AppHandle,
    shell: State<'_, Shell>,
) -> Answer<ipc::DeviceCodeShown> {
    let ipc::DeviceCode {} = ask;
    let device = shell.device(turn).await?;
    let sign_in = shell.sign_in(turn)?;
    has_place_for_secrets(turn, &shell).await?;
    let code = device.device_code().await?;
    sign_in.cancel().await?;
    let address = code.address.to_string();
    let shown = ipc::DeviceCodeShown {
        code: code.user_code.clone(),
        picture: ui::page::picture(&address).ok(),
        address,
        minutes: code.lifetime.as_secs() / 60,
    };
    let waiting = tokio::spawn(async move {
        let answered = device.answer_to(code).await;
        // What was answered is kept whole, though it be given up a moment later.
        tokio::spawn(enter(app, device, answered));
    });
    shell.waits_at(Some(waiting));
    Ok(shown)
}

async fn enter(app: AppHandle, device: Device, answered: Answer<Option<Admission>>) {
    let entered = match answered {
        Ok(Some(admission)) => done(&app, device.enter(admission).await).await,
        // Another account is on the screen: nobody waits for this.
        Ok(None) => return,
        Err(problem) => Err(problem),
    };
    match entered {
        Ok(()) => window::focus(&app),
        Err(problem) => app.state::<Shell>().sync.push(Push::SignInFailed { problem }),
    }
}

#[tauri::command]
pub async fn cancel_sign_in(ask: ipc::CancelSignIn, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    let ipc::CancelSignIn {} = ask;
    let sign_in = shell.sign_in(turn)?;
    shell.waits_at(None);
    Ok(sign_in.cancel().await?)
}

#[tauri::command]
pub async fn finish_sign_in(
    ask: ipc::FinishSignIn,
    turn: Turn,
    app: AppHandle,
    shell: State<'_, Shell>,
) -> Answer<()> {
    let device = shell.device(turn).await?;
    let pasted = shell.sign_in(turn)?.paste(&device, &ask.code, now()).await;
    if accounts::follow_sign_in(&app).await? {
        return Ok(());
    }
    match pasted? {
        Homecoming::SignedIn => Ok(()),
        Homecoming::Ignored => Err(Problem::new(Code::StateMismatch)),
    }
}

#[tauri::command]
pub async fn sign_out(ask: ipc::SignOut, turn: Turn, app: AppHandle) -> Answer<()> {
    accounts::sign_out(&app, turn, ask.even_if_waiting).await
}

#[tauri::command]
pub async fn devices(ask: ipc::Devices, turn: Turn, shell: State<'_, Shell>) -> Answer<Vec<SignedInDevice>> {
    let ipc::Devices {} = ask;
    shell.device(turn).await?.devices().await
}

#[tauri::command]
pub async fn revoke(ask: ipc::Revoke, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    shell.device(turn).await?.revoke(ask.device).await
}
