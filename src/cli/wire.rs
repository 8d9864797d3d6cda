//! The JSON that `--json` prints: the field names are the HTTP interface's.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::engine::notebooks::NotebookRecord;
use crate::engine::templates::{StoredTemplate, TemplateDetails};
use crate::execution::{Execution, human_duration};

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
