//! A real S3 server in this process: it checks signatures and keeps objects in a folder.

use std::path::PathBuf;
use std::sync::Arc;

use bindery::store::{Environment, S3Config};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// A running server; it ends when dropped.
pub struct S3Server {
    /// `http://127.0.0.1:<port>`.
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: String,
    folder: TempDir,
    service: S3Service,
    /// `None` once the server is stopped.
    listener: Option<Arc<TcpListener>>,
    task: JoinHandle<()>,
}

/// How a server is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// It cuts every connection.
    Cutting,
    /// It takes connections and says nothing.
    Silent,
}

impl S3Server {
    /// Starts a server on a free port, without any bucket.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (access_key, secret_key) = ("integration".to_owned(), "integration-secret".to_owned());
        let mut service = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(access_key.clone(), secret_key.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (listener, service) = (Arc::new(listener), service.build());
        let task = tokio::spawn(serve(listener.clone(), service.clone()));
        Self { endpoint, access_key, secret_key, folder, service, listener: Some(listener), task }
    }

    /// The variables with which a process uses this server.
    pub fn environment(&self) -> Environment {
        let variables =
            [("AWS_ACCESS_KEY_ID", &self.access_key), ("AWS_SECRET_ACCESS_KEY", &self.secret_key)];
        variables.map(|(name, value)| (name.to_owned(), value.clone())).into()
    }

    /// The folder with the objects of a bucket, as files.
    pub fn bucket_folder(&self, bucket: &str) -> PathBuf {
        self.folder.path().join(bucket)
    }

    /// What a client needs to use a bucket of this server.
    pub fn config(&self, bucket: &str) -> S3Config {
        S3Config {
            bucket: bucket.to_owned(),
            endpoint: Some(self.endpoint.clone()),
            public_endpoint: None,
            region: "us-east-1".to_owned(),
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            session_token: None,
            ca_file: None,
        }
    }

    /// Takes the server down: open connections are cut, new ones refused.
    pub async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.listener = None;
    }

    /// Takes the server away for a while: open connections are cut. Its port stays its own.
    pub async fn go_away(&mut self, how: Away) {
        let listener = self.listener.clone().unwrap();
        self.do_instead(async move {
            let mut connections = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                if how == Away::Silent {
                    connections.push(socket);
                }
            }
        })
        .await;
    }

    /// Brings it back with all its objects.
    pub async fn come_back(&mut self) {
        self.do_instead(serve(self.listener.clone().unwrap(), self.service.clone())).await;
    }

    async fn do_instead(&mut self, serving: impl Future<Output = ()> + Send + 'static) {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.task = tokio::spawn(serving);
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: Arc<TcpListener>, service: S3Service) {
    // Connections belong to this task, so that they end with it.
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let service = service.clone();
        connections.spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(socket), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}
