//! `bindery execute --kernel-gateway`.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, KernelGatewayConfig, TokenSource, gateway_address};
use crate::error::Result;

#[derive(Debug, Args)]
pub(super) struct GatewayFlags {
    /// Run on a kernel of this Jupyter Server, Kernel Gateway or Enterprise Gateway; its kernels are then the ones that
    /// --kernel names. Its token is taken from the variable BINDERY_KERNEL_GATEWAY_TOKEN or JUPYTER_GATEWAY_AUTH_TOKEN, and
    /// that of a gateway of bindery.toml, also by its name, from where that says
    #[arg(long, value_name = "URL")]
    kernel_gateway: Option<String>,
    /// A file with the token of --kernel-gateway
    #[arg(long, value_name = "FILE", requires = "kernel_gateway")]
    kernel_gateway_token_file: Option<PathBuf>,
}

impl GatewayFlags {
    /// The gateway that was asked for: one of the configuration, or an address.
    pub(super) fn resolve(&self, config: &Config) -> Result<Option<KernelGatewayConfig>> {
        let Some(named) = &self.kernel_gateway else { return Ok(None) };
        let is_it = |it: &&KernelGatewayConfig| it.name == *named || it.url == named.trim_end_matches('/');
        let mut gateway = match config.kernel_gateways.iter().find(is_it) {
            Some(configured) => configured.clone(),
            None => KernelGatewayConfig {
                name: String::new(),
                url: gateway_address(named)?,
                token: TokenSource::UsualVariables,
            },
        };
        if let Some(file) = &self.kernel_gateway_token_file {
            gateway.token = TokenSource::File(file.clone());
        }
        Ok(Some(gateway))
    }
}
