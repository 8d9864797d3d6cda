//! `cargo xtask python`: the wheel, and its module in a fresh environment.
//!
//! The wheel is built by maturin as `pip install` would have it built, only in the profile of the tests: nothing but
//! the binary itself is compiled for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::{command, target_directory};
use crate::steps::{Failed, Steps};

const PYTHONS: &[&str] =
    &["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];
/// As in pyproject.toml.
const MATURIN: &str = "maturin>=1.9,<2";

/// Runs all steps until one fails.
pub fn run() -> Result<(), Failed> {
    let mut steps = Steps::new();
    let done = run_steps(&mut steps);
    steps.print_summary();
    done
}

/// Builds the wheel and tests it: alone with ipykernel, then beside papermill.
pub fn run_steps(steps: &mut Steps) -> Result<(), Failed> {
    let folder = target_directory()?.join("python-tests");
    let tools = folder.join("tools");
    if !tools.join("bin/maturin").is_file() {
        steps.run("maturin: environment", &mut venv(&tools)?)?;
        steps.run("maturin", pip_install(&tools).arg(MATURIN))?;
    }
    let wheels = folder.join("wheel");
    let unusable = |error: std::io::Error| Failed(format!("{} cannot be used: {error}", wheels.display()));
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels).map_err(unusable)?;
    }
    let mut build = program(&tools, "maturin");
    build.args(["build", "--profile", "dev", "--out"]).arg(&wheels);
    steps.run("wheel", &mut build)?;
    let mut wheels = std::fs::read_dir(&wheels).map_err(unusable)?;
    let wheel = wheels.next().ok_or_else(|| Failed("maturin has built no wheel".into()))?;
    let wheel = wheel.map_err(unusable)?.path();

    let environment = folder.join("environment");
    steps.run("python environment", &mut venv(&environment)?)?;
    // By itself first: it must do without any other package.
    steps.run("wheel: installation", pip_install(&environment).arg("--no-index").arg(wheel))?;
    let requirements =
        |file: &str| -> Command { with_arguments(pip_install(&environment), &["--requirement", file]) };
    let tests = |file: &str| -> Command {
        let arguments =
            ["-W", "error::ResourceWarning", "-m", "unittest", "discover", "-s", "tests/python", "-p"];
        with_arguments(with_arguments(program(&environment, "python"), &arguments), &[file])
    };
    steps.run("ipykernel", &mut requirements("kernels/python3/requirements.txt"))?;
    steps.run("python module", &mut tests("test_module.py"))?;
    steps.run("papermill", &mut requirements("tests/python/requirements.txt"))?;
    steps.run("python module beside papermill", &mut tests("test_beside_papermill.py"))
}

fn with_arguments(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

/// The making of an environment at `folder`, in place of the one that is there.
pub fn venv(folder: &Path) -> Result<Command, Failed> {
    let mut making = command(find_python()?);
    making.args(["-m", "venv", "--clear"]).arg(folder);
    Ok(making)
}

/// A program of an environment, which is not activated: whoever tests a module does not rely on that.
fn program(environment: &Path, name: &str) -> Command {
    let path: PathBuf = environment.join("bin").join(name);
    let mut program = command(&path.to_string_lossy());
    program.env_remove("VIRTUAL_ENV").env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    program
}

pub fn pip_install(environment: &Path) -> Command {
    let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    with_arguments(program(environment, "python"), &arguments)
}

/// The name of a Python that the tests can be run with.
pub fn find_python() -> Result<&'static str, Failed> {
    let question = "import sys; sys.exit(sys.version_info < (3, 10))";
    let is_suitable = |name: &&&str| {
        let mut python = Command::new(name);
        python.args(["-I", "-c", question]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        python.status().is_ok_and(|status| status.success())
    };
    PYTHONS.iter().find(is_suitable).copied().ok_or_else(|| {
        Failed(
            "the tests run notebooks, which needs Python 3.10 or newer, and there is none on PATH: install one \
             (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python) and try again"
                .into(),
        )
    })
}
