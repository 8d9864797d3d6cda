//! Real gateways on this machine, whose kernels are those of `BINDERY_TEST_DATA_DIR`.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use super::engine::prepared_data_dir;

/// What every gateway here wants to hear.
pub const TOKEN: &str = "gateway-s3cret-4711";
/// How long one may take to start, and to end.
const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(5);

/// A running gateway; it ends with its kernels when dropped.
pub struct GatewayServer {
    process: Child,
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    folder: TempDir,
}

/// A program that `cargo xtask test` installs. Without it the test is skipped, but not where checks are binding.
fn installed(program: &str) -> Option<PathBuf> {
    let path = prepared_data_dir().join("gateways").join(program);
    if path.exists() {
        return Some(path);
    }
    let is_binding = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!is_binding, "{program} is not installed: `cargo xtask test` does it");
    eprintln!("skipped: {program} is not installed; `cargo xtask test` does it");
    None
}

impl GatewayServer {
    /// A Kernel Gateway.
    pub async fn kernel_gateway() -> Option<Self> {
        let program = installed("kernel/bin/jupyter-kernelgateway")?;
        Some(
            Self::start(program, "KernelGatewayApp", &["--JupyterWebsocketPersonality.list_kernels=True"])
                .await,
        )
    }

    /// An Enterprise Gateway.
    pub async fn enterprise_gateway() -> Option<Self> {
        let program = installed("enterprise/bin/jupyter-enterprisegateway")?;
        Some(
            Self::start(program, "EnterpriseGatewayApp", &["--EnterpriseGatewayApp.list_kernels=True"]).await,
        )
    }

    async fn start(program: PathBuf, application: &str, arguments: &[&str]) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        // Between finding a free port and using it somebody else may take it: then the gateway ends.
        for _ in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new(&program);
            let settings = [("ip", "127.0.0.1"), ("port", &port.to_string()), ("port_retries", "0")];
            command
                .args(settings.map(|(name, value)| format!("--{application}.{name}={value}")))
                .args(arguments);
            command.env("HOME", folder.path()).env("JUPYTER_RUNTIME_DIR", folder.path());
            command
                .env("JUPYTER_CONFIG_DIR", folder.path())
                .env("JUPYTER_DATA_DIR", folder.path().join("data"));
            // Kernelspecs of environments with ipykernel, each with its absolute program.
            command.env("JUPYTER_PATH", prepared_data_dir()).current_dir(folder.path());
            command.env("KG_AUTH_TOKEN", TOKEN).env("EG_AUTH_TOKEN", TOKEN);
            command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let url = format!("http://127.0.0.1:{port}");
            let mut gateway = Self { process: command.spawn().unwrap(), url, folder };
            let begun = Instant::now();
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            while gateway.process.try_wait().unwrap().is_none() {
                tick.tick().await;
                if client.get(format!("{}/api", gateway.url)).send().await.is_ok() {
                    return gateway;
                }
                assert!(begun.elapsed() < START, "{} does not answer", program.display());
            }
        }
        panic!("{} does not start", program.display());
    }

    /// A file with its token.
    pub fn token_file(&self) -> PathBuf {
        let file = self.folder.path().join("token");
        std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
        file
    }

    /// How many kernels it has.
    pub async fn kernels(&self) -> usize {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("{}/api/kernels", self.url));
        let answer = request.header("authorization", format!("token {TOKEN}")).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let kernels: Value = serde_json::from_str(&text).unwrap();
        kernels.as_array().unwrap_or_else(|| panic!("{text}")).len()
    }
}

impl Drop for GatewayServer {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.process);
        // Asked first, so that it ends its kernels.
        let _ = kill_process_group(group, Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < END && self.process.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.process.wait();
    }
}
