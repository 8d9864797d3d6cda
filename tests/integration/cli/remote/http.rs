//! `http://` against a server in this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode, header};
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::{Ended, Line, Place, notebook, send, streams};
use crate::support::engine::until;

/// A server that keeps what is put, for those who give the password.
struct Shelf {
    url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// Statuses to answer the next uploads with.
    answers: Vec<u16>,
    seen: Vec<String>,
}

impl Shelf {
    async fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let router = Router::new().fallback(async move |request: Request| answer(&shared, request).await);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url: format!("http://ada:hush@{address}"), state }
    }

    fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().files.insert(name.to_owned(), bytes.into());
    }

    fn get(&self, name: &str) -> Option<Value> {
        let state = self.state.lock().unwrap();
        state.files.get(name).map(|bytes| serde_json::from_slice(bytes).unwrap())
    }

    /// What the next uploads are answered with, in this order; 200 is well.
    fn answer_with(&self, answers: &[u16]) {
        self.state.lock().unwrap().answers = answers.to_vec();
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

async fn answer(state: &Mutex<State>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let text = |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or("").to_owned();
    let mut state = state.lock().unwrap();
    let path = parts.uri.path().to_owned();
    state.seen.push(format!(
        "{} {} {} {}",
        parts.method,
        parts.uri,
        text("content-type"),
        text("authorization")
    ));
    let answered = |status: u16, body: Vec<u8>, location: Option<&str>| {
        let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
        if let Some(location) = location {
            response = response.header(header::LOCATION, location);
        }
        response.body(Body::from(body)).unwrap()
    };
    // `ada:hush`
    if !path.starts_with("/repos/") && text("authorization") != "Basic YWRhOmh1c2g=" {
        return answered(401, Vec::new(), None);
    }
    match (&parts.method, path.as_str()) {
        (_, "/moved") => return answered(302, Vec::new(), Some("/in.ipynb")),
        (_, "/for-now") => return answered(307, Vec::new(), Some("/out.ipynb")),
        (_, "/round") => return answered(302, Vec::new(), Some("/round")),
        _ => {}
    }
    if parts.method == Method::PUT {
        let status = if state.answers.is_empty() { 200 } else { state.answers.remove(0) };
        if status == 200 {
            state.files.insert(path, body.into());
        }
        return answered(status, Vec::new(), None);
    }
    match state.files.get(&path) {
        Some(bytes) => answered(200, bytes.clone(), None),
        None => answered(404, Vec::new(), None),
    }
}

#[tokio::test]
async fn a_notebook_is_read_with_get_and_written_with_put_and_secrets_stay_out_of_it() {
    let (place, shelf) = (Place::new(), Shelf::new().await);
    shelf.put("/in.ipynb", notebook(&["# parameters\nalpha = 1", "print(alpha)"]).to_string());
    shelf.put("/p.yaml", "alpha: 7");
    let (input, output) = (shelf.at("/moved?sig=hush"), shelf.at("/out.ipynb?X-Amz-Signature=hush&part=1"));
    let parameters = shelf.at("/p.yaml?token=hush");
    let arguments = [
        "execute",
        &input,
        &output,
        "-f",
        &parameters,
        "--inject-paths",
        "--log-output",
        "--log-level",
        "trace",
    ];
    let ended = place.run_with(&[], &arguments).await;
    ended.check(0, "Input Notebook:  http://ada:***@");
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    let written = shelf.get("/out.ipynb").unwrap();
    assert_eq!(streams(&written), "7\n");
    assert!(!written.to_string().contains("hush"), "{written}");
    let shown = output.replace("hush", "***");
    assert_eq!(written["metadata"]["papermill"]["output_path"], shown);
    let seen = shelf.state.lock().unwrap().seen.join("\n");
    assert!(seen.contains("PUT /out.ipynb?X-Amz-Signature=hush&part=1 application/json"), "{seen}");

    // A redirect for uploads keeps the upload; one that would lose it is refused.
    place.write("in.ipynb", &notebook(&["print('here')"]));
    place.run_with(&[], &["execute", "in.ipynb", &shelf.at("/for-now")]).await.check(0, "");
    assert_eq!(streams(&shelf.get("/out.ipynb").unwrap()), "here\n");
    place
        .run_with(&[], &["execute", "in.ipynb", &shelf.at("/moved")])
        .await
        .check_one_line(1, "the server answered 302 Found: name the address that it leads to");
}

#[tokio::test]
async fn what_is_wrong_with_a_server_is_said_in_one_line() {
    let (place, shelf) = (Place::new(), Shelf::new().await);
    place.write("in.ipynb", &notebook(&["1"]));
    shelf.put("/page.ipynb", "<html>Please log in</html>");
    let check = async |url: &str, code: i32, told: &str| {
        place.run_with(&[], &["inspect", url]).await.check_one_line(code, told);
    };
    check(&shelf.at("/absent.ipynb"), 1, "/absent.ipynb` cannot be read: the server answered 404 Not Found")
        .await;
    check(&shelf.at("/page.ipynb"), 1, "/page.ipynb` gives is not a notebook: the file is not valid JSON")
        .await;
    check(&shelf.at("/round"), 1, "too many redirects").await;
    check(&shelf.url.replace("hush", "wrong"), 1, "cannot be read: the server answered 401 Unauthorized")
        .await;
    check("http://ada:hush@127.0.0.1:1/x.ipynb", 2, "the server cannot be reached (Connection refused").await;
    check("http://", 1, "cannot be used: empty host").await;
    shelf.answer_with(&[405]);
    place
        .run_with(&[], &["execute", "in.ipynb", &shelf.at("/out.ipynb")])
        .await
        .check_one_line(1, "cannot be written: the server answered 405 Method Not Allowed");
    let parameters = shelf.at("/p.yaml");
    place
        .run_with(&[], &["execute", "in.ipynb", "-", "-f", &parameters])
        .await
        .check_one_line(1, "/p.yaml` cannot be read: the server answered 404 Not Found");
}

#[tokio::test]
async fn a_result_that_cannot_be_uploaded_is_kept_and_the_cells_error_is_told_too() {
    let (place, shelf) = (Place::new(), Shelf::new().await);
    place.write("in.ipynb", &notebook(&["print('done')\n1/0"]));
    let output = shelf.at("/out.ipynb?sig=hush");
    shelf.answer_with(&[200, 403]);
    let arguments = ["execute", "in.ipynb", &output];
    let ended = place.run_with(&[], &arguments).await;
    ended.check(1, "ZeroDivisionError");
    ended.check(
        1,
        "403 Forbidden; the executed notebook is kept in out.not-uploaded.ipynb: upload it from there",
    );
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    let kept = place.read("out.not-uploaded.ipynb");
    assert_eq!(streams(&kept), "done\n");
    assert_eq!(kept["cells"].as_array().unwrap().len(), 3, "with papermill's marks");
    // What was kept is never replaced.
    shelf.answer_with(&[200, 403]);
    place.run_with(&[], &arguments).await.check(1, "is kept in out.not-uploaded-2.ipynb");
}

#[tokio::test]
async fn an_upload_is_tried_again_and_then_nothing_is_kept_beside() {
    let (place, shelf) = (Place::new(), Shelf::new().await);
    place.write("in.ipynb", &notebook(&["print('done')"]));
    shelf.answer_with(&[503, 200, 503, 429]);
    let ended = place.run_with(&[], &["execute", "in.ipynb", &shelf.at("/out.ipynb")]).await;
    ended.check(0, "the server answered 503 Service Unavailable: trying again");
    assert_eq!(streams(&shelf.get("/out.ipynb").unwrap()), "done\n");
    assert!(!place.path("out.not-uploaded.ipynb").exists());
}

#[tokio::test]
async fn a_notebook_that_runs_is_uploaded_on_the_way_and_after_ctrl_c() {
    let (place, shelf, line) = (Place::new(), Shelf::new().await, Line::new().await);
    let waits = format!("print('early', flush=True)\n{}\nline.recv(1)\nwhile True: pass", line.tell());
    place.write("in.ipynb", &notebook(&["print('first')", &waits]));
    let output = shelf.at("/out.ipynb");
    let child =
        place.cloudless(&[], ["execute", "in.ipynb", &output, "--autosave-cell-every", "1"]).spawn().unwrap();
    let mut kernel = line.told().await;
    until("the upload of a notebook that runs", async || {
        shelf.get("/out.ipynb").filter(|it| streams(it) == "first\nearly\n")
    })
    .await;
    kernel.write_all(b"x").await.unwrap();
    send(&child, Signal::INT);
    Ended::of(child).await.check(130, "stopping the notebook");
    let written = shelf.get("/out.ipynb").unwrap();
    assert!(written.to_string().contains("KeyboardInterrupt"), "{written}");
    let state = shelf.state.lock().unwrap();
    let uploads = state.seen.iter().filter(|seen| seen.starts_with("PUT")).count();
    assert!((3..8).contains(&uploads), "{uploads} uploads");
}

#[tokio::test]
async fn a_file_that_git_hub_shows_is_read_and_cannot_be_written() {
    let (place, shelf) = (Place::new(), Shelf::new().await);
    shelf.put(
        "/repos/owner/repository/contents/a/in.ipynb",
        notebook(&["# parameters\nalpha = 1"]).to_string(),
    );
    let api = shelf.url.replace("ada:hush@", "");
    let variables = [("GITHUB_API_URL", api.as_str()), ("GITHUB_ACCESS_TOKEN", "hush")];
    let url = "https://github.com/owner/repository/blob/main/a/in.ipynb";
    let ended = place.run_with(&variables, &["inspect", url]).await;
    ended.check(0, "");
    assert!(ended.stdout.contains("alpha"), "{}", ended.stdout);
    let seen = shelf.state.lock().unwrap().seen.concat();
    assert_eq!(seen, "GET /repos/owner/repository/contents/a/in.ipynb?ref=main  Bearer hush");
    place.write("in.ipynb", &notebook(&["1"]));
    place
        .run_with(&variables, &["execute", "in.ipynb", url])
        .await
        .check_one_line(1, "cannot be written: GitHub can only be read from");
}
