//! What is changed of the tasks of a flow, by whoever has its row.

use jiff::Timestamp;
use serde_json::{Map, Value};
use sqlx::QueryBuilder;

use super::super::transaction::{Transaction, within};
use super::super::{from_json, lost, micros, number, timestamp, to_json};
use super::ROWS;
use super::record::{TaskRow, place};
use crate::error::Result;
use crate::execution::{CellError, ExecutionId, ExecutionStatus};
use crate::flow::{FlowId, FlowTask, StepStatus};

/// A task whose execution has ended.
#[derive(Debug, Clone)]
pub struct EndedTask {
    /// The step's place in the workflow.
    pub step: usize,
    /// Which item.
    pub item: usize,
    /// How many executions it has had since it was last resumed, this one included.
    pub tries: u32,
    /// How the execution ended.
    pub status: ExecutionStatus,
    /// Why it failed.
    pub error: Option<CellError>,
    /// What its notebook recorded.
    pub results: Option<Map<String, Value>>,
    /// Where its result is.
    pub output_path: String,
    /// When it began.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
}

impl EndedTask {
    /// A task that had to be left, and why.
    pub fn waiting(task: &FlowTask, why: CellError) -> Self {
        Self {
            step: task.step,
            item: task.item,
            tries: 0,
            status: ExecutionStatus::Pending,
            error: Some(why),
            results: None,
            output_path: task.output_path.clone(),
            start_time: None,
            end_time: None,
        }
    }
}

#[derive(sqlx::FromRow)]
struct EndedRow {
    step: i64,
    item: i64,
    tries: i64,
    status: String,
    error: Option<String>,
    results: Option<String>,
    output_path: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
}

impl Transaction {
    /// The tasks whose executions have ended, or are gone, of which no account has been taken.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn ended_tasks(&mut self, id: FlowId) -> Result<Vec<EndedTask>> {
        let rows = within!(self, connection => sqlx::query_as::<_, EndedRow>(
            "SELECT step, item, flow_tasks.attempts - forgiven AS tries, coalesce(executions.status, 'cancelled') AS status, \
             executions.error, executions.results, coalesce(executions.output_path, flow_tasks.output_path) AS output_path, \
             executions.start_time, executions.end_time \
             FROM flow_tasks LEFT JOIN executions ON executions.id = flow_tasks.execution_id \
             WHERE flow_tasks.flow_id = $1 AND flow_tasks.status = 'running' \
             AND (executions.id IS NULL OR executions.status IN ('success', 'failed', 'cancelled')) ORDER BY step, item",
        )
        .bind(id.0)
        .fetch_all(connection).await)
        .map_err(lost)?;
        rows.into_iter()
            .map(|row| {
                Ok(EndedTask {
                    step: place(row.step),
                    item: place(row.item),
                    tries: u32::try_from(row.tries).unwrap_or(u32::MAX),
                    status: row.status.parse()?,
                    error: row.error.as_deref().map(from_json).transpose()?,
                    results: row.results.as_deref().map(from_json).transpose()?,
                    output_path: row.output_path,
                    start_time: row.start_time.map(timestamp),
                    end_time: row.end_time.map(timestamp),
                })
            })
            .collect()
    }

    /// Writes what a task came to; with `retry_at` it waits for that time.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn end_task(
        &mut self,
        id: FlowId,
        ended: &EndedTask,
        status: StepStatus,
        retry_at: Option<Timestamp>,
    ) -> Result<()> {
        let results = ended.results.as_ref().map(to_json).transpose()?;
        let error = ended.error.as_ref().map(to_json).transpose()?;
        within!(self, connection => sqlx::query(
            "UPDATE flow_tasks SET status = $1, retry_at = $2, results = $3, error = $4, output_path = $5, start_time = $6, \
             end_time = $7 WHERE flow_id = $8 AND step = $9 AND item = $10 AND status IN ('running', 'pending')",
        )
        .bind(status.as_str())
        .bind(retry_at.map(micros))
        .bind(&results)
        .bind(&error)
        .bind(&ended.output_path)
        .bind(ended.start_time.map(micros))
        .bind(ended.end_time.map(micros))
        .bind(id.0)
        .bind(number(ended.step))
        .bind(number(ended.item))
        .execute(connection).await.map(drop))
        .map_err(lost)
    }

    /// Records the tasks of a step that begins: parameters and output path of each, in the order of the items.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn insert_tasks(&mut self, id: FlowId, step: usize, tasks: &[(String, String)]) -> Result<()> {
        let tasks: Vec<_> = tasks.iter().enumerate().collect();
        for chunk in tasks.chunks(ROWS) {
            const TEXT: &str =
                "INSERT INTO flow_tasks (flow_id, step, item, status, parameters, output_path) ";
            macro_rules! insert {
                ($connection:expr) => {{
                    let mut query = QueryBuilder::new(TEXT);
                    query.push_values(chunk, |mut row, (item, (parameters, output_path))| {
                        row.push_bind(id.0)
                            .push_bind(number(step))
                            .push_bind(number(*item))
                            .push_bind("pending");
                        row.push_bind(parameters).push_bind(output_path);
                    });
                    query.build().execute($connection).await.map(drop)
                }};
            }
            within!(self, connection => insert!(connection)).map_err(lost)?;
        }
        Ok(())
    }

    /// The next tasks of a step that wait and whose time has come, in order of their items.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn due_tasks(
        &mut self,
        id: FlowId,
        step: usize,
        most: u64,
        now: Timestamp,
    ) -> Result<Vec<FlowTask>> {
        within!(self, connection => sqlx::query_as::<_, TaskRow>(
            "SELECT * FROM flow_tasks WHERE flow_id = $1 AND step = $2 AND status = 'pending' \
             AND (retry_at IS NULL OR retry_at <= $3) ORDER BY item LIMIT $4",
        )
        .bind(id.0)
        .bind(number(step))
        .bind(micros(now))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(connection).await)
        .map_err(lost)?
        .into_iter()
        .map(TaskRow::read)
        .collect()
    }

    /// Notes the execution of a task that waited.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn start_task(&mut self, id: FlowId, task: &FlowTask, execution: ExecutionId) -> Result<()> {
        within!(self, connection => sqlx::query(
            "UPDATE flow_tasks SET status = 'running', execution_id = $1, attempts = attempts + 1, retry_at = NULL, \
             error = NULL, start_time = NULL, end_time = NULL \
             WHERE flow_id = $2 AND step = $3 AND item = $4 AND status = 'pending'",
        )
        .bind(execution.0)
        .bind(id.0)
        .bind(number(task.step))
        .bind(number(task.item))
        .execute(connection).await.map(drop))
        .map_err(lost)
    }

    /// Gives up the tasks of a step that wait; says how many these were.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn cancel_pending_tasks(&mut self, id: FlowId, step: usize) -> Result<u64> {
        within!(self, connection => sqlx::query(
            "UPDATE flow_tasks SET status = 'cancelled', retry_at = NULL WHERE flow_id = $1 AND step = $2 AND status = 'pending'",
        )
        .bind(id.0)
        .bind(number(step))
        .execute(connection).await.map(|done| done.rows_affected()))
        .map_err(lost)
    }

    /// Asks the executions of a step to stop, those that wait at once; says which were asked now, and how each stands.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn cancel_running_tasks(
        &mut self,
        id: FlowId,
        step: usize,
        now: Timestamp,
    ) -> Result<Vec<(ExecutionId, ExecutionStatus)>> {
        let rows: Vec<(i64, String)> = within!(self, connection => sqlx::query_as(
            "UPDATE executions SET cancel_requested = 1, \
             end_time = CASE status WHEN 'pending' THEN $1 ELSE end_time END, \
             status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END \
             WHERE id IN (SELECT execution_id FROM flow_tasks WHERE flow_id = $2 AND step = $3 AND status = 'running') \
             AND status IN ('pending', 'running') AND cancel_requested = 0 RETURNING id, status",
        )
        .bind(micros(now))
        .bind(id.0)
        .bind(number(step))
        .fetch_all(connection).await)
        .map_err(lost)?;
        rows.into_iter().map(|(id, status)| Ok((ExecutionId(id), status.parse()?))).collect()
    }

    /// The tasks of a step, in order of their items.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn tasks_of_step(&mut self, id: FlowId, step: usize) -> Result<Vec<FlowTask>> {
        within!(self, connection => sqlx::query_as::<_, TaskRow>(
            "SELECT * FROM flow_tasks WHERE flow_id = $1 AND step = $2 ORDER BY item",
        )
        .bind(id.0)
        .bind(number(step))
        .fetch_all(connection).await)
        .map_err(lost)?
        .into_iter()
        .map(TaskRow::read)
        .collect()
    }

    /// When the next try of a task is due.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn next_retry(&mut self, id: FlowId) -> Result<Option<Timestamp>> {
        let next: Option<i64> = within!(self, connection => sqlx::query_scalar(
            "SELECT min(retry_at) FROM flow_tasks WHERE flow_id = $1 AND retry_at IS NOT NULL AND status = 'pending'",
        )
        .bind(id.0)
        .fetch_one(connection).await)
        .map_err(lost)?;
        Ok(next.map(timestamp))
    }
}
