//! How a run begins: the notebook read, its parameters bound, its kernel found.

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::catching_up::Position;
use super::gateways::gateway;
use super::journal::Journal;
use super::recording::RunProgress;
use super::run_output::RunOutput;
use super::runnable::{find_kernel, inject_options};
use super::{Engine, blocking, isoformat, notebooks, root};
use crate::db::Lease;
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::kernel::remote::{Gateway, Resumed};
use crate::kernel::spec::KernelSpec;
use crate::notebook::inject::{papermill_metadata, prepare_metadata, remove_error_markers};
use crate::notebook::record::Recorder;
use crate::notebook::{Notebook, Parameters};

/// A run that is about to begin, or to go on where another worker was.
pub(super) struct Begun {
    pub(super) started: Instant,
    pub(super) recorder: Recorder,
    pub(super) journal: Result<Journal>,
    /// What of the journal is in the database already, in bytes.
    pub(super) shipped: u64,
    pub(super) output: RunOutput,
    pub(super) kernel_name: String,
    pub(super) kernel: KernelSource,
    /// What is bound in the notebook: by this execution, else when it was made from its template.
    pub(super) parameters: Map<String, Value>,
    pub(super) position: Position,
    pub(super) progress: RunProgress,
    pub(super) warnings: Vec<String>,
}

/// Where the kernel comes from.
pub(super) enum KernelSource {
    /// It is started on this machine.
    Here(KernelSpec),
    /// It is started by a gateway.
    Gateway(Gateway, KernelSpec),
    /// Another worker had a gateway start it.
    TakenOver(Gateway, Resumed),
}

/// Where the notebook comes from, ready to be read.
enum Source {
    Notebook(root::Source),
    Template(bytes::Bytes),
}

impl Source {
    fn tag(&self) -> Option<&str> {
        match self {
            Self::Notebook(source) => source.tag(),
            Self::Template(_) => None,
        }
    }

    fn read(self) -> Result<bytes::Bytes> {
        match self {
            Self::Notebook(source) => source.read(),
            Self::Template(bytes) => Ok(bytes),
        }
    }
}

impl Engine {
    /// Reads the notebook and makes it ready: parameters bound, an earlier run's marks gone, a kernel found.
    pub(super) async fn begin(&self, execution: &Execution, lease: &Lease) -> Result<Begun> {
        let started = Instant::now();
        let request = execution.request.clone();
        let output = self.root().notebook("output_path", &request.output_path)?;
        let limit = self.config().max_notebook_size;
        let data_dir = self.config().data_dir.clone();
        let (id, is_in_place) = (execution.id, request.notebook_path == output.relative);
        let source = match request.template_name.as_deref().filter(|_| request.from_template) {
            Some(template) => Source::Template(self.template_bytes(template).await?.1),
            None => {
                let path = self.root().notebook("notebook_path", &request.notebook_path)?;
                Source::Notebook(path.source(limit).await?)
            }
        };
        let output = match (output.output(id), source.tag()) {
            // Written since it was read, it is somebody else's already.
            (RunOutput::Object(object), Some(tag)) if is_in_place => {
                RunOutput::Object(object.read_as(tag.to_owned()))
            }
            (output, _) => output,
        };
        let remote = match request.kernel_gateway.as_deref() {
            Some(named) => {
                let gateway = gateway(self.gateway_config(named)?)?;
                let specs = gateway.specs().await.map_err(|fault| {
                    let error = Error::from(fault);
                    Error::kernel(error.message()).with_source(error)
                })?;
                Some((specs, gateway))
            }
            None => None,
        };
        let mut warnings = Vec::new();
        if remote.is_some() && !self.config().limits.resources.is_empty() {
            warnings.push("the service's limits on memory, processor time, processes and disk do not hold behind a kernel gateway".into());
        }
        let start_time = isoformat(execution.start_time.unwrap_or_else(Timestamp::now));
        let (notebook, spec, parameters, more) = blocking(move || {
            let mut notebook = Notebook::parse(&source.read()?)?;
            let named = request.kernel_name.as_deref();
            let (spec, gateway) = match remote {
                Some((specs, gateway)) => (specs.choose(named, notebook.kernel_name())?, Some(gateway)),
                None => (find_kernel(&data_dir, &notebook, named)?, None),
            };
            let parameters = match request.parameters.as_deref() {
                Some(text) => {
                    let raw = serde_json::from_str(text).map_err(|error| {
                        Error::internal("recorded parameters cannot be read").with_source(error)
                    })?;
                    Parameters::from_json_text(raw)?
                }
                None => Parameters::new(),
            };
            remove_error_markers(&mut notebook);
            let mut warnings = notebooks::bind(&mut notebook, &parameters, inject_options(&spec))?;
            if let Some(old) = notebook.upgraded_from() {
                warnings.push(format!("the notebook was upgraded from nbformat {old} to 4.5"));
            }
            prepare_metadata(&mut notebook, Some(&request.notebook_path), Some(&request.output_path), false);
            let parameters = bound_parameters(&mut notebook);
            Ok((notebook, (spec, gateway), parameters, warnings))
        })
        .await?;
        warnings.extend(more);
        let recorder = Recorder::start(notebook, &start_time);
        let folder = self.journal_dir();
        let journal = Journal::create(&folder, lease.id, lease.attempt, &start_time, recorder.notebook());
        let (spec, gateway) = spec;
        Ok(Begun {
            started,
            recorder,
            journal,
            shipped: 0,
            output,
            kernel_name: spec.name.clone(),
            kernel: match gateway {
                Some(gateway) => KernelSource::Gateway(gateway, spec),
                None => KernelSource::Here(spec),
            },
            parameters,
            position: Position::default(),
            progress: RunProgress::default(),
            warnings,
        })
    }

    /// Where the kernel works: in the notebook's folder, or in one that is its own when that is in a store.
    pub(super) async fn working_folder(&self, execution: &Execution) -> Result<PathBuf> {
        let path = self.root().notebook("notebook_path", &execution.request.notebook_path)?;
        match path.folder() {
            Some(folder) => {
                // What is made from a template has nothing there yet.
                if execution.request.from_template {
                    std::fs::create_dir_all(folder).map_err(|error| {
                        Error::unavailable("the folder to run in cannot be made").with_source(error)
                    })?;
                }
                Ok(folder.to_owned())
            }
            None => self.make_scratch(execution.id, execution.attempts).await,
        }
    }
}

/// The parameters that papermill's metadata name.
pub(super) fn bound_parameters(notebook: &mut Notebook) -> Map<String, Value> {
    papermill_metadata(notebook).get("parameters").and_then(Value::as_object).cloned().unwrap_or_default()
}
