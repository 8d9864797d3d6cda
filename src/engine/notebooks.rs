//! User notebooks: made from templates, recorded, forgotten.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::root::RootedPath;
use super::{Engine, blocking, new_cell_id};
pub use crate::db::{NewNotebook, NotebookChange, NotebookRecord};
use crate::error::{Error, Result};
use crate::notebook::inject::{InjectOptions, Placement, inject};
use crate::notebook::{Notebook, Parameters};
use crate::store::TemplateName;

/// A notebook to be made from a template.
#[derive(Debug, Clone)]
pub struct CreateFromTemplate {
    /// `category/name.ipynb`.
    pub template_name: String,
    /// Where, relative to the notebooks root; made when absent.
    pub target_directory: String,
    /// The parameters to bind.
    pub parameters: Parameters,
    /// The new file's name; the template's when not given. `.ipynb` is added when missing.
    pub new_name: Option<String>,
    /// Whether an existing file is replaced.
    pub overwrite: bool,
    /// For whom.
    pub username: Option<String>,
}

/// A notebook that was made.
#[derive(Debug, Clone)]
pub struct CreatedNotebook {
    /// Its record.
    pub record: NotebookRecord,
    /// What the caller should know: parameters that the template does not declare, no parameters cell.
    pub warnings: Vec<String>,
}

impl Engine {
    /// Makes a notebook from a template, with parameters bound.
    ///
    /// # Errors
    /// `NotFound` for the template, `BadInput` for a path or name, `Invalid` for the parameters, `Conflict`
    /// when the file exists and may not be replaced.
    pub async fn create_from_template(&self, request: CreateFromTemplate) -> Result<CreatedNotebook> {
        let name = TemplateName::parse(&request.template_name)?;
        let target = self.target(&request, &name)?;
        let (_, bytes) = self.store().get(&name).await?;
        let parameters = request.parameters.clone();
        let overwrite = request.overwrite;
        let (notebook, warnings) = blocking(move || {
            let mut notebook = Notebook::parse(&bytes)?;
            let warnings = bind(&mut notebook, &parameters, InjectOptions::default())?;
            Ok((notebook, warnings))
        })
        .await?;
        target.write(notebook, !overwrite).await?;
        let parameters = match request.parameters.to_json() {
            Value::Object(parameters) => parameters,
            _ => Map::new(),
        };
        let record = NewNotebook {
            path: target.relative.clone(),
            title: name.stem().to_owned(),
            username: request.username,
            template_name: Some(name.to_string()),
            parameters,
            ..NewNotebook::default()
        };
        let record = match self.database().upsert_notebook(&record, Timestamp::now()).await {
            Ok(record) => record,
            Err(error) => {
                // Tried again, the request must not find in its way what it left itself.
                if !overwrite && let Err(error) = target.remove().await {
                    tracing::warn!(%error, notebook = %record.path, "a notebook that could not be recorded stays");
                }
                return Err(error);
            }
        };
        metrics::counter!("bindery_notebooks_created_total").increment(1);
        tracing::info!(template.name = %name, notebook.id = record.id, "a notebook was made from a template");
        Ok(CreatedNotebook { record, warnings })
    }

    fn target(&self, request: &CreateFromTemplate, name: &TemplateName) -> Result<RootedPath> {
        let folder = self.root().resolve("target_directory", &request.target_directory)?;
        let file = match request.new_name.as_deref() {
            None => name.file_name().to_owned(),
            Some(new) if new.contains('/') => {
                return Err(Error::bad_input(
                    "`new_name` may not hold `/`: the folder goes into `target_directory`",
                )
                .with_field("new_name", "may not hold `/`"));
            }
            Some(new) if new.trim().is_empty() || new.starts_with('.') => {
                return Err(Error::bad_input("`new_name` must not be empty or begin with a dot")
                    .with_field("new_name", "must not be empty or begin with a dot"));
            }
            Some(new) if new.ends_with(".ipynb") => new.to_owned(),
            Some(new) => format!("{new}.ipynb"),
        };
        let path = if folder.relative.is_empty() { file } else { format!("{}/{file}", folder.relative) };
        self.root().notebook("new_name", &path)
    }

    /// Records a notebook that is in the notebooks root already.
    ///
    /// # Errors
    /// `NotFound` when there is no such file, `NotANotebook` or `Invalid` when it is none.
    pub async fn submit_notebook(&self, mut notebook: NewNotebook) -> Result<NotebookRecord> {
        let path = self.root().notebook("notebook_path", &notebook.path)?;
        let limit = self.config().max_notebook_size;
        notebook.path.clone_from(&path.relative);
        if notebook.title.is_empty() {
            notebook.title = file_stem(&path.relative).to_owned();
        }
        let source = path.source(limit).await?;
        blocking(move || Notebook::parse(&source.read()?)?.validate()).await?;
        // Recorded once more, a notebook keeps where it came from.
        if let Some(known) = self.database().notebook_at(&notebook.path).await? {
            notebook.template_name = notebook.template_name.or(known.notebook.template_name);
            if notebook.parameters.is_empty() {
                notebook.parameters = known.notebook.parameters;
            }
        }
        self.database().upsert_notebook(&notebook, Timestamp::now()).await
    }

    /// One recorded notebook.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn notebook(&self, id: i64) -> Result<NotebookRecord> {
        self.database().notebook(id).await
    }

    /// Recorded notebooks in order of id.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list_notebooks(
        &self,
        username: Option<&str>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<NotebookRecord>> {
        self.database().list_notebooks(username, after, limit).await
    }

    /// Changes a record.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn update_notebook(&self, id: i64, change: &NotebookChange) -> Result<NotebookRecord> {
        self.database().update_notebook(id, change, Timestamp::now()).await
    }

    /// Forgets a record; the file stays.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete_notebook(&self, id: i64) -> Result<()> {
        self.database().delete_notebook(id).await
    }
}

/// Binds parameters and says in words what a user should know about it.
pub(super) fn bind(
    notebook: &mut Notebook,
    parameters: &Parameters,
    options: InjectOptions<'_>,
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    if let Some(injected) = inject(notebook, parameters, options, new_cell_id)? {
        if injected.placement == Placement::Top {
            warnings
                .push("the notebook has no cell tagged `parameters`: the values were put on top".to_owned());
        } else {
            // Papermill's words: people search their logs for them.
            let unknown = injected.unknown_parameters.iter();
            warnings.extend(unknown.map(|name| format!("Passed unknown parameter: {name}")));
        }
    }
    Ok(warnings)
}

/// The file's name without folder and `.ipynb`.
pub(super) fn file_stem(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.strip_suffix(".ipynb").unwrap_or(file)
}
