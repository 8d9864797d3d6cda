//! PostgreSQL: one cluster for a run of the tests, one database for a test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::engine::prepared_data_dir;

#[path = "../../../xtask/src/postgres_cluster.rs"]
mod cluster;

use cluster::{Cluster, WITHOUT_SYNC, find_programs};

/// Names the cluster that `cargo xtask test` has started, by a URL of its superuser. Without it a test starts one, which
/// ends with its process.
const VARIABLE: &str = "BINDERY_TEST_POSTGRES";

/// An empty database; it is dropped with this.
pub struct TestDatabase {
    server: &'static Server,
    name: String,
}

impl TestDatabase {
    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/NAME`, as the superuser of its cluster.
    pub fn url(&self) -> String {
        self.server.url_of(&self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Connections to it are ended; where it cannot be dropped it ends with its cluster.
        let _ = self.server.sql(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// A cluster of the test's own, which may be restarted, and the folder of its programs. Without PostgreSQL as
/// [`database`].
pub fn cluster() -> Option<(Cluster, PathBuf)> {
    let programs =
        find_programs(&prepared_data_dir()).ok_or("it is not installed; `cargo xtask test` does it");
    let started = programs
        .map_err(str::to_owned)
        .and_then(|programs| Ok((Cluster::start(&programs, WITHOUT_SYNC)?, programs)));
    started.map_err(|why| skipped(&why)).ok()
}

/// Why a test is skipped; where checks are binding it fails instead.
fn skipped(why: &str) {
    let is_binding = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!is_binding, "no PostgreSQL to test with: {why}");
    eprintln!("skipped: no PostgreSQL to test with: {why}");
}

/// A database for a test. Without PostgreSQL the test is to be skipped, but not where checks are binding.
pub async fn database() -> Option<TestDatabase> {
    tokio::task::spawn_blocking(|| {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let server = Server::get()?;
        let name = format!("test_{}_{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        // One of a killed test whose process had the same number.
        server.sql(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap();
        server.sql(&format!("CREATE DATABASE {name}")).unwrap();
        Some(TestDatabase { server, name })
    })
    .await
    .unwrap()
}

struct Server {
    psql: PathBuf,
    url: String,
    /// Held for its end, which comes with that of the process.
    _cluster: Option<Cluster>,
}

impl Server {
    fn get() -> Option<&'static Self> {
        static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
        SERVER.get_or_init(Self::find).as_ref().map_err(|why| skipped(why)).ok()
    }

    fn find() -> Result<Self, String> {
        let programs = find_programs(&prepared_data_dir());
        if let Ok(url) = std::env::var(VARIABLE)
            && !url.is_empty()
        {
            let psql = programs.map_or_else(|| "psql".into(), |folder| folder.join("psql"));
            return Ok(Self { psql, url, _cluster: None });
        }
        let programs = programs.ok_or("it is not installed; `cargo xtask test` does it")?;
        let cluster = Cluster::start(&programs, WITHOUT_SYNC)?;
        Ok(Self { psql: programs.join("psql"), url: cluster.url.clone(), _cluster: Some(cluster) })
    }

    fn url_of(&self, database: &str) -> String {
        let (server, _) = self.url.rsplit_once('/').unwrap();
        format!("{server}/{database}")
    }

    fn sql(&self, text: &str) -> Result<String, String> {
        sql(&self.psql, &self.url, text)
    }
}

/// What one statement answers, a row a line.
fn sql(psql: &Path, url: &str, text: &str) -> Result<String, String> {
    let mut command = Command::new(psql);
    command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", text, url]).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("psql cannot be started: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()),
    }
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own_and_leaves_none() {
    let (Some(one), Some(other)) = (database().await, database().await) else { return };
    let (server, name) = (one.server, one.name.clone());
    sql(&server.psql, &one.url(), "CREATE TABLE kept (it INTEGER)").unwrap();
    let count = "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'";
    assert_eq!(sql(&server.psql, &one.url(), count).unwrap(), "1\n");
    assert_eq!(sql(&server.psql, &other.url(), count).unwrap(), "0\n");
    drop(one);
    let count = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    assert_eq!(server.sql(&count).unwrap(), "0\n");
}
