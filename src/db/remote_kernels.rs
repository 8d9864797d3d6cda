//! The kernels behind gateways that executions run on: recorded before anything is sent to them, forgotten when they have
//! ended.

use std::time::Duration;

use jiff::Timestamp;

use super::leases::expiry;
use super::{Database, Lease, Pool, from_json, lost, on, returned, to_json};
use crate::error::Result;
use crate::execution::{ExecutionId, RemoteRun};

impl Database {
    /// Records the kernel of a run; false when the lease is lost.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn record_remote_kernel(&self, lease: &Lease, remote: &RemoteRun) -> Result<bool> {
        let remote = to_json(remote)?;
        let done = on!(self, pool => sqlx::query(
            "UPDATE executions SET remote_kernel = $1 \
             WHERE id = $2 AND status = 'running' AND lease_owner = $3 AND attempts = $4",
        )
        .bind(&remote)
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(i64::from(lease.attempt))
        .execute(pool).await.map(|done| done.rows_affected()))
        .map_err(lost)?;
        Ok(done == 1)
    }

    /// Makes the lease of who settles an execution that of `owner`, who goes on with its kernel; `None` when the lease is
    /// lost. `remote` is the record of the kernel from now on.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn take_over(
        &self,
        lease: &Lease,
        owner: &str,
        remote: &RemoteRun,
        by: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>> {
        let remote = to_json(remote)?;
        let done = on!(self, pool => sqlx::query(
            "UPDATE executions SET lease_owner = $1, lease_expires_at = $2, remote_kernel = $3 \
             WHERE id = $4 AND status = 'running' AND lease_owner = $5 AND attempts = $6",
        )
        .bind(owner)
        .bind(expiry(now, by))
        .bind(&remote)
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(i64::from(lease.attempt))
        .execute(pool).await.map(|done| done.rows_affected()))
        .map_err(lost)?;
        Ok((done == 1).then(|| Lease { owner: owner.to_owned(), ..lease.clone() }))
    }

    /// Lets a lease run out now, so that another worker goes on at once; false when it is lost.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn let_go(&self, lease: &Lease) -> Result<bool> {
        let done = on!(self, pool => sqlx::query(
            "UPDATE executions SET lease_owner = 'nobody', lease_expires_at = 0 \
             WHERE id = $1 AND status = 'running' AND lease_owner = $2 AND attempts = $3",
        )
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(i64::from(lease.attempt))
        .execute(pool).await.map(|done| done.rows_affected()))
        .map_err(lost)?;
        Ok(done == 1)
    }

    /// Forgets a kernel that has ended.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn forget_remote_kernel(&self, id: ExecutionId, kernel_id: &str) -> Result<()> {
        // Another attempt may have another by now.
        let Some(remote) = self.execution(id).await?.remote.filter(|it| it.kernel.kernel_id == kernel_id)
        else {
            return Ok(());
        };
        let remote = to_json(&remote)?;
        on!(self, pool => sqlx::query("UPDATE executions SET remote_kernel = NULL WHERE id = $1 AND remote_kernel = $2")
            .bind(id.0)
            .bind(&remote)
            .execute(pool).await.map(drop))
        .map_err(lost)
    }

    /// The kernels of executions that do not run any more.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn left_remote_kernels(&self) -> Result<Vec<(ExecutionId, RemoteRun)>> {
        let rows: Vec<(i64, String)> = on!(self, pool => sqlx::query_as(
            "SELECT id, remote_kernel FROM executions WHERE remote_kernel IS NOT NULL AND status <> 'running' ORDER BY id",
        )
        .fetch_all(pool).await)
        .map_err(lost)?;
        rows.into_iter().map(|(id, remote)| Ok((ExecutionId(id), from_json(&remote)?))).collect()
    }

    /// Where what the database has of the journal of an attempt ends, in bytes.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn journal_end(&self, id: ExecutionId, attempt: u32) -> Result<u64> {
        let Pool::Postgres(pool) = &self.pool else { return Ok(0) };
        let ends: Vec<Option<i64>> = sqlx::query_scalar(
            "SELECT max(end_offset) FROM execution_events WHERE execution_id = $1 AND attempt = $2",
        )
        .bind(id.0)
        .bind(i64::from(attempt))
        .fetch_all(pool)
        .await
        .map_err(lost)?;
        Ok(returned(ends).flatten().unwrap_or(0).unsigned_abs())
    }
}
