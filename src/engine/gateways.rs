//! The kernel gateways that are configured, as executions name them.

use std::path::Path;
use std::time::Duration;

use super::Engine;
use crate::config::{KernelGatewayConfig, TOKEN_VARIABLES, TokenSource};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::kernel::remote::{Gateway, RemoteKernel, Terms, Token};
use crate::kernel::spec::KernelSpec;

/// The gateway, with its token as it is now.
///
/// # Errors
/// `BadInput` when the token cannot be read.
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
        let file = file.display();
        Error::bad_input(format!(
            "the token file {file} of a kernel gateway cannot be read: {}",
            error.kind()
        ))
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

/// The variables of this process that are meant for kernels: gateways hand on those whose names begin like this, and what
/// they mean (pods, queues, users) is described there. Jupyter Server gives them as well (`gateway/managers.py`).
pub(super) fn kernel_variables() -> Vec<(String, String)> {
    std::env::vars().filter(|(name, _)| name.starts_with("KERNEL_")).collect()
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
