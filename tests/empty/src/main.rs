//! As little as an app can be: one window over one page that stands still. What it takes is the web view's own, and the bench
//! of the desktop app holds the app beside it.

fn main() -> tauri::Result<()> {
    tauri::Builder::default().run(tauri::generate_context!())
}
