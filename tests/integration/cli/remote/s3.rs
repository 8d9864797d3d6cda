//! `s3://` against a server that checks every signature.

use std::fs;

use super::{Ended, Place, notebook, streams};
use crate::support::s3::S3Server;

/// A server with the bucket `books`.
async fn server() -> S3Server {
    let server = S3Server::start().await;
    fs::create_dir(server.bucket_folder("books")).unwrap();
    server
}

#[tokio::test]
async fn a_notebook_and_its_parameters_come_from_a_bucket_and_the_result_goes_into_one() {
    let (place, server) = (Place::new(), server().await);
    let books = server.bucket_folder("books");
    fs::write(books.join("p.yaml"), "beta: from the bucket\n").unwrap();
    let source = notebook(&["# parameters\nalpha = 1\nbeta = 2", "print(alpha, beta)"]);
    fs::write(books.join("in.ipynb"), source.to_string()).unwrap();
    // As boto3 users have it.
    fs::create_dir(place.path(".aws")).unwrap();
    let file = format!(
        "[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n[team]\naws_access_key_id = {}\n\
         aws_secret_access_key = {}\n",
        server.access_key, server.secret_key
    );
    fs::write(place.path(".aws/credentials"), file).unwrap();
    let variables = [("AWS_PROFILE", "team"), ("BOTO3_ENDPOINT_URL", &server.endpoint)];
    let arguments = [
        "execute",
        "s3://books/in.ipynb",
        "s3://books/a/out {alpha}.ipynb",
        "-p",
        "alpha",
        "7",
        "-f",
        "s3://books/p.yaml",
        "--inject-output-path",
    ];
    let ended = place.run_with(&variables, &arguments).await;
    ended.check(0, "");
    let bytes = fs::read(books.join("a/out 7.ipynb")).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(streams(&written), "7 from the bucket\n");
    let papermill = &written["metadata"]["papermill"];
    assert_eq!(papermill["input_path"], "s3://books/in.ipynb");
    assert_eq!(papermill["output_path"], "s3://books/a/out 7.ipynb");
    assert_eq!(papermill["parameters"]["PAPERMILL_OUTPUT_PATH"], "s3://books/a/out {alpha}.ipynb");

    // The variables of AWS, and the flag before every other endpoint.
    let variables = [
        ("AWS_ACCESS_KEY_ID", server.access_key.as_str()),
        ("AWS_SECRET_ACCESS_KEY", &server.secret_key),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ];
    let arguments = ["inspect", "s3://books/in.ipynb", "--s3-endpoint", &server.endpoint];
    let ended = place.run_with(&variables, &arguments).await;
    ended.check(0, "");
    assert!(ended.stdout.contains("alpha"), "{}", ended.stdout);
    let arguments = ["execute", "--help-notebook", "s3://books/in.ipynb", "--s3-endpoint", &server.endpoint];
    let ended = place.run_with(&variables, &arguments).await;
    assert!(ended.stdout.contains("notebook 's3://books/in.ipynb'"), "{}{}", ended.stdout, ended.stderr);
}

#[tokio::test]
async fn what_is_wrong_with_a_bucket_is_said_in_one_line() {
    let (place, server) = (Place::new(), server().await);
    place.write("in.ipynb", &notebook(&["1"]));
    let run = async |secret: &str, endpoint: &str, arguments: &[&str]| -> Ended {
        let variables = [
            ("AWS_ACCESS_KEY_ID", server.access_key.as_str()),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_ENDPOINT_URL_S3", endpoint),
        ];
        place.run_with(&variables, arguments).await
    };
    let (secret, endpoint) = (server.secret_key.as_str(), server.endpoint.as_str());
    run(secret, endpoint, &["inspect", "s3://books/absent.ipynb"])
        .await
        .check_one_line(1, "`s3://books/absent.ipynb` cannot be read: there is no such object in the bucket");
    // This server makes a bucket for an object that has none, so only a read can tell.
    run(secret, endpoint, &["inspect", "s3://nobooks/in.ipynb"])
        .await
        .check_one_line(1, "`s3://nobooks/in.ipynb` cannot be read: there is no ");
    run("hush", endpoint, &["execute", "in.ipynb", "s3://books/out.ipynb"])
        .await
        .check_one_line(1, "the server refuses the credentials, or they have no right to it");
    run(secret, "http://127.0.0.1:1", &["inspect", "s3://books/in.ipynb"])
        .await
        .check_one_line(2, "the S3 server cannot be reached (Connection refused");
    run(secret, endpoint, &["execute", "in.ipynb", "-", "-f", "s3://books/p.yaml"])
        .await
        .check_one_line(1, "`s3://books/p.yaml` cannot be read: there is no such object");
    fs::write(server.bucket_folder("books").join("p.yaml"), "a: [1\nb: 2\n").unwrap();
    run(secret, endpoint, &["execute", "in.ipynb", "-", "-f", "s3://books/p.yaml"])
        .await
        .check_one_line(1, "s3://books/p.yaml");
    let nobody = place.run_with(&[], &["execute", "in.ipynb", "s3://books/out.ipynb"]).await;
    nobody.check_one_line(1, "s3:// needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or");
    let half = place.run_with(&[("AWS_ACCESS_KEY_ID", "a")], &["inspect", "s3://books/in.ipynb"]).await;
    half.check_one_line(1, "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not");
}
