//! Notebooks in an object store: the service beside a real S3 server, and other people who write there, too.

mod away;
mod crash;
mod flow;
mod objects;

use std::time::Duration;

use bindery::notebook::Notebook;
use bindery::store::{Attempts, Condition, ObjectFolder};
use serde_json::Value;

use crate::support::engine::until;
use crate::support::s3::S3Server;

/// Somebody else who reads and writes the notebooks of the service.
pub(super) struct Person(ObjectFolder);

impl Person {
    pub(super) fn at(s3: &S3Server) -> Self {
        Self(ObjectFolder::open("s3://books/team", Some(&s3.endpoint), &s3.environment()).unwrap())
    }

    pub(super) async fn put(&self, path: &str, notebook: &Value) {
        let bytes = notebook.to_string().into_bytes().into();
        self.0.write(path, bytes, &Condition::Always, Attempts::Few).await.unwrap();
    }

    pub(super) async fn text(&self, path: &str) -> String {
        let (bytes, _) = self.0.read(path, u64::MAX).await.unwrap();
        String::from_utf8(bytes.into()).unwrap()
    }

    /// A notebook, which must be valid.
    pub(super) async fn read(&self, path: &str) -> Notebook {
        let notebook = Notebook::parse(self.text(path).await.as_bytes()).unwrap();
        notebook.validate().unwrap();
        notebook
    }

    pub(super) async fn is_there(&self, path: &str) -> bool {
        self.0.head(path, Attempts::Few).await.unwrap().is_some()
    }

    /// Waits until a notebook holds this text.
    pub(super) async fn sees(&self, path: &str, text: &str) {
        until(text, async || self.text(path).await.contains(text).then_some(())).await;
    }
}

/// The source of a cell that waits until a file is there.
pub(super) fn wait_for(file: &std::path::Path) -> String {
    format!("import os, time\nwhile not os.path.exists({file:?}): time.sleep(0.02)")
}

/// A time that a save takes to be given up, for tests that wait for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
