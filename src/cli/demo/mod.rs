//! `bindery demo`: from a template to a result, through the front door that every client uses.
//!
//! Everything happens in a data dir of its own. The service runs in this process and is spoken to over HTTP
//! only, so that each step can be repeated with the `curl` line that is shown.

mod client;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::flags::ParameterFlags;
use super::kernels::install_with_progress;
use super::print::{properties, say, without_colours};
use super::serve::Service;
use super::signals::Signals;
use super::{Exit, file_fault};
use crate::config::{Config, DataSettings, ServiceSettings, Settings, StoreSettings};
use crate::engine::kernels::{self, EnvironmentState, InstallOptions, KernelSource};
use crate::error::{Error, Result};
use crate::notebook::Notebook;
use client::Client;

/// The template that is run when no other is named.
const STARTER: &str = include_str!("../../../templates/quickstart/hello.ipynb");
const STARTER_NAME: &str = "hello.ipynb";
const CATEGORY: &str = "quickstart";
const FOLDER: &str = "demo";
/// The folder for notebooks in the data dir.
const NOTEBOOKS: &str = "notebooks";
/// How often the status is asked for.
const POLL: Duration = Duration::from_millis(250);
/// How many lines of a result are shown.
const SHOWN_LINES: usize = 24;

/// See it work: from a template over parameters and a real kernel to the executed notebook
///
/// Installs the Python kernel if it is not there yet, starts the service on a free port, and goes through the usual
/// steps over HTTP, each with the curl line that does the same. The service then runs on until Ctrl-C. Everything is
/// kept in a folder of its own, which may be removed afterwards. Can be run again and again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bindery demo
  bindery demo --once                     end after the result: 0 when the notebook succeeded
  bindery demo --template mine.ipynb -p alpha 0.1")]
pub(super) struct DemoArgs {
    /// End after the result instead of leaving the service running
    #[arg(long)]
    once: bool,
    /// The demo's own folder
    #[arg(long, value_name = "DIR", default_value = "bindery-demo")]
    data_dir: PathBuf,
    /// A notebook of yours to use as the template [default: a small one that comes with Bindery]
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    #[command(flatten)]
    parameters: ParameterFlags,
}

/// What is demonstrated.
struct Demo {
    /// Where the template's file is, for `curl` to upload.
    file: PathBuf,
    file_name: String,
    bytes: Vec<u8>,
    kernel_name: String,
    parameters: Value,
}

impl Demo {
    fn of(args: &DemoArgs, data_dir: &Path) -> Result<Self> {
        let mut parameters = args.parameters.parse()?.to_json();
        let (file, bytes) = match &args.template {
            Some(file) => {
                (file.clone(), std::fs::read(file).map_err(|error| file_fault(file, "read", error))?)
            }
            None => {
                if args.parameters.is_empty() {
                    parameters = json!({"name": "Bindery", "count": 8, "amplitude": 2.5});
                }
                // A file of its own, so that the curl line works wherever Bindery was installed.
                let file = data_dir.join(STARTER_NAME);
                std::fs::create_dir_all(data_dir)
                    .and_then(|()| std::fs::write(&file, STARTER))
                    .map_err(|error| data_dir_fault(data_dir, error))?;
                (file, STARTER.as_bytes().to_vec())
            }
        };
        let kernel_name = Notebook::parse(&bytes)?.kernel_name().unwrap_or("python3").to_owned();
        let file_name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { file, file_name, bytes, kernel_name, parameters })
    }
}

pub(super) async fn run(args: DemoArgs) -> Result<Exit> {
    let config = demo_config(&args.data_dir)?;
    let demo = Demo::of(&args, &args.data_dir)?;
    say!(
        "Bindery runs a notebook from a template, step by step. Everything is kept in {}.",
        args.data_dir.display()
    );

    say!("\n1. The kernel: {}", demo.kernel_name);
    say!("   $ bindery kernels install {} --data-dir {}", demo.kernel_name, client::quoted(&args.data_dir));
    if let ControlFlow::Break(exit) = prepare_kernel(&demo.kernel_name, &config.data_dir).await? {
        return Ok(exit);
    }

    let mut signals = Signals::listen()?;
    say!("\n2. The service, on a free port");
    let service = Service::start(config.clone(), true).await?;
    let url = service.url();
    say!(
        "   $ bindery serve --data-dir {} --listen {}",
        client::quoted(&args.data_dir),
        &url["http://".len()..]
    );
    let client = Client::new(&url)?;
    let shown = tokio::select! {
        shown = walk(&client, &demo, &config) => shown,
        signal = signals.next() => {
            service.stop().await;
            return Ok(signal.exit());
        }
    };
    let exit = match shown {
        Ok(exit) => exit,
        Err(error) => {
            service.stop().await;
            return Err(error);
        }
    };
    say!("\nDocumentation  {url}/docs\nHealth         {url}/health\nMetrics        {url}/metrics");
    if args.once {
        service.stop().await;
        return Ok(exit);
    }
    say!("\nThe service runs until Ctrl-C.");
    service.until_stopped(signals).await
}

/// The demo's places are all its own, whatever a configuration file or the environment say.
fn demo_config(data_dir: &Path) -> Result<Config> {
    let data_dir = std::path::absolute(data_dir).map_err(|error| file_fault(data_dir, "used", error))?;
    let settings = Settings {
        store: StoreSettings {
            template_store: Some(data_dir.join("templates").to_string_lossy().into_owned()),
            ..StoreSettings::default()
        },
        service: ServiceSettings {
            listen: Some(([127, 0, 0, 1], 0).into()),
            database_url: Some(format!("sqlite:{}", data_dir.join("bindery.db").display())),
            notebooks_root: Some(data_dir.join(NOTEBOOKS)),
            ..ServiceSettings::default()
        },
        data: DataSettings { data_dir: Some(data_dir) },
        ..Settings::default()
    };
    Config::resolve(settings)
}

/// Installs the kernel when Bindery ships it; another must be there already, which submitting checks.
async fn prepare_kernel(name: &str, data_dir: &Path) -> Result<ControlFlow<Exit>> {
    let listings = kernels::list(data_dir);
    let listing = listings.iter().find(|listing| listing.name == name);
    if listing.is_some_and(|listing| listing.source == KernelSource::Bindery) {
        if listing.is_some_and(|listing| listing.state == EnvironmentState::Absent) {
            say!("   This takes a minute or two, once.");
        }
        let options = InstallOptions::default();
        let installed = install_with_progress(&[name.to_owned()], data_dir, &options, false).await?;
        if let ControlFlow::Break(exit) = installed {
            return Ok(ControlFlow::Break(exit));
        }
    }
    say!("   The kernel is ready.");
    Ok(ControlFlow::Continue(()))
}

/// The steps over HTTP; comes to what the execution comes to.
async fn walk(client: &Client, demo: &Demo, config: &Config) -> Result<Exit> {
    say!("\n3. Upload the template");
    let fields = [("category", CATEGORY), ("description", "A first template"), ("overwrite", "true")];
    let uploaded =
        client.upload("/minio/upload-template", &demo.file, &demo.file_name, &demo.bytes, &fields).await?;
    let template_name = text(&uploaded, "template_name")?;

    say!("\n4. List the templates");
    client.get(&format!("/minio/list-templates?category={CATEGORY}")).await?;

    say!("\n5. Make a notebook from the template, with parameters");
    let create = json!({
        "template_name": template_name, "target_directory": FOLDER, "parameters": demo.parameters, "overwrite": true,
    });
    let created = client.post("/create-from-template", &create).await?;
    let notebook_path = text(&created, "new_notebook_path")?;

    say!("\n6. Execute it; the answer comes with the first result");
    let execute = json!({"notebook_path": notebook_path, "username": "demo"});
    let accepted = client.post("/execute-notebook", &execute).await?;
    let id = accepted.get("execution_id").ok_or_else(|| unexpected("execution_id"))?.to_string();

    say!("\n7. Ask for the status until the end");
    let path = format!("/execution-status/{id}");
    client.show_get(&path);
    let status = loop {
        let status = client.quiet_get(&path).await?;
        if matches!(text(&status, "status")?.as_str(), "success" | "failed" | "cancelled") {
            break status;
        }
        tokio::time::sleep(POLL).await;
    };
    client::show_answer(&status);

    let file = config.data_dir.join(NOTEBOOKS).join(&notebook_path);
    say!("\n8. The result\n");
    let value = |name: &str| status.get(name).and_then(Value::as_str).map(str::to_owned);
    let cell_error = |name: &str| status.pointer(&format!("/error/{name}")).and_then(Value::as_str);
    say!(
        "{}",
        indented(&properties([
            ("status", value("status")),
            ("duration", value("duration")),
            ("notebook", Some(file.display().to_string())),
            (
                "error",
                cell_error("ename")
                    .zip(cell_error("evalue"))
                    .map(|(ename, evalue)| format!("{ename}: {evalue}"))
            ),
        ]))
    );
    let bytes = std::fs::read(&file).map_err(|error| file_fault(&file, "read", error))?;
    say!("\n{}", indented(&last_outputs(&Notebook::parse(&bytes)?)));
    Ok(match (value("status").as_deref(), cell_error("ename")) {
        (Some("success"), _) => Exit::Success,
        (_, Some(ename)) => Exit::of_error_name(ename),
        (_, None) => Exit::UserFault,
    })
}

fn data_dir_fault(data_dir: &Path, error: std::io::Error) -> Error {
    let (data_dir, kind) = (data_dir.display(), error.kind());
    Error::unavailable(format!(
        "the data dir {data_dir} cannot be written ({kind}): choose another with --data-dir"
    ))
    .with_source(error)
}

/// The text of the outputs, as much of the end as is worth showing.
fn last_outputs(notebook: &Notebook) -> String {
    let mut lines = Vec::new();
    for cell in notebook.cells() {
        for output in cell.outputs() {
            let text = ["/text", "/data/text~1plain"].into_iter().find_map(|place| output.pointer(place));
            lines.extend(without_colours(&text.map(joined).unwrap_or_default()).lines().map(str::to_owned));
        }
    }
    let skipped = lines.len().saturating_sub(SHOWN_LINES);
    let mut text = if skipped > 0 { format!("… {skipped} lines before\n") } else { String::new() };
    lines[skipped..].iter().for_each(|line| text.push_str(&format!("{line}\n")));
    text
}

/// A text as notebooks hold it: one string, or a list of lines.
fn joined(text: &Value) -> String {
    match text {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        text => text.as_str().unwrap_or_default().to_owned(),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}")).collect::<Vec<_>>().join("\n")
}

fn text(answer: &Value, name: &str) -> Result<String> {
    answer.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| unexpected(name))
}

fn unexpected(name: &str) -> Error {
    Error::internal(format!("the service's answer has no `{name}`: please report this"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_outputs_is_shown_as_text() {
        let stream: Vec<String> = (0..30).map(|line| format!("line {line}\n")).collect();
        let notebook = json!({
            "cells": [
                {"cell_type": "code", "metadata": {}, "source": "", "execution_count": 1, "outputs": [
                    {"output_type": "stream", "name": "stdout", "text": stream},
                ]},
                {"cell_type": "code", "metadata": {}, "source": "", "execution_count": 2, "outputs": [
                    {"output_type": "execute_result", "execution_count": 2, "metadata": {}, "data": {"text/plain": "42"}},
                ]},
            ],
            "metadata": {}, "nbformat": 4, "nbformat_minor": 4,
        });
        let shown = last_outputs(&Notebook::from_value(notebook).unwrap());
        assert!(
            shown.starts_with("… 7 lines before\nline 7\n") && shown.ends_with("line 29\n42\n"),
            "{shown}"
        );
    }
}
