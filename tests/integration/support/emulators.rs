//! The clouds' storage on this machine: Azurite for Azure, gcp-storage-emulator for Google.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, Response, header};
use base64::Engine as _;
use hmac::{Hmac, Mac};
use object_store::signer::Signer;

use super::engine::prepared_data_dir;

/// How long one may take to start.
const START: Duration = Duration::from_secs(60);

/// A running emulator; it dies when dropped.
pub struct Emulator {
    process: Child,
    /// `http://127.0.0.1:<port>`.
    pub url: String,
}

/// A program that `cargo xtask test` installs. Without it the test is skipped, but not where checks are binding.
fn installed(program: &str) -> Option<PathBuf> {
    let path = prepared_data_dir().join("emulators").join(program);
    if path.exists() {
        return Some(path);
    }
    let is_binding = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!is_binding, "{program} is not installed: `cargo xtask test` does it");
    eprintln!("skipped: {program} is not installed; `cargo xtask test` does it where npm is there");
    None
}

impl Emulator {
    async fn start(program: PathBuf, arguments: impl Fn(u16) -> Vec<String>) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        // Between finding a free port and using it somebody else may take it: then the emulator ends.
        for _ in 0..3 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new(&program);
            command.args(arguments(port)).process_group(0);
            let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let url = format!("http://127.0.0.1:{port}");
            let mut emulator = Self { process: command.spawn().unwrap(), url };
            let begun = Instant::now();
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            while emulator.process.try_wait().unwrap().is_none() {
                tick.tick().await;
                if client.get(&emulator.url).send().await.is_ok() {
                    return emulator;
                }
                assert!(begun.elapsed() < START, "{} does not answer", program.display());
            }
        }
        panic!("{} does not start", program.display());
    }

    /// Azure's, with the container `books`.
    pub async fn azure() -> Option<Self> {
        let program = installed("azurite/node_modules/.bin/azurite-blob")?;
        let emulator = Self::start(program, |port| {
            let fixed = [
                "--inMemoryPersistence",
                "--disableTelemetry",
                "--skipApiVersionCheck",
                "--blobHost",
                "127.0.0.1",
            ];
            let mut arguments: Vec<_> = fixed.map(str::to_owned).into();
            arguments.extend(["--blobPort".to_owned(), port.to_string()]);
            arguments
        })
        .await;
        emulator.create_container("books").await;
        Some(emulator)
    }

    /// Signed with the account's key, which is the same for every Azurite.
    async fn create_container(&self, name: &str) {
        let now = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let version = "2023-11-03";
        let headers = format!("x-ms-date:{now}\nx-ms-version:{version}");
        let resource = format!("/{AZURITE_ACCOUNT}/{AZURITE_ACCOUNT}/{name}\nrestype:container");
        let text = format!("PUT{}{headers}\n{resource}", "\n".repeat(12));
        let base64 = base64::engine::general_purpose::STANDARD;
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&base64.decode(AZURITE_KEY).unwrap()).unwrap();
        mac.update(text.as_bytes());
        let signature = base64.encode(mac.finalize().into_bytes());
        let request = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = request.put(format!("{}/{AZURITE_ACCOUNT}/{name}?restype=container", self.url));
        let answer = request
            .header("x-ms-date", now)
            .header("x-ms-version", version)
            .header("authorization", format!("SharedKey {AZURITE_ACCOUNT}:{signature}"))
            .body("")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    }

    /// The query of a shared access signature for reading and writing a blob of the container `books`.
    pub async fn azure_signature(&self, blob: &str) -> String {
        let store = object_store::azure::MicrosoftAzureBuilder::new()
            .with_account(AZURITE_ACCOUNT)
            .with_access_key(AZURITE_KEY)
            .with_container_name("books")
            .build()
            .unwrap();
        let hour = Duration::from_secs(3600);
        let url = store.signed_url(reqwest::Method::PUT, &blob.into(), hour).await.unwrap();
        url.query().unwrap().to_owned()
    }

    /// Google's, with the bucket `books`, behind a server that adds the two headers which Google's own answers have
    /// and this one's lack.
    pub async fn google() -> Option<Self> {
        let program = installed("gcs/bin/gcp-storage-emulator")?;
        let mut emulator = Self::start(program, |port| {
            let port = format!("--port={port}");
            ["start", "--host=127.0.0.1", &port, "--in-memory", "--default-bucket=books"]
                .map(str::to_owned)
                .into()
        })
        .await;
        let behind = std::mem::take(&mut emulator.url);
        let router = Router::new().fallback(move |request: Request| pass_on(behind.clone(), request));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        emulator.url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Some(emulator)
    }
}

/// Published with Azurite, and good for nothing else.
const AZURITE_ACCOUNT: &str = "devstoreaccount1";
const AZURITE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

async fn pass_on(behind: String, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // It knows no HEAD.
    let is_head = parts.method == Method::HEAD;
    let method = if is_head { Method::GET } else { parts.method };
    let answer = client.request(method, format!("{behind}{}", parts.uri));
    let answer = answer.headers(parts.headers).body(body).send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.bytes().await.unwrap();
    let size = bytes.len();
    let mut passed = Response::new(if is_head { Body::empty() } else { Body::from(bytes) });
    *passed.status_mut() = status;
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        passed.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    let added = passed.headers_mut();
    if is_head {
        added.insert(header::CONTENT_LENGTH, size.into());
    }
    added.insert(header::ETAG, HeaderValue::from_static("\"1\""));
    added.insert(header::LAST_MODIFIED, HeaderValue::from_static("Sat, 21 Nov 2026 00:00:00 GMT"));
    passed
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.process.wait();
    }
}
