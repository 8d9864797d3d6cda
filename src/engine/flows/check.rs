//! Whether a workflow can be run here: its notebooks, their kernels, and what they are given.

use bytes::Bytes;

use super::super::{Engine, blocking};
use crate::error::{ErrorKind, Result};
use crate::notebook::inspect::infer_parameters_as;
use crate::notebook::{Notebook, Parameter, Translator};
use crate::workflow::fault::{Fault, MAX_FAULTS};
use crate::workflow::{Places, Step, StepSource, Workflow, check, parse};

/// What is known of a workflow before any of it runs.
#[derive(Debug, Clone, Default)]
pub struct CheckedWorkflow {
    /// What the notebook of each step declares, in the order of the steps; `None` where its language cannot be inspected.
    pub declared: Vec<Option<Vec<Parameter>>>,
    /// What a reader should know though it stops nothing.
    pub warnings: Vec<Fault>,
    /// Why it cannot be run.
    pub faults: Vec<Fault>,
}

/// A workflow as it was written, and all that can be said of it before any of it runs.
#[derive(Debug, Clone, Default)]
pub struct ReadWorkflow {
    /// The workflow, as far as it could be read.
    pub workflow: Workflow,
    /// Why it cannot be run, in the order of the text.
    pub faults: Vec<Fault>,
    /// What a reader should know though it stops nothing.
    pub warnings: Vec<Fault>,
}

impl Engine {
    /// Reads a workflow from YAML or JSON and looks at the notebook of every step.
    ///
    /// # Errors
    /// As [`Engine::check_workflow`].
    pub async fn read_workflow(&self, text: &str) -> Result<ReadWorkflow> {
        let parse::Reading { workflow, places, mut faults } = parse::read(text);
        // Of one that is only half there, what is there is looked at all the same.
        let CheckedWorkflow { faults: found, mut warnings, .. } =
            self.check_workflow(&workflow, &places).await?;
        faults.extend(found);
        let place = |fault: &Fault| (fault.line, fault.column);
        faults.sort_by_key(place);
        faults.truncate(MAX_FAULTS);
        warnings.sort_by_key(place);
        Ok(ReadWorkflow { workflow, faults, warnings })
    }

    /// Looks at the notebook of every step, and at what it is given as far as that is written out. `places` say where the
    /// parts of the workflow stand in its text, if it has one.
    ///
    /// # Errors
    /// `Unavailable` when they cannot be looked at now. What is wrong with them is in the answer.
    pub async fn check_workflow(&self, workflow: &Workflow, places: &Places) -> Result<CheckedWorkflow> {
        let mut checked = CheckedWorkflow::default();
        for step in &workflow.steps {
            if step.source.as_str().is_empty() {
                // That none is named has been told.
                checked.declared.push(None);
                continue;
            }
            let field = |name: &str| format!("steps.{}.{name}", step.name);
            let declared = match self.look_at(step).await {
                Ok(declared) => declared,
                Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal) => {
                    return Err(error);
                }
                Err(error) => {
                    let part = error.fields().first().map(|fault| fault.field.as_str());
                    let part = match (part, &step.source) {
                        (Some(part @ ("kernel_name" | "kernel_gateway")), _) => part,
                        (_, StepSource::Notebook(_)) => "notebook",
                        (_, StepSource::Template(_)) => "template",
                    };
                    let field = field(part);
                    checked.faults.push(Fault::new(places.of(&field), field, error.message()));
                    None
                }
            };
            let found = check::step(step, declared.as_deref(), places);
            checked.faults.extend(found.faults);
            checked.warnings.extend(found.warnings);
            checked.declared.push(declared);
        }
        Ok(checked)
    }

    async fn look_at(&self, step: &Step) -> Result<Option<Vec<Parameter>>> {
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
        let kernel_name = step.kernel_name.clone();
        let kernels = self.kernels_for(kernel_name.clone(), step.kernel_gateway.as_deref()).await?;
        blocking(move || {
            let notebook = Notebook::parse(&source()?)?;
            kernels.choose(&notebook)?;
            Ok(declared(&notebook, kernel_name.as_deref()))
        })
        .await
    }
}

/// What a notebook declares, where its language can be inspected.
fn declared(notebook: &Notebook, kernel_name: Option<&str>) -> Option<Vec<Parameter>> {
    let translator = Translator::for_notebook(notebook, kernel_name, None).ok()?;
    translator.inspects().then(|| infer_parameters_as(notebook, translator))
}
