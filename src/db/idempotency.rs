//! Requests that clients have named.

use super::{Database, from_json, lost, on};
use crate::error::Result;
use crate::execution::{ExecutionId, ExecutionRequest};

impl Database {
    /// The execution that was asked for under an idempotency key, and what was asked then: its result may be elsewhere.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn request_by_key(&self, key: &str) -> Result<Option<(ExecutionId, ExecutionRequest)>> {
        let row: Option<(i64, String)> = on!(self, pool => sqlx::query_as(
            "SELECT id, request FROM executions WHERE idempotency_key = $1",
        )
        .bind(key)
        .fetch_optional(pool).await)
        .map_err(lost)?;
        row.map(|(id, request)| Ok((ExecutionId(id), from_json(&request)?))).transpose()
    }
}
