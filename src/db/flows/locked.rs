//! What is changed of a flow. Its own row is changed first, so that those who want to do the same take turns, and the last of
//! them finds nothing left to do.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::QueryBuilder;

use super::super::transaction::{Transaction, within};
use super::super::{from_json, lost, micros, number, returned, to_json};
use super::ROWS;
use super::record::{FlowRow, StepRow};
use crate::error::Result;
use crate::execution::ExecutionStatus;
use crate::flow::{Definition, Flow, FlowId, FlowStep, NewFlow};
use crate::workflow::ForEach;

impl Transaction {
    /// Records a flow with its steps, which all wait; `None` when its idempotency key, or its place at its
    /// parent, is taken.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn insert_flow(
        &mut self,
        flow: &NewFlow,
        directory: impl Fn(FlowId) -> String,
        now: Timestamp,
    ) -> Result<Option<FlowId>> {
        let (definition, lists) = without_lists(&flow.definition)?;
        let workflow = &flow.definition.workflow;
        let (definition, request) = (to_json(&definition)?, to_json(&flow.request)?);
        let (parameters, warnings) = (to_json(&flow.parameters)?, to_json(&flow.warnings)?);
        let link = flow.mlflow.as_ref().map(to_json).transpose()?;
        let is_tracked = flow.mlflow.as_ref().is_some_and(|link| link.run_id.is_some());
        let deadline = workflow.timeout.map(|timeout| super::super::leases::expiry(now, timeout));
        let ids: Vec<i64> = within!(self, connection => sqlx::query_scalar(
            "INSERT INTO flows (kind, name, username, status, definition, request, parameters, output_directory, \
             submitted_at, deadline, wake_at, warnings, mlflow, mlflow_open, idempotency_key, parent, \
             child) \
             VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $9, $8, $10, $11, $12, $13, $14, $15) \
             ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(flow.kind.as_str())
        .bind(&workflow.name)
        .bind(&flow.username)
        .bind(&definition)
        .bind(&request)
        .bind(&parameters)
        .bind(flow.output_directory.as_deref().unwrap_or_default())
        .bind(micros(now))
        .bind(deadline)
        .bind(&warnings)
        .bind(&link)
        .bind(i64::from(is_tracked))
        .bind(&flow.idempotency_key)
        .bind(flow.parent.as_ref().map(|parent| parent.parent().to_string()))
        .bind(flow.parent.as_ref().map(|parent| parent.child.as_str()))
        .fetch_all(connection).await)
        .map_err(lost)?;
        let Some(id) = returned(ids).map(FlowId) else { return Ok(None) };
        if flow.output_directory.is_none() {
            within!(self, connection => sqlx::query("UPDATE flows SET output_directory = $1 WHERE id = $2")
                .bind(directory(id))
                .bind(id.0)
                .execute(connection).await.map(drop))
            .map_err(lost)?;
        }
        let steps: Vec<_> = workflow.steps.iter().zip(lists).enumerate().collect();
        for chunk in steps.chunks(ROWS) {
            const TEXT: &str = "INSERT INTO flow_steps (flow_id, position, name, for_each, status) ";
            macro_rules! insert {
                ($connection:expr) => {{
                    let mut query = QueryBuilder::new(TEXT);
                    query.push_values(chunk, |mut row, (position, (step, list))| {
                        row.push_bind(id.0).push_bind(number(*position)).push_bind(&step.name);
                        row.push_bind(list).push_bind("pending");
                    });
                    query.build().execute($connection).await.map(drop)
                }};
            }
            within!(self, connection => insert!(connection)).map_err(lost)?;
        }
        Ok(Some(id))
    }

    /// The items of a step that were written out; `None` where it has none, or they are yet to be found.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn items_of_step(&mut self, id: FlowId, position: usize) -> Result<Option<Vec<Value>>> {
        let lists: Vec<Option<String>> = within!(self, connection => sqlx::query_scalar(
            "SELECT for_each FROM flow_steps WHERE flow_id = $1 AND position = $2",
        )
        .bind(id.0)
        .bind(number(position))
        .fetch_all(connection).await)
        .map_err(lost)?;
        returned(lists).flatten().as_deref().map(from_json).transpose()
    }

    /// Takes an open flow for this transaction: others who want it wait. `None` when it has ended, or there is none.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn lock_flow(&mut self, id: FlowId) -> Result<Option<Flow>> {
        let rows = within!(self, connection => sqlx::query_as::<_, FlowRow>(
            "UPDATE flows SET version = version + 1 WHERE id = $1 AND end_time IS NULL RETURNING *",
        )
        .bind(id.0)
        .fetch_all(connection).await)
        .map_err(lost)?;
        returned(rows).map(FlowRow::read).transpose()
    }

    /// Opens a flow again that failed or was cancelled: what has not ended well waits once more. `None` when it is open, or
    /// ended well.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn reopen_flow(&mut self, id: FlowId, now: Timestamp) -> Result<Option<Flow>> {
        let rows = within!(self, connection => sqlx::query_as::<_, FlowRow>(
            "UPDATE flows SET version = version + 1, status = 'running', end_time = NULL, cancel_requested = 0, \
             deadline = deadline - submitted_at + $1, wake_at = $1, error = NULL, \
             mlflow_open = CASE WHEN mlflow LIKE '%\"run_id\":\"%' THEN 1 ELSE 0 END \
             WHERE id = $2 AND status IN ('failed', 'cancelled') RETURNING *",
        )
        .bind(micros(now))
        .bind(id.0)
        .fetch_all(connection).await)
        .map_err(lost)?;
        let Some(flow) = returned(rows).map(FlowRow::read).transpose()? else { return Ok(None) };
        for text in [
            "UPDATE flow_tasks SET status = 'pending', forgiven = attempts, retry_at = NULL, error = NULL \
             WHERE flow_id = $1 AND status <> 'success'",
            // One that was given up before it had any tasks begins anew.
            "UPDATE flow_steps SET status = CASE WHEN items > 0 THEN 'running' ELSE 'pending' END, running = 0, failed = 0, \
             cancelled = 0, error = NULL, end_time = NULL WHERE flow_id = $1 AND status <> 'success'",
        ] {
            within!(self, connection => sqlx::query(text).bind(id.0).execute(connection).await.map(drop))
                .map_err(lost)?;
        }
        Ok(Some(flow))
    }

    /// The steps of a flow in their order.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn flow_steps(&mut self, id: FlowId) -> Result<Vec<FlowStep>> {
        within!(self, connection => sqlx::query_as::<_, StepRow>(
            "SELECT * FROM flow_steps WHERE flow_id = $1 ORDER BY position",
        )
        .bind(id.0)
        .fetch_all(connection).await)
        .map_err(lost)?
        .into_iter()
        .map(StepRow::read)
        .collect()
    }

    /// Writes how a step stands.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn update_step(&mut self, id: FlowId, step: &FlowStep) -> Result<()> {
        let error = step.error.as_ref().map(to_json).transpose()?;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        within!(self, connection => sqlx::query(
            "UPDATE flow_steps SET status = $1, items = $2, running = $3, success = $4, failed = $5, cancelled = $6, \
             start_time = $7, end_time = $8, error = $9 WHERE flow_id = $10 AND position = $11",
        )
        .bind(step.status.as_str())
        .bind(count(step.items))
        .bind(count(step.running))
        .bind(count(step.success))
        .bind(count(step.failed))
        .bind(count(step.cancelled))
        .bind(step.start_time.map(micros))
        .bind(step.end_time.map(micros))
        .bind(&error)
        .bind(id.0)
        .bind(number(step.position))
        .execute(connection).await.map(drop))
        .map_err(lost)
    }

    /// Writes how a flow goes on: when it is to be looked at next though nothing has ended, or, with a final status, that
    /// it has ended.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn update_flow(
        &mut self,
        flow: &Flow,
        end: Option<ExecutionStatus>,
        wake_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<()> {
        let error = flow.error.as_ref().map(to_json).transpose()?;
        within!(self, connection => sqlx::query(
            "UPDATE flows SET status = $1, end_time = $2, wake_at = $3, error = $4 WHERE id = $5",
        )
        .bind(end.unwrap_or(ExecutionStatus::Running).as_str())
        .bind(end.map(|_| micros(now)))
        .bind(wake_at.map(micros))
        .bind(&error)
        .bind(flow.id.0)
        .execute(connection).await.map(drop))
        .map_err(lost)
    }
}

/// A definition without the items that are written out in it, and these, by step.
fn without_lists(definition: &Definition) -> Result<(Definition, Vec<Option<String>>)> {
    let mut definition = definition.clone();
    let lists = definition.workflow.steps.iter_mut().map(|step| match &mut step.for_each {
        Some(ForEach::List(items)) => to_json(&std::mem::take(items)).map(Some),
        _ => Ok(None),
    });
    let lists = lists.collect::<Result<_>>()?;
    Ok((definition, lists))
}
