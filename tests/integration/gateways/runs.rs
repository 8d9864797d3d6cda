//! Runs on real gateways with all that can happen to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bindery::engine::executions::SubmitExecution;
use bindery::execution::ExecutionStatus;
use serde_json::Value;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

use super::{at_grid, configured};
use crate::support::engine::{in_place, until};
use crate::support::gateways::{GatewayServer, TOKEN};
use crate::support::server::TestServer;

async fn server(url: &str, gateway: &GatewayServer) -> TestServer {
    let server = TestServer::start_with(
        |config| {
            configured(config, url, gateway);
            config.workers = 6;
            config.warm = Vec::new();
        },
        None,
    )
    .await;
    server.start_worker();
    server
}

fn texts(notebook: &Value) -> String {
    let cells = notebook["cells"].as_array().unwrap().iter();
    let outputs = cells.filter_map(|cell| cell["outputs"].as_array()).flatten();
    let lines = outputs.filter_map(|output| output["text"].as_array()).flatten();
    lines.filter_map(Value::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_gateways_kernels_die_flood_and_are_stopped_as_others() {
    let Some(gateway) = GatewayServer::kernel_gateway().await else { return };
    let server = server(&gateway.url, &gateway).await;
    let long = format!("x = '{}'", "y".repeat(11_000_000));
    let notebooks: [(&str, &[&str]); 5] = [
        ("dies", &["print('a')", "import os\nprint('b', flush=True)\nos._exit(3)"]),
        ("floods", &["for i in range(400): print('x' * 20000, flush=True)", "print('after')"]),
        ("large", &["print('a')", &long]),
        ("slow", &["print('a')", "import time\ntime.sleep(300)"]),
        ("endless", &["print('a')", "while True: pass"]),
    ];
    let mut ids = Vec::new();
    for (name, sources) in notebooks {
        let path = format!("{name}.ipynb");
        server.put_notebook(&path, sources);
        let cell_timeout = (name == "slow").then_some(Duration::from_secs(2));
        let submit = SubmitExecution { cell_timeout, ..at_grid(&path) };
        ids.push(server.engine.submit(submit).await.unwrap());
    }
    let [dies, floods, large, slow, endless] = ids[..] else { unreachable!() };
    until("the endless cell runs", async || {
        let execution = server.engine.execution(endless).await.unwrap();
        execution.progress.current_cell.filter(|cell| *cell == 1)
    })
    .await;
    server.engine.cancel_execution(endless).await.unwrap();
    let error = async |id| server.engine.wait_for_end(id).await.unwrap().error.unwrap();

    let death = error(dies).await;
    assert_eq!((death.ename.as_str(), death.cell_index), ("DeadKernelError", Some(1)), "{death}");
    assert_eq!(texts(&server.read_notebook("dies.ipynb")), "a\nb\n");
    let flooded = server.engine.wait_for_end(floods).await.unwrap();
    assert_eq!(flooded.status, ExecutionStatus::Success);
    assert!(flooded.warnings[0].contains("left out output that came too fast"), "{:?}", flooded.warnings);
    let flooded = texts(&server.read_notebook("floods.ipynb"));
    assert!(flooded.contains("rate exceeded") && flooded.ends_with("after\n"));
    let too_large = error(large).await;
    assert_eq!((too_large.ename.as_str(), too_large.cell_index), ("MessageTooLarge", Some(1)), "{too_large}");
    let late = error(slow).await;
    assert_eq!((late.ename.as_str(), late.cell_index), ("CellTimeoutError", Some(1)), "{late}");
    let cancelled = server.engine.wait_for_end(endless).await.unwrap();
    assert_eq!((cancelled.status, cancelled.error), (ExecutionStatus::Cancelled, None));
    until("every kernel is gone", async || (gateway.kernels().await == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_at_the_same_time_keep_their_variables_apart() {
    let Some(gateway) = GatewayServer::enterprise_gateway().await else { return };
    let server = server(&gateway.url, &gateway).await;
    let users = ["ada", "grace", "mary", "hedy"];
    let mut ids = Vec::new();
    for user in users {
        server.put_notebook(
            &format!("{user}.ipynb"),
            &["import os\nprint(os.environ['KERNEL_USERNAME'], 'BINDERY_KERNEL_GATEWAY_TOKEN' in os.environ)"],
        );
        let submit = SubmitExecution { username: Some(user.into()), ..at_grid(&format!("{user}.ipynb")) };
        ids.push(server.engine.submit(submit).await.unwrap());
    }
    for (user, id) in users.into_iter().zip(ids) {
        let execution = server.engine.wait_for_end(id).await.unwrap();
        assert_eq!(execution.error, None);
        let notebook = server.read_notebook(&format!("{user}.ipynb"));
        assert_eq!(texts(&notebook), format!("{user} False\n"));
        assert!(!notebook.to_string().contains(TOKEN));
    }
}

/// Passes connections on to a gateway, until it is cut.
struct Proxy {
    url: String,
    cut: broadcast::Sender<()>,
    is_cut: Arc<AtomicBool>,
}

impl Proxy {
    async fn before(gateway: &GatewayServer) -> Self {
        let behind = gateway.url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (cut, is_cut) = (broadcast::channel(1).0, Arc::new(AtomicBool::new(false)));
        let (cuts, refuses) = (cut.clone(), is_cut.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                if refuses.load(Ordering::SeqCst) {
                    continue;
                }
                let (behind, mut cut) = (behind.clone(), cuts.subscribe());
                tokio::spawn(async move {
                    let mut gateway = TcpStream::connect(behind).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut gateway) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Self { url, cut, is_cut }
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
        let _ = self.cut.send(());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_made_again_and_nothing_is_missing() {
    let Some(gateway) = GatewayServer::kernel_gateway().await else { return };
    let proxy = Proxy::before(&gateway).await;
    let server = server(&proxy.url, &gateway).await;
    let steady = "import time\nfor i in range(40):\n    print(i, flush=True)\n    time.sleep(0.05)";
    server.put_notebook("a.ipynb", &["print('before')", steady, "print('after')"]);
    let id = server.engine.submit(at_grid("a.ipynb")).await.unwrap();
    until("the cell prints", async || {
        texts(&server.read_notebook("a.ipynb")).contains("\n1\n").then_some(())
    })
    .await;
    proxy.cut(true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.cut(false);
    let execution = server.engine.wait_for_end(id).await.unwrap();
    assert_eq!((execution.status, execution.warnings), (ExecutionStatus::Success, Vec::new()));
    let lines: String = (0..40).map(|line| format!("{line}\n")).collect();
    assert_eq!(texts(&server.read_notebook("a.ipynb")), format!("before\n{lines}after\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_runs_on_the_same_gateway_and_what_there_is_none_of_is_refused() {
    let Some(gateway) = GatewayServer::kernel_gateway().await else { return };
    let server = server(&gateway.url, &gateway).await;
    server.put_notebook("a.ipynb", &["import os\nprint('KERNEL_GATEWAY' in os.environ)"]);
    // By its address, too.
    let submit = SubmitExecution { kernel_gateway: Some(format!("{}/", gateway.url)), ..in_place("a.ipynb") };
    let first = server.engine.submit(submit).await.unwrap();
    server.engine.wait_for_end(first).await.unwrap();
    let again = server.engine.retry(first, None, None).await.unwrap();
    let status = server.poll_to_end(again.0).await;
    assert_eq!((&status["status"], &status["kernel_gateway"]), (&"success".into(), &"grid".into()));
    assert_eq!(status["kernel_name"], "python3");
    assert_eq!(texts(&server.read_notebook("a.ipynb")), "True\n");

    for (body, field) in [
        (r#""kernel_gateway": "elsewhere""#, "kernel_gateway"),
        (r#""kernel_gateway": "http://169.254.169.254/""#, "kernel_gateway"),
        (r#""kernel_gateway": "grid", "kernel_name": "cobol""#, "kernel_name"),
        (r#""kernel_gateway": "grid", "max_memory": 1000000"#, "max_memory"),
        (r#""kernel_gateway": "grid", "keep_kernel_on_failure": 10"#, "keep_kernel_on_failure"),
    ] {
        let body = format!(r#"{{"notebook_path": "a.ipynb", "username": "ada", {body}}}"#);
        let answer = server.post("/execute-notebook", serde_json::from_str(&body).unwrap()).await;
        let problem = server.problem(answer, 422).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}
