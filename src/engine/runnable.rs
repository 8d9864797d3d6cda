//! Whether a notebook can be run, and on which kernel.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::{Engine, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::execution::ExecutionRequest;
use crate::kernel::remote::GatewaySpecs;
use crate::kernel::search_path::SearchPath;
use crate::kernel::{discovery, spec::KernelSpec};
use crate::notebook::inject::InjectOptions;
use crate::notebook::{Notebook, Parameters};

/// The kernel of a notebook that names none.
pub const DEFAULT_KERNEL: &str = "python3";

impl Engine {
    /// Checks that a notebook can be run: that it is one, that it takes the parameters, and that its kernel is there.
    pub(super) async fn check_runnable(
        &self,
        request: &ExecutionRequest,
        parameters: Parameters,
    ) -> Result<()> {
        let limit = self.config().max_notebook_size;
        let source = self.root().notebook("notebook_path", &request.notebook_path)?.source(limit).await?;
        let kernels =
            self.kernels_for(request.kernel_name.clone(), request.kernel_gateway.as_deref()).await?;
        blocking(move || {
            let mut notebook = Notebook::parse(&source.read()?)?;
            let spec = kernels.choose(&notebook)?;
            let options = match &spec {
                Some(spec) => inject_options(spec),
                None => InjectOptions { kernel_name: kernels.named.as_deref(), ..InjectOptions::default() },
            };
            // Bound once here for the errors alone, so that they reach the caller and not only the record.
            super::notebooks::bind(&mut notebook, &parameters, options)?;
            Ok(())
        })
        .await
    }

    /// The kernels among which a notebook's is to be chosen.
    ///
    /// # Errors
    /// `Invalid` for a gateway that is not configured; else what is wrong with it, with the field `kernel_gateway`.
    pub(super) async fn kernels_for(
        &self,
        named: Option<String>,
        kernel_gateway: Option<&str>,
    ) -> Result<Kernels> {
        let only_accepts = self.database().is_shared() && !self.inner.works.load(Ordering::Relaxed);
        let place = match kernel_gateway {
            Some(gateway) => {
                Place::Gateway(self.specs_of(self.gateway_config(gateway)?, only_accepts).await?)
            }
            None => Place::Here(self.config().data_dir.clone()),
        };
        Ok(Kernels { named, place, only_accepts })
    }
}

/// The kernels that there are where a notebook is to run.
pub(super) struct Kernels {
    /// The one that was asked for.
    named: Option<String>,
    place: Place,
    only_accepts: bool,
}

enum Place {
    Here(PathBuf),
    /// `None`: its gateway cannot be reached from here, and is asked by the worker.
    Gateway(Option<GatewaySpecs>),
}

impl Kernels {
    /// The kernel for a notebook; `None` when that is known where the workers are, and not here.
    ///
    /// # Errors
    /// `Invalid`, with the field `kernel_name`, when there is no such kernel.
    pub(super) fn choose(&self, notebook: &Notebook) -> Result<Option<KernelSpec>> {
        let named = self.named.as_deref();
        let spec = match &self.place {
            Place::Here(data_dir) => match find_kernel(data_dir, notebook, named) {
                Err(error) if error.kind() == ErrorKind::NotFound && self.only_accepts => return Ok(None),
                spec => spec,
            },
            Place::Gateway(Some(specs)) => specs.choose(named, notebook.kernel_name()),
            Place::Gateway(None) => return Ok(None),
        };
        spec.map(Some).map_err(kernel_field)
    }
}

/// The kernel that runs a notebook: the one named, else the notebook's own, else [`DEFAULT_KERNEL`].
pub(super) fn find_kernel(
    data_dir: &std::path::Path,
    notebook: &Notebook,
    named: Option<&str>,
) -> Result<KernelSpec> {
    let name = named.or(notebook.kernel_name()).unwrap_or(DEFAULT_KERNEL);
    Ok(discovery::find(&SearchPath::from_process(data_dir), name)?)
}

pub(super) fn inject_options(spec: &KernelSpec) -> InjectOptions<'_> {
    let language = (!spec.language.is_empty()).then_some(spec.language.as_str());
    InjectOptions { kernel_name: Some(&spec.name), language, ..InjectOptions::default() }
}

/// A kernel that cannot be had is a fault of the request, not a missing resource.
pub(super) fn kernel_field(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => {
            Error::invalid(error.message()).with_field("kernel_name", error.message()).with_source(error)
        }
        _ => error,
    }
}
