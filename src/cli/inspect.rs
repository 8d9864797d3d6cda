//! `bindery inspect`: the parameters that a notebook takes.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::Exit;
use super::execute::pipes;
use super::flags::ParameterFlags;
use super::print::{print, print_json, table};
use super::report::{End, Report};
use crate::config::{Config, LocalSettings};
use crate::engine::execute::inspect_file;
use crate::error::Result;
use crate::notebook::{Parameter, Parameters};

/// Show the parameters that a notebook takes: name, type, default and help
///
/// They are what the cell tagged `parameters` assigns; the type comes from an annotation or a `# type:` comment, the
/// help from the comment behind.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bindery inspect in.ipynb
  bindery inspect s3://books/in.ipynb
  bindery inspect in.ipynb --json       as papermill's inspect_notebook gives them")]
pub(super) struct InspectArgs {
    /// The notebook, a file or a URL; `-` is standard input. Fields in its name, such as `{alpha}`, are filled in with parameters
    #[arg(value_name = "NOTEBOOK")]
    notebook: PathBuf,
    /// Print JSON: names, each with name, inferred_type_name, default and help
    #[arg(long)]
    json: bool,
    /// Tell the result to FILE, in a line of JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    parameters: ParameterFlags,
    /// Address of the S3 or MinIO server of s3:// URLs [default: BOTO3_ENDPOINT_URL, AWS_ENDPOINT_URL, or AWS]
    #[arg(long, value_name = "URL", help_heading = "Configuration")]
    s3_endpoint: Option<String>,
    #[command(flatten, next_help_heading = "Configuration")]
    settings: LocalSettings,
}

pub(super) async fn run(args: InspectArgs) -> Result<Exit> {
    let Some(path) = &args.report else {
        let declared = inspect(&args).await?;
        return show(&args, declared.as_deref());
    };
    let report = Report::open(path)?;
    match inspect(&args).await {
        Ok(declared) => {
            let parameters = Some(declared.as_deref().unwrap_or_default());
            report.end(&End { parameters, ..End::default() });
            Ok(Exit::Success)
        }
        Err(error) => Ok(report.failed(&error)),
    }
}

async fn inspect(args: &InspectArgs) -> Result<Option<Vec<Parameter>>> {
    let s3_endpoint = || match &args.s3_endpoint {
        Some(endpoint) => Ok(Some(endpoint.clone())),
        None => Config::resolve(args.settings.clone()).map(|config| config.s3_endpoint),
    };
    let fetched = args.parameters.fetch(s3_endpoint).await?;
    let parameters = args.parameters.parse_over(Parameters::new(), &fetched)?;
    inspect_file(pipes::input(&pipes::filled(&args.notebook, &parameters)?, s3_endpoint)?).await
}

fn show(args: &InspectArgs, declared: Option<&[Parameter]>) -> Result<Exit> {
    let parameters = declared.unwrap_or_default();
    if args.json {
        let by_name: Map<String, Value> =
            parameters.iter().map(|parameter| (parameter.name.clone(), json!(parameter))).collect();
        return print_json(&by_name).map(|()| Exit::Success);
    }
    let text = match (declared, parameters) {
        (None, _) => "no cell is tagged `parameters`\n".to_owned(),
        (_, []) => "the cell tagged `parameters` declares none\n".to_owned(),
        (_, parameters) => {
            let rows: Vec<_> = parameters
                .iter()
                .map(|it| {
                    let type_name = if it.inferred_type_name == "None" { "" } else { &it.inferred_type_name };
                    [it.name.clone(), type_name.to_owned(), it.default.clone(), it.help.clone()]
                })
                .collect();
            table(["NAME", "TYPE", "DEFAULT", "HELP"], &rows)
        }
    };
    print(&text).map(|()| Exit::Success)
}
