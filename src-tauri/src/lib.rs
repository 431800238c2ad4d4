//! The desktop shell: one window over the page that this program carries, the commands that the page may call, the
//! links that the system hands over, and the secrets that neither of them sees.
//!
//! [`run`] is the way in. The arrows: `lib → rescue, bell, menu, thrift, first_paint → update → commands → sign_in, sync, tray → window, keychain, deep_link,
//! registration, export, crash, autostart, clipboard, diagnostics → outside, preferences, profiles → log, config → folder`; any room may use `error`.
//! **Invariant:** the page asks and is shown; it holds no token and reaches no network.

mod autostart;
mod bell;
mod clipboard;
mod commands;
mod config;
mod crash;
mod deep_link;
mod diagnostics;
mod error;
mod export;
mod first_paint;
mod folder;
mod keychain;
mod log;
mod menu;
mod outside;
mod preferences;
mod profiles;
mod registration;
mod rescue;
mod sign_in;
mod sync;
#[cfg(target_os = "linux")]
mod thrift;
mod tray;
mod update;
mod window;

use commands::Shell;
use config::{CHECK_FOR_UPDATES, Config};
use deep_link::Link;
use protocol::view::Push;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tauri::{App, AppHandle, Manager as _, RunEvent, WindowEvent, Wry};
use tauri_plugin_deep_link::DeepLinkExt as _;
use url::Url;
use window::Manner;

/// The programs of the system that are run for it are not ours: one that never ends keeps nobody from signing in.
const REGISTERED_WITHIN: Duration = Duration::from_secs(30);

pub fn run() -> ExitCode {
    let config = Config::read();
    config::calm_the_renderer(&config);
    let mut context = tauri::generate_context!();
    let builder = tauri::Builder::default()
        // First, so that a second start hands its link over before it does anything else.
        .plugin(single_instance(&config))
        .plugin(tauri_plugin_deep_link::init())
        .plugin(
            tauri_plugin_opener::Builder::new()
                .open_js_links_on_click(false)
                .build(),
        )
        .invoke_handler(commands::handler())
        .manage(window::Printing::default())
        .register_uri_scheme_protocol(window::PRINT_SCHEME, |context, _ask| window::hand_out(&context))
        .setup(move |app| Ok(start(app, config)?));
    match update::join(builder, &mut context).build(context) {
        Ok(app) => {
            app.run(happened);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "the app could not start");
            ExitCode::FAILURE
        }
    }
}

/// One program for each data folder: a second start brings the first to the front.
fn single_instance(config: &Config) -> tauri::plugin::TauriPlugin<Wry> {
    let builder = tauri_plugin_single_instance::Builder::new().callback(|app, arguments, _folder| {
        window::focus(app);
        if arguments.iter().any(|word| word == CHECK_FOR_UPDATES) {
            update::ask(app);
        }
    });
    match config.mark() {
        Some(mark) => builder.dbus_id(format!("dev.compymac.desktop.h{mark}")).build(),
        None => builder.build(),
    }
}

fn start(app: &mut App, config: Config) -> error::Result<()> {
    let home = home(app, &config)?;
    folder::make_private(&home)?;
    let logs = home.join("logs");
    log::begin(&logs, &config.log);
    crash::write_down_in(logs);
    let (server, is_safe) = (&config.server, config.safe_rendering);
    let checks = config.check_for_updates;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %server, is_safe, "the app starts");
    let service = app.config().identifier.clone();
    let shell = {
        // The device's tasks run on the app's own runtime.
        let _inside = tauri::async_runtime::handle().inner().enter();
        Shell::new(app.handle().clone(), config, &home, &service)
    };
    let manner = Manner {
        is_safe,
        chosen: shell.preferences.chosen(),
    };
    app.manage(shell);
    let (handle, turned, drawing) = (app.handle().clone(), app.handle().clone(), app.handle().clone());
    let before_anew = move || {
        handle.state::<Shell>().is_drawn.send_replace(false);
        rescue::watch_over_the_page(handle.clone());
    };
    let told = window::Told {
        before_anew,
        turned: move |by| commands::app::act_by_itself(&turned, by),
        draw: move |path: &str, document: &[u8]| first_paint::draw(&drawing, path, document),
    };
    window::open(app.handle(), &home, manner, told)?;
    // Where the screen has a place for it.
    if cfg!(target_os = "macos") {
        menu::put_up(app.handle())?;
    }
    listen_for_links(app.handle());
    rescue::watch_over_the_page(app.handle().clone());
    bell::watch(app.handle().clone());
    update::watch(app.handle().clone());
    if checks {
        update::ask(app.handle());
    }
    stand_in_the_tray(app.handle().clone());
    #[cfg(target_os = "linux")]
    thrift::watch(app.state::<Shell>().sync.clone());
    Ok(())
}

/// Where that was chosen. A desktop that comes up later than the app gets the icon then.
fn stand_in_the_tray(app: AppHandle) {
    if app.state::<Shell>().preferences.chosen().tray {
        tauri::async_runtime::spawn(async move {
            if let Err(error) = app.state::<Shell>().tray.put_up(&app).await {
                tracing::warn!(%error, "there is no tray; closing the window ends the app");
            }
        });
    }
}

fn home(app: &App, config: &Config) -> error::Result<PathBuf> {
    match &config.home {
        Some(home) => Ok(home.clone()),
        None => Ok(app.path().app_data_dir()?),
    }
}

fn listen_for_links(app: &AppHandle) {
    tauri::async_runtime::spawn(register_links(app.clone()));
    match app.deep_link().get_current() {
        Ok(urls) => follow_all(app, urls.unwrap_or_default()),
        Err(error) => tracing::warn!(%error, "the link that started the app could not be read"),
    }
    let handle = app.clone();
    app.deep_link()
        .on_open_url(move |event| follow_all(&handle, event.urls()));
}

/// Bundles register the schemes when they are installed; an AppImage or a build from source does it itself. Several programs are
/// run for it, and what the person waits for comes first.
async fn register_links(app: AppHandle) {
    let shell = app.state::<Shell>();
    if cfg!(any(target_os = "linux", all(debug_assertions, windows))) {
        let mut is_drawn = shell.is_drawn.subscribe();
        let _ = tokio::time::timeout(rescue::PATIENCE, is_drawn.wait_for(|&is| is)).await;
        let registering = app.clone();
        let registered = tokio::task::spawn_blocking(move || registration::register(&registering));
        if tokio::time::timeout(REGISTERED_WITHIN, registered).await.is_err() {
            tracing::warn!(
                "the system takes long to register links to this app; nobody waits for it any more"
            );
        }
    }
    shell.is_registered.send_replace(true);
}

fn follow_all(app: &AppHandle, urls: Vec<Url>) {
    for url in urls {
        let Some(link) = deep_link::parse(url.as_str()) else {
            tracing::warn!(
                bytes = url.as_str().len(),
                "a link that is not one of ours was dropped"
            );
            continue;
        };
        tauri::async_runtime::spawn(follow(app.clone(), link));
    }
}

async fn follow(app: AppHandle, link: Link) {
    match link {
        Link::Session(session) => commands::accounts::open_session(app, session).await,
        Link::Callback(callback) => commands::signing::come_home(app, callback).await,
        Link::New(text) => {
            // The page shows it; nothing is made of it here, nor said to the server.
            app.state::<Shell>().sync.push(Push::Prompt { text });
            window::focus(&app);
        }
    }
}

fn happened(app: &AppHandle, event: RunEvent) {
    let Some(shell) = app.try_state::<Shell>() else {
        return;
    };
    let sync = shell.sync.clone();
    if let RunEvent::WindowEvent {
        label,
        event: WindowEvent::CloseRequested { api, .. },
        ..
    } = &event
    {
        // Only while there is an icon to bring it back by.
        if label == window::MAIN && shell.tray.is_up() {
            api.prevent_close();
            window::hide(app);
        }
        return;
    }
    #[cfg(target_os = "macos")]
    if let RunEvent::Reopen { .. } = &event {
        window::focus(app);
    }
    if let RunEvent::WindowEvent {
        event: WindowEvent::Focused(true),
        ..
    } = event
    {
        // Whoever comes back to the window wants to see how things stand now.
        tauri::async_runtime::spawn(async move { sync.wake().await });
    } else if let RunEvent::Exit = event {
        tauri::async_runtime::block_on(async {
            // Nothing is lost by not waiting longer: what was written is on the disk.
            let _ = tokio::time::timeout(Duration::from_secs(2), commands::accounts::close(app)).await;
        });
        rescue::start_again_if_asked(app);
    }
}
