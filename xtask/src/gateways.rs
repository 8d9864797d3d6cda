//! The gateways that remote kernels are tested with: Kernel Gateway and Enterprise Gateway, each in an environment of its
//! own, as they want different Jupyter Servers.

use std::path::Path;

use crate::python::{pip_install, venv};
use crate::steps::{Failed, Steps};

/// The folder of each, its program, and what is installed.
const GATEWAYS: [(&str, &str, &[&str]); 2] = [
    (
        "kernel",
        "jupyter-kernelgateway",
        &["jupyter_kernel_gateway==3.0.1", "jupyter_server==2.21.1", "jupyter_client==8.10.0"],
    ),
    // It takes no later server; setuptools has a module that this one wants.
    (
        "enterprise",
        "jupyter-enterprisegateway",
        &["jupyter_enterprise_gateway==3.3.0", "jupyter_server==1.24.0", "setuptools<81"],
    ),
];

/// Installs into `gateways` in the data dir what is not there yet.
pub fn install(steps: &mut Steps, data_dir: &Path) -> Result<(), Failed> {
    for (name, program, packages) in GATEWAYS {
        let folder = data_dir.join("gateways").join(name);
        if folder.join("bin").join(program).exists() {
            continue;
        }
        steps.run(&format!("{program}: environment"), &mut venv(&folder)?)?;
        steps.run(program, pip_install(&folder).args(packages))?;
    }
    Ok(())
}
