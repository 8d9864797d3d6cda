//! Whether a workflow can be run here: its notebooks, their kernels, and what they are given.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::super::executions::find_kernel;
use super::super::{Engine, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::notebook::{Notebook, Parameter, infer_parameters};
use crate::workflow::fault::Fault;
use crate::workflow::{Step, StepSource, Workflow};

/// What is known of a workflow before any of it runs.
#[derive(Debug, Clone, Default)]
pub struct CheckedWorkflow {
    /// What the notebook of each step declares, in the order of the steps.
    pub declared: Vec<Vec<Parameter>>,
    /// What a reader should know though it stops nothing.
    pub warnings: Vec<String>,
    /// Why it cannot be run.
    pub faults: Vec<Fault>,
}

impl Engine {
    /// Looks at the notebook of every step.
    ///
    /// # Errors
    /// `Unavailable` when they cannot be looked at now. What is wrong with them is in the answer.
    pub async fn check_workflow(&self, workflow: &Workflow) -> Result<CheckedWorkflow> {
        let mut checked = CheckedWorkflow::default();
        for step in &workflow.steps {
            let field = |name: &str| format!("steps.{}.{name}", step.name);
            let declared = match self.look_at(step).await {
                Ok(declared) => declared,
                Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal) => {
                    return Err(error);
                }
                Err(error) => {
                    let part = error.fields().first().map(|fault| fault.field.as_str());
                    let part = part.filter(|part| *part == "kernel_name").map_or_else(
                        || match step.source {
                            StepSource::Notebook(_) => "notebook",
                            StepSource::Template(_) => "template",
                        },
                        |_| "kernel_name",
                    );
                    checked.faults.push(Fault::new(None, field(part), error.message()));
                    Vec::new()
                }
            };
            checked.declared.push(declared);
        }
        Ok(checked)
    }

    async fn look_at(&self, step: &Step) -> Result<Vec<Parameter>> {
        let limit = self.config().max_notebook_size;
        let source: Box<dyn FnOnce() -> Result<Bytes> + Send> = match &step.source {
            StepSource::Notebook(path) => {
                let source = self.root().notebook("notebook", path)?.source(limit).await?;
                Box::new(move || source.read())
            }
            StepSource::Template(name) => {
                let (_, bytes) = self.template_bytes(name).await?;
                Box::new(move || Ok(bytes))
            }
        };
        let (data_dir, kernel_name) = (self.config().data_dir.clone(), step.kernel_name.clone());
        let only_accepts = self.database().is_shared() && !self.inner.works.load(Ordering::Relaxed);
        blocking(move || {
            let notebook = Notebook::parse(&source()?)?;
            match find_kernel(&data_dir, &notebook, kernel_name.as_deref()) {
                // The kernels are where the workers are.
                Err(error) if error.kind() == ErrorKind::NotFound && !only_accepts => {
                    Err(Error::invalid(error.message()).with_field("kernel_name", error.message()))
                }
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(infer_parameters(&notebook)),
            }
        })
        .await
    }
}
