//! Kernels behind real gateways.

mod crash;
mod faulty;
mod runs;

use bindery::config::{Config, KernelGatewayConfig, TokenSource};
use bindery::engine::executions::SubmitExecution;

use crate::support::engine::in_place;
use crate::support::gateways::GatewayServer;

/// What configures the gateway `grid`.
fn configured(config: &mut Config, url: &str, gateway: &GatewayServer) {
    config.kernel_gateways = vec![KernelGatewayConfig {
        name: "grid".into(),
        url: url.into(),
        token: TokenSource::File(gateway.token_file()),
    }];
}

/// What runs a notebook in place, on a kernel of `grid`.
fn at_grid(path: &str) -> SubmitExecution {
    SubmitExecution { kernel_gateway: Some("grid".into()), ..in_place(path) }
}
