//! What is asked for: one run of one notebook.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Limits, Parent};

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionRequest {
    /// The notebook, relative to the notebooks root.
    pub notebook_path: String,
    /// Where the result goes, relative to the notebooks root; usually the same path.
    pub output_path: String,
    /// For whom; the user's Jupyter server shows the result.
    pub username: Option<String>,
    /// The kernel, when it is not the notebook's own choice.
    pub kernel_name: Option<String>,
    /// The gateway whose kernel it is, by its name in the configuration.
    #[serde(default)]
    pub kernel_gateway: Option<String>,
    /// The parameters as the text of the JSON object that was given, which keeps order and every digit; `None`
    /// injects nothing.
    pub parameters: Option<String>,
    /// The template that the notebook was made from, when known.
    pub template_name: Option<String>,
    /// Its limits.
    pub limits: Limits,
    /// What the client calls this request: with the same name it is the same request.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// Those of a higher one are taken first.
    #[serde(default)]
    pub priority: i32,
    /// How often it may be begun, when workers die under it.
    #[serde(default = "once")]
    pub max_attempts: u32,
    /// How long its kernel stays, when a cell fails, for a person to attach to.
    #[serde(default)]
    pub keep_kernel_on_failure: Option<Duration>,
    /// What started it, when that was no client.
    #[serde(default)]
    pub parent: Option<Parent>,
    /// Whether the notebook is the template itself, as it is when the run begins.
    #[serde(default)]
    pub from_template: bool,
    /// The run in MLflow whose child its own run is to be.
    #[serde(default)]
    pub mlflow_parent: Option<MlflowParent>,
}

/// A run in MLflow to which others belong. They are shown below it where they are in its experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlflowParent {
    /// Its id.
    pub run_id: String,
    /// Its experiment's name.
    pub experiment_name: String,
}

fn once() -> u32 {
    1
}

impl ExecutionRequest {
    /// A request for nothing but the notebook's own.
    pub fn new(notebook_path: impl Into<String>, output_path: impl Into<String>, limits: Limits) -> Self {
        Self {
            notebook_path: notebook_path.into(),
            output_path: output_path.into(),
            username: None,
            kernel_name: None,
            kernel_gateway: None,
            parameters: None,
            template_name: None,
            limits,
            idempotency_key: None,
            priority: 0,
            max_attempts: once(),
            keep_kernel_on_failure: None,
            parent: None,
            from_template: false,
            mlflow_parent: None,
        }
    }

    /// Whether a client asks for the same. What the service's settings and records add to it does not count.
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        let asked = |it: &Self| {
            let parameters = it.parameters.as_deref().map(serde_json::from_str::<serde_json::Value>);
            (
                it.notebook_path.clone(),
                it.output_path.clone(),
                it.username.clone(),
                it.kernel_name.clone(),
                it.kernel_gateway.clone(),
                parameters.and_then(Result::ok),
            )
        };
        asked(self) == asked(other)
    }
}
