//! `cargo xtask bench`: Bindery beside papermill, nbclient and ploomber-engine.

use crate::cargo::{cargo, command, target_directory};
use crate::python::find_python;
use crate::steps::{Failed, Steps};

/// The kernels that all of them run.
const KERNELS: &[&str] = &["python3", "mlflow_kernel"];

/// Runs all steps until one fails. `arguments` are for `benches/side_by_side/main.py`.
pub fn run(arguments: &[String]) -> Result<(), Failed> {
    let python = find_python()?;
    let target = target_directory()?;
    let folder = target.join("bench");
    let mut steps = Steps::new();
    let mut measure = command(python);
    measure.arg("benches/side_by_side/main.py").args(arguments);
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return steps.run("help", measure.args(["--bindery", "-", "--kernels", "-", "--peers", "-"]));
    }
    steps.run("build", &mut cargo(&["build", "--release", "--package", "bindery"]))?;
    let bindery = target.join("release/bindery");
    let mut install = command(&bindery.to_string_lossy());
    install.args(["kernels", "install"]).args(KERNELS).arg("--data-dir").arg(&folder);
    steps.run("kernels", &mut install)?;
    let only = arguments.iter().skip_while(|argument| !argument.starts_with("--only")).take(2);
    let names: Vec<_> = only.flat_map(|argument| argument.split([',', '='])).collect();
    if names.is_empty() || names.contains(&"pure") {
        steps.run("without a kernel", &mut cargo(&["bench", "--package", "bindery", "--bench", "pure"]))?;
    }
    measure.arg("--bindery").arg(&bindery).arg("--kernels").arg(&folder);
    measure.arg("--peers").arg(folder.join("peers")).arg("--criterion").arg(target.join("criterion"));
    steps.run("side by side", &mut measure)
}
