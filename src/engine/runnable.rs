//! Whether a notebook can be run, and on which kernel.

use std::sync::atomic::Ordering;

use super::{Engine, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::execution::ExecutionRequest;
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
        let data_dir = self.config().data_dir.clone();
        let kernel_name = request.kernel_name.clone();
        let source = self.root().notebook("notebook_path", &request.notebook_path)?.source(limit).await?;
        let only_accepts = self.database().is_shared() && !self.inner.works.load(Ordering::Relaxed);
        let specs = match request.kernel_gateway.as_deref() {
            Some(named) => self.specs_of(self.gateway_config(named)?, only_accepts).await?,
            None => None,
        };
        let is_remote = request.kernel_gateway.is_some();
        blocking(move || {
            let mut notebook = Notebook::parse(&source.read()?)?;
            let named = kernel_name.as_deref();
            let spec = match &specs {
                Some(specs) => specs.choose(named, notebook.kernel_name()),
                // Its gateway is asked by the worker.
                None if is_remote => Err(Error::not_found("the kernels of the gateway are not known here")),
                None => find_kernel(&data_dir, &notebook, named),
            };
            let spec = match spec {
                // The kernels are where the workers are.
                Err(error) if error.kind() == ErrorKind::NotFound && only_accepts && specs.is_none() => None,
                spec => Some(spec.map_err(kernel_field)?),
            };
            let options = match &spec {
                Some(spec) => inject_options(spec),
                None => InjectOptions { kernel_name: kernel_name.as_deref(), ..InjectOptions::default() },
            };
            // Bound once here for the errors alone, so that they reach the caller and not only the record.
            super::notebooks::bind(&mut notebook, &parameters, options)?;
            Ok(())
        })
        .await
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
