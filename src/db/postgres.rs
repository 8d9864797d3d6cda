//! The database as a PostgreSQL server, which many machines may share.

use std::str::FromStr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use super::sqlite::not_migrated;
use super::{micros, unavailable};
use crate::error::{Error, Result};

/// Connections of one process. A statement takes a millisecond, so few serve many executions, and a thousand workers
/// still are no more than the server can bear.
const CONNECTIONS: u32 = 4;

/// How long a statement waits for a connection: a server that is away is to be heard of soon.
const PATIENCE: Duration = Duration::from_secs(5);

/// The oldest server that is tried: it has all that the statements use.
const OLDEST: u32 = 120_000;

/// Connects, and brings the database up to date; several processes that do so take turns. Gives its identity, too.
pub(super) async fn open(url: &str) -> Result<(PgPool, String)> {
    let options = PgConnectOptions::from_str(url)
        // The error would show the URL, and with it the password.
        .map_err(|_| Error::bad_input("the database URL is not `postgres://USER:PASSWORD@HOST/DATABASE`"))?
        .application_name("bindery");
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .connect_with(options)
        .await
        .map_err(|error| unavailable("the database cannot be reached", error))?;
    let version: String = sqlx::query_scalar("SHOW server_version_num")
        .fetch_one(&pool)
        .await
        .map_err(|error| unavailable("the database cannot be used", error))?;
    if version.parse().unwrap_or(0) < OLDEST {
        return Err(Error::unavailable("the database server is too old: PostgreSQL 12 or later is needed"));
    }
    sqlx::migrate!("migrations/postgres").run(&pool).await.map_err(not_migrated)?;
    let identity = sqlx::query_scalar("SELECT id FROM bindery_installation")
        .fetch_one(&pool)
        .await
        .map_err(|error| unavailable("the database cannot be used", error))?;
    Ok((pool, identity))
}

/// What the server's clock is ahead of ours, in microseconds.
pub(super) async fn clock_ahead(pool: &PgPool) -> sqlx::Result<i64> {
    let begun = Instant::now();
    let theirs: i64 = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        .fetch_one(pool)
        .await?;
    let half = i64::try_from(begun.elapsed().as_micros() / 2).unwrap_or(0);
    Ok(theirs + half - micros(Timestamp::now()))
}
