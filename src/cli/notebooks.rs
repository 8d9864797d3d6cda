//! `bindery notebooks`: notebooks in the notebooks root, made from templates.

use clap::{Args, Subcommand};
use serde_json::json;

use super::flags::{EngineFlags, ParameterFlags};
use super::print::{print, print_json, table, tell, time};
use super::{Exit, wire};
use crate::engine::Engine;
use crate::engine::notebooks::{CreateFromTemplate, NotebookRecord};
use crate::error::Result;

/// List notebooks and make them from templates
///
/// Works on the data dir itself; no service has to be running.
#[derive(Debug, Args)]
pub(super) struct NotebooksArgs {
    #[command(subcommand)]
    command: NotebooksCommand,
    #[command(flatten)]
    flags: EngineFlags,
}

#[derive(Debug, Subcommand)]
enum NotebooksCommand {
    /// Show the notebooks that are recorded
    #[command(
        after_help = "Examples:\n  bindery notebooks list\n  bindery notebooks list --username ada --json"
    )]
    List(ListArgs),
    /// Make a notebook from a template, with parameters
    #[command(
        after_help = "Examples:\n  bindery notebooks create ml/train.ipynb --to ada/runs -p alpha 0.1\n  \
                      bindery notebooks create ml/train.ipynb --to ada --name monday --overwrite"
    )]
    Create(CreateArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those of this user
    #[arg(long)]
    username: Option<String>,
    /// Only those with a larger id: the last one of the page before
    #[arg(long, value_name = "ID", default_value_t = 0, hide_default_value = true)]
    after: i64,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// The template, such as ml/train.ipynb
    #[arg(value_name = "TEMPLATE")]
    template: String,
    /// The folder, relative to the notebooks root; made when absent
    #[arg(long, value_name = "DIR")]
    to: String,
    /// The new file's name [default: the template's]
    #[arg(long)]
    name: Option<String>,
    /// Whose it is
    #[arg(long)]
    username: Option<String>,
    #[command(flatten)]
    parameters: ParameterFlags,
    /// Replace a notebook of the same name
    #[arg(long)]
    overwrite: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: NotebooksArgs) -> Result<Exit> {
    let engine = args.flags.open().await?;
    let done = match args.command {
        NotebooksCommand::List(args) => list(&engine, args).await,
        NotebooksCommand::Create(args) => create(&engine, args).await,
    };
    engine.close().await;
    done.map(|()| Exit::Success)
}

async fn list(engine: &Engine, args: ListArgs) -> Result<()> {
    // One more than shown tells whether there are more.
    let limit = args.limit.saturating_add(1);
    let mut notebooks = engine.list_notebooks(args.username.as_deref(), args.after, limit).await?;
    let has_more = notebooks.len() > args.limit as usize;
    notebooks.truncate(args.limit as usize);
    let next = notebooks.last().filter(|_| has_more).map(|record| record.id.to_string());
    if args.json {
        let notebooks: Vec<_> = notebooks.iter().map(|it| wire::notebook(engine, it)).collect();
        return print_json(&json!({"notebooks": notebooks, "next_cursor": next}));
    }
    if notebooks.is_empty() {
        tell!("no notebook is recorded here: `bindery notebooks create TEMPLATE --to DIR` makes one");
        return Ok(());
    }
    let row = |it: &NotebookRecord| {
        let notebook = &it.notebook;
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [
            it.id.to_string(),
            notebook.path.clone(),
            or_dash(&notebook.username),
            or_dash(&notebook.template_name),
            time(it.updated_at),
        ]
    };
    let rows: Vec<_> = notebooks.iter().map(row).collect();
    print(&table(["ID", "PATH", "USER", "TEMPLATE", "UPDATED"], &rows))?;
    if let Some(next) = next {
        tell!("there are more: --after {next}");
    }
    Ok(())
}

async fn create(engine: &Engine, args: CreateArgs) -> Result<()> {
    let parameters = args.parameters.parse()?;
    let request = CreateFromTemplate {
        template_name: args.template,
        target_directory: args.to,
        parameters: parameters.clone(),
        new_name: args.name,
        overwrite: args.overwrite,
        username: args.username,
    };
    let created = engine.create_from_template(request).await?;
    let path = &created.record.notebook.path;
    if args.json {
        return print_json(&json!({
            "status": "success",
            "notebook_id": created.record.id,
            "new_notebook_path": path,
            "parameters_applied": parameters.to_json(),
            "warnings": created.warnings,
            "notebook_url": engine.notebook_url(path, created.record.notebook.username.as_deref()),
        }));
    }
    created.warnings.iter().for_each(|warning| tell!("warning: {warning}"));
    print(&format!("notebook {}: {}\n", created.record.id, engine.config().notebooks_root.place_of(path)))
}
