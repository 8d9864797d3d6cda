//! An execution in MLflow. A dead or refusing MLflow never fails a notebook: what it refused is noted.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::notebooks::file_stem;
use super::{Engine, blocking};
use crate::convert::html::notebook_to_html;
use crate::error::{Error, Result};
use crate::execution::{Execution, ExecutionId, ExecutionStatus, MlflowChild, MlflowLink};
use crate::mlflow::{MlflowClient, MlflowRun, RunContext, RunOutcome, RunStart, SourceType};

/// An execution's run in MLflow, from its start to its end.
pub(super) struct Tracking<'a> {
    engine: &'a Engine,
    client: &'a MlflowClient,
    id: ExecutionId,
    run: MlflowRun,
    link: MlflowLink,
}

impl Engine {
    /// Makes the MLflow run of an execution, when MLflow is configured; its failure is recorded and no more.
    pub(super) async fn start_tracking(
        &self,
        execution: &Execution,
        parameters: &Map<String, Value>,
    ) -> Option<Tracking<'_>> {
        let client = self.mlflow()?;
        let request = &execution.request;
        let start = RunStart {
            experiment_name: match &request.mlflow_parent {
                Some(parent) => parent.experiment_name.clone(),
                None => experiment_name(execution),
            },
            run_name: format!("{}-{}", file_stem(&request.output_path), execution.id),
            source_name: request.notebook_path.clone(),
            source_type: match request.parent {
                Some(_) => SourceType::Job,
                None => SourceType::Notebook,
            },
            user: request.username.clone(),
            execution_id: execution.id.to_string(),
            start_time: execution.start_time,
            parameters: parameters.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            tags: request
                .mlflow_parent
                .iter()
                .map(|it| ("mlflow.parentRunId".to_owned(), it.run_id.clone()))
                .collect(),
        };
        let (run, link) = match client.start_run(start).await {
            Ok(run) => {
                let link = MlflowLink {
                    experiment_id: Some(run.experiment_id.clone()),
                    run_id: Some(run.run_id.clone()),
                    url: Some(run.url.clone()),
                    error: (!run.notes.is_empty()).then(|| run.notes.join("; ")),
                    ..MlflowLink::default()
                };
                (Some(run), link)
            }
            Err(error) => {
                tracing::warn!(execution.id = %execution.id, %error, "MLflow does not record this execution");
                (None, MlflowLink { error: Some(error.message().to_owned()), ..MlflowLink::default() })
            }
        };
        self.record_link(execution.id, &link).await;
        Some(Tracking { engine: self, client, id: execution.id, run: run?, link })
    }

    /// Takes up the run of an execution whose worker died.
    pub(super) async fn resume_tracking(&self, execution: &Execution) -> Option<Tracking<'_>> {
        let client = self.mlflow()?;
        let link = execution.mlflow.clone()?;
        let run = client.run(link.run_id.as_deref()?).await.ok()?;
        Some(Tracking { engine: self, client, id: execution.id, run, link })
    }

    async fn record_link(&self, id: ExecutionId, link: &MlflowLink) {
        if let Err(error) = self.database().record_mlflow(id, link).await {
            tracing::warn!(execution.id = %id, %error, "the link to MLflow cannot be recorded");
        }
    }
}

impl Tracking<'_> {
    /// What the kernel must find in its environment.
    pub(super) fn kernel_environment(&self, execution: &Execution) -> Vec<(String, String)> {
        let context = RunContext {
            execution_id: execution.id.to_string(),
            source_name: Some(execution.request.notebook_path.clone()),
            user: execution.request.username.clone(),
            continue_run: false,
        };
        self.client.kernel_environment(&self.run, &context)
    }

    /// Ends the run: to be called when the kernel has gone. `notebook` is the executed notebook's bytes.
    pub(super) async fn finish(mut self, status: ExecutionStatus, file_name: &str, notebook: Vec<u8>) {
        let outcome = match status {
            ExecutionStatus::Success => RunOutcome::Finished,
            ExecutionStatus::Cancelled => RunOutcome::Killed,
            _ => RunOutcome::Failed,
        };
        let end = Timestamp::now();
        let mut faults: Vec<String> = self.link.error.take().into_iter().collect();
        let mut note = |result: Result<()>| {
            if let Err(error) = result {
                tracing::warn!(execution.id = %self.id, %error, "MLflow does not take all of this execution");
                faults.push(error.message().to_owned());
            }
        };
        note(self.client.close_children(&self.run, RunOutcome::Failed, end).await.map(drop));
        match self.client.children(&self.run).await {
            Ok(children) => {
                self.link.children = children
                    .into_iter()
                    .map(|child| MlflowChild {
                        run_id: child.run_id,
                        run_name: child.name,
                        status: child.status,
                        url: child.url,
                    })
                    .collect();
            }
            Err(error) => note(Err(error)),
        }
        note(self.artifacts(file_name, notebook).await);
        note(self.client.finish_run(&self.run, outcome, end).await);
        faults.dedup();
        self.link.error = (!faults.is_empty()).then(|| faults.join("; "));
        self.engine.record_link(self.id, &self.link).await;
    }

    async fn artifacts(&self, file_name: &str, notebook: Vec<u8>) -> Result<()> {
        let title = file_name.to_owned();
        let notebook = Bytes::from(notebook);
        let source = notebook.clone();
        let html = blocking(move || {
            let value = serde_json::from_slice(&source).map_err(|error| {
                Error::internal("the executed notebook cannot be read").with_source(error)
            })?;
            Ok(notebook_to_html(&value, &title))
        })
        .await?;
        let html_name = format!("{}.html", file_stem(file_name));
        self.client.log_artifact(&self.run, file_name, notebook, "application/x-ipynb+json").await?;
        self.client.log_artifact(&self.run, &html_name, Bytes::from(html), "text/html; charset=utf-8").await
    }
}

/// The template's name, else the notebook's, without `.ipynb`.
fn experiment_name(execution: &Execution) -> String {
    let request = &execution.request;
    let name = request.template_name.as_deref().unwrap_or(&request.notebook_path);
    name.strip_suffix(".ipynb").unwrap_or(name).to_owned()
}

/// A parameter's value as MLflow shows it: text as it is, all else as JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
