//! Kernels of failed runs that are kept for a person.

use super::{Database, lost, on, returned, to_json};
use crate::error::Result;
use crate::execution::{ExecutionId, KeptKernel};

impl Database {
    /// Records where an execution's kernel is kept.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn record_kept_kernel(&self, id: ExecutionId, kernel: &KeptKernel) -> Result<()> {
        let kernel = to_json(kernel)?;
        on!(self, pool => sqlx::query("UPDATE executions SET kept_kernel = $1 WHERE id = $2")
            .bind(&kernel)
            .bind(id.0)
            .execute(pool).await.map(drop))
        .map_err(lost)
    }

    /// Forgets an execution's kernel, which whoever keeps it takes for the word to end it. Says whether one was kept.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn forget_kept_kernel(&self, id: ExecutionId) -> Result<bool> {
        let forgotten: Vec<i64> = on!(self, pool => sqlx::query_scalar(
            "UPDATE executions SET kept_kernel = NULL WHERE id = $1 AND kept_kernel IS NOT NULL RETURNING id",
        )
        .bind(id.0)
        .fetch_all(pool).await)
        .map_err(lost)?;
        Ok(returned(forgotten).is_some())
    }
}
