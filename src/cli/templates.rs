//! `bindery templates`: the template store from a shell.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::flags::EngineFlags;
use super::print::{print, print_bytes, print_json, properties, shortened, table, tell, time};
use super::serve::reachable_url;
use super::{Exit, file_fault, wire};
use crate::config::Seconds;
use crate::engine::Engine;
use crate::engine::templates::{DownloadUrl, StoredTemplate, TemplateDetails, TemplateUpload};
use crate::error::{Error, Result};

/// List, upload, look at and fetch templates
///
/// Works on the template store itself; no service has to be running.
#[derive(Debug, Args)]
pub(super) struct TemplatesArgs {
    #[command(subcommand)]
    command: TemplatesCommand,
    #[command(flatten)]
    flags: EngineFlags,
}

#[derive(Debug, Subcommand)]
enum TemplatesCommand {
    /// Show the templates in the store
    #[command(
        after_help = "Examples:\n  bindery templates list\n  bindery templates list --category ml --json"
    )]
    List(ListArgs),
    /// Check a notebook and put it into the store
    #[command(
        after_help = "Examples:\n  bindery templates upload train.ipynb --category ml --description \"Trains a model\"\n  \
                      bindery templates upload train.ipynb --category ml --overwrite"
    )]
    Upload(UploadArgs),
    /// Show what is known about a template, with the parameters that it declares
    #[command(after_help = "Examples:\n  bindery templates show ml/train.ipynb")]
    Show(NameArgs),
    /// Fetch a template
    #[command(after_help = "Examples:\n  bindery templates download ml/train.ipynb\n  \
                      bindery templates download ml/train.ipynb - | head")]
    Download(DownloadArgs),
    /// Remove a template from the store
    #[command(after_help = "Examples:\n  bindery templates delete ml/train.ipynb")]
    Delete(NameArgs),
    /// Make a URL from which anyone can fetch a template for a while
    ///
    /// With an S3 store the store itself serves it; with a folder, a running `bindery serve` does.
    #[command(after_help = "Examples:\n  bindery templates url ml/train.ipynb --expires 1h")]
    Url(UrlArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those in this category and below
    #[arg(long)]
    category: Option<String>,
    /// At most so many, from 1 to 1000 [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The `next_cursor` of the page before
    #[arg(long)]
    cursor: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct UploadArgs {
    /// The notebook
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its category [default: general]
    #[arg(long)]
    category: Option<String>,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Its name in the store [default: the file's name]
    #[arg(long)]
    name: Option<String>,
    /// Replace a template of the same name
    #[arg(long)]
    overwrite: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct NameArgs {
    /// The template, such as ml/train.ipynb
    #[arg(value_name = "NAME")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DownloadArgs {
    /// The template, such as ml/train.ipynb
    #[arg(value_name = "NAME")]
    name: String,
    /// The file to write, or `-` for standard output [default: the template's file name]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, Args)]
struct UrlArgs {
    /// The template, such as ml/train.ipynb
    #[arg(value_name = "NAME")]
    name: String,
    /// For how long, from 1s to 7d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    expires: Seconds,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: TemplatesArgs) -> Result<Exit> {
    let engine = args.flags.open().await?;
    let done = match args.command {
        TemplatesCommand::List(args) => list(&engine, args).await,
        TemplatesCommand::Upload(args) => upload(&engine, args).await,
        TemplatesCommand::Show(args) => show(&engine, args).await,
        TemplatesCommand::Download(args) => download(&engine, args).await,
        TemplatesCommand::Delete(args) => delete(&engine, args).await,
        TemplatesCommand::Url(args) => url(&engine, &args.name, args.expires.0, args.json).await,
    };
    engine.close().await;
    done.map(|()| Exit::Success)
}

async fn list(engine: &Engine, args: ListArgs) -> Result<()> {
    let mut templates: Vec<StoredTemplate> = Vec::new();
    let mut cursor = args.cursor;
    let next_cursor = loop {
        let left = args.limit.map(|limit| limit - templates.len());
        let page = engine.list_templates(args.category.as_deref(), left, cursor).await?;
        templates.extend(page.templates);
        // A page may be short and still not be the last.
        match page.next_cursor {
            Some(next) if args.limit.is_none_or(|limit| templates.len() < limit) => cursor = Some(next),
            next => break next,
        }
    };
    if args.json {
        let templates: Vec<_> = templates.iter().map(wire::template).collect();
        return print_json(&json!({"templates": templates, "next_cursor": next_cursor}));
    }
    if templates.is_empty() {
        tell!("there are no templates here: `bindery templates upload FILE` puts one in");
        return Ok(());
    }
    let row = |it: &StoredTemplate| {
        [it.name.to_string(), it.size.to_string(), time(it.last_modified), shortened(&it.description, 60)]
    };
    let rows: Vec<_> = templates.iter().map(row).collect();
    print(&table(["NAME", "BYTES", "MODIFIED", "DESCRIPTION"], &rows))?;
    if let Some(cursor) = next_cursor {
        tell!("there are more: --cursor {cursor}");
    }
    Ok(())
}

async fn upload(engine: &Engine, args: UploadArgs) -> Result<()> {
    let file_name = match args.name {
        Some(name) => name,
        None => args.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    let limit = engine.config().max_notebook_size;
    if std::fs::metadata(&args.file).is_ok_and(|metadata| metadata.is_file() && metadata.len() > limit) {
        return Err(Error::too_large(format!(
            "{} is larger than the limit of {limit} bytes",
            args.file.display()
        )));
    }
    let bytes = std::fs::read(&args.file).map_err(|error| file_fault(&args.file, "read", error))?;
    let upload = TemplateUpload {
        file_name,
        category: args.category,
        description: args.description,
        overwrite: args.overwrite,
        bytes: bytes.into(),
    };
    let details = engine.upload_template(upload).await?;
    if args.json {
        return print_json(&json!({
            "status": "success",
            "template_name": details.template.name.as_str(),
            "size": details.template.size,
            "etag": details.template.etag,
            "parameters": details.parameters,
        }));
    }
    print(&describe(&details))
}

async fn show(engine: &Engine, args: NameArgs) -> Result<()> {
    let details = engine.template(&args.name).await?;
    if args.json { print_json(&wire::template_details(&details)) } else { print(&describe(&details)) }
}

fn describe(details: &TemplateDetails) -> String {
    let template = &details.template;
    let mut text = properties([
        ("name", Some(template.name.to_string())),
        ("category", Some(template.name.category().to_string())),
        ("description", Some(template.description.clone()).filter(|text| !text.is_empty())),
        ("bytes", Some(template.size.to_string())),
        ("modified", Some(time(template.last_modified))),
        ("kernel", details.kernel_name.clone()),
        ("language", details.language.clone()),
    ]);
    if details.parameters.is_empty() {
        text.push_str("\nno parameters are declared: tag a cell `parameters`\n");
    } else {
        let row = |it: &crate::notebook::Parameter| {
            [
                it.name.clone(),
                it.inferred_type_name.clone(),
                shortened(&it.default, 40),
                shortened(&it.help, 60),
            ]
        };
        let rows: Vec<_> = details.parameters.iter().map(row).collect();
        text.push('\n');
        text.push_str(&table(["PARAMETER", "TYPE", "DEFAULT", "HELP"], &rows));
    }
    text
}

async fn download(engine: &Engine, args: DownloadArgs) -> Result<()> {
    let (template, bytes) = engine.template_bytes(&args.name).await?;
    let file = args.file.unwrap_or_else(|| template.name.file_name().into());
    write_or_print(&file, &bytes, args.overwrite)
}

/// Writes a file that was asked for, or standard output for `-`.
pub(super) fn write_or_print(file: &Path, bytes: &[u8], overwrite: bool) -> Result<()> {
    if file == Path::new("-") {
        return print_bytes(bytes);
    }
    let written = match overwrite {
        true => std::fs::write(file, bytes),
        false => std::fs::File::create_new(file).and_then(|mut it| std::io::Write::write_all(&mut it, bytes)),
    };
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::conflict(format!(
            "{} exists already: name another file, or add --overwrite",
            file.display()
        )),
        _ => file_fault(file, "written", error),
    })?;
    print(&format!("{}\n", file.display()))
}

async fn delete(engine: &Engine, args: NameArgs) -> Result<()> {
    let name = engine.delete_template(&args.name).await?;
    if args.json {
        return print_json(&json!({"status": "success", "template_name": name.as_str()}));
    }
    print(&format!("{name} was deleted\n"))
}

async fn url(engine: &Engine, name: &str, expires: Duration, as_json: bool) -> Result<()> {
    const SEGMENT: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    let (name, url) = engine.template_download_url(name, expires).await?;
    let (url, expires_at) = match url {
        DownloadUrl::Presigned { url, expires_at } => (url, expires_at),
        DownloadUrl::SignedQuery { query, expires_at } => {
            let base = reachable_url(engine.config().listen);
            let path = utf8_percent_encode(name.as_str(), SEGMENT);
            (format!("{base}/minio/download/{path}?{query}"), expires_at)
        }
    };
    if as_json {
        return print_json(&json!({"url": url, "expires_at": expires_at}));
    }
    print(&format!("{url}\n"))
}
