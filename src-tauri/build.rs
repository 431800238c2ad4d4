//! Declares every command of `protocol::ipc`, so that the shell refuses what the capability file does not grant.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Lints and tests compile the shell before there is a page; an empty folder is enough for them.
    std::fs::create_dir_all("../ui/dist")?;
    let commands = tauri_build::AppManifest::new().commands(protocol::ipc::NAMES);
    tauri_build::try_build(tauri_build::Attributes::new().app_manifest(commands))?;
    Ok(())
}
