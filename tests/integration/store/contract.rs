//! What every template store does. Each test runs against the folder, against an S3 server in this process
//! and, when `BINDERY_TEST_S3_ENDPOINT`, `…_ACCESS_KEY` and `…_SECRET_KEY` are set, against that server.

use std::time::Duration;

use bindery::ErrorKind;
use bindery::store::{
    Category, DownloadUrl, FolderStore, ListQuery, MAX_DOWNLOAD_EXPIRY, S3Config, S3Store, TemplateStore,
};
use bytes::Bytes;
use jiff::Timestamp;

use super::{described, name, names, put};
use crate::support::s3::S3Server;

/// Runs a check on each store, which is new and empty each time.
macro_rules! contract {
    ($($(#[$meta:meta])* $check:ident;)*) => {
        mod on_folder {
            $(#[tokio::test] async fn $check() {
                let folder = tempfile::tempdir().unwrap();
                super::$check(&super::FolderStore::open(folder.path().join("templates")).await.unwrap()).await;
            })*
        }
        mod on_s3 {
            $(#[tokio::test] async fn $check() {
                let server = super::S3Server::start().await;
                super::$check(&super::S3Store::new(&server.config("templates")).unwrap()).await;
            })*
        }
        mod on_given_s3 {
            $(#[tokio::test] async fn $check() {
                if let Some(store) = super::given_s3_store() {
                    super::$check(&store).await;
                }
            })*
        }
    };
}

contract! {
    what_is_put_comes_back;
    any_description_comes_back;
    any_name_comes_back;
    a_taken_name_is_a_conflict;
    overwriting_replaces_bytes_and_description;
    what_is_missing_is_not_found;
    a_template_can_be_deleted_once;
    listing_goes_through_all_pages_in_order;
    a_category_lists_itself_and_those_below;
    listing_survives_changes_between_pages;
    a_thousand_templates_are_listed;
    limits_and_cursors_are_checked;
    download_urls_have_a_bounded_life;
    a_download_url_leads_to_the_bytes;
    large_and_empty_bytes_come_back;
    a_store_in_order_passes_its_check;
}

fn given_s3_store() -> Option<S3Store> {
    let variable = |name: &str| std::env::var(format!("BINDERY_TEST_S3_{name}")).ok();
    Some(
        S3Store::new(&S3Config {
            bucket: format!("bindery-test-{}", uuid::Uuid::new_v4().simple()),
            endpoint: Some(variable("ENDPOINT")?),
            public_endpoint: None,
            region: variable("REGION").unwrap_or_else(|| "us-east-1".to_owned()),
            access_key: variable("ACCESS_KEY").unwrap_or_default(),
            secret_key: variable("SECRET_KEY").unwrap_or_default(),
            session_token: None,
            ca_file: None,
        })
        .unwrap(),
    )
}

async fn what_is_put_comes_back(store: &dyn TemplateStore) {
    let before = Timestamp::now();
    let stored =
        store.put(&name("ml/a.ipynb"), Bytes::from("{}\n"), &described("Trains"), false).await.unwrap();
    assert_eq!((stored.name.as_str(), stored.name.category().as_str()), ("ml/a.ipynb", "ml"));
    assert_eq!((stored.size, stored.description.as_str()), (3, "Trains"));
    assert!(!stored.etag.is_empty() && !stored.etag.contains('"'), "{}", stored.etag);
    // HTTP dates have whole seconds.
    assert!(stored.last_modified.duration_since(before).as_secs().abs() <= 2, "{}", stored.last_modified);
    assert_eq!(store.head(&stored.name).await.unwrap(), stored);
    let (got, bytes) = store.get(&stored.name).await.unwrap();
    assert_eq!((&got, bytes.as_ref()), (&stored, &b"{}\n"[..]));
    assert_eq!(store.list(&ListQuery::default()).await.unwrap().templates, [stored]);
}

async fn any_description_comes_back(store: &dyn TemplateStore) {
    let descriptions = [
        "",
        " ",
        "  two  spaces  ",
        "100 % sure, \"quoted\" \\",
        "été — 機械学習 🚀",
        "a\r\nX-Amz-Meta-Evil: 1\ttab",
        "%41+b",
    ];
    for (index, description) in descriptions.into_iter().enumerate() {
        let name = name(&format!("d/{index}.ipynb"));
        store.put(&name, Bytes::from("{}"), &described(description), false).await.unwrap();
        assert_eq!(store.head(&name).await.unwrap().description, description);
        assert_eq!(store.get(&name).await.unwrap().0.description, description);
    }
    let listed = store.list(&ListQuery::default()).await.unwrap().templates;
    assert_eq!(listed.iter().map(|template| template.description.as_str()).collect::<Vec<_>>(), descriptions);
}

async fn any_name_comes_back(store: &dyn TemplateStore) {
    let mut all = [
        "a/b/c/d/deep.ipynb",
        "a b/two  spaces (v2).ipynb",
        "a+b/c+d=e,f@g.ipynb",
        "a=b/=.ipynb",
        "données/été.ipynb",
        "हिन्दी/रिपोर्ट.ipynb",
        "機械学習/訓練.ipynb",
    ];
    for text in all {
        put(store, text).await;
        let (template, bytes) = store.get(&name(text)).await.unwrap();
        assert_eq!((template.name.as_str(), bytes), (text, Bytes::from(format!("bytes of {text}"))));
    }
    all.sort_unstable();
    assert_eq!(names(store, ListQuery::default()).await, all);
    // One at a time, so that each name is a cursor once.
    assert_eq!(names(store, ListQuery { limit: 1, ..ListQuery::default() }).await, all);
    for text in all {
        store.delete(&name(text)).await.unwrap();
    }
    assert!(names(store, ListQuery::default()).await.is_empty());
}

async fn a_taken_name_is_a_conflict(store: &dyn TemplateStore) {
    put(store, "ml/a.ipynb").await;
    let error =
        store.put(&name("ml/a.ipynb"), Bytes::from("other"), &described("other"), false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.message().contains("`ml/a.ipynb` exists"), "{error}");
    let (template, bytes) = store.get(&name("ml/a.ipynb")).await.unwrap();
    assert_eq!((template.description.as_str(), bytes.as_ref()), ("", &b"bytes of ml/a.ipynb"[..]));
}

async fn overwriting_replaces_bytes_and_description(store: &dyn TemplateStore) {
    let template = name("ml/a.ipynb");
    let first = store.put(&template, Bytes::from("one"), &described("first"), true).await.unwrap();
    let second = store.put(&template, Bytes::from("two"), &described("second"), true).await.unwrap();
    assert_ne!(first.etag, second.etag);
    let third = store.put(&template, Bytes::from("one"), &described(""), true).await.unwrap();
    assert_eq!((first.etag, third.description.as_str()), (third.etag.clone(), ""));
    assert_eq!(store.get(&template).await.unwrap(), (third, Bytes::from("one")));
}

async fn what_is_missing_is_not_found(store: &dyn TemplateStore) {
    put(store, "ml/a.ipynb").await;
    for text in ["ml/b.ipynb", "none/a.ipynb", "ml/a/b.ipynb", "ML/A.ipynb"] {
        let missing = name(text);
        let errors = [
            store.get(&missing).await.unwrap_err(),
            store.head(&missing).await.unwrap_err(),
            store.delete(&missing).await.unwrap_err(),
            store.download_url(&missing, Duration::from_secs(60)).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{text}: {error}");
            assert!(error.message().contains(&format!("no template `{text}`")), "{error}");
        }
    }
}

async fn a_template_can_be_deleted_once(store: &dyn TemplateStore) {
    store.put(&name("ml/a.ipynb"), Bytes::from("{}"), &described("old"), false).await.unwrap();
    store.delete(&name("ml/a.ipynb")).await.unwrap();
    assert_eq!(store.delete(&name("ml/a.ipynb")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.get(&name("ml/a.ipynb")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(names(store, ListQuery::default()).await.is_empty());
    put(store, "ml/a.ipynb").await;
    assert_eq!(store.head(&name("ml/a.ipynb")).await.unwrap().description, "");
}

async fn listing_goes_through_all_pages_in_order(store: &dyn TemplateStore) {
    let mut all: Vec<_> = (0..11).map(|n| format!("c{}/{n}.ipynb", n % 3)).collect();
    for text in &all {
        put(store, text).await;
    }
    all.sort_unstable();
    for limit in [1, 4, 10, 11, 12] {
        let query = ListQuery { limit, ..ListQuery::default() };
        assert_eq!(names(store, query).await, all, "limit {limit}");
    }
    // A page that holds the last template says that it is the last.
    let page = store.list(&ListQuery { limit: 11, ..ListQuery::default() }).await.unwrap();
    assert_eq!((page.templates.len(), page.next_cursor), (11, None));
}

async fn a_category_lists_itself_and_those_below(store: &dyn TemplateStore) {
    for text in
        ["ml/a.ipynb", "ml/b.ipynb", "ml/deep/c.ipynb", "ml-x/f.ipynb", "ml2/d.ipynb", "mlops/e.ipynb"]
    {
        put(store, text).await;
    }
    for (category, expected) in [
        ("ml", &["ml/a.ipynb", "ml/b.ipynb", "ml/deep/c.ipynb"][..]),
        ("ml/deep", &["ml/deep/c.ipynb"]),
        ("mlops", &["mlops/e.ipynb"]),
        ("m", &[]),
        ("none", &[]),
    ] {
        for limit in [1, 2, 100] {
            let category = Some(Category::parse(category).unwrap());
            assert_eq!(names(store, ListQuery { category, limit, cursor: None }).await, expected);
        }
    }
}

async fn listing_survives_changes_between_pages(store: &dyn TemplateStore) {
    for text in ["a/1.ipynb", "a/3.ipynb", "a/5.ipynb", "a/7.ipynb"] {
        put(store, text).await;
    }
    let first = store.list(&ListQuery { limit: 2, ..ListQuery::default() }).await.unwrap();
    assert_eq!(first.templates[1].name.as_str(), "a/3.ipynb");
    // The very template that the cursor names goes; others come before and after it.
    store.delete(&name("a/3.ipynb")).await.unwrap();
    put(store, "a/2.ipynb").await;
    put(store, "a/6.ipynb").await;
    let rest = ListQuery { limit: 2, cursor: first.next_cursor, category: None };
    assert_eq!(names(store, rest).await, ["a/5.ipynb", "a/6.ipynb", "a/7.ipynb"]);
}

async fn a_thousand_templates_are_listed(store: &dyn TemplateStore) {
    // More than S3 lists in one answer.
    let all: Vec<_> = (0..1005).map(|n| format!("many/{n:04}.ipynb")).collect();
    for texts in all.chunks(50) {
        futures::future::join_all(texts.iter().map(|text| put(store, text))).await;
    }
    assert_eq!(names(store, ListQuery { limit: 1000, ..ListQuery::default() }).await, all);
    assert_eq!(names(store, ListQuery { limit: 400, ..ListQuery::default() }).await, all);
}

async fn limits_and_cursors_are_checked(store: &dyn TemplateStore) {
    for (limit, cursor) in [(0, None), (1001, None), (10, Some("ml/a.ipynb")), (10, Some(""))] {
        let query = ListQuery { category: None, limit, cursor: cursor.map(str::to_owned) };
        assert_eq!(store.list(&query).await.unwrap_err().kind(), ErrorKind::BadInput, "{query:?}");
    }
}

async fn download_urls_have_a_bounded_life(store: &dyn TemplateStore) {
    put(store, "ml/a.ipynb").await;
    for seconds in [0, MAX_DOWNLOAD_EXPIRY.as_secs() + 1] {
        let error = store.download_url(&name("ml/a.ipynb"), Duration::from_secs(seconds)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput, "{seconds}: {error}");
    }
    for seconds in [1, 3600, MAX_DOWNLOAD_EXPIRY.as_secs()] {
        let url = store.download_url(&name("ml/a.ipynb"), Duration::from_secs(seconds)).await.unwrap();
        let (DownloadUrl::Presigned { expires_at, .. } | DownloadUrl::SignedQuery { expires_at, .. }) = url;
        let life = expires_at.duration_since(Timestamp::now()).as_secs_f64();
        assert!((life - seconds as f64).abs() < 5.0, "{life} for {seconds}");
    }
}

async fn a_download_url_leads_to_the_bytes(store: &dyn TemplateStore) {
    for text in ["ml/a.ipynb", "été/a + b = (c) @d, e.ipynb"] {
        put(store, text).await;
        match store.download_url(&name(text), Duration::from_secs(60)).await.unwrap() {
            DownloadUrl::Presigned { url, .. } => {
                let answer = reqwest::get(&url).await.unwrap();
                assert_eq!(answer.status(), 200, "{url}");
                assert_eq!(answer.headers()["content-type"], "application/x-ipynb+json");
                assert_eq!(answer.text().await.unwrap(), format!("bytes of {text}"));
            }
            DownloadUrl::SignedQuery { query, expires_at } => {
                let (_, signature) = query.split_once("&signature=").unwrap();
                store.verify_download(&name(text), expires_at.as_second(), signature).await.unwrap();
            }
        }
    }
}

async fn large_and_empty_bytes_come_back(store: &dyn TemplateStore) {
    let large: Bytes = (0..6 * 1024 * 1024_u32).map(|n| (n % 251) as u8).collect();
    for (text, bytes) in [("x/large.ipynb", large), ("x/empty.ipynb", Bytes::new())] {
        let stored = store.put(&name(text), bytes.clone(), &described(""), false).await.unwrap();
        assert_eq!(stored.size, bytes.len() as u64);
        let (template, got) = store.get(&name(text)).await.unwrap();
        assert_eq!(template, stored);
        assert!(got == bytes, "the bytes of {text} changed");
    }
}

async fn a_store_in_order_passes_its_check(store: &dyn TemplateStore) {
    store.check().await.unwrap();
    assert!(names(store, ListQuery::default()).await.is_empty());
    store.check().await.unwrap();
}
