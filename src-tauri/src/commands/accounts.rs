//! The accounts of this computer: listed, added, brought on the screen. One is at work at a time: what waits in the others to be
//! sent waits until they are on the screen again, and nothing of what happens in them is told.

use super::opening::{self, Kept};
use super::{Answer, Shell, blocking, now};
use crate::config::server_address;
use crate::deep_link::Callback;
use crate::profiles::Profile;
use crate::sign_in::SignIn;
use crate::sync::Turn;
use crate::window;
use protocol::ipc::{self, Going, KeptAccount, KeptAccounts};
use protocol::view::{Connection, Push};
use protocol::{Code, DeviceId, Problem, SessionId};
use sync_client::Device;
use sync_client::credentials::CredentialStore as _;
use sync_client::driver;
use sync_client::outbox::Unsent;
use tauri::{AppHandle, Manager as _};
use url::Url;

#[tauri::command]
pub async fn accounts(ask: ipc::Accounts, app: AppHandle) -> Answer<KeptAccounts> {
    let shell = app.state::<Shell>();
    match ask.go {
        None => {}
        Some(Going::To(name)) => {
            let wanted = shell.profiles.find(&name);
            turn(&app, wanted.ok_or_else(|| Problem::new(Code::NotFound))?).await?;
        }
        Some(Going::Add(server)) => {
            let (server, profiles) = (typed(&server)?, shell.profiles.clone());
            let door = blocking(move || profiles.door(&server)).await?;
            turn(&app, door).await?;
        }
    }
    fold(&shell).await;
    let here = shell.profiles.here();
    let all = shell.profiles.all().into_iter();
    let listed = all.filter(|profile| profile.who.is_some() || !profile.is_known);
    let others = listed.filter(|profile| profile.name != here.name);
    let unsent = shell
        .sync
        .device_now(shell.sync.now())
        .map(|device| device.unsent());
    let waits = unsent.ok().and_then(waits);
    Ok(KeptAccounts {
        waits: waits.map_or_else(String::new, |waits| format!("{waits} when you come back.")),
        others: others.map(|profile| account(profile, &here)).collect(),
    })
}

/// What goes out by itself as soon as it can. Whoever writes a session's first message thinks of no other change, so that the others
/// are counted where there is no message.
fn waits(unsent: Unsent) -> Option<String> {
    let (count, one) = match unsent.messages {
        0 => (unsent.changes, "change"),
        messages => (messages, "message"),
    };
    match count {
        0 => None,
        1 => Some(format!("1 {one} waits here to be sent")),
        _ => Some(format!("{count} {one}s wait here to be sent")),
    }
}

/// In words, since the page has no room for what only one of its bodies says.
fn account(profile: Profile, here: &Profile) -> KeptAccount {
    let mut about = vec![profile.server.origin().ascii_serialization()];
    let user = here.who.as_ref().map(|who| who.user);
    if user.is_some_and(|user| profile.is_of(&here.server, user)) {
        about.push("the account on the screen once more".to_owned());
    }
    about.extend(waits(profile.unsent));
    if profile.unsent.refused > 0 {
        about.push(format!("{} not sent", profile.unsent.refused));
    }
    KeptAccount {
        name: profile.name,
        whose: profile
            .who
            .map_or_else(|| "an account".to_owned(), |who| who.address),
        about: about.join(" · "),
    }
}

/// Where a record is lost for a while, a person may sign in at a second place of theirs. The one on the screen takes the place of both
/// as soon as its own sign-in works, and the other holds nothing of its own.
async fn fold(shell: &Shell) {
    // Who turns has what is on the screen in hand, and it is looked at again with the next list.
    let Ok(_one) = shell.turning.try_lock() else {
        return;
    };
    let Ok(device) = shell.sync.device_now(shell.sync.now()) else {
        return;
    };
    let Some(me) = device.me().filter(|_| device.connection() == Connection::Online) else {
        return;
    };
    let here = shell.profiles.here();
    for twin in shell.profiles.all() {
        if twin.name == here.name || !twin.is_of(&here.server, me.user) {
            continue;
        }
        match let_go(shell, &twin).await {
            Ok(Some(former)) if former != me.device => revoke(&device, former).await,
            Ok(_) => {}
            Err(problem) => tracing::warn!(%problem, "the place of an account that is there twice stays"),
        }
    }
}

/// Gives up a place that nobody has open, with its keys, if there is nothing in it that is nowhere else. Gives the sign-in that it had.
async fn let_go(shell: &Shell, twin: &Profile) -> Answer<Option<DeviceId>> {
    let kept = kept(shell, twin);
    blocking(move || {
        let credential = kept.credential();
        if kept.profiles.shares_its_keys(&kept.profile)
            || !driver::holds_nothing_own(&kept.folder, &credential, now())
        {
            return Ok(None);
        }
        let former = credential.load()?;
        // The key last: whatever this is cut short by, the folder opens until it is gone.
        kept.keychain.forget_sign_in()?;
        kept.profiles.forget(&kept.profile.name)?;
        kept.keychain.forget_file_key();
        tracing::info!(
            name = kept.profile.name,
            "an account that was there twice is there once"
        );
        Ok(former.map(|former| former.me.device))
    })
    .await
}

/// The server knows this computer by a newer sign-in; there is no use for both.
async fn revoke(device: &Device, former: DeviceId) {
    if let Err(problem) = device.revoke(former).await {
        tracing::info!(%problem, "this computer's earlier sign-in stays at the server");
    }
}

/// A server as people write it.
fn typed(text: &str) -> Answer<Url> {
    let text = text.trim();
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    server_address(&whole).map_err(|why| {
        let detail = format!("That server’s address cannot be used: {why}.");
        Problem::new(Code::Invalid).field("server").detail(detail)
    })
}

/// Brings an account on the screen: what is at work for the one that is there ends, and its page goes with it. Where the other
/// one cannot be opened, this one comes back.
async fn turn(app: &AppHandle, to: Profile) -> Answer<()> {
    let shell = app.state::<Shell>();
    let _one = shell.turning.lock().await;
    let here = shell.profiles.here();
    if here.name == to.name {
        return Ok(());
    }
    note_unsent(&shell).await;
    bring(app, &to).await;
    let opened = shell.sync.device().await;
    if let Err(problem) = &opened {
        bring(app, &here).await;
        let problem = problem.clone();
        shell.sync.push(Push::SignInFailed { problem });
    } else {
        tracing::info!(from = here.name, to = to.name, "another account is on the screen");
    }
    window::go_home(app)?;
    opened.map(drop)?;
    // The next start begins with one that opened.
    let profiles = shell.profiles.clone();
    blocking(move || profiles.choose(&to)).await
}

async fn bring(app: &AppHandle, to: &Profile) {
    let shell = app.state::<Shell>();
    let begin = || {
        shell.begin_with(to);
        opening::open(app.clone(), kept(&shell, to))
    };
    shell.sync.turn(begin).await;
}

fn kept(shell: &Shell, profile: &Profile) -> Kept {
    let keychain = shell.keychain_of(profile);
    let limit = shell.preferences.chosen().limit;
    Kept::of(&shell.config, &shell.profiles, profile, keychain, limit)
}

/// So that it can be told while it is not open.
async fn note_unsent(shell: &Shell) {
    let name = shell.profiles.here().name;
    let Ok(device) = shell.sync.device().await else {
        return;
    };
    let unsent = device.unsent();
    let profiles = shell.profiles.clone();
    // These are numbers to be shown, and what waits is where it was.
    let _ = blocking(move || profiles.note_unsent(&name, unsent)).await;
}

/// Signs out of the one that was on the screen when it was asked for, and of no other.
pub async fn sign_out(app: &AppHandle, turn: Turn, even_if_waiting: bool) -> Answer<()> {
    let shell = app.state::<Shell>();
    let _one = shell.turning.lock().await;
    let device: Device = shell.device(turn).await?;
    let left = device.sign_out(even_if_waiting).await;
    if device.me().is_some() {
        return left;
    }
    // Whoever could not be wiped away whole has left all the same, and waits for no browser.
    shell.waits_at(None);
    let given_up = shell.sign_in(turn)?.cancel().await;
    let profiles = shell.profiles.clone();
    let noted = blocking(move || profiles.note(&profiles.here().name, None)).await;
    left.and(given_up.map_err(Problem::from)).and(noted)
}

/// The program ends.
pub async fn close(app: &AppHandle) {
    let shell = app.state::<Shell>();
    note_unsent(&shell).await;
    shell.sync.close().await;
}

/// Goes where a sign-in was kept, if that is not where it was made. Whether it went.
pub async fn follow_sign_in(app: &AppHandle) -> Answer<bool> {
    let shell = app.state::<Shell>();
    let Some(due) = shell.profiles.take_due() else {
        return Ok(false);
    };
    let place = shell.profiles.find(&due.name);
    turn(app, place.ok_or_else(|| Problem::new(Code::NotFound))?).await?;
    if let Some(former) = due.former {
        revoke(&shell.sync.device().await?, former).await;
    }
    Ok(true)
}

/// Brings the account on the screen at whose door this sign-in was begun.
pub async fn turn_to_who_began(app: &AppHandle, callback: &Callback) -> Answer<()> {
    let shell = app.state::<Shell>();
    if shell.sign_in(shell.sync.now())?.awaits(callback).await? {
        return Ok(());
    }
    for profile in shell.profiles.all() {
        let other = SignIn::new(shell.keychain_of(&profile));
        match other.awaits(callback).await {
            Ok(true) => return turn(app, profile).await,
            Ok(false) => {}
            // What one cannot read keeps no other from signing in.
            Err(error) => tracing::warn!(%error, name = profile.name, "what was begun there cannot be read"),
        }
    }
    Ok(())
}

/// A link or a notification leads to this session, which may be of an account that is not on the screen.
pub async fn open_session(app: AppHandle, session: SessionId) {
    let shell = app.state::<Shell>();
    if let Err(problem) = turn_to_who_has(&app, session).await {
        tracing::warn!(%problem, "whose session a link leads to could not be told");
    }
    shell.sync.push(Push::Open { session });
    window::focus(&app);
}

async fn turn_to_who_has(app: &AppHandle, session: SessionId) -> Answer<()> {
    let shell = app.state::<Shell>();
    let device = shell.sync.device().await?;
    if device.title(session).await.is_some() {
        return Ok(());
    }
    let here = shell.profiles.here().name;
    for profile in shell.profiles.all() {
        if profile.name == here {
            continue;
        }
        let kept = kept(&shell, &profile);
        let has =
            blocking(move || Ok(driver::has_session(&kept.folder, &kept.credential(), session))).await?;
        if has {
            return turn(app, profile).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_told_in_words_and_nothing_where_nothing_does() {
        for (messages, changes, wanted) in [
            (0, 0, None),
            (0, 1, Some("1 change waits here to be sent")),
            (0, 2, Some("2 changes wait here to be sent")),
            (1, 1, Some("1 message waits here to be sent")),
            (2, 0, Some("2 messages wait here to be sent")),
        ] {
            // What was refused goes nowhere by itself.
            let unsent = Unsent {
                messages,
                changes,
                refused: 1,
            };
            assert_eq!(waits(unsent).as_deref(), wanted, "{unsent:?}");
        }
    }

    #[test]
    fn a_server_is_taken_as_people_write_it_and_never_without_encryption() {
        for (text, wanted) in [
            (" compymac.dev ", "https://compymac.dev/"),
            ("https://compymac.dev/settings?x#y", "https://compymac.dev/"),
            ("http://localhost:8080", "http://localhost:8080/"),
        ] {
            assert_eq!(typed(text).unwrap().as_str(), wanted, "{text}");
        }
        for text in [
            "",
            "http://compymac.dev",
            "file:///etc/passwd",
            "https://a:b@c.d",
            "a b",
        ] {
            assert_eq!(typed(text).unwrap_err().code, Code::Invalid, "{text}");
        }
    }
}
