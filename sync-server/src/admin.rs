//! `sync-server admin …`: looking after the people of a server, from its own machine and with its settings.
//!
//! Each command is answered once, in words or with `--json` for machines, and ends with 0 only where all is well.
//! **Invariant:** nothing here is reached by a route, and no password is an argument, which other users of the machine see.

mod audit;
mod devices;
mod keys;
mod letters;
mod said;
mod secrets;
mod suited;
mod users;

use crate::app::App;
use crate::auth::Auth;
use crate::auth::operator::{Listed, Operator};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::hints::{Hints, Wire};
use said::Said;
use std::io::Write as _;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Admin {
    /// Answer with one JSON document.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    #[command(flatten)]
    WithStores(WithStores),
    /// Finds the parameters of argon2id that suit this machine, and prints the settings.
    #[command(name = "argon2-bench")]
    Argon2Bench {
        /// MiB of memory for one hash at the most; as many are made at once as there are cores.
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(19..=1024))]
        memory_mib: u32,
    },
    /// The addresses to register at each sign-in provider.
    Urls,
}

/// What looks into the database, or changes something there and tells the nodes.
#[derive(Debug, clap::Subcommand)]
enum WithStores {
    /// People: find, make, lock, delete.
    #[command(subcommand)]
    Users(users::Command),
    /// Where people are signed in.
    #[command(subcommand)]
    Devices(devices::Command),
    /// A new password for somebody whom no letter reaches.
    #[command(subcommand)]
    Password(users::Password),
    /// The second step of somebody's sign-in.
    #[command(subcommand)]
    SecondStep(users::SecondStep),
    /// The secrets in the settings.
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// The keys that access tokens are signed with.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Addresses that refuse letters, or are to be left alone.
    #[command(subcommand)]
    Letters(letters::Command),
    /// What happened at the door.
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Answers on standard output; what is wrong is one sentence on standard error.
pub async fn run(config: Config, admin: Admin) -> ExitCode {
    match answer(config, admin.command).await {
        Ok(said) => {
            let answer = if admin.json { said.json() } else { said.text() };
            // whoever reads may have enough of it
            let _ = writeln!(std::io::stdout(), "{answer}");
            if said.is_well() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            let sentence = match error {
                Error::Told(problem) => problem.sentence().to_owned(),
                Error::Kept(error) => format!("{error:#}"),
            };
            let _ = writeln!(std::io::stderr(), "error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn answer(config: Config, command: Command) -> Result<Said> {
    match command {
        Command::Urls => urls(&config),
        Command::Argon2Bench { memory_mib } => suited::answer(memory_mib),
        Command::WithStores(command) => {
            let desk = Desk::open(config).await?;
            let said = desk.answer(command).await;
            // the nodes are told before this program ends
            desk.wire.flush().await;
            said
        }
    }
}

/// What a command works with: the stores, and who gives it.
struct Desk {
    app: App,
    wire: Wire,
    operator: Operator,
}

impl Desk {
    async fn open(config: Config) -> Result<Self> {
        let name = config.operator_name();
        let app = App::open_for_a_command(config).await?;
        let auth = Auth::open(Hints::start(app.clone()))?;
        Ok(Self {
            app,
            wire: auth.wire().clone(),
            operator: Operator::new(auth, name),
        })
    }

    async fn answer(&self, command: WithStores) -> Result<Said> {
        match command {
            WithStores::Users(command) => users::answer(self, command).await,
            WithStores::Devices(command) => devices::answer(self, command).await,
            WithStores::Password(command) => users::password(self, command).await,
            WithStores::SecondStep(command) => users::second_step(self, command).await,
            WithStores::Secrets(command) => secrets::answer(self, command).await,
            WithStores::Keys(command) => keys::answer(self, command).await,
            WithStores::Letters(command) => letters::answer(self, command).await,
            WithStores::Audit(command) => audit::answer(self, command).await,
        }
    }

    async fn find(&self, who: &str) -> Result<Listed> {
        self.operator.find(who).await
    }
}

fn urls(config: &Config) -> Result<Said> {
    let all = crate::auth::addresses(config)?;
    let json = all.iter().map(|one| {
        serde_json::json!({
            "provider": one.provider.id,
            "name": one.provider.name,
            "redirect_uri": one.callback,
            "events_uri": one.events,
        })
    });
    let json = serde_json::Value::Array(json.collect());
    if all.is_empty() {
        return Ok(Said::new(
            "No sign-in providers are set: PROVIDERS is empty.",
            json,
        ));
    }
    let rows = all
        .into_iter()
        .map(|one| vec![one.provider.name, one.callback, one.events.unwrap_or_default()]);
    Ok(Said::table(
        &["PROVIDER", "REDIRECT ADDRESS", "ADDRESS FOR NOTICES"],
        rows.collect(),
        json,
    ))
}
