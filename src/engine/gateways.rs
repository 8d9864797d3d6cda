//! The kernel gateways that are configured, as executions name them.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use super::executions::SubmitExecution;
use super::tracking::Tracking;
use super::work::LEASE;
use crate::config::{KernelGatewayConfig, TOKEN_VARIABLES, TokenSource};
use crate::db::Lease;
use crate::error::{Error, Result};
use crate::execution::{Execution, RemoteRun};
use crate::kernel::Kernel;
use crate::kernel::remote::{Gateway, GatewaySpecs, NoSpecs, RemoteKernel, Terms, Token};
use crate::kernel::spec::KernelSpec;

/// The gateway, with its token as it is now.
///
/// # Errors
/// `Unavailable` when the token cannot be read, `BadInput` when it is none.
pub(super) fn gateway(config: &KernelGatewayConfig) -> Result<Gateway> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let token = match &config.token {
        TokenSource::Nowhere => None,
        TokenSource::File(file) => Token::new(&read(file)?)?,
        TokenSource::Variable(name) => Token::new(&variable(name))?,
        TokenSource::UsualVariables => {
            let given = TOKEN_VARIABLES.map(variable).into_iter().find(|text| !text.trim().is_empty());
            Token::new(&given.unwrap_or_default())?
        }
    };
    Gateway::new(&config.url, token)
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| {
        // Clients see this, and no paths of the machine.
        let text = format!("the token file of a kernel gateway cannot be read ({})", error.kind());
        Error::unavailable(text)
            .with_source(std::io::Error::new(error.kind(), format!("{}: {error}", file.display())))
    })
}

impl Engine {
    /// The gateway of this name or address.
    ///
    /// # Errors
    /// `Invalid` when none is configured: a request is not to make the service call whatever it likes.
    pub(super) fn gateway_config(&self, named: &str) -> Result<&KernelGatewayConfig> {
        let gateways = &self.config().kernel_gateways;
        let is_it = |it: &&KernelGatewayConfig| it.name == named || it.url == named.trim_end_matches('/');
        gateways.iter().find(is_it).ok_or_else(|| {
            let known: Vec<_> = gateways.iter().map(|gateway| gateway.name.as_str()).collect();
            let what = match known.as_slice() {
                [] => "no kernel gateway is configured: `kernel-gateway` or [kernel-gateways.NAME] in bindery.toml \
                       does it"
                    .to_owned(),
                known => format!("is not the name or address of a configured kernel gateway; there are: {}", known.join(", ")),
            };
            Error::invalid(format!("`kernel_gateway`: {what}")).with_field("kernel_gateway", what)
        })
    }
}

impl Engine {
    /// The gateway that a request names, and that it asks for nothing that there is none of behind one.
    ///
    /// # Errors
    /// `Invalid`.
    pub(super) fn checked_gateway(&self, submit: &SubmitExecution) -> Result<Option<&KernelGatewayConfig>> {
        let Some(named) = submit.kernel_gateway.as_deref() else { return Ok(None) };
        let gateway = self.gateway_config(named)?;
        let limits = &submit.resources;
        let asked = [
            ("max_memory", limits.max_memory.is_some()),
            ("max_cpu_time", limits.max_cpu_time.is_some()),
            ("max_processes", limits.max_processes.is_some()),
            ("max_disk_writes", limits.max_disk_writes.is_some()),
            ("keep_kernel_on_failure", submit.keep_kernel_on_failure.is_some()),
        ];
        if let Some((field, _)) = asked.into_iter().find(|(_, is_asked)| *is_asked) {
            let what = "cannot be had with `kernel_gateway`: the kernel's processes are the gateway's, which has limits \
                        of its own";
            return Err(Error::invalid(format!("`{field}` {what}")).with_field(field, what));
        }
        Ok(Some(gateway))
    }

    /// What a gateway can start; `None` where that need not be known: a server that executes nothing itself may not reach
    /// what its workers reach.
    ///
    /// # Errors
    /// `Unavailable` when the gateway is down, slow, does not let us, or answers nonsense.
    pub(super) async fn specs_of(
        &self,
        config: &KernelGatewayConfig,
        only_accepts: bool,
    ) -> Result<Option<GatewaySpecs>> {
        match gateway(config)?.specs().await {
            Err(NoSpecs::Away(error)) if only_accepts => {
                tracing::info!(gateway = config.name, %error, "a kernel gateway cannot be asked from here: its workers will");
                Ok(None)
            }
            specs => specs.map(Some).map_err(|fault| {
                let error = Error::from(fault);
                let message = error.message().to_owned();
                error.with_field("kernel_gateway", message)
            }),
        }
    }
}

/// The variables of this process that are meant for kernels: gateways hand on those whose names begin like this, and what
/// they mean (pods, queues, users) is described there. Jupyter Server gives them as well (`gateway/managers.py`).
pub(super) fn kernel_variables() -> Vec<(String, String)> {
    std::env::vars().filter(|(name, _)| name.starts_with("KERNEL_")).collect()
}

impl Engine {
    /// Has a gateway start a kernel, and records it before anything is sent to it. A kernel whose run is another's by then
    /// is ended.
    pub(super) async fn start_at_gateway(
        &self,
        lease: &Lease,
        execution: &Execution,
        gateway: &Gateway,
        spec: &KernelSpec,
        tracking: &Option<Tracking<'_>>,
        terms: Terms,
    ) -> Result<Kernel> {
        let request = &execution.request;
        if request.from_template {
            // The result's folder; the kernel works elsewhere.
            self.working_folder(execution).await?;
        }
        let mut env = vec![("BINDERY_EXECUTION_ID".to_owned(), execution.id.to_string())];
        if let Some(username) = &request.username {
            env.push(("KERNEL_USERNAME".to_owned(), username.clone()));
        }
        if let Some(tracking) = tracking {
            // Gateways show and mix up variables: a notebook that needs credentials gets them from its own surroundings.
            let is_secret =
                |name: &str| ["USERNAME", "PASSWORD", "TOKEN"].iter().any(|it| name.ends_with(it));
            env.extend(
                tracking.kernel_environment(execution).into_iter().filter(|(name, _)| !is_secret(name)),
            );
        }
        let kernel = start_remote(gateway, spec, env, request.limits.start_timeout, terms).await?;
        let handle = kernel.remote().map(|kernel| kernel.handle().clone());
        let (Some(gateway), Some(handle)) = (request.kernel_gateway.clone(), handle) else {
            return Ok(kernel);
        };
        let remote = RemoteRun { gateway, kernel: handle, taken_over: 0 };
        let until = Instant::now() + LEASE;
        let recorded = loop {
            match self.database().record_remote_kernel(lease, &remote).await {
                Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(500)).await,
                recorded => break recorded,
            }
        };
        match recorded {
            Ok(true) => Ok(kernel),
            recorded => {
                kernel.shutdown(Duration::ZERO).await;
                Err(recorded.err().unwrap_or_else(|| Error::conflict("the lease was lost")))
            }
        }
    }
}

/// Starts a kernel of `spec` behind a gateway.
pub(super) async fn start_remote(
    gateway: &Gateway,
    spec: &KernelSpec,
    more: Vec<(String, String)>,
    start_timeout: Duration,
    terms: Terms,
) -> Result<Kernel> {
    let mut env = kernel_variables();
    env.extend(more);
    let kernel = RemoteKernel::start(gateway, &spec.name, &env, start_timeout, terms).await?;
    Ok(kernel.into())
}
