//! A PostgreSQL cluster and a Redis of one's own: own folder, own ports, never the system's.

use crate::place::which;
use crate::ports;
use crate::supervisor::{Service, Supervisor, bound};
use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whose data it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// Kept between runs: every commit reaches the disk.
    Kept,
    /// Thrown away: speed before safety.
    Passing,
}

/// Starts PostgreSQL in a folder, making the cluster at the first time; gives the URL of its only user.
pub fn postgres(
    supervisor: &mut Supervisor,
    folder: &Path,
    port: u16,
    lasting: Lasting,
) -> anyhow::Result<String> {
    let programs = postgres_programs().context("PostgreSQL is not installed; `cargo xtask setup` does it")?;
    let owner = Owner::of_cluster()?;
    let folder = owner.reachable(folder)?;
    owner.make(&folder)?;
    let password = secret_in(&folder.join("password"), 24)?;
    owner.take(&folder.join("password"))?;
    let data = folder.join("data");
    if !data.join("PG_VERSION").is_file() {
        initialise(&owner, &programs, &folder, lasting)?;
    }
    check_version(&programs, &data)?;
    let mut command = owner.command(&programs.join("postgres"), "INT");
    command
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(&folder)
        .args(["-p", &port.to_string()])
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "lc_messages=C"])
        .args(["-c", "max_connections=300", "-c", "shared_buffers=128MB"])
        .current_dir(&folder);
    if lasting == Lasting::Passing {
        for setting in [
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "max_wal_size=4GB",
        ] {
            command.args(["-c", setting]);
        }
    }
    supervisor.start(Service {
        name: "PostgreSQL".to_owned(),
        command,
        ready: "ready to accept connections".to_owned(),
        log: folder.join("log"),
        // Fast shutdown: does not wait for clients.
        signal: Signal::SIGINT,
    })?;
    Ok(format!(
        "postgres://compymac:{password}@127.0.0.1:{port}/postgres"
    ))
}

/// Starts Redis in a folder; gives its URL.
pub fn redis(
    supervisor: &mut Supervisor,
    folder: &Path,
    port: u16,
    lasting: Lasting,
) -> anyhow::Result<String> {
    let program = which("redis-server").context("Redis is not installed; `cargo xtask setup` does it")?;
    make_private(folder)?;
    let password = secret_in(&folder.join("password"), 24)?;
    let save = if lasting == Lasting::Kept {
        "save 60 1"
    } else {
        "save \"\""
    };
    // In a file and not as arguments, which every user of the machine can read.
    let settings = folder.join("redis.conf");
    write_private(
        &settings,
        format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir \"{}\"\n{save}\ndaemonize no\n",
            folder.display()
        )
        .as_bytes(),
    )?;
    let mut command = bound(&program, None, "TERM");
    command.arg(&settings);
    supervisor.start(Service {
        name: "Redis".to_owned(),
        command,
        ready: "eady to accept connections".to_owned(),
        log: folder.join("log"),
        signal: Signal::SIGTERM,
    })?;
    Ok(format!("redis://:{password}@127.0.0.1:{port}/"))
}

/// Both, thrown away afterwards.
#[derive(Debug)]
pub struct Passing {
    pub postgres: String,
    pub redis: String,
    folder: PathBuf,
}

impl Passing {
    pub fn start(supervisor: &mut Supervisor) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("compymac-{}", std::process::id()));
        // Others may pass through, for PostgreSQL's own user; what is inside is closed.
        fs::DirBuilder::new()
            .mode(0o711)
            .create(&folder)
            .with_context(|| format!("making {}", folder.display()))?;
        let postgres = postgres(
            supervisor,
            &folder.join("postgres"),
            ports::free()?,
            Lasting::Passing,
        )?;
        let redis = redis(
            supervisor,
            &folder.join("redis"),
            ports::free()?,
            Lasting::Passing,
        )?;
        Ok(Self {
            postgres,
            redis,
            folder,
        })
    }

    /// Takes the folder away; what runs in it must have ended.
    pub fn clear(self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("removing {}", self.folder.display()))
    }
}

/// Runs one statement, or a file of them, through psql.
pub fn psql(url: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let program = postgres_programs()
        .map(|folder| folder.join("psql"))
        .filter(|path| path.is_file())
        .or_else(|| which("psql"))
        .context("psql is not installed; `cargo xtask setup` does it")?;
    let (url, password) = without_password(url);
    let output = Command::new(program)
        .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", &url])
        .args(arguments)
        .env("PGPASSWORD", password)
        .output()
        .context("starting psql")?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A URL that may stand among a program's arguments, where every user of the machine reads it; and the password.
pub fn without_password(url: &str) -> (String, String) {
    let split = url.split_once("://").and_then(|(scheme, rest)| {
        let (user, host) = rest.split_once('@')?;
        let (user, password) = user.split_once(':')?;
        Some((format!("{scheme}://{user}@{host}"), password.to_owned()))
    });
    split.unwrap_or_else(|| (url.to_owned(), String::new()))
}

/// The folder of PostgreSQL's own programs: Debian's newest, Homebrew's, or wherever `postgres` is found.
pub fn postgres_programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt"]
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file())
        .collect();
    versions.sort();
    versions
        .pop()
        .or_else(|| which("postgres").and_then(|program| program.parent().map(Path::to_path_buf)))
}

/// Who owns the cluster: PostgreSQL refuses to run as root, so there it is its package's user.
#[derive(Debug)]
struct Owner {
    other: Option<User>,
}

impl Owner {
    fn of_cluster() -> anyhow::Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self { other: None });
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Self { other: Some(user) });
            }
        }
        bail!("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
    }

    /// The folder itself, or, where its owner may not pass (root's home), one beside the system's own state.
    fn reachable(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let is_open = folder
            .ancestors()
            .skip(1)
            .filter_map(|above| fs::metadata(above).ok())
            .all(|above| above.mode() & 0o001 != 0);
        if self.other.is_none() || is_open {
            return Ok(folder.to_path_buf());
        }
        let name: String = folder
            .to_string_lossy()
            .trim_start_matches('/')
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let above = Path::new("/var/lib/compymac-dev");
        fs::create_dir_all(above).with_context(|| format!("making {}", above.display()))?;
        let away = above.join(name);
        // The link says that what lies there belongs to this folder. Without it, somebody has removed the folder to
        // begin anew, and meant the data too.
        if !folder.is_symlink() {
            if away.exists() {
                fs::remove_dir_all(&away).with_context(|| format!("removing {}", away.display()))?;
            }
            if let Some(parent) = folder.parent() {
                make_private(parent)?;
            }
            symlink(&away, folder).with_context(|| format!("linking {}", folder.display()))?;
        }
        Ok(away)
    }

    fn make(&self, folder: &Path) -> anyhow::Result<()> {
        make_private(folder)?;
        self.take(folder)
    }

    fn take(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(user) = &self.other {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .with_context(|| format!("giving {} to {}", path.display(), user.name))?;
        }
        Ok(())
    }

    fn command(&self, program: &Path, at_death: &str) -> Command {
        bound(
            program,
            self.other.as_ref().map(|user| user.name.as_str()),
            at_death,
        )
    }
}

/// Into a folder of another name first, so that a cluster that is there is whole.
///
/// SCRAM lets a client hash a password 4,096 times for each connection. The tests, whose cluster is gone with them, open tens of
/// thousands of connections with programs that were not optimised.
fn initialise(owner: &Owner, programs: &Path, folder: &Path, lasting: Lasting) -> anyhow::Result<()> {
    let proof = match lasting {
        Lasting::Kept => "scram-sha-256",
        Lasting::Passing => "md5",
    };
    let making = folder.join("making");
    if making.exists() {
        fs::remove_dir_all(&making)?;
    }
    let output = owner
        .command(&programs.join("initdb"), "KILL")
        .arg("-D")
        .arg(&making)
        .args(["-U", "compymac", "-A", proof, "--pwfile"])
        .arg(folder.join("password"))
        .args(["-E", "UTF8", "--locale=C", "--no-sync"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("starting initdb")?;
    if !output.status.success() {
        bail!(
            "making the PostgreSQL cluster: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    fs::rename(&making, folder.join("data")).context("putting the PostgreSQL cluster in its place")
}

/// A cluster is read only by the version that made it.
fn check_version(programs: &Path, data: &Path) -> anyhow::Result<()> {
    let made_by = fs::read_to_string(data.join("PG_VERSION"))?;
    let output = Command::new(programs.join("postgres"))
        .arg("--version")
        .output()?;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = version.split_whitespace().nth(2).unwrap_or_default();
    if number.split('.').next() != Some(made_by.trim()) {
        bail!(
            "the data in {} was made by PostgreSQL {}, but {number} is installed now: install {0} too, or remove the folder to begin anew",
            data.display(),
            made_by.trim()
        );
    }
    Ok(())
}

/// A secret that is made once and kept in a file that only its owner reads; hexadecimal.
pub fn secret_in(file: &Path, bytes: usize) -> anyhow::Result<String> {
    if let Ok(kept) = fs::read_to_string(file) {
        return Ok(kept.trim().to_owned());
    }
    let mut secret = String::new();
    for byte in random(bytes)? {
        let _ = write!(secret, "{byte:02x}");
    }
    write_private(file, secret.as_bytes())?;
    Ok(secret)
}

pub fn random(bytes: usize) -> anyhow::Result<Vec<u8>> {
    let mut random = vec![0; bytes];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("reading /dev/urandom")?;
    Ok(random)
}

pub fn make_private(folder: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("making {}", folder.display()))
}

pub fn write_private(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| file.write_all(content))
        .with_context(|| format!("writing {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn a_password_is_taken_out_of_a_url() {
        let taken = without_password("postgres://ana:secret@127.0.0.1:5/x");
        assert_eq!(
            taken,
            ("postgres://ana@127.0.0.1:5/x".to_owned(), "secret".to_owned())
        );
        assert_eq!(without_password("postgres://ana@h/x").0, "postgres://ana@h/x");
    }
}
