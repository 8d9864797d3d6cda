//! The JSON that `--json` prints: the field names are the HTTP interface's.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::engine::notebooks::NotebookRecord;
use crate::engine::templates::{StoredTemplate, TemplateDetails};
use crate::error::Result;
use crate::execution::{Execution, human_duration};
use crate::schedule::{Schedule, ScheduledRun, TickRecord};

pub(super) fn template(template: &StoredTemplate) -> Value {
    json!({
        "name": template.name.as_str(),
        "size": template.size,
        "last_modified": template.last_modified,
        "category": template.name.category().to_string(),
        "description": template.description,
    })
}

pub(super) fn template_details(details: &TemplateDetails) -> Value {
    let mut value = template(&details.template);
    value["etag"] = json!(details.template.etag);
    value["parameters"] = json!(details.parameters);
    value["kernel_name"] = json!(details.kernel_name);
    value["language"] = json!(details.language);
    value
}

pub(super) fn notebook(engine: &Engine, record: &NotebookRecord) -> Value {
    let notebook = &record.notebook;
    json!({
        "notebook_id": record.id,
        "notebook_path": notebook.path,
        "title": notebook.title,
        "description": notebook.description,
        "username": notebook.username,
        "template_name": notebook.template_name,
        "parameters": notebook.parameters,
        "tags": notebook.tags,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "notebook_url": engine.notebook_url(&notebook.path, notebook.username.as_deref()),
    })
}

pub(super) fn execution(engine: &Engine, execution: &Execution, queue_position: Option<u64>) -> Value {
    let request = &execution.request;
    json!({
        "execution_id": execution.id,
        "status": execution.status,
        "notebook_path": request.notebook_path,
        "output_path": request.output_path,
        "username": request.username,
        "kernel_name": execution.kernel_used.as_ref().or(request.kernel_name.as_ref()),
        "kernel_gateway": request.kernel_gateway,
        "submitted_at": execution.submitted_at,
        "start_time": execution.start_time,
        "end_time": execution.end_time,
        "duration": execution.duration(Timestamp::now()).map(human_duration),
        "progress": execution.progress,
        "error": execution.error,
        "mlflow": execution.mlflow,
        "attempts": execution.attempts,
        "kernel": execution.kept_kernel(Timestamp::now()),
        "max_attempts": execution.request.max_attempts,
        "priority": execution.request.priority,
        "queue_position": queue_position,
        "warnings": execution.warnings,
        "results": execution.results,
        "parent": execution.request.parent,
        "notebook_url": engine.notebook_url(&request.output_path, request.username.as_deref()),
    })
}

pub(super) fn schedule(engine: &Engine, schedule: &Schedule, last_run: Option<&TickRecord>) -> Result<Value> {
    let target = engine.schedule_target(schedule)?;
    let asked = target.as_asked()?;
    let asked = |field: &str| (target.field() == field).then_some(&asked);
    let definition = &schedule.definition;
    let next_runs = engine.next_runs(schedule, 5);
    Ok(json!({
        "schedule_id": schedule.id,
        "name": definition.name,
        "cron": definition.cron,
        "time_zone": definition.time_zone,
        "catch_up": definition.catch_up,
        "misfire_grace": definition.misfire_grace.as_secs_f64(),
        "overlap": definition.overlap,
        "paused": schedule.paused,
        "execution": asked("execution"),
        "sweep": asked("sweep"),
        "workflow": asked("workflow"),
        "scheduled_time_parameter": target.scheduled_time_parameter(),
        "next_run": next_runs.first(),
        "next_runs": next_runs,
        "queued_run": schedule.queued,
        "last_run": last_run.map(schedule_run),
        "skipped": schedule.skipped,
        "last_error": schedule.last_error,
        "created_at": schedule.created_at,
        "updated_at": schedule.updated_at,
    }))
}

pub(super) fn schedule_run(run: &TickRecord) -> Value {
    json!({
        "run_id": run.id,
        "scheduled_time": run.scheduled_time,
        "manual": run.manual,
        "outcome": run.outcome,
        "ticks": run.ticks,
        "execution_id": run.run.and_then(ScheduledRun::execution_id),
        "workflow_id": run.run.and_then(ScheduledRun::workflow_id),
        "sweep_id": run.run.and_then(ScheduledRun::sweep_id),
        "status": run.status,
        "reason": run.reason,
        "recorded_at": run.recorded_at,
    })
}
