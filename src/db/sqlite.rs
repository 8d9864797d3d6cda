//! The database as a file of this machine.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::unavailable;
use crate::error::{Error, Result};

/// How long a statement waits for another writer before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// An open SQLite file.
#[derive(Debug, Clone)]
pub(super) struct SqliteFile {
    pub(super) pool: SqlitePool,
    pub(super) path: PathBuf,
    /// Device and inode of the file at its opening.
    identity: (u64, u64),
}

impl SqliteFile {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let path = path_of(url)?;
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
        sqlx::migrate!("migrations/sqlite").run(&pool).await.map_err(not_migrated)?;
        drop(lock);
        let identity = identity(&path)
            .await
            .map_err(|error| Error::unavailable("the database's file cannot be read").with_source(error))?;
        // Later connections must not make an empty file where somebody has removed this one.
        pool.set_connect_options(options.create_if_missing(false));
        Ok(Self { pool, path, identity })
    }

    /// A file that was removed or replaced is written on by those who have it open, and nobody ever reads that.
    pub(super) async fn check(&self) -> Result<()> {
        match identity(&self.path).await {
            Ok(now) if now == self.identity => Ok(()),
            Ok(_) => Err(Error::unavailable("the database's file has been replaced: restart the service")),
            Err(error) => {
                let message = "the database's file has been removed: put it back and restart the service";
                Err(Error::unavailable(message).with_source(error))
            }
        }
    }
}

/// Why a database could not be brought up to date.
pub(super) fn not_migrated(error: sqlx::migrate::MigrateError) -> Error {
    match error {
        sqlx::migrate::MigrateError::VersionMissing(_) => {
            Error::unavailable("the database was written by a newer version of bindery: use that version")
        }
        error => Error::unavailable("the database cannot be brought up to date").with_source(error),
    }
}

async fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    tokio::fs::metadata(path).await.map(|metadata| (metadata.dev(), metadata.ino()))
}

fn path_of(url: &str) -> Result<PathBuf> {
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
