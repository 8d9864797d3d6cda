//! The service in this process: a real engine, worker and HTTP server over a temporary data dir, with the kernels
//! of `BINDERY_TEST_DATA_DIR`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bindery::api;
use bindery::config::{Config, DataSettings, NotebooksRootConfig, Settings};
use bindery::engine::Engine;
use bindery::store::{S3Store, TemplateStore};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::engine::{code_notebook, prepared_data_dir};
use super::s3::S3Server;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running service; it ends when dropped.
pub struct TestServer {
    /// `http://127.0.0.1:<port>`.
    pub base: String,
    pub client: Client,
    pub engine: Engine,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<bindery::Result<()>>,
    data_dir: TempDir,
}

impl TestServer {
    /// With a worker and the folder store.
    pub async fn start() -> Self {
        let server = Self::start_with(|_| {}, None).await;
        server.start_worker();
        server
    }

    /// The same with templates in a bucket of `s3`.
    pub async fn start_on_s3(s3: &S3Server) -> Self {
        let store = S3Store::new(&s3.config("notebook-templates")).unwrap();
        let server = Self::start_with(|_| {}, Some(Arc::new(store))).await;
        server.start_worker();
        server
    }

    /// With a worker, and the notebooks root `s3://books/team` on `s3`.
    pub async fn start_on_store_root(s3: &S3Server, change: impl FnOnce(&mut Config)) -> Self {
        let server = Self::start_idle_on_store_root(s3, change).await;
        server.start_worker();
        server
    }

    /// The same without a worker.
    pub async fn start_idle_on_store_root(s3: &S3Server, change: impl FnOnce(&mut Config)) -> Self {
        let environment = s3.environment();
        let on_root = |config: &mut Config| {
            config.s3_endpoint = Some(s3.endpoint.clone());
            config.notebooks_root = NotebooksRootConfig::Store("s3://books/team/".into());
            change(config);
        };
        let open = async |config| Engine::open_with_environment(config, &environment).await.unwrap();
        Self::start_opened(on_root, open).await
    }

    /// Without a worker, after a change of the configuration.
    pub async fn start_with(change: impl FnOnce(&mut Config), store: Option<Arc<dyn TemplateStore>>) -> Self {
        let open = async |config| match store {
            Some(store) => Engine::open_with_store(config, store).await.unwrap(),
            None => Engine::open(config).await.unwrap(),
        };
        Self::start_opened(change, open).await
    }

    async fn start_opened(
        change: impl FnOnce(&mut Config),
        open: impl AsyncFnOnce(Config) -> Engine,
    ) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(data_dir.path().join("kernels")).unwrap();
        // Only this one, so that a test can ask for a kernel that Bindery ships and that is not installed.
        let kernel = Path::new("kernels/python3");
        std::os::unix::fs::symlink(prepared_data_dir().join(kernel), data_dir.path().join(kernel)).unwrap();
        let data = DataSettings { data_dir: Some(data_dir.path().to_owned()) };
        let mut config = Config::resolve(Settings { data, ..Settings::default() }).unwrap();
        config.shutdown_grace = Duration::from_secs(2);
        change(&mut config);
        let engine = open(config).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(api::serve(engine.clone(), listener, shutdown.clone()));
        Self { base, client: Client::new(), engine, shutdown, serving, data_dir }
    }

    /// Starts a worker, until the service ends.
    pub fn start_worker(&self) {
        let (engine, shutdown) = (self.engine.clone(), self.shutdown.clone());
        tokio::spawn(async move { engine.work(shutdown).await.unwrap() });
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }

    /// Uploads a file as a browser's form does.
    pub async fn upload(&self, file_name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> Response {
        let mut form = Vec::new();
        for (name, value) in fields {
            form.extend_from_slice(&part(&format!("name=\"{name}\""), value.as_bytes()));
        }
        form.extend_from_slice(&part(&format!("name=\"file\"; filename=\"{file_name}\""), bytes));
        self.send_form(form).await
    }

    /// Sends parts made by [`part`].
    pub async fn send_form(&self, mut parts: Vec<u8>) -> Response {
        parts.extend_from_slice(b"--test-boundary--\r\n");
        let request = self.request(Method::POST, "/minio/upload-template");
        let request = request.header("content-type", "multipart/form-data; boundary=test-boundary");
        request.body(parts).send().await.unwrap()
    }

    /// Puts a notebook of these code cells into the notebooks root.
    pub fn put_notebook(&self, path: &str, sources: &[&str]) {
        let file = self.root().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, code_notebook(sources).to_string()).unwrap();
    }

    /// A notebook of the notebooks root.
    pub fn read_notebook(&self, path: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.root().join(path)).unwrap()).unwrap()
    }

    pub fn root(&self) -> PathBuf {
        self.data_dir.path().join("notebooks")
    }

    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Polls a status until it is as wanted.
    pub async fn poll(&self, id: i64, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/execution-status/{id}");
        self.poll_at(&path, |status| wanted(status).then(|| status.clone())).await
    }

    /// Polls a list of executions until it has one.
    pub async fn poll_listed(&self, path: &str) -> Value {
        self.poll_at(path, |page| page["executions"].get(0).cloned()).await
    }

    async fn poll_at(&self, path: &str, wanted: impl Fn(&Value) -> Option<Value>) -> Value {
        let begin = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            let answer = json_of(self.get(path).await, 200).await;
            if let Some(found) = wanted(&answer) {
                return found;
            }
            assert!(begin.elapsed() < PATIENCE, "{answer:#}");
        }
    }

    /// Polls until an execution has ended.
    pub async fn poll_to_end(&self, id: i64) -> Value {
        self.poll(id, |status| !["pending", "running"].contains(&status["status"].as_str().unwrap())).await
    }

    /// Asserts that an answer is a problem with this status, which gives nothing of the machine away.
    pub async fn problem(&self, response: Response, status: u16) -> Value {
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        let problem = json_of(response, status).await;
        assert_eq!(problem["status"], status, "{problem}");
        for field in ["type", "title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        for path in [self.data_dir(), &prepared_data_dir(), Path::new(env!("CARGO_MANIFEST_DIR"))] {
            assert!(
                !problem.to_string().contains(path.to_str().unwrap()),
                "a path of the machine: {problem}"
            );
        }
        problem
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The JSON of an answer with this status.
pub async fn json_of(response: Response, status: u16) -> Value {
    let got = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// One part of a form.
pub fn part(disposition: &str, bytes: &[u8]) -> Vec<u8> {
    let mut part =
        format!("--test-boundary\r\nContent-Disposition: form-data; {disposition}\r\n\r\n").into_bytes();
    part.extend_from_slice(bytes);
    part.extend_from_slice(b"\r\n");
    part
}
