//! Several changes that are made together or not at all.

use super::{Database, Pool, lost};
use crate::error::Result;

/// An open transaction; dropped without [`Transaction::commit`], it has changed nothing.
#[derive(Debug)]
pub struct Transaction {
    pub(super) open: Open,
}

#[derive(Debug)]
pub(super) enum Open {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// Does the same within a transaction, whichever database it is of.
macro_rules! within {
    ($transaction:expr, $connection:ident => $body:expr) => {
        match &mut $transaction.open {
            $crate::db::transaction::Open::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
            $crate::db::transaction::Open::Postgres(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
        }
    };
}
pub(super) use within;

impl Database {
    /// Begins a transaction. On SQLite it is the only writer from here on: one that began as a reader could not become one
    /// while another writes.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used or its file is gone.
    pub async fn begin(&self) -> Result<Transaction> {
        self.check_file().await?;
        let open = match &self.pool {
            Pool::Sqlite(file) => Open::Sqlite(file.pool.begin_with("BEGIN IMMEDIATE").await.map_err(lost)?),
            Pool::Postgres(pool) => Open::Postgres(pool.begin().await.map_err(lost)?),
        };
        Ok(Transaction { open })
    }
}

impl Transaction {
    /// Makes the changes.
    ///
    /// # Errors
    /// `Unavailable` when they could not be made: then none was.
    pub async fn commit(self) -> Result<()> {
        match self.open {
            Open::Sqlite(transaction) => transaction.commit().await,
            Open::Postgres(transaction) => transaction.commit().await,
        }
        .map_err(lost)
    }
}
