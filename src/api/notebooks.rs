//! Users' notebooks: made from templates, recorded, looked at, forgotten.

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::error::Answer;
use super::extract::{Id, Json, Query, empty_as_none, id_of_cursor, page_limit, username};
use super::openapi::{BodyProblems, ConflictProblem, LookupProblems, NotFoundProblem, QueryProblems};
use crate::engine::Engine;
use crate::engine::notebooks::{
    CreateFromTemplate, CreatedNotebook, NewNotebook, NotebookChange, NotebookRecord,
};
use crate::error::Error;
use crate::notebook::Parameters;

/// A notebook to be made from a template.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"template_name": "ml/churn.ipynb", "target_directory": "ann/projects",
    "parameters": {"alpha": 0.1, "tags": ["a", "b"]}, "new_name": "churn_may"}))]
pub(super) struct CreateBody {
    /// `category/name.ipynb`.
    #[schema(pattern = r"^[^/].*/.+\.ipynb$", max_length = 200)]
    template_name: String,
    /// Where, relative to the notebooks root or absolute and inside it; made when absent.
    target_directory: String,
    /// The parameters to bind: names that are identifiers, and any JSON values.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Box<RawValue>>,
    /// The new file's name; the template's when not given. `.ipynb` is added when missing.
    new_name: Option<String>,
    /// Whether an existing file is replaced.
    overwrite: Option<bool>,
    /// For whom; with it the answer has a `notebook_url`.
    #[schema(min_length = 1, max_length = 255)]
    username: Option<String>,
}

/// A notebook that was made.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "success", "notebook_id": 7, "new_notebook_path": "ann/projects/churn_may.ipynb",
    "parameters_applied": {"alpha": 0.1, "tags": ["a", "b"]}, "warnings": [],
    "notebook_url": "http://127.0.0.1:8000/user/ann/lab/tree/ann/projects/churn_may.ipynb"}))]
pub(super) struct Created {
    /// Always `success`.
    status: &'static str,
    /// For `/notebook/{id}`.
    notebook_id: i64,
    /// Relative to the notebooks root.
    new_notebook_path: String,
    /// The parameters as they were given.
    #[schema(value_type = Object)]
    parameters_applied: Box<RawValue>,
    /// What you should know, such as parameters that the template does not declare.
    warnings: Vec<String>,
    /// Where the user's Jupyter server shows it; null without `username`.
    notebook_url: Option<String>,
}

/// A notebook to be recorded.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"notebook_path": "ann/projects/churn.ipynb", "title": "Churn", "username": "ann",
    "description": "Trains a churn model", "tags": ["churn"]}))]
pub(super) struct SubmitBody {
    /// A file in the notebooks root.
    #[schema(pattern = r"\.ipynb$", max_length = 1000)]
    notebook_path: String,
    /// A title for people; the file's name when not given.
    #[schema(max_length = 255)]
    title: Option<String>,
    /// What it is for.
    #[schema(max_length = 10_000)]
    description: Option<String>,
    /// Whose it is.
    #[schema(min_length = 1, max_length = 255)]
    username: Option<String>,
    /// Parameters that were bound in it.
    parameters: Option<Map<String, Value>>,
    /// Free words to find it by.
    #[schema(max_items = 100)]
    tags: Option<Vec<String>>,
}

/// A change of what is recorded; a field that is absent or null stays as it is.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"title": "Churn, May", "tags": ["churn", "may"]}))]
pub(super) struct ChangeBody {
    /// A title for people.
    #[schema(max_length = 255)]
    title: Option<String>,
    /// What it is for.
    #[schema(max_length = 10_000)]
    description: Option<String>,
    /// Whose it is.
    #[schema(min_length = 1, max_length = 255)]
    username: Option<String>,
    /// Free words to find it by; they replace the earlier ones.
    #[schema(max_items = 100)]
    tags: Option<Vec<String>>,
}

/// A recorded notebook.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"notebook_id": 7, "notebook_path": "ann/projects/churn.ipynb", "title": "Churn",
    "description": "Trains a churn model", "username": "ann", "template_name": "ml/churn.ipynb",
    "parameters": {"alpha": 0.1}, "tags": ["churn"], "created_at": "2026-05-04T03:02:01Z",
    "updated_at": "2026-05-04T03:02:01Z",
    "notebook_url": "http://127.0.0.1:8000/user/ann/lab/tree/ann/projects/churn.ipynb"}))]
pub(super) struct Notebook {
    /// Its id.
    notebook_id: i64,
    /// Relative to the notebooks root.
    notebook_path: String,
    /// A title for people.
    title: String,
    /// What it is for.
    description: String,
    /// Whose it is.
    #[schema(min_length = 1, max_length = 255)]
    username: Option<String>,
    /// The template that it was made from.
    template_name: Option<String>,
    /// The parameters bound at creation.
    parameters: Map<String, Value>,
    /// Free words to find it by.
    tags: Vec<String>,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When the record last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// Where the user's Jupyter server shows it; null when no user is known.
    notebook_url: Option<String>,
}

/// A recorded notebook, with the word that it is.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "success", "notebook_id": 7, "notebook_path": "ann/projects/churn.ipynb"}))]
pub(super) struct Submitted {
    /// Always `success`.
    status: &'static str,
    #[serde(flatten)]
    notebook: Notebook,
}

/// One page of recorded notebooks.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"notebooks": [], "next_cursor": null}))]
pub(super) struct Notebooks {
    /// In order of id.
    notebooks: Vec<Notebook>,
    /// For the next page; null after the last.
    next_cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only notebooks of this user.
    #[serde(default, deserialize_with = "empty_as_none")]
    username: Option<String>,
    /// At most so many, from 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    #[serde(default, deserialize_with = "empty_as_none")]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>, pattern = "^[0-9]*$", max_length = 18)]
    #[serde(default, deserialize_with = "empty_as_none")]
    cursor: Option<u64>,
}

/// Makes a notebook from a template, with parameters bound.
#[utoipa::path(post, path = "/create-from-template", tag = "notebooks", operation_id = "create_from_template",
    request_body = CreateBody,
    responses((status = 200, description = "It is made", body = Created), NotFoundProblem, ConflictProblem,
        BodyProblems))]
pub(super) async fn create_from_template(
    State(engine): State<Engine>,
    Json(body): Json<CreateBody>,
) -> Answer<axum::Json<Created>> {
    let raw = body.parameters.unwrap_or_else(|| RawValue::from_string("{}".into()).unwrap_or_default());
    let request = CreateFromTemplate {
        template_name: body.template_name,
        target_directory: body.target_directory,
        parameters: Parameters::from_json_text(&raw)?,
        new_name: body.new_name,
        overwrite: body.overwrite.unwrap_or(false),
        username: body.username.map(username).transpose()?,
    };
    let maker = engine.clone();
    let CreatedNotebook { record, warnings } =
        super::whole(async move { maker.create_from_template(request).await }).await?;
    Ok(axum::Json(Created {
        status: "success",
        notebook_id: record.id,
        notebook_url: engine.notebook_url(&record.notebook.path, record.notebook.username.as_deref()),
        new_notebook_path: record.notebook.path,
        parameters_applied: raw,
        warnings,
    }))
}

/// Records a notebook that is in the notebooks root already. One that is recorded under the same path is
/// replaced and keeps its id.
#[utoipa::path(post, path = "/submit-notebook", tag = "notebooks", operation_id = "submit_notebook",
    request_body = SubmitBody,
    responses((status = 200, description = "It is recorded", body = Submitted), NotFoundProblem, BodyProblems))]
pub(super) async fn submit(
    State(engine): State<Engine>,
    Json(body): Json<SubmitBody>,
) -> Answer<axum::Json<Submitted>> {
    check_words(body.title.as_deref(), body.description.as_deref(), body.tags.as_deref())?;
    let notebook = NewNotebook {
        path: body.notebook_path,
        title: body.title.unwrap_or_default(),
        description: body.description.unwrap_or_default(),
        username: body.username.map(username).transpose()?,
        parameters: body.parameters.unwrap_or_default(),
        tags: body.tags.unwrap_or_default(),
        ..NewNotebook::default()
    };
    let record = engine.submit_notebook(notebook).await?;
    Ok(axum::Json(Submitted { status: "success", notebook: Notebook::new(record, &engine) }))
}

/// Recorded notebooks in order of id, page by page.
#[utoipa::path(get, path = "/notebooks", tag = "notebooks", operation_id = "list_notebooks", params(ListQuery),
    responses((status = 200, description = "A page", body = Notebooks), QueryProblems))]
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<ListQuery>,
) -> Answer<axum::Json<Notebooks>> {
    let limit = page_limit(query.limit)?;
    let after = query.cursor.map_or(0, id_of_cursor);
    let mut records = engine.list_notebooks(query.username.as_deref(), after, limit + 1).await?;
    let has_more = records.len() > limit as usize;
    records.truncate(limit as usize);
    let next_cursor = records.last().filter(|_| has_more).map(|record| record.id.to_string());
    let notebooks = records.into_iter().map(|record| Notebook::new(record, &engine)).collect();
    Ok(axum::Json(Notebooks { notebooks, next_cursor }))
}

/// One recorded notebook.
#[utoipa::path(get, path = "/notebook/{id}", tag = "notebooks", operation_id = "get_notebook",
    params(("id" = i64, Path, description = "`notebook_id`", example = 7)),
    responses((status = 200, description = "The record", body = Notebook), LookupProblems))]
pub(super) async fn get(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<Notebook>> {
    Ok(axum::Json(Notebook::new(engine.notebook(id).await?, &engine)))
}

/// Changes what is recorded of a notebook; the file stays as it is.
#[utoipa::path(put, path = "/notebook/{id}", tag = "notebooks", operation_id = "update_notebook",
    params(("id" = i64, Path, description = "`notebook_id`", example = 7)), request_body = ChangeBody,
    responses((status = 200, description = "The record as it is now", body = Notebook), NotFoundProblem,
        BodyProblems))]
pub(super) async fn update(
    State(engine): State<Engine>,
    Id(id): Id,
    Json(body): Json<ChangeBody>,
) -> Answer<axum::Json<Notebook>> {
    check_words(body.title.as_deref(), body.description.as_deref(), body.tags.as_deref())?;
    let change = NotebookChange {
        title: body.title,
        description: body.description,
        username: body.username.map(username).transpose()?,
        tags: body.tags,
    };
    Ok(axum::Json(Notebook::new(engine.update_notebook(id, &change).await?, &engine)))
}

/// Forgets what is recorded of a notebook; the file stays.
#[utoipa::path(delete, path = "/notebook/{id}", tag = "notebooks", operation_id = "delete_notebook",
    params(("id" = i64, Path, description = "`notebook_id`", example = 7)),
    responses((status = 200, description = "It is forgotten", body = Value,
        example = json!({"status": "success", "notebook_id": 7})), LookupProblems))]
pub(super) async fn delete(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<Value>> {
    engine.delete_notebook(id).await?;
    Ok(axum::Json(json!({"status": "success", "notebook_id": id})))
}

/// What people wrote about a notebook comes back in every listing: it has to stay small.
fn check_words(title: Option<&str>, description: Option<&str>, tags: Option<&[String]>) -> Result<(), Error> {
    let check = |field: &str, text: &str, limit: usize| match text.chars().count() {
        count if count > limit => {
            let fault = format!("must have at most {limit} characters");
            Err(Error::invalid(format!("`{field}` {fault}")).with_field(field, fault))
        }
        _ => Ok(()),
    };
    check("title", title.unwrap_or_default(), 255)?;
    check("description", description.unwrap_or_default(), 10_000)?;
    let tags = tags.unwrap_or_default();
    if tags.len() > 100 {
        return Err(Error::invalid("`tags` must be at most 100").with_field("tags", "must be at most 100"));
    }
    tags.iter().enumerate().try_for_each(|(at, tag)| check(&format!("tags[{at}]"), tag, 255))
}

impl Notebook {
    fn new(record: NotebookRecord, engine: &Engine) -> Self {
        let NewNotebook { path, title, description, username, template_name, parameters, tags } =
            record.notebook;
        Self {
            notebook_id: record.id,
            notebook_url: engine.notebook_url(&path, username.as_deref()),
            notebook_path: path,
            title,
            description,
            username,
            template_name,
            parameters,
            tags,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}
