//! The database: the durable record of executions and notebooks, in SQLite or PostgreSQL.
//!
//! One SQL text serves both (`$1`, `RETURNING`, `ON CONFLICT`). Every change of an execution's state is a fenced
//! `UPDATE`: it names the state that it expects, and reports whether it hit.

mod events;
mod executions;
mod flows;
mod idempotency;
mod kept_kernels;
mod leases;
mod notebooks;
mod notify;
mod postgres;
mod record;
mod remote_kernels;
mod retention;
mod schedules;
mod sqlite;
mod ticks;
mod transaction;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Result};
pub use events::JournalPart;
pub use executions::ExecutionFilter;
pub use flows::{EndedTask, FlowFilter};
pub use leases::{ClaimLimits, Finish, Lease};
pub use notebooks::{NewNotebook, NotebookChange, NotebookRecord};
pub use notify::{Change, Changes, Interest};
pub use ticks::{NewTick, Step};
pub use transaction::Transaction;

/// The database; clones share one pool.
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
    /// What the database's clock is ahead of ours, in microseconds.
    clock: Arc<AtomicI64>,
    /// See [`Database::identity`].
    identity: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
enum Pool {
    Sqlite(sqlite::SqliteFile),
    Postgres(sqlx::PgPool),
}

/// Does the same on whichever pool it is; the SQL is the same, the types are not.
macro_rules! on {
    ($database:expr, $pool:ident => $body:expr) => {
        match &$database.pool {
            $crate::db::Pool::Sqlite(file) => {
                let $pool = &file.pool;
                $body
            }
            $crate::db::Pool::Postgres($pool) => $body,
        }
    };
}
use on;

impl Database {
    /// Opens the database at `url` (`sqlite:PATH`, `postgres://…`), made and brought up to date when needed.
    ///
    /// # Errors
    /// `BadInput` for a URL of another kind, `Unavailable` when the database cannot be opened, reached or is locked.
    pub async fn open(url: &str) -> Result<Self> {
        let mut identity = None;
        let pool = match url.split_once(':') {
            Some(("sqlite", _)) => Pool::Sqlite(sqlite::SqliteFile::open(url).await?),
            Some(("postgres" | "postgresql", _)) => {
                let (pool, name) = postgres::open(url).await?;
                identity = Some(name.into());
                Pool::Postgres(pool)
            }
            _ => {
                return Err(Error::bad_input(
                    "the database URL must be `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`",
                ));
            }
        };
        let database = Self { pool, clock: Arc::default(), identity };
        database.set_clock().await?;
        Ok(database)
    }

    /// Whether other machines may use the same database.
    pub fn is_shared(&self) -> bool {
        matches!(self.pool, Pool::Postgres(_))
    }

    /// What tells a shared database from every other, wherever it is reached from; `None` for a file of this machine.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// The time by the database's clock: machines whose own clocks differ agree on it, to some milliseconds.
    pub fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_micros(self.clock.load(Ordering::Relaxed))
    }

    /// Looks at the database's clock.
    ///
    /// # Errors
    /// `Unavailable` when the database does not answer.
    pub async fn set_clock(&self) -> Result<()> {
        if let Pool::Postgres(pool) = &self.pool {
            let ahead = postgres::clock_ahead(pool).await.map_err(lost)?;
            self.clock.store(ahead, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether the database answers, and is still the one that was opened.
    ///
    /// # Errors
    /// `Unavailable` when it does not.
    pub async fn check(&self) -> Result<()> {
        self.check_file().await?;
        on!(self, pool => sqlx::query("SELECT 1").execute(pool).await.map(drop)).map_err(lost)
    }

    async fn check_file(&self) -> Result<()> {
        match &self.pool {
            Pool::Sqlite(file) => file.check().await,
            Pool::Postgres(_) => Ok(()),
        }
    }

    /// Closes every connection; SQLite folds its write-ahead log into the file then.
    pub async fn close(&self) {
        on!(self, pool => pool.close().await);
    }
}

fn unavailable(what: &str, error: sqlx::Error) -> Error {
    let why = match &error {
        sqlx::Error::Database(database) => format!(": {}", database.message()),
        sqlx::Error::PoolTimedOut => ": it does not answer, or every connection is busy".into(),
        sqlx::Error::Io(error) => format!(": {}", error.kind()),
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

/// A number for a column of the database, which has no unsigned ones.
fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
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
