//! What [`ObjectFolder`] promises.

use bindery::ErrorKind;
use bindery::store::{Attempts, Condition, ObjectFolder};
use bytes::Bytes;

use crate::support::s3::S3Server;

async fn contract(folder: &ObjectFolder) {
    let write = async |text: &'static str, condition: &Condition| {
        folder.write("a b/ü (1).ipynb", Bytes::from(text), condition, Attempts::One).await
    };
    let text = async || folder.read("a b/ü (1).ipynb", 100).await.unwrap().0;
    assert_eq!(folder.head("a b/ü (1).ipynb", Attempts::One).await.unwrap(), None);
    let error = folder.read("a b/ü (1).ipynb", 100).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let first = write("one", &Condition::Absent).await.unwrap().unwrap();
    assert_eq!(write("other", &Condition::Absent).await.unwrap_err().kind(), ErrorKind::Conflict);
    let (bytes, tag) = folder.read("a b/ü (1).ipynb", 3).await.unwrap();
    assert_eq!((bytes.as_ref(), tag.as_ref()), (b"one".as_slice(), Some(&first)));
    let second = write("three", &Condition::Unchanged(first.clone())).await.unwrap().unwrap();
    assert_ne!(first, second);
    let error = write("four", &Condition::Unchanged(first)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(text().await, "three");
    let head = folder.head("a b/ü (1).ipynb", Attempts::One).await.unwrap().unwrap();
    assert_eq!((head.size, head.tag), (5, Some(second.clone())));
    assert_eq!(folder.read("a b/ü (1).ipynb", 4).await.unwrap_err().kind(), ErrorKind::TooLarge);
    write("five", &Condition::Always).await.unwrap();
    folder.remove("a b/ü (1).ipynb").await.unwrap();
    folder.remove("a b/ü (1).ipynb").await.unwrap();
    let error = write("six", &Condition::Unchanged(second)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "what is gone is not unchanged: {error}");
    assert_eq!(folder.head("a b/ü (1).ipynb", Attempts::One).await.unwrap(), None);
    folder.check().await.unwrap();
    folder.check().await.unwrap();
}

#[tokio::test]
async fn objects_of_s3_are_replaced_only_while_they_are_what_they_were() {
    let s3 = S3Server::start().await;
    let open = |url: &str| ObjectFolder::open(url, Some(&s3.endpoint), &s3.environment()).unwrap();
    contract(&open("s3://books")).await;
    let folder = open("s3://books/a/b//");
    assert_eq!(folder.shown(), "s3://books/a/b");
    contract(&folder).await;
    assert!(s3.bucket_folder("books").join("a/b/.bindery-root").exists());
    let mut wrong = s3.environment();
    wrong.insert("AWS_SECRET_ACCESS_KEY".into(), "hush".into());
    let folder = ObjectFolder::open("s3://books", Some(&s3.endpoint), &wrong).unwrap();
    for error in [folder.check().await.unwrap_err(), folder.read("x.ipynb", 1).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("refuses the credentials"), "{error}");
        assert!(!format!("{error} {folder:?}").contains("hush"), "{error}");
    }
    let message = ObjectFolder::open("s3://books", None, &Default::default()).unwrap_err().to_string();
    assert!(message.starts_with("an S3 store needs credentials: set AWS_ACCESS_KEY_ID"), "{message}");
}
