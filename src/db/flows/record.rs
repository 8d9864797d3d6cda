//! The rows of flows, their steps and tasks.

use super::super::{from_json, timestamp};
use crate::error::Result;
use crate::execution::{ExecutionId, ParentId, ParentKind};
use crate::flow::{Flow, FlowId, FlowStep, FlowTask};

#[derive(sqlx::FromRow)]
pub(super) struct FlowRow {
    id: i64,
    kind: String,
    name: String,
    username: Option<String>,
    status: String,
    definition: String,
    request: String,
    parameters: String,
    output_directory: String,
    submitted_at: i64,
    end_time: Option<i64>,
    deadline: Option<i64>,
    cancel_requested: i64,
    error: Option<String>,
    warnings: String,
    mlflow: Option<String>,
    parent: Option<String>,
    child: Option<String>,
}

impl FlowRow {
    pub(super) fn read(self) -> Result<Flow> {
        Ok(Flow {
            id: FlowId(self.id),
            kind: if self.kind == "sweep" { ParentKind::Sweep } else { ParentKind::Workflow },
            name: self.name,
            username: self.username,
            status: self.status.parse()?,
            definition: from_json(&self.definition)?,
            request: from_json(&self.request)?,
            parameters: from_json(&self.parameters)?,
            output_directory: self.output_directory,
            submitted_at: timestamp(self.submitted_at),
            end_time: self.end_time.map(timestamp),
            deadline: self.deadline.map(timestamp),
            cancel_requested: self.cancel_requested != 0,
            error: self.error.as_deref().map(from_json).transpose()?,
            warnings: from_json(&self.warnings)?,
            mlflow: self.mlflow.as_deref().map(from_json).transpose()?,
            parent: match self.parent.zip(self.child) {
                Some((parent, child)) => Some(parent.parse::<ParentId>()?.child(child)),
                None => None,
            },
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct StepRow {
    position: i64,
    name: String,
    status: String,
    items: i64,
    running: i64,
    success: i64,
    failed: i64,
    cancelled: i64,
    start_time: Option<i64>,
    end_time: Option<i64>,
    error: Option<String>,
}

impl StepRow {
    pub(super) fn read(self) -> Result<FlowStep> {
        Ok(FlowStep {
            position: place(self.position),
            name: self.name,
            status: self.status.parse()?,
            items: self.items.unsigned_abs(),
            running: self.running.unsigned_abs(),
            success: self.success.unsigned_abs(),
            failed: self.failed.unsigned_abs(),
            cancelled: self.cancelled.unsigned_abs(),
            start_time: self.start_time.map(timestamp),
            end_time: self.end_time.map(timestamp),
            error: self.error.as_deref().map(from_json).transpose()?,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct TaskRow {
    step: i64,
    item: i64,
    status: String,
    parameters: String,
    output_path: String,
    attempts: i64,
    execution_id: Option<i64>,
    retry_at: Option<i64>,
    results: Option<String>,
    error: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
}

impl TaskRow {
    pub(super) fn read(self) -> Result<FlowTask> {
        Ok(FlowTask {
            step: place(self.step),
            item: place(self.item),
            status: self.status.parse()?,
            parameters: self.parameters,
            output_path: self.output_path,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            execution_id: self.execution_id.map(ExecutionId),
            retry_at: self.retry_at.map(timestamp),
            results: self.results.as_deref().map(from_json).transpose()?,
            error: self.error.as_deref().map(from_json).transpose()?,
            start_time: self.start_time.map(timestamp),
            end_time: self.end_time.map(timestamp),
        })
    }
}

pub(super) fn place(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
