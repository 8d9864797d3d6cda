//! What a schedule runs, as flags and files say it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use super::super::print::tell;
use super::super::{Exit, read_file, workflow};
use crate::engine::Engine;
use crate::engine::schedules::{SweepTarget, Target, WorkflowTarget};
use crate::error::{Error, Result};
use crate::workflow::parse::{parse, read_sweep};
use crate::workflow::{Fault, Places, SweepRequest};

/// A workflow or a sweep in place of a notebook.
#[derive(Debug, Args)]
pub(super) struct FlowFlags {
    /// A workflow in YAML or JSON instead of a notebook; `-` is standard input. It is kept as it is now
    #[arg(long, value_name = "FILE", conflicts_with_all = ["notebook", "output", "sweep"])]
    pub(super) workflow: Option<PathBuf>,
    /// A sweep in YAML or JSON instead of a notebook, with the fields of a body of POST /api/v1/sweeps; `-` is standard
    /// input. It is kept as it is now
    #[arg(long, value_name = "FILE", conflicts_with_all = ["notebook", "output"])]
    pub(super) sweep: Option<PathBuf>,
    /// The folder for the executed notebooks of a workflow or a sweep, with {scheduled_time:%Y-%m-%d} if you like
    /// [default: one of its own for each run]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["notebook", "output"])]
    pub(super) output_directory: Option<String>,
}

/// Where a sweep was read from, so that what is wrong with it can be told with its place.
pub(super) struct Written {
    file: PathBuf,
    places: Places,
}

impl Written {
    /// Tells what is wrong with a sweep, a line each as compilers do; an error of something else is given back.
    pub(super) fn tell(&self, error: Error) -> Result<Exit> {
        let faults: Vec<_> = error
            .fields()
            .iter()
            .filter_map(|it| Some((it.field.strip_prefix("sweep.")?, &it.message)))
            .collect();
        if faults.is_empty() || faults.len() < error.fields().len() {
            return Err(error);
        }
        for (field, message) in faults {
            let place = self.places.of(field).or_else(|| self.places.of(""));
            tell!("{}:{}", self.file.display(), Fault::new(place, field, message.as_str()));
        }
        Ok(Exit::UserFault)
    }
}

/// The text of a workflow without faults; `None` when it has some, which have been told.
pub(super) async fn workflow_text(engine: &Engine, file: &Path) -> Result<Option<String>> {
    let text = read_file(file)?;
    Ok(workflow::read(engine, file, &text).await?.map(|_| text))
}

/// The sweep of a file; `None` when it has faults, which have been told.
pub(super) fn sweep_request(file: &Path) -> Result<Option<(SweepRequest, Written)>> {
    let read = read_sweep(&read_file(file)?);
    for fault in &read.faults {
        tell!("{}:{fault}", file.display());
    }
    let written = Written { file: file.to_owned(), places: read.places };
    Ok(read.faults.is_empty().then_some((read.request, written)))
}

/// Puts parameters in place of the old ones of the same names, or after them.
pub(super) fn merge(old: &mut Map<String, Value>, changed: Map<String, Value>) {
    old.extend(changed);
}

/// What `schedule show` tells of it, beside its times.
pub(super) fn described(target: &Target) -> Vec<(&'static str, Option<String>)> {
    let own_folder = || Some("a folder of its own for each run".to_owned());
    let mut rows = match target {
        Target::Execution(target) => {
            let submit = &target.submit;
            let beside = || "beside the notebook, with the time".to_owned();
            vec![
                ("notebook", Some(submit.notebook_path.clone())),
                ("output", Some(submit.output_path.clone().unwrap_or_else(beside))),
                ("username", submit.username.clone()),
                ("kernel", submit.kernel_name.clone()),
            ]
        }
        Target::Sweep(target) => {
            let SweepTarget { request, .. } = &**target;
            vec![
                ("sweep of", Some(request.source.as_str().to_owned())),
                ("parameters", Some(request.parameters.keys().cloned().collect::<Vec<_>>().join(", "))),
                ("output", request.output_directory.clone().or_else(own_folder)),
                ("username", request.username.clone()),
                ("kernel", request.kernel_name.clone()),
            ]
        }
        Target::Workflow(target) => {
            let WorkflowTarget { text, username, output_directory, .. } = &**target;
            let name = parse(text).map_or_else(|error| error.message().to_owned(), |workflow| workflow.name);
            vec![
                ("workflow", Some(name)),
                ("output", output_directory.clone().or_else(own_folder)),
                ("username", username.clone()),
            ]
        }
    };
    rows.push(("time goes to", target.scheduled_time_parameter().map(str::to_owned)));
    rows
}
