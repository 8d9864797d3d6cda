//! `bindery execute` and `inspect` with URLs, against real servers.

mod clouds;
mod http;
mod s3;

use std::ffi::OsStr;

use tokio::process::Command;

use super::{Ended, Line, Place, notebook, send, streams};

impl Place {
    /// The binary in this folder with these variables and none of a cloud's besides. It must never ask a cloud who this
    /// machine is, so those addresses lead to where nobody listens.
    fn cloudless(
        &self,
        variables: &[(&str, &str)],
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = self.command(arguments);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_ascii_uppercase();
            let clouds =
                ["AWS_", "BOTO3_", "MINIO_", "AZURE_", "AZURITE_", "GOOGLE_", "STORAGE_EMULATOR", "GITHUB_"];
            if clouds.iter().any(|it| text.starts_with(it)) || text.ends_with("_PROXY") {
                command.env_remove(&name);
            }
        }
        command
            .env("GCE_METADATA_HOST", "127.0.0.1:1")
            .env("GCE_METADATA_IP", "127.0.0.1:1")
            .env("AZURE_MSI_ENDPOINT", "http://127.0.0.1:1/metadata/identity")
            .envs(variables.iter().copied());
        command
    }

    async fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
        Ended::of(self.cloudless(variables, arguments).spawn().unwrap()).await
    }
}

impl Ended {
    /// It failed with this code, and one line says why.
    fn check_one_line(&self, code: i32, told: &str) {
        self.check(code, told);
        let lines: Vec<_> = self.stderr.lines().filter(|line| !line.contains(" WARN ")).collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: "), "{}", self.stderr);
        assert!(!self.stderr.contains("hush"), "a secret: {}", self.stderr);
    }
}

#[tokio::test]
async fn urls_that_cannot_be_used_say_what_can() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["1"]));
    let check = async |arguments: &[&str], told: &str| {
        place.run_with(&[], arguments).await.check_one_line(1, told);
    };
    for url in ["hdfs://host/x.ipynb", "ftp://ada:hush@host/x.ipynb"] {
        check(&["inspect", url], "s3://, gs://, abs:// (or abfss://), http:// and https://").await;
        check(&["execute", "in.ipynb", url], "cannot be used:").await;
        check(&["execute", "in.ipynb", "-", "-f", url], "cannot be used:").await;
    }
    check(&["inspect", "adl://store.azuredatalakestore.net/x.ipynb"], "retired Data Lake Storage Gen1").await;
    check(&["inspect", "s3://id:hush@bucket/x.ipynb"], "they come from the environment").await;
    check(&["inspect", "https://github.com/owner/repository"], "https://github.com/OWNER/REPOSITORY/blob/")
        .await;
    check(
        &["execute", "in.ipynb", "http://a:hush@b/{x}"],
        "Missing parameter 'x' in the path `http://a:***@b/{x}`",
    )
    .await;
}
