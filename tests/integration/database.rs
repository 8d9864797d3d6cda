//! What the database promises about leases, without a kernel.

use std::time::Duration;

use bindery::ErrorKind;
use bindery::db::{Database, Finish};
use bindery::execution::{ExecutionRequest, ExecutionStatus, Limits, Progress};
use jiff::{SignedDuration, Timestamp};

const LEASE: Duration = Duration::from_secs(15);

async fn database(folder: &tempfile::TempDir) -> Database {
    Database::open(&format!("sqlite:{}", folder.path().join("b.db").display())).await.unwrap()
}

fn request(path: &str) -> ExecutionRequest {
    ExecutionRequest {
        notebook_path: path.into(),
        output_path: path.into(),
        username: None,
        kernel_name: None,
        parameters: None,
        template_name: None,
        limits: Limits {
            start_timeout: LEASE,
            cell_timeout: None,
            timeout: None,
            resources: Default::default(),
        },
        idempotency_key: None,
    }
}

fn success() -> Finish {
    Finish { status: ExecutionStatus::Success, error: None, warnings: Vec::new(), output_path: None }
}

#[tokio::test]
async fn each_execution_is_claimed_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (database(&folder).await, database(&folder).await);
    let now = Timestamp::now();
    let mut submitted = Vec::new();
    for number in 0..40 {
        submitted.push(first.insert_execution(&request(&format!("{number}.ipynb")), now).await.unwrap());
    }
    let claim_all = async |database: &Database, owner: &str| {
        let mut claimed = Vec::new();
        while let Some(lease) = database.claim_execution(owner, LEASE, now).await.unwrap() {
            claimed.push(lease.id);
        }
        claimed
    };
    let (one, two) = tokio::join!(claim_all(&first, "one"), claim_all(&second, "two"));
    assert!(one.is_sorted() && two.is_sorted());
    let mut all = [one, two].concat();
    all.sort();
    assert_eq!(all, submitted);
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(&folder).await;
    let now = Timestamp::now();
    let id = database.insert_execution(&request("a.ipynb"), now).await.unwrap();
    let lease = database.claim_execution("worker", LEASE, now).await.unwrap().unwrap();
    let later = |seconds| now + SignedDuration::from_secs(seconds);
    assert_eq!(database.renew_lease(&lease, LEASE, later(1)).await.unwrap(), Some(false));
    let abandoned =
        async |worker: &str, at| database.claim_abandoned(worker, "settler", LEASE, at).await.unwrap();
    assert!(abandoned("other", later(15)).await.is_none(), "the lease was prolonged");
    assert!(abandoned("worker", later(60)).await.is_none(), "its own worker may only have been asleep");
    let settling = abandoned("other", later(17)).await.unwrap();
    assert_eq!(settling.id, id);

    assert_eq!(database.renew_lease(&lease, LEASE, later(18)).await.unwrap(), None);
    let progress = Progress { cells_done: 1, cells_total: 2, current_cell: None };
    assert!(!database.record_progress(&lease, progress, 1, "python3").await.unwrap());
    assert!(!database.finish_execution(&lease, &success(), later(18)).await.unwrap());
    assert_eq!(database.execution(id).await.unwrap().status, ExecutionStatus::Running);
    assert!(database.finish_execution(&settling, &success(), later(18)).await.unwrap());
    assert!(!database.finish_execution(&settling, &success(), later(18)).await.unwrap(), "only once");
}

#[tokio::test]
async fn a_database_that_somebody_locks_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(&folder).await;
    let blocker = sqlx::sqlite::SqlitePoolOptions::new()
        .max_connections(1)
        .connect(&format!("sqlite:{}", folder.path().join("b.db").display()))
        .await
        .unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&blocker).await.unwrap();
    let request = request("a.ipynb");
    let insert = database.insert_execution(&request, Timestamp::now());
    let unlock = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        sqlx::query("COMMIT").execute(&blocker).await.unwrap();
    };
    let (inserted, ()) = tokio::join!(insert, unlock);
    inserted.unwrap();
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for (url, kind) in [
        ("mysql://host/x".to_owned(), ErrorKind::BadInput),
        ("sqlite:".to_owned(), ErrorKind::BadInput),
        (format!("sqlite:{}/absent/b.db", folder.path().display()), ErrorKind::Unavailable),
    ] {
        assert_eq!(Database::open(&url).await.unwrap_err().kind(), kind, "{url}");
    }
    std::fs::write(folder.path().join("text.db"), "this is no database, and long enough to be seen as none")
        .unwrap();
    let error = Database::open(&format!("sqlite:{}/text.db", folder.path().display())).await.unwrap_err();
    assert!(error.message().contains("not a database"), "{error}");
}

#[tokio::test]
async fn many_processes_may_open_a_fresh_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let opened = futures::future::join_all((0..8).map(|_| database(&folder))).await;
    assert_eq!(opened.len(), 8);
}

/// A full disk is found out when a statement commits, as a deferred foreign key is.
#[tokio::test]
async fn no_id_is_given_for_what_could_not_be_committed() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(&folder).await;
    let now = Timestamp::now();
    let pending = database.insert_execution(&request("a.ipynb"), now).await.unwrap();
    let url = format!("sqlite:{}", folder.path().join("b.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let faults = "CREATE TABLE parent (id INTEGER PRIMARY KEY); \
                  CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED); \
                  CREATE TRIGGER inserted AFTER INSERT ON executions BEGIN INSERT INTO child VALUES (1); END; \
                  CREATE TRIGGER updated AFTER UPDATE ON executions BEGIN INSERT INTO child VALUES (1); END;";
    sqlx::raw_sql(faults).execute(&pool).await.unwrap();

    let refused = database.insert_execution(&request("b.ipynb"), now).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(database.claim_execution("worker", LEASE, now).await.is_err());
    assert!(database.cancel_execution(pending, now).await.is_err());
    assert_eq!(database.execution(pending).await.unwrap().status, ExecutionStatus::Pending);
}

#[tokio::test]
async fn nothing_is_accepted_into_a_file_that_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(&folder).await;
    database.check().await.unwrap();
    std::fs::remove_file(folder.path().join("b.db")).unwrap();
    let refused = database.insert_execution(&request("a.ipynb"), Timestamp::now()).await.unwrap_err();
    assert!(refused.message().contains("has been removed"), "{refused}");
    assert_eq!(database.check().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!folder.path().join("b.db").exists(), "and no empty one is made");
}
