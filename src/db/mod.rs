//! The database: the durable record of executions and notebooks.
//!
//! One SQL text serves SQLite now and PostgreSQL later (`$1`, `RETURNING`, `ON CONFLICT`). Every change of
//! an execution's state is a fenced `UPDATE`: it names the state that it expects, and reports whether it hit.

mod executions;
mod idempotency;
mod notebooks;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::error::{Error, Result};
pub use executions::{ExecutionFilter, Finish, Lease};
pub use notebooks::{NewNotebook, NotebookChange, NotebookRecord};

/// How long a statement waits for another writer before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The database; clones share one pool.
#[derive(Debug, Clone)]
pub struct Database {
    pool: SqlitePool,
    path: PathBuf,
    /// Device and inode of the file at its opening.
    identity: (u64, u64),
}

impl Database {
    /// Opens the database at `url` (`sqlite:PATH`), made and brought up to date when needed.
    ///
    /// # Errors
    /// `BadInput` for a URL of another kind, `Unavailable` when the file cannot be opened or is locked.
    pub async fn open(url: &str) -> Result<Self> {
        let path = sqlite_path(url)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        // Also a fresh file's change to write-ahead logging is nothing that others wait for.
        let lock = migration_lock(&path).await?;
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(BUSY_TIMEOUT * 2)
            .connect_with(options.clone())
            .await
            .map_err(|error| unavailable("the database cannot be opened", error))?;
        sqlx::migrate!("migrations/sqlite").run(&pool).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::VersionMissing(_) => {
                Error::unavailable("the database was written by a newer version of bindery: use that version")
            }
            error => Error::unavailable("the database cannot be brought up to date").with_source(error),
        })?;
        drop(lock);
        let identity = identity(&path)
            .await
            .map_err(|error| Error::unavailable("the database's file cannot be read").with_source(error))?;
        // Later connections must not make an empty file where somebody has removed this one.
        pool.set_connect_options(options.create_if_missing(false));
        Ok(Self { pool, path, identity })
    }

    /// Whether the database answers, and is still the one that was opened.
    ///
    /// # Errors
    /// `Unavailable` when it does not.
    pub async fn check(&self) -> Result<()> {
        self.check_file().await?;
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop).map_err(lost)
    }

    /// A file that was removed or replaced is written on by those who have it open, and nobody ever reads that.
    async fn check_file(&self) -> Result<()> {
        match identity(&self.path).await {
            Ok(now) if now == self.identity => Ok(()),
            Ok(_) => Err(Error::unavailable("the database's file has been replaced: restart the service")),
            Err(error) => {
                let message = "the database's file has been removed: put it back and restart the service";
                Err(Error::unavailable(message).with_source(error))
            }
        }
    }

    /// Closes every connection, so that the write-ahead log is folded into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    tokio::fs::metadata(path).await.map(|metadata| (metadata.dev(), metadata.ino()))
}

fn sqlite_path(url: &str) -> Result<PathBuf> {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.trim_start_matches('/').is_empty() => {
            Ok(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
        }
        _ => Err(Error::bad_input("the database URL must be `sqlite:PATH`")),
    }
}

/// Two processes that migrate one fresh file race; the file's lock makes them take turns.
async fn migration_lock(path: &Path) -> Result<File> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    tokio::task::spawn_blocking(move || {
        let file = File::create(lock_path)?;
        file.lock()?;
        Ok(file)
    })
    .await
    .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
    .map_err(|error: std::io::Error| {
        Error::unavailable("the database's lock file cannot be written").with_source(error)
    })
}

fn unavailable(what: &str, error: sqlx::Error) -> Error {
    let why = match &error {
        sqlx::Error::Database(database) => format!(": {}", database.message()),
        sqlx::Error::PoolTimedOut => ": every connection is busy".into(),
        _ => String::new(),
    };
    Error::unavailable(format!("{what}{why}")).with_source(error)
}

/// The translation of any database error of which the caller makes nothing special.
fn lost(error: sqlx::Error) -> Error {
    unavailable("the database cannot be used now", error)
}

/// The one row that a statement with `RETURNING` gave back, if any.
///
/// Such a statement is run with `fetch_all`: `fetch_one` and `fetch_optional` let go of it at its first row, before
/// it has committed, and a commit that then fails (disk full) goes unheard.
fn returned<T>(rows: Vec<T>) -> Option<T> {
    rows.into_iter().next()
}

fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A JSON column's text; every type stored this way serialises.
fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::internal("a record cannot be written as JSON").with_source(error))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::internal("a record in the database cannot be read").with_source(error))
}
