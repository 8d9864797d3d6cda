//! The notebooks root at Azure and at Google, on their emulators.

use bindery::store::Environment;

use super::{Service, bindery};
use crate::support::emulators::Emulator;
use crate::support::engine::data_dir;

const HELLO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/quickstart/hello.ipynb");

/// Makes a notebook at `root`, once only, and runs it in place.
async fn made_and_run(root: &str, variables: &[(&str, &str)]) {
    let folder = data_dir();
    let environment: Environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    // The emulator is served by this test's own runtime.
    let run = async |arguments: &[&str]| {
        let mut command = bindery(folder.path(), root, None, &environment);
        command.args(arguments);
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (ended.status.code(), text(ended.stdout), text(ended.stderr))
    };
    let uploaded = run(&["templates", "upload", HELLO, "--category", "quickstart"]).await;
    assert_eq!(uploaded.0, Some(0), "{uploaded:?}");
    let create = ["notebooks", "create", "quickstart/hello.ipynb", "--to", "ada/ü b", "-p", "name", "Ada"];
    let created = run(&create).await;
    assert_eq!(created.0, Some(0), "{created:?}");
    assert!(created.1.contains(&format!("{root}/ada/ü b/hello.ipynb")), "{created:?}");
    let again = run(&create).await;
    assert_eq!(again.0, Some(1), "{again:?}");
    assert!(again.2.contains("`ada/ü b/hello.ipynb` exists already"), "{again:?}");
    let _service = Service::start(folder.path(), root, None, &environment);
    let ran = run(&["executions", "submit", "ada/ü b/hello.ipynb", "--wait", "--json"]).await;
    assert_eq!(ran.0, Some(0), "{ran:?}");
    let status: serde_json::Value = serde_json::from_str(&ran.1).unwrap();
    assert_eq!(status["output_path"], "ada/ü b/hello.ipynb", "{status:#}");
    let absent = run(&["executions", "submit", "ada/absent.ipynb"]).await;
    assert!(
        absent.0 == Some(1) && absent.2.contains("there is no notebook `ada/absent.ipynb`"),
        "{absent:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_is_made_and_run_at_azure() {
    let Some(emulator) = Emulator::azure().await else { return };
    let variables = [("AZURE_STORAGE_USE_EMULATOR", "true"), ("AZURITE_BLOB_STORAGE_URL", &emulator.url)];
    made_and_run("abs://devstoreaccount1.blob.core.windows.net/books/team", &variables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_is_made_and_run_at_google() {
    let Some(emulator) = Emulator::google().await else { return };
    made_and_run("gs://books/team", &[("STORAGE_EMULATOR_HOST", &emulator.url)]).await;
}
