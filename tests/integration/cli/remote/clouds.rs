//! `gs://`, `abs://` and `abfss://` against emulators.

use super::{Place, notebook};
use crate::support::emulators::Emulator;

#[tokio::test]
async fn a_notebook_goes_to_google_and_comes_back() {
    let Some(emulator) = Emulator::google().await else { return };
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["# parameters\nalpha = 1", "print(alpha)"]));
    let variables = [("STORAGE_EMULATOR_HOST", emulator.url.as_str())];
    let url = "gs://books/a b/ü-7.ipynb";
    let arguments = ["execute", "in.ipynb", "gs://books/a b/ü-{alpha}.ipynb", "-p", "alpha", "7"];
    place.run_with(&variables, &arguments).await.check(0, "");
    place.run_with(&variables, &["execute", url, "again.ipynb"]).await.check(0, "");
    assert_eq!(super::streams(&place.read("again.ipynb")), "7\n");
    assert_eq!(place.read("again.ipynb")["metadata"]["papermill"]["input_path"], url);
    place
        .run_with(&variables, &["inspect", "gs://books/absent.ipynb"])
        .await
        .check_one_line(1, "`gs://books/absent.ipynb` cannot be read: there is no such object in the bucket");
    place
        .run_with(&variables, &["inspect", "gs://books/a//b.ipynb"])
        .await
        .check_one_line(1, "no part of it may be empty");
}

#[tokio::test]
async fn a_notebook_goes_to_azure_and_comes_back() {
    let Some(emulator) = Emulator::azure().await else { return };
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["print('there')"]));
    let variables = [("AZURE_STORAGE_USE_EMULATOR", "true"), ("AZURITE_BLOB_STORAGE_URL", &emulator.url)];
    let host = "devstoreaccount1.blob.core.windows.net";
    let out = format!("abs://{host}/books/a b/ü.ipynb");
    place.run_with(&variables, &["execute", "in.ipynb", &out]).await.check(0, "");
    let lake = "abfss://books@devstoreaccount1.dfs.core.windows.net/a b/ü.ipynb";
    place.run_with(&variables, &["execute", lake, "again.ipynb"]).await.check(0, "");
    assert_eq!(super::streams(&place.read("again.ipynb")), "there\n");

    let absent = format!("abs://{host}/books/absent.ipynb");
    place
        .run_with(&variables, &["inspect", &absent])
        .await
        .check_one_line(1, "cannot be read: there is no such object in the bucket");
    let elsewhere = format!("abs://{host}/nobooks/x.ipynb");
    place
        .run_with(&variables, &["execute", "in.ipynb", &elsewhere])
        .await
        .check_one_line(1, "cannot be written: there is no bucket or container `nobooks`");

    // A signature behind the URL counts before every credential, and is not written down.
    let wrong = [&variables[..], &[("AZURE_STORAGE_ACCOUNT_KEY", "aHVzaA==")]].concat();
    place.run_with(&wrong, &["execute", "in.ipynb", &out]).await.check_one_line(1, "refuses the credentials");
    let signature = emulator.azure_signature("s.ipynb").await;
    let signed = format!("abs://{host}/books/s.ipynb?{signature}");
    let ended = place.run_with(&wrong, &["execute", "in.ipynb", &signed]).await;
    ended.check(0, "");
    place
        .run_with(&variables, &["execute", &format!("abs://{host}/books/s.ipynb"), "s.ipynb"])
        .await
        .check(0, "");
    let secret = signature.split('&').find_map(|pair| pair.strip_prefix("sig=")).unwrap();
    place.run_with(&variables, &["execute", &signed, "in-signed.ipynb"]).await;
    assert!(!ended.stderr.contains(secret) && !place.read("s.ipynb").to_string().contains(secret));
}

#[tokio::test]
async fn without_credentials_the_clouds_say_which_there_could_be() {
    let place = Place::new();
    place
        .run_with(&[], &["inspect", "gs://books/x.ipynb"])
        .await
        .check_one_line(1, "there are no credentials: set GOOGLE_APPLICATION_CREDENTIALS");
    place
        .run_with(&[], &["inspect", "abs://account.blob.core.windows.net/books/x.ipynb"])
        .await
        .check_one_line(1, "there are no credentials: set AZURE_TENANT_ID");
    place
        .run_with(&[("GOOGLE_APPLICATION_CREDENTIALS", "absent.json")], &["inspect", "gs://books/x.ipynb"])
        .await
        .check_one_line(1, "Google Cloud Storage cannot be used; check the GOOGLE_… variables");
}
