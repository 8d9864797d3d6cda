//! What is the S3 store's own: buckets, credentials, presigned URLs, a server that is down.

use std::fs;
use std::time::{Duration, Instant};

use bindery::ErrorKind;
use bindery::store::{Category, DownloadUrl, ListQuery, S3Store, TemplateStore};
use bytes::Bytes;
use tokio::net::TcpListener;

use super::{described, name, names, put};
use crate::support::s3::S3Server;

#[tokio::test]
async fn a_bucket_is_made_when_it_is_not_there() {
    let server = S3Server::start().await;
    let store = S3Store::new(&server.config("templates")).unwrap();
    assert!(!server.bucket_folder("templates").exists());
    put(&store, "ml/a.ipynb").await;
    assert!(server.bucket_folder("templates").join("ml/a.ipynb").is_file());
    // A second user of the bucket finds what is there.
    let other = S3Store::new(&server.config("templates")).unwrap();
    assert_eq!(names(&other, ListQuery::default()).await, ["ml/a.ipynb"]);
}

#[tokio::test]
async fn a_bucket_that_goes_away_is_made_again_at_the_next_try() {
    let server = S3Server::start().await;
    let store = S3Store::new(&server.config("templates")).unwrap();
    put(&store, "ml/a.ipynb").await;
    fs::remove_dir_all(server.bucket_folder("templates")).unwrap();
    let error = store.list(&ListQuery::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("bucket is gone"), "{error}");
    assert!(names(&store, ListQuery::default()).await.is_empty());
}

#[tokio::test]
async fn other_objects_in_the_bucket_are_passed_over() {
    let server = S3Server::start().await;
    let store = S3Store::new(&server.config("templates")).unwrap();
    for text in ["ml/b.ipynb", "ml/y.ipynb", "z/z.ipynb"] {
        put(&store, text).await;
    }
    let bucket = server.bucket_folder("templates");
    for number in 0..250 {
        fs::write(bucket.join(format!("ml/c{number}.txt")), "").unwrap();
    }
    fs::write(bucket.join("top.ipynb"), "").unwrap();
    for limit in [1, 2, 3] {
        let query = ListQuery { limit, ..ListQuery::default() };
        assert_eq!(names(&store, query).await, ["ml/b.ipynb", "ml/y.ipynb", "z/z.ipynb"]);
    }
    let category = Some(Category::parse("ml").unwrap());
    let page = store.list(&ListQuery { category, limit: 2, cursor: None }).await.unwrap();
    assert_eq!((page.templates.len(), page.next_cursor), (2, None));
}

#[tokio::test]
async fn a_presigned_url_holds_for_its_template_and_time_only() {
    let server = S3Server::start().await;
    let store = S3Store::new(&server.config("templates")).unwrap();
    put(&store, "ml/a.ipynb").await;
    put(&store, "ml/b.ipynb").await;
    let url = store.download_url(&name("ml/a.ipynb"), Duration::from_secs(60)).await.unwrap();
    let DownloadUrl::Presigned { url, .. } = url else { panic!("{url:?}") };
    assert!(url.starts_with(&server.endpoint) && !url.contains(&server.secret_key), "{url}");
    for tampered in [
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        url.replace("a.ipynb", "b.ipynb"),
        url.split('?').next().unwrap().to_owned(),
    ] {
        assert_ne!(tampered, url);
        assert_eq!(reqwest::get(&tampered).await.unwrap().status(), 403, "{tampered}");
    }
    let error = store.verify_download(&name("ml/a.ipynb"), i64::MAX, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
}

#[tokio::test]
async fn download_urls_can_name_another_endpoint() {
    let server = S3Server::start().await;
    let mut config = server.config("templates");
    config.public_endpoint = Some("https://files.example.com".to_owned());
    let store = S3Store::new(&config).unwrap();
    put(&store, "ml/a.ipynb").await;
    let url = store.download_url(&name("ml/a.ipynb"), Duration::from_secs(60)).await.unwrap();
    let DownloadUrl::Presigned { url, .. } = url else { panic!("{url:?}") };
    assert!(url.starts_with("https://files.example.com/templates/ml/a.ipynb?"), "{url}");
}

#[tokio::test]
async fn wrong_credentials_are_said_to_be_wrong() {
    let server = S3Server::start().await;
    put(&S3Store::new(&server.config("templates")).unwrap(), "ml/a.ipynb").await;
    let mut wrong_secret = server.config("templates");
    wrong_secret.secret_key = "not-the-secret".to_owned();
    let mut wrong_key = server.config("templates");
    wrong_key.access_key = "nobody".to_owned();
    for config in [wrong_secret, wrong_key] {
        let store = S3Store::new(&config).unwrap();
        for error in [
            store.check().await.unwrap_err(),
            store.get(&name("ml/a.ipynb")).await.unwrap_err(),
            store.put(&name("ml/b.ipynb"), Bytes::from("x"), &described(""), false).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.message().contains("check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{error}");
            let everything = format!("{error} {:?} {store:?}", error.cause());
            assert!(!everything.contains("not-the-secret"), "{everything}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_reported_at_once() {
    let mut server = S3Server::start().await;
    let store = S3Store::new(&server.config("templates")).unwrap();
    put(&store, "ml/a.ipynb").await;
    server.stop().await;
    // The first of these still believes in the server, the others look for it first.
    for _ in 0..2 {
        let begin = Instant::now();
        for error in [
            store.list(&ListQuery::default()).await.unwrap_err(),
            store.get(&name("ml/a.ipynb")).await.unwrap_err(),
            store.put(&name("ml/b.ipynb"), Bytes::from("x"), &described(""), true).await.unwrap_err(),
            store.delete(&name("ml/a.ipynb")).await.unwrap_err(),
            store.check().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.message().starts_with("the template store cannot be reached"), "{error}");
        }
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_after_three_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = S3Server::start().await;
    let mut config = server.config("templates");
    config.endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
    let store = S3Store::new(&config).unwrap();
    let begin = Instant::now();
    let error = store.get(&name("ml/a.ipynb")).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("no answer within 3 s"), "{error}");
}
