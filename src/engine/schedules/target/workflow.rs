//! A workflow that a schedule starts.

use jiff::Zoned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{check_time_parameter, fill_folder, time_fault, time_text};
use crate::engine::flows::StartFlow;
use crate::error::Result;
use crate::execution::ParentKind;
use crate::workflow::{Fault, fault, parse};

/// A workflow that a schedule starts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WorkflowTarget {
    /// The workflow as it was written.
    pub text: String,
    /// Whether that is JSON which stood within other JSON: then its lines and columns say nothing to whoever sent it.
    pub is_json: bool,
    /// In place of the values that the workflow's own parameters have.
    pub parameters: Map<String, Value>,
    /// For whom, when the workflow does not say.
    pub username: Option<String>,
    /// Where the executed notebooks go, a template: `scheduled_time` and papermill's own fields. A folder of its own for
    /// each run when not given.
    pub output_directory: Option<String>,
    /// The parameter of the workflow that is given the time at which the run was due.
    pub scheduled_time_parameter: Option<String>,
}

impl WorkflowTarget {
    /// Refuses a workflow that has faults.
    pub(super) fn refuse(&self, mut faults: Vec<Fault>) -> Result<()> {
        if faults.is_empty() {
            return Ok(());
        }
        if self.is_json {
            for fault in &mut faults {
                (fault.line, fault.column) = (None, None);
            }
        }
        Err(fault::error("the workflow", &faults))
    }

    /// Checks what [`WorkflowTarget::at`] does not. The workflow has to be without faults.
    pub(super) fn check(&self) -> Result<()> {
        let Some(name) = &self.scheduled_time_parameter else { return Ok(()) };
        check_time_parameter(name, self.parameters.contains_key(name))?;
        match parse::parse(&self.text)?.parameters.contains_key(name) {
            true => Ok(()),
            false => Err(time_fault(format!("the workflow declares no parameter `{name}`"))),
        }
    }

    /// What begins when it is due at `time`.
    ///
    /// # Errors
    /// `Invalid` for a workflow with faults; `BadInput` for a folder that is no template.
    pub(super) fn at(&self, time: &Zoned) -> Result<StartFlow> {
        let mut parameters = self.parameters.clone();
        if let Some(name) = &self.scheduled_time_parameter {
            parameters.insert(name.clone(), time_text(time).into());
        }
        let folder = self.output_directory.as_deref();
        let output_directory = folder.map(|folder| fill_folder(folder, time)).transpose()?;
        Ok(StartFlow {
            kind: ParentKind::Workflow,
            workflow: parse::parse(&self.text)?,
            request: json!({
                "workflow": self.text, "parameters": parameters, "username": self.username,
                "output_directory": output_directory,
            }),
            parameters,
            username: self.username.clone(),
            output_directory,
            idempotency_key: None,
        })
    }

    /// Everything that was asked for, in the words of a body of `POST /api/v1/workflows`.
    pub(super) fn as_asked(&self) -> serde_json::Result<Box<RawValue>> {
        let json = self.is_json.then(|| RawValue::from_string(self.text.clone())).transpose()?;
        serde_json::value::to_raw_value(&Asked {
            yaml: (!self.is_json).then_some(self.text.as_str()),
            workflow: json.as_deref(),
            parameters: &self.parameters,
            username: self.username.as_deref(),
            output_directory: self.output_directory.as_deref(),
        })
    }
}

/// See [`WorkflowTarget::as_asked`].
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    yaml: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<&'a RawValue>,
    parameters: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_directory: Option<&'a str>,
}
