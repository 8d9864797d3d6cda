//! What the database promises about leases and the queue, without a kernel; on SQLite and on PostgreSQL.

use std::time::Duration;

use bindery::ErrorKind;
use bindery::db::{Change, ClaimLimits, Database, Finish, Interest, JournalPart, Lease};
use bindery::execution::{
    ExecutionRequest, ExecutionStatus, KernelHandle, Limits, Parent, ParentKind, Progress, RemoteRun,
};
use bindery::flow::{Definition, NewFlow};
use bindery::workflow::{Step, StepSource, Workflow};
use jiff::{SignedDuration, Timestamp};

use crate::support::postgres;

const LEASE: Duration = Duration::from_secs(15);

const NO_LIMITS: ClaimLimits = ClaimLimits { running: None, running_per_user: None };

/// Somewhere for a database of either kind.
enum Place {
    File(tempfile::TempDir),
    Server(postgres::TestDatabase),
}

impl Place {
    /// Both kinds, but for PostgreSQL where there is none.
    async fn all() -> Vec<Self> {
        let file = Self::File(tempfile::tempdir().unwrap());
        [Some(file), postgres::database().await.map(Self::Server)].into_iter().flatten().collect()
    }

    async fn open(&self) -> Database {
        match self {
            Self::File(folder) => database(folder).await,
            Self::Server(server) => Database::open(&server.url()).await.unwrap(),
        }
    }
}

async fn claim(database: &Database, owner: &str, now: Timestamp) -> Option<Lease> {
    database.claim_execution(owner, LEASE, NO_LIMITS, now).await.unwrap()
}

async fn database(folder: &tempfile::TempDir) -> Database {
    Database::open(&format!("sqlite:{}", folder.path().join("b.db").display())).await.unwrap()
}

fn request(path: &str) -> ExecutionRequest {
    let limits = Limits {
        start_timeout: LEASE,
        cell_timeout: None,
        timeout: None,
        queue_timeout: None,
        resources: Default::default(),
    };
    ExecutionRequest::new(path, path, limits)
}

fn success() -> Finish {
    Finish::new(ExecutionStatus::Success, None)
}

#[tokio::test]
async fn each_execution_is_claimed_once_and_in_order() {
    for place in Place::all().await {
        each_is_claimed_once(place.open().await, place.open().await).await;
    }
}

async fn each_is_claimed_once(first: Database, second: Database) {
    let now = Timestamp::now();
    let mut submitted = Vec::new();
    for number in 0..40 {
        submitted.push(first.insert_execution(&request(&format!("{number}.ipynb")), now).await.unwrap());
    }
    let claim_all = async |database: &Database, owner: &str| {
        let mut claimed = Vec::new();
        while let Some(lease) = claim(database, owner, now).await {
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
    for place in Place::all().await {
        nothing_is_written_after_the_lease(place.open().await).await;
    }
}

async fn nothing_is_written_after_the_lease(database: Database) {
    let now = Timestamp::now();
    let id = database.insert_execution(&request("a.ipynb"), now).await.unwrap();
    let lease = claim(&database, "worker", now).await.unwrap();
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
    assert!(!database.requeue_execution(&lease).await.unwrap());
    let part = JournalPart { start: 0, end: 5, lines: b"late\n".to_vec() };
    assert!(!database.is_shared() || !database.append_journal(&lease, &part).await.unwrap());
    assert_eq!(database.execution(id).await.unwrap().status, ExecutionStatus::Running);
    assert!(database.finish_execution(&settling, &success(), later(18)).await.unwrap());
    assert!(!database.finish_execution(&settling, &success(), later(18)).await.unwrap(), "only once");
}

#[tokio::test]
async fn a_remote_run_is_taken_over_by_one_worker_and_its_kernel_is_known_until_it_ends() {
    for place in Place::all().await {
        one_takes_a_remote_run_over(place.open().await).await;
    }
}

async fn one_takes_a_remote_run_over(database: Database) {
    let now = Timestamp::now();
    let later = |seconds| now + SignedDuration::from_secs(seconds);
    let id = database.insert_execution(&request("a.ipynb"), now).await.unwrap();
    let lease = claim(&database, "worker", now).await.unwrap();
    let kernel =
        KernelHandle { kernel_id: "k".into(), session_id: "s".into(), kernel_session: Some("own".into()) };
    let remote = RemoteRun { gateway: "grid".into(), kernel, taken_over: 0 };
    assert!(database.record_remote_kernel(&lease, &remote).await.unwrap());
    assert_eq!(database.execution(id).await.unwrap().remote, Some(remote.clone()));

    assert!(database.let_go(&lease).await.unwrap());
    assert!(!database.let_go(&lease).await.unwrap(), "it is nobody's now");
    let settling = database.claim_abandoned("other", "settler", LEASE, later(1)).await.unwrap().unwrap();
    let again = RemoteRun { taken_over: 1, ..remote.clone() };
    let take_over = async |lease: &Lease, owner: &str| {
        database.take_over(lease, owner, &again, LEASE, later(1)).await.unwrap()
    };
    assert!(take_over(&lease, "worker").await.is_none());
    let taken = take_over(&settling, "other-again").await.unwrap();
    assert!(take_over(&settling, "third").await.is_none(), "only once");
    assert_eq!((taken.attempt, taken.owner.as_str()), (lease.attempt, "other-again"));
    for lost in [&lease, &settling] {
        assert!(!database.record_remote_kernel(lost, &remote).await.unwrap());
        assert!(!database.finish_execution(lost, &success(), later(2)).await.unwrap());
    }

    assert!(database.left_remote_kernels().await.unwrap().is_empty(), "it runs");
    assert!(database.finish_execution(&taken, &success(), later(2)).await.unwrap());
    assert_eq!(database.left_remote_kernels().await.unwrap(), [(id, again.clone())]);
    database.forget_remote_kernel(id, "another").await.unwrap();
    assert_eq!(database.execution(id).await.unwrap().remote, Some(again));
    database.forget_remote_kernel(id, "k").await.unwrap();
    assert!(database.left_remote_kernels().await.unwrap().is_empty());
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
        ("postgres://ada:secret@host:port/x".to_owned(), ErrorKind::BadInput),
        ("postgres://ada:secret@127.0.0.1:1/x".to_owned(), ErrorKind::Unavailable),
        ("sqlite:".to_owned(), ErrorKind::BadInput),
        (format!("sqlite:{}/absent/b.db", folder.path().display()), ErrorKind::Unavailable),
    ] {
        let error = Database::open(&url).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{url}");
        assert!(!error.to_string().contains("secret"), "{error}");
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
    assert!(database.claim_execution("worker", LEASE, NO_LIMITS, now).await.is_err());
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

#[tokio::test]
async fn many_processes_may_open_a_fresh_server_database_at_once() {
    let Some(server) = postgres::database().await else { return };
    let url = server.url();
    let opened = futures::future::join_all((0..6).map(|_| Database::open(&url))).await;
    let identities: Vec<_> =
        opened.iter().map(|database| database.as_ref().unwrap().identity().unwrap()).collect();
    assert!(
        identities.windows(2).all(|pair| pair[0] == pair[1]) && identities[0].len() == 32,
        "{identities:?}"
    );
}

#[tokio::test]
async fn the_queue_goes_by_priority_and_limits() {
    for place in Place::all().await {
        let database = place.open().await;
        let now = database.now();
        let submit = async |path: &str, user: &str, priority: i32| {
            let request = ExecutionRequest {
                username: Some(user.into()),
                priority,
                ..request(&format!("{path}.ipynb"))
            };
            database.insert_execution(&request, now).await.unwrap()
        };
        let low = submit("low", "ada", -1).await;
        let first = submit("first", "ada", 0).await;
        let second = submit("second", "ada", 0).await;
        let of_bob = submit("bob", "bob", 0).await;
        let high = submit("high", "ada", 7).await;
        for (id, position) in [(high, 0), (first, 1), (second, 2), (of_bob, 3), (low, 4)] {
            assert_eq!(database.queue_position(id).await.unwrap(), Some(position), "{id}");
        }
        let two_per_user = ClaimLimits { running: Some(3), running_per_user: Some(2) };
        let mut taken = Vec::new();
        while let Some(lease) = database.claim_execution("worker", LEASE, two_per_user, now).await.unwrap() {
            taken.push(lease);
        }
        let ids: Vec<_> = taken.iter().map(|lease| lease.id).collect();
        assert_eq!(ids, [high, first, of_bob], "ada's third waits, bob's passes it");
        assert_eq!(database.queue_position(high).await.unwrap(), None);
        assert!(database.finish_execution(&taken[2], &success(), now).await.unwrap());
        let third = database.claim_execution("worker", LEASE, two_per_user, now).await.unwrap();
        assert!(third.is_none(), "there is room, but not for ada");
        assert!(database.finish_execution(&taken[0], &success(), now).await.unwrap());
        let third = database.claim_execution("worker", LEASE, two_per_user, now).await.unwrap();
        assert_eq!(third.unwrap().id, second);
    }
}

#[tokio::test]
async fn limits_hold_when_many_claim_at_once() {
    for place in Place::all().await {
        let database = place.open().await;
        for number in 0..30 {
            let user = Some(format!("user{}", number % 2));
            let request = ExecutionRequest { username: user, ..request(&format!("{number}.ipynb")) };
            database.insert_execution(&request, database.now()).await.unwrap();
        }
        let limits = ClaimLimits { running: Some(7), running_per_user: Some(4) };
        let databases = futures::future::join_all((0..4).map(|_| place.open())).await;
        let claims = databases.iter().flat_map(|database| {
            (0..8).map(|_| database.claim_execution("worker", LEASE, limits, database.now()))
        });
        let claimed = futures::future::join_all(claims).await;
        assert_eq!(claimed.into_iter().filter(|lease| lease.as_ref().unwrap().is_some()).count(), 7);
    }
}

#[tokio::test]
async fn an_execution_that_waits_for_too_long_fails_and_others_do_not() {
    for place in Place::all().await {
        let database = place.open().await;
        let now = database.now();
        let mut patient = request("patient.ipynb");
        patient.limits.queue_timeout = Some(Duration::from_secs(60));
        let mut hasty = request("hasty.ipynb");
        hasty.limits.queue_timeout = Some(Duration::from_secs(5));
        database.insert_execution(&patient, now).await.unwrap();
        let hasty = database.insert_execution(&hasty, now).await.unwrap();
        database.insert_execution(&request("any.ipynb"), now).await.unwrap();
        assert!(database.fail_overdue(now).await.unwrap().is_empty());
        let later = now + SignedDuration::from_secs(6);
        assert_eq!(database.fail_overdue(later).await.unwrap(), [hasty]);
        let ended = database.execution(hasty).await.unwrap();
        assert_eq!(ended.status, ExecutionStatus::Failed);
        assert_eq!(ended.error.unwrap().ename, "QueueTimeoutError");
        assert_eq!(ended.end_time.map(|time| time.as_microsecond()), Some(later.as_microsecond()));
    }
}

#[tokio::test]
async fn what_is_put_back_is_another_attempt_unless_it_was_cancelled() {
    for place in Place::all().await {
        let database = place.open().await;
        let now = database.now();
        let id = database
            .insert_execution(&ExecutionRequest { max_attempts: 3, ..request("a.ipynb") }, now)
            .await
            .unwrap();
        let first = claim(&database, "worker", now).await.unwrap();
        assert_eq!((first.attempt, first.max_attempts), (1, 3));
        assert!(database.requeue_execution(&first).await.unwrap());
        assert_eq!(database.execution(id).await.unwrap().status, ExecutionStatus::Pending);
        let second = claim(&database, "worker", now).await.unwrap();
        assert_eq!(second.attempt, 2);
        assert!(!database.requeue_execution(&first).await.unwrap(), "the attempt before has no say");
        database.cancel_execution(id, now).await.unwrap();
        assert!(!database.requeue_execution(&second).await.unwrap());
    }
}

#[tokio::test]
async fn a_journal_is_kept_in_parts_by_its_attempt_and_forgotten_after_the_end() {
    let Some(server) = postgres::database().await else { return };
    let database = Database::open(&server.url()).await.unwrap();
    let now = database.now();
    let id = database.insert_execution(&request("a.ipynb"), now).await.unwrap();
    let lease = claim(&database, "worker", now).await.unwrap();
    let part = |start: u64, lines: &[u8]| JournalPart {
        start,
        end: start + lines.len() as u64,
        lines: lines.into(),
    };
    let parts = [part(0, b"{\"a\":1}\n"), part(8, b"{\"b\":2}\n\xff\n")];
    for part in parts.iter().chain(&parts[..1]) {
        assert!(
            database.append_journal(&lease, part).await.unwrap(),
            "also when it is not known whether it was kept"
        );
    }
    assert_eq!(database.journal_parts(id, 1, 0, 9).await.unwrap(), parts);
    assert_eq!(database.journal_parts(id, 1, 8, 9).await.unwrap(), parts[1..]);
    assert_eq!(
        database.journal_parts(id, 1, 16, 9).await.unwrap(),
        [part(16, b"\xff\n")],
        "in the middle of one"
    );
    assert!(database.journal_parts(id, 1, 18, 9).await.unwrap().is_empty());
    assert_eq!(database.journal_parts(id, 1, 0, 1).await.unwrap(), parts[..1]);
    assert!(database.journal_parts(id, 2, 0, 9).await.unwrap().is_empty());
    let later = now + SignedDuration::from_hours(1);
    assert_eq!(database.forget_journals(later).await.unwrap(), 0, "it runs");
    assert!(database.finish_execution(&lease, &success(), now).await.unwrap());
    assert_eq!(database.forget_journals(now).await.unwrap(), 0);
    assert_eq!(database.forget_journals(later).await.unwrap(), 2);
}

#[tokio::test]
async fn an_unsaved_notebook_is_delivered_by_one_at_a_time() {
    let Some(server) = postgres::database().await else { return };
    let database = Database::open(&server.url()).await.unwrap();
    let now = database.now();
    let id = database.insert_execution(&request("a.ipynb"), now).await.unwrap();
    let lease = claim(&database, "worker", now).await.unwrap();
    assert!(!database.claim_delivery(id, "one", LEASE, now).await.unwrap());
    assert!(
        database.finish_execution(&lease, &Finish { undelivered: true, ..success() }, now).await.unwrap()
    );
    assert_eq!(database.undelivered().await.unwrap(), [id]);
    assert!(database.claim_delivery(id, "one", LEASE, now).await.unwrap());
    assert!(!database.claim_delivery(id, "two", LEASE, now).await.unwrap());
    assert!(database.claim_delivery(id, "two", LEASE, now + SignedDuration::from_secs(16)).await.unwrap());
    database.record_delivery(id, "a.ipynb", "saved later").await.unwrap();
    assert!(database.undelivered().await.unwrap().is_empty());
}

#[tokio::test]
async fn who_listens_hears_of_work_progress_and_cancels() {
    let Some(server) = postgres::database().await else { return };
    let database = Database::open(&server.url()).await.unwrap();
    let mut changes =
        Database::open(&server.url()).await.unwrap().changes(Interest { work: true, progress: true });
    assert_eq!(changes.next().await, Change::Unknown, "what was before");
    let now = database.now();
    let id = database.insert_execution(&request("a.ipynb"), now).await.unwrap();
    assert_eq!(changes.next().await, Change::Work);
    let lease = claim(&database, "worker", now).await.unwrap();
    let step = |cells_done| Progress { cells_done, cells_total: 2, current_cell: None };
    database.record_progress(&lease, step(0), 0, "python3").await.unwrap();
    database.record_progress(&lease, step(1), 1, "python3").await.unwrap();
    assert_eq!(changes.next().await, Change::Progress(id));
    database.record_progress(&lease, step(2), 2, "python3").await.unwrap();
    database.cancel_execution(id, now).await.unwrap();
    assert_eq!(changes.next().await, Change::Cancel(id));
    database.finish_execution(&lease, &success(), now).await.unwrap();
    assert_eq!(changes.next().await, Change::Progress(id));
}

#[tokio::test]
async fn another_process_hears_that_something_was_written_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, reader) = (database(&folder).await, database(&folder).await);
    let mut changes = reader.changes(Interest { work: true, progress: true });
    writer.insert_execution(&request("a.ipynb"), writer.now()).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(10), changes.next()).await;
    assert_eq!(heard.unwrap(), Change::Unknown);
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_nothing_else() {
    for place in Place::all().await {
        let database = place.open().await;
        let now = database.now();
        let long_ago = now - SignedDuration::from_hours(100);
        let ended = async |path: &str, end: Timestamp, undelivered: bool| {
            let id = database.insert_execution(&request(path), long_ago).await.unwrap();
            let lease = claim(&database, "worker", long_ago).await.unwrap();
            assert!(
                database.finish_execution(&lease, &Finish { undelivered, ..success() }, end).await.unwrap()
            );
            id
        };
        let old = ended("old.ipynb", long_ago, false).await;
        let unsaved = ended("unsaved.ipynb", long_ago, true).await;
        let young = ended("young.ipynb", now, false).await;
        let waiting = database.insert_execution(&request("waiting.ipynb"), long_ago).await.unwrap();
        let before = now - SignedDuration::from_hours(50);
        assert_eq!(database.count_prunable(before).await.unwrap(), 1);
        assert_eq!(database.prune(before).await.unwrap(), 1);
        assert_eq!(database.prune(before).await.unwrap(), 0);
        assert_eq!(database.execution(old).await.unwrap_err().kind(), ErrorKind::NotFound);
        for id in [unsaved, young, waiting] {
            database.execution(id).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_workflow_came_to_is_kept_while_it_goes_on() {
    let step = Step::new("only", StepSource::Notebook("a.ipynb".into()));
    let workflow = Workflow { name: "w".into(), steps: vec![step], ..Workflow::default() };
    let flow = NewFlow {
        kind: ParentKind::Workflow,
        username: None,
        definition: Definition { workflow, declared: vec![None] },
        request: serde_json::json!({}),
        parameters: Default::default(),
        output_directory: None,
        warnings: Vec::new(),
        mlflow: None,
        idempotency_key: Some("once".into()),
        parent: None,
    };
    for place in Place::all().await {
        let database = place.open().await;
        let now = database.now();
        let long_ago = now - SignedDuration::from_hours(100);
        let mut transaction = database.begin().await.unwrap();
        let id = transaction.insert_flow(&flow, |id| format!("w/{id}"), long_ago).await.unwrap().unwrap();
        assert_eq!(
            transaction.insert_flow(&flow, |_| String::new(), now).await.unwrap(),
            None,
            "the key is taken"
        );
        let parent = Parent { kind: ParentKind::Workflow, id: id.0, child: "only#1".into() };
        let child = ExecutionRequest { parent: Some(parent), ..request("child.ipynb") };
        let execution = transaction.insert_execution(&child, long_ago).await.unwrap().unwrap();
        let twice = ExecutionRequest { output_path: "elsewhere.ipynb".into(), ..child };
        assert_eq!(
            transaction.insert_execution(&twice, now).await.unwrap(),
            None,
            "its parent has this child"
        );
        transaction.commit().await.unwrap();
        let lease = claim(&database, "worker", long_ago).await.unwrap();
        assert!(database.finish_execution(&lease, &success(), long_ago).await.unwrap());
        assert_eq!(database.prune(now).await.unwrap() + database.prune_flows(now).await.unwrap(), 0);
        database.execution(execution).await.unwrap();

        let mut transaction = database.begin().await.unwrap();
        let open = transaction.lock_flow(id).await.unwrap().unwrap();
        assert_eq!(open.output_directory, format!("w/{id}"));
        transaction.update_flow(&open, Some(ExecutionStatus::Success), None, long_ago).await.unwrap();
        assert!(transaction.lock_flow(id).await.unwrap().is_none(), "it has ended");
        transaction.commit().await.unwrap();
        assert_eq!((database.prune(now).await.unwrap(), database.prune_flows(now).await.unwrap()), (1, 1));
        assert_eq!(database.flow_steps(id).await.unwrap(), []);
    }
}
