//! Requests that clients have named.

use super::{Database, lost, on};
use crate::error::Result;
use crate::execution::{Execution, ExecutionId};

impl Database {
    /// The execution that was asked for under an idempotency key.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn execution_by_key(&self, key: &str) -> Result<Option<Execution>> {
        let id: Option<i64> =
            on!(self, pool => sqlx::query_scalar("SELECT id FROM executions WHERE idempotency_key = $1")
            .bind(key)
            .fetch_optional(pool).await)
            .map_err(lost)?;
        match id {
            Some(id) => self.execution(ExecutionId(id)).await.map(Some),
            None => Ok(None),
        }
    }
}
