//! Printing: a page in a window of its own, by the dialog of the system.
//!
//! On Linux nobody sees the window, and it is gone once the dialog is answered; elsewhere it shows what is printed and is
//! shut by the person. **Invariant:** it runs no script of its page, may call no command, goes nowhere and reaches no
//! network; its page is handed out to it alone, by a scheme of our own.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tauri::http::{Response, StatusCode, header};
use tauri::webview::{NewWindowResponse, PageLoadEvent};
use tauri::{
    AppHandle, Manager as _, UriSchemeContext, WebviewUrl, WebviewWindow, WebviewWindowBuilder, Wry,
};
use tokio::sync::Notify;
use url::Url;

/// No capability names it.
const LABEL: &str = "print";

pub const PRINT_SCHEME: &str = "compymac-print";

const HEADING: &str = "Print session";

/// A page of a megabyte is there in well under a second.
const LOADED_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
pub struct Printing {
    /// What the window asks for next.
    page: Mutex<Option<Page>>,
    /// Held by who prints.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Page {
    html: String,
    policy: String,
}

impl Printing {
    fn page(&self) -> MutexGuard<'_, Option<Page>> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To the window that prints, once.
    fn hand_out(&self, to: &str) -> Response<Cow<'static, [u8]>> {
        let page = if to == LABEL { self.page().take() } else { None };
        let mut response = Response::new(Cow::Owned(Vec::new()));
        let Some(page) = page else {
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, page.policy.as_str()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            // A policy of ours is made of plain characters.
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        }
        *response.body_mut() = Cow::Owned(page.html.into_bytes());
        response
    }
}

/// What is asked for under [`PRINT_SCHEME`].
pub fn hand_out(context: &UriSchemeContext<'_, Wry>) -> Response<Cow<'static, [u8]>> {
    context
        .app_handle()
        .state::<Printing>()
        .hand_out(context.webview_label())
}

/// Whether it was printed, as far as that is known. One at a time: while a dialog stands, nothing comes of another.
pub async fn print(app: &AppHandle, html: String, policy: &str) -> Result<bool> {
    let printing = app.state::<Printing>();
    let turn = printing.turn.try_lock();
    if let Some(window) = app.get_webview_window(LABEL) {
        window.set_focus()?;
        return Ok(false);
    }
    if turn.is_err() {
        return Ok(false);
    }
    *printing.page() = Some(Page {
        html,
        policy: policy.to_owned(),
    });
    let printed = show(app).await;
    // Where the window never came for it.
    *printing.page() = None;
    printed
}

/// In a window that stays no longer than there is something to see.
async fn show(app: &AppHandle) -> Result<bool> {
    let loaded = Arc::new(Notify::new());
    let window = open(app, loaded.clone())?;
    let in_time = tokio::time::timeout(LOADED_WITHIN, loaded.notified()).await;
    let printed = match in_time {
        Ok(()) => ask(app, window.clone()).await,
        Err(_late) => Err(Error::Print("the page did not come".to_owned())),
    };
    if cfg!(target_os = "linux") || printed.is_err() {
        window.destroy()?;
    }
    printed
}

fn open(app: &AppHandle, loaded: Arc<Notify>) -> Result<WebviewWindow> {
    let address = if cfg!(windows) {
        format!("http://{PRINT_SCHEME}.localhost/")
    } else {
        format!("{PRINT_SCHEME}://localhost/")
    };
    let address: Url = address
        .parse()
        .map_err(|error: url::ParseError| Error::Print(error.to_string()))?;
    let own = address.clone();
    let window = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::CustomProtocol(address))
        .title(HEADING)
        .inner_size(820.0, 900.0)
        .visible(cfg!(not(target_os = "linux")))
        .on_navigation(move |url| *url == own)
        .on_new_window(|_url, _features| NewWindowResponse::Deny)
        .on_page_load(move |_window, load| {
            if load.event() == PageLoadEvent::Finished {
                loaded.notify_one();
            }
        })
        .disable_drag_drop_handler();
    // WebView2 is asked to print by a script of tauri's; the page's policy lets none of its own run there either.
    #[cfg(not(windows))]
    let window = window.disable_javascript();
    Ok(window.build()?)
}

#[cfg(target_os = "linux")]
async fn ask(app: &AppHandle, window: WebviewWindow) -> Result<bool> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let inside = app.clone();
    window.with_webview(move |webview| {
        let view = webview.inner();
        gtk::glib::MainContext::default().spawn_local(async move {
            let _ = tell.send(linux::ask(&inside, &view).await);
        });
    })?;
    // Not told: the app ends.
    told.await.unwrap_or(Ok(false))
}

/// The system tells nobody how its dialog was answered.
#[cfg(not(target_os = "linux"))]
async fn ask(_app: &AppHandle, window: WebviewWindow) -> Result<bool> {
    window.print()?;
    Ok(false)
}

#[cfg(target_os = "linux")]
mod linux {
    //! WebKitGTK's own dialog waits in a loop of the toolkit's, in which nothing of this program's own loop goes on: no reply
    //! would grow behind it. The same dialog, asked as the others here are, holds up nothing.

    use super::HEADING;
    use crate::error::{Error, Result};
    use gtk::prelude::{BuilderExtManual as _, DialogExtManual as _, GtkWindowExt as _, ObjectExt as _};
    use gtk::{Builder, Dialog, PageSetup, PrintSettings, ResponseType};
    use std::cell::RefCell;
    use std::rc::Rc;
    use tauri::{AppHandle, Manager as _};
    use webkit2gtk::{PrintOperation, PrintOperationExt as _, WebView};

    /// What the web view sees to itself, the dialog offers whatever the printer can do.
    const DIALOG: &str = r#"<interface><object class="GtkPrintUnixDialog" id="print">
        <property name="embed-page-setup">True</property>
        <property name="manual-capabilities">page-set|copies|collate|reverse|scale|number-up|number-up-layout</property>
        </object></interface>"#;

    fn refused(error: &gtk::glib::Error) -> Error {
        Error::Print(error.message().to_owned())
    }

    pub async fn ask(app: &AppHandle, view: &WebView) -> Result<bool> {
        let builder = Builder::new();
        builder.add_from_string(DIALOG).map_err(|error| refused(&error))?;
        let Some(dialog) = builder.object::<Dialog>("print") else {
            return Err(Error::Print("there is no dialog for it".to_owned()));
        };
        let main = app.get_webview_window(crate::window::MAIN);
        let parent = main.and_then(|window| window.gtk_window().ok());
        dialog.set_transient_for(parent.as_ref());
        dialog.set_title(HEADING);
        let answer = dialog.run_future().await;
        // Shut by its key or its corner it is taken apart already, and has nothing left to ask for.
        if answer == ResponseType::DeleteEvent {
            return Ok(false);
        }
        let settings: Option<PrintSettings> = dialog.property("print-settings");
        let setup: Option<PageSetup> = dialog.property("page-setup");
        dialog.close();
        match (answer, settings, setup) {
            (ResponseType::Ok, Some(settings), Some(setup)) => send(view, &settings, &setup).await,
            (_, _, _) => Ok(false),
        }
    }

    /// To the printer that was chosen, or the file.
    async fn send(view: &WebView, settings: &PrintSettings, setup: &PageSetup) -> Result<bool> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let (tell, fault) = (RefCell::new(Some(tell)), Rc::new(RefCell::new(None)));
        let operation = PrintOperation::builder()
            .web_view(view)
            .print_settings(settings)
            .page_setup(setup)
            .build();
        let failed = fault.clone();
        operation.connect_failed(move |_, error| {
            failed.replace(Some(refused(error)));
        });
        // After a failure too.
        operation.connect_finished(move |_| {
            if let Some(tell) = tell.take() {
                let _ = tell.send(());
            }
        });
        operation.print();
        let is_told = told.await.is_ok();
        match fault.take() {
            Some(fault) => Err(fault),
            None => Ok(is_told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_handed_out_once_and_to_the_window_that_prints() {
        let printing = Printing::default();
        *printing.page() = Some(Page {
            html: "<p>Log book".to_owned(),
            policy: "default-src 'none'".to_owned(),
        });
        assert_eq!(printing.hand_out("main").status(), StatusCode::NOT_FOUND);
        let page = printing.hand_out(LABEL);
        assert_eq!(page.body().as_ref(), b"<p>Log book");
        assert_eq!(
            page.headers()[header::CONTENT_SECURITY_POLICY],
            "default-src 'none'"
        );
        assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(printing.hand_out(LABEL).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_window_that_prints_is_granted_nothing() {
        let capability: serde_json::Value =
            serde_json::from_str(include_str!("../../capabilities/main.json")).unwrap();
        assert_eq!(capability["windows"], serde_json::json!([crate::window::MAIN]));
        assert_ne!(LABEL, crate::window::MAIN);
    }
}
