//! What is the folder store's own: files put there by hand, links, permissions, signed downloads.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use bindery::ErrorKind;
use bindery::store::{DownloadUrl, FolderStore, ListQuery, TemplateStore};
use bytes::Bytes;
use tempfile::TempDir;

use super::{described, name, names, put};

async fn open() -> (TempDir, FolderStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open(folder.path()).await.unwrap();
    (folder, store)
}

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Every file below a folder, hidden ones too.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}

#[tokio::test]
async fn files_put_there_by_hand_are_templates() {
    let (folder, store) = open().await;
    for file in
        ["ml/by hand.ipynb", "ml/notes.txt", "ml/.hidden.ipynb", ".git/x.ipynb", "top.ipynb", "ml/x.IPYNB"]
    {
        write(folder.path(), file, "{}");
    }
    write(folder.path(), "a/b/c/d/e/too-deep.ipynb", "{}");
    write(folder.path(), "ml/a..b.ipynb", "{}");
    assert_eq!(names(&store, ListQuery::default()).await, ["ml/by hand.ipynb"]);
    let (template, bytes) = store.get(&name("ml/by hand.ipynb")).await.unwrap();
    assert_eq!((template.description.as_str(), template.size, bytes.as_ref()), ("", 2, &b"{}"[..]));
    assert_eq!(store.head(&template.name).await.unwrap(), template);
    let error = store.put(&template.name, Bytes::from("x"), &described(""), false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    store.delete(&template.name).await.unwrap();
    assert!(!folder.path().join("ml/by hand.ipynb").exists());
    assert!(folder.path().join("ml/notes.txt").exists());
}

#[tokio::test]
async fn a_template_edited_by_hand_keeps_its_description_and_gets_a_new_etag() {
    let (folder, store) = open().await;
    let before = store.put(&name("ml/a.ipynb"), Bytes::from("one"), &described("kept"), false).await.unwrap();
    write(folder.path(), "ml/a.ipynb", "edited");
    let after = store.head(&name("ml/a.ipynb")).await.unwrap();
    assert_eq!((after.size, after.description.as_str()), (6, "kept"));
    assert_ne!(after.etag, before.etag);
    assert_eq!(store.get(&name("ml/a.ipynb")).await.unwrap().0, after);
}

#[tokio::test]
async fn a_folder_can_be_moved_whole() {
    let (folder, store) = open().await;
    store.put(&name("ml/a.ipynb"), Bytes::from("one"), &described("kept"), false).await.unwrap();
    drop(store);
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("moved");
    fs::rename(folder.path(), &moved).unwrap();
    let store = FolderStore::open(&moved).await.unwrap();
    assert_eq!(store.head(&name("ml/a.ipynb")).await.unwrap().description, "kept");
}

#[tokio::test]
async fn links_out_of_the_root_are_neither_listed_nor_followed() {
    let (folder, store) = open().await;
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret.ipynb", "secret");
    put(&store, "ml/inside.ipynb").await;
    store.download_url(&name("ml/inside.ipynb"), Duration::from_secs(60)).await.unwrap();
    symlink(outside.path().join("secret.ipynb"), folder.path().join("ml/file.ipynb")).unwrap();
    symlink(outside.path(), folder.path().join("out")).unwrap();
    symlink(folder.path().join(".bindery/download-key"), folder.path().join("ml/key.ipynb")).unwrap();
    symlink(folder.path().join(".bindery"), folder.path().join("private")).unwrap();
    symlink("../ml", folder.path().join("ml/circle")).unwrap();
    symlink("inside.ipynb", folder.path().join("ml/link.ipynb")).unwrap();
    symlink("nowhere.ipynb", folder.path().join("ml/broken.ipynb")).unwrap();

    let listed = names(&store, ListQuery::default()).await;
    assert!(
        listed.iter().all(|name| name.ends_with("/inside.ipynb") || name.ends_with("/link.ipynb")),
        "{listed:?}"
    );
    assert!(listed.contains(&"ml/link.ipynb".to_owned()));
    assert_eq!(store.get(&name("ml/link.ipynb")).await.unwrap().1, "bytes of ml/inside.ipynb");
    for text in ["ml/file.ipynb", "out/secret.ipynb", "ml/key.ipynb"] {
        for error in [store.get(&name(text)).await.unwrap_err(), store.delete(&name(text)).await.unwrap_err()]
        {
            assert_eq!(error.kind(), ErrorKind::BadInput, "{text}: {error}");
            assert!(error.message().contains("leads out of the template store"), "{error}");
        }
    }
    for text in ["out/new.ipynb", "out/deep/new.ipynb", "private/new.ipynb"] {
        let error = store.put(&name(text), Bytes::from("x"), &described(""), true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput, "{text}: {error}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    // Overwriting a link replaces the link, not what it leads to.
    store.put(&name("ml/file.ipynb"), Bytes::from("mine"), &described(""), true).await.unwrap();
    assert_eq!(fs::read_to_string(outside.path().join("secret.ipynb")).unwrap(), "secret");
    assert_eq!(store.get(&name("ml/file.ipynb")).await.unwrap().1, "mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ten_who_create_the_same_template_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let target = name(&format!("race/{round}.ipynb"));
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..10 {
            let target = target.clone();
            // Each with a store of its own, as other processes have.
            let store = FolderStore::open(folder.path()).await.unwrap();
            tasks.spawn(async move {
                let text = writer.to_string();
                store.put(&target, Bytes::from(text.clone()), &described(&text), false).await.map(|_| text)
            });
        }
        let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 9));
        assert!(lost.into_iter().all(|result| result.unwrap_err().kind() == ErrorKind::Conflict));
        let winner = won.into_iter().next().unwrap().unwrap();
        let (template, bytes) = FolderStore::open(folder.path()).await.unwrap().get(&target).await.unwrap();
        assert_eq!((template.description.as_str(), bytes), (winner.as_str(), Bytes::from(winner.clone())));
    }
    assert!(!files(folder.path()).iter().any(|file| file.contains("/.bindery-")), "temporary files are left");
}

#[tokio::test]
async fn signed_downloads_hold_for_their_template_and_time_only() {
    let (folder, store) = open().await;
    put(&store, "ml/a b.ipynb").await;
    let url = store.download_url(&name("ml/a b.ipynb"), Duration::from_secs(60)).await.unwrap();
    let DownloadUrl::SignedQuery { query, expires_at } = url else { panic!("{url:?}") };
    let expires = expires_at.as_second();
    let signature = query.strip_prefix(&format!("expires={expires}&signature=")).unwrap();
    assert!(signature.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{signature}");
    store.verify_download(&name("ml/a b.ipynb"), expires, signature).await.unwrap();
    // It holds after a restart as well, and in the other processes that share the folder.
    let other = FolderStore::open(folder.path()).await.unwrap();
    other.verify_download(&name("ml/a b.ipynb"), expires, signature).await.unwrap();
    for (text, expires, signature) in [
        ("ml/a.ipynb", expires, signature),
        ("ml/a b.ipynb", expires + 3600, signature),
        ("ml/a b.ipynb", expires, &signature[1..]),
        ("ml/a b.ipynb", expires, ""),
    ] {
        let error = store.verify_download(&name(text), expires, signature).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{text} {expires} {signature}");
    }
    let key = fs::metadata(folder.path().join(".bindery/download-key")).unwrap();
    assert_eq!((key.len(), key.permissions().mode() & 0o777), (32, 0o600));
    let (_elsewhere, stranger) = open().await;
    assert!(stranger.verify_download(&name("ml/a b.ipynb"), expires, signature).await.is_err());
}

#[tokio::test]
async fn a_root_that_is_no_folder_is_reported_without_its_path() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "file", "");
    for root in [folder.path().join("file"), folder.path().join("file/below")] {
        let error = FolderStore::open(&root).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains("a file is where a folder should be"), "{error}");
        assert!(!error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_root_that_goes_away_is_reported_not_remade() {
    let (folder, store) = open().await;
    put(&store, "ml/a.ipynb").await;
    let root = folder.path().to_owned();
    drop(folder);
    for error in [
        store.check().await.unwrap_err(),
        store.list(&ListQuery::default()).await.unwrap_err(),
        store.put(&name("ml/b.ipynb"), Bytes::from("x"), &described(""), false).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains("the folder is gone"), "{error}");
    }
    assert!(!root.exists());
}

/// Threads have user ids of their own on Linux, so the test holds for root as well.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_still_serves_its_templates() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ml/a.ipynb", "{}");
    let set_mode = |mode| {
        for path in [folder.path().join("ml"), folder.path().to_owned()] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set_mode(0o555);
    let root = folder.path().to_owned();
    let result = std::thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let store = FolderStore::open(&root).await.unwrap();
            assert_eq!(store.get(&name("ml/a.ipynb")).await.unwrap().1, "{}");
            assert_eq!(names(&store, ListQuery::default()).await, ["ml/a.ipynb"]);
            for error in [
                store.check().await.unwrap_err(),
                store.delete(&name("ml/a.ipynb")).await.unwrap_err(),
                store.put(&name("ml/b.ipynb"), Bytes::from("x"), &described(""), false).await.unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(error.message().contains("permission is denied"), "{error}");
                assert!(!error.to_string().contains(root.to_str().unwrap()), "{error}");
            }
        });
    })
    .join();
    set_mode(0o755);
    result.unwrap();
    assert_eq!(files(folder.path()).len(), 1, "something was left behind");
}
