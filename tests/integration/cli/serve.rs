//! `bindery serve` and `bindery config`: what stops a service from starting, and what it says when it does.

use rustix::process::Signal;
use tokio::net::TcpListener;

use super::{Place, Served};

#[tokio::test]
async fn a_port_in_use_is_named_with_the_way_out() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = place.run(&["serve", "--listen", &address]).await;
    ended.check(
        1,
        &format!("another program listens on {address} already: choose another address with --listen"),
    );
    // Not an address of this machine.
    place.run(&["serve", "--listen", "192.0.2.1:1"]).await.check(1, "192.0.2.1:1 cannot be listened on");
}

#[tokio::test]
async fn a_data_dir_that_cannot_be_written_is_named() {
    let place = Place::new();
    std::fs::write(place.path("file"), "").unwrap();
    let ended = place.run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "file"]).await;
    ended.check(2, "cannot be written");
    assert!(ended.stderr.contains("choose another with --data-dir"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_service_answers_as_soon_as_it_says_so_and_ends_when_asked() {
    let place = Place::new();
    let served = Served::start(&place, &[]).await;
    let health = reqwest::get(format!("{}/health", served.url)).await.unwrap();
    assert_eq!(health.status(), 200);
    served.signal(Signal::TERM);
    let (code, said) = served.ended().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("stopping: no execution is running"), "{said}");
    assert!(!said.contains("no kernel is installed"), "{said}");
}

#[tokio::test]
async fn an_open_address_and_a_lack_of_kernels_are_warned_of() {
    let place = Place::new();
    std::fs::remove_file(place.path("data/kernels")).unwrap();
    let mut served = Served::start(&place, &["--listen", "0.0.0.0:0"]).await;
    served.says("Bindery has no authentication yet").await;
    // Kernels of the system's are for everybody.
    let systems = ["/usr/share/jupyter/kernels", "/usr/local/share/jupyter/kernels"];
    if !systems.iter().any(|folder| std::path::Path::new(folder).exists()) {
        served.says("no kernel is installed").await;
    }
    served.signal(Signal::TERM);
    assert_eq!(served.ended().await.0, Some(0));
}

#[tokio::test]
async fn config_shows_what_is_in_force_without_secrets() {
    let place = Place::new();
    std::fs::write(place.path("bindery.toml"), "workers = 3\ncell-timeout = \"5m\"\n").unwrap();
    let mut command = place.command(["config", "--mlflow-tracking-uri", "http://ada:hunter2@mlflow:5000"]);
    command.env("BINDERY_DATABASE_URL", "postgres://ada:hunter2@db/bindery").env("BINDERY_WORKERS", "5");
    let ended = super::Ended::of(command.spawn().unwrap()).await;
    ended.check(0, "");
    assert!(!ended.stdout.contains("hunter2"), "{}", ended.stdout);
    for line in [
        "workers = 5",
        "cell-timeout = \"300s\"",
        "database-url = \"postgres://ada:***@db/bindery\"",
        "mlflow-tracking-uri = \"http://ada:***@mlflow:5000\"",
    ] {
        assert!(ended.stdout.lines().any(|it| it == line), "{line}: {}", ended.stdout);
    }
    std::fs::write(place.path("bindery.toml"), "wrokers = 3\n").unwrap();
    place.run(&["config"]).await.check(1, "unknown setting `wrokers`");
    std::fs::remove_file(place.path("bindery.toml")).unwrap();
    // A command that has no such flag still says what is wrong with the variable.
    let mut command = place.command(["kernels", "list"]);
    command.env("BINDERY_WORKERS", "many");
    super::Ended::of(command.spawn().unwrap()).await.check(1, "invalid value 'many' for '--workers");
}
