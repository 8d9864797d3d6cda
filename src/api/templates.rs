//! Templates: upload, list, look into, delete, download.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::Answer;
use super::extract::{BaseUrl, PathText, Query, empty_as_none};
use super::openapi::{
    BodyProblems, ConflictProblem, FileProblems, ForbiddenProblem, LookupProblems, QueryProblems,
};
use super::{download, upload};
use crate::engine::Engine;
use crate::engine::templates::{DownloadUrl, StoredTemplate, TemplateDetails};
use crate::notebook::inspect::Parameter;

/// How long a download URL lives when nothing is said, in seconds.
const DEFAULT_EXPIRY: u64 = 3600;

/// The form of an upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read part by part; this is its description")]
struct UploadForm {
    /// The notebook; its file name becomes the template's.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<u8>,
    /// The category; `general` when empty.
    #[schema(example = "ml")]
    category: Option<String>,
    /// What the template is for.
    #[schema(example = "Trains a churn model")]
    description: Option<String>,
    /// Whether a template of the same name is replaced.
    overwrite: Option<bool>,
}

/// An uploaded template.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "success", "template_name": "ml/churn.ipynb", "size": 1234,
    "etag": "9b2cf535f27731c974343645a3985328", "parameters": [
        {"name": "alpha", "inferred_type_name": "float", "default": "0.1", "help": "learning rate"}]}))]
pub(super) struct Uploaded {
    /// Always `success`.
    status: &'static str,
    /// `category/name.ipynb`.
    template_name: String,
    /// In bytes.
    size: u64,
    /// Changes when the bytes change.
    etag: String,
    /// What its parameters cell declares.
    parameters: Vec<Parameter>,
}

/// A template in a list.
#[derive(Serialize, ToSchema)]
struct Template {
    /// `category/name.ipynb`.
    #[schema(example = "ml/churn.ipynb")]
    name: String,
    /// In bytes.
    size: u64,
    /// When its bytes were last written.
    #[schema(value_type = String, format = DateTime)]
    last_modified: Timestamp,
    /// Its category.
    #[schema(example = "ml")]
    category: String,
    /// What it is for.
    description: String,
}

/// One page of templates.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"templates": [{"name": "ml/churn.ipynb", "size": 1234,
    "last_modified": "2026-05-04T03:02:01Z", "category": "ml", "description": "Trains a churn model"}],
    "next_cursor": null}))]
pub(super) struct Templates {
    /// Sorted by name.
    templates: Vec<Template>,
    /// For the next page; null after the last.
    next_cursor: Option<String>,
}

/// What is known about a template.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"name": "ml/churn.ipynb", "size": 1234, "last_modified": "2026-05-04T03:02:01Z",
    "category": "ml", "description": "Trains a churn model", "etag": "9b2cf535f27731c974343645a3985328",
    "parameters": [{"name": "alpha", "inferred_type_name": "float", "default": "0.1", "help": "learning rate"}],
    "kernel_name": "python3", "language": "python"}))]
pub(super) struct Details {
    #[serde(flatten)]
    template: Template,
    /// Changes when the bytes change.
    etag: String,
    /// What its parameters cell declares.
    parameters: Vec<Parameter>,
    /// The kernel that it asks for.
    kernel_name: Option<String>,
    /// Its language.
    language: Option<String>,
}

/// A deleted template.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "success", "template_name": "ml/churn.ipynb"}))]
pub(super) struct Deleted {
    /// Always `success`.
    status: &'static str,
    /// `category/name.ipynb`.
    template_name: String,
}

/// A URL that needs no other credentials.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "url": "http://127.0.0.1:8002/minio/download/ml/churn.ipynb?expires=1777863721&signature=uJ3k",
    "expires_at": "2026-05-04T03:02:01Z"}))]
pub(super) struct Download {
    /// Where the notebook can be fetched.
    url: String,
    /// The URL is refused from then on.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only templates of this category and of those below it.
    #[param(example = "ml")]
    #[serde(default, deserialize_with = "empty_as_none")]
    category: Option<String>,
    /// At most so many, from 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    #[serde(default, deserialize_with = "empty_as_none")]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    #[serde(default, deserialize_with = "empty_as_none")]
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExpiresQuery {
    /// How long the URL lives, in seconds, up to seven days.
    #[param(minimum = 1, maximum = 604_800, default = 3600)]
    #[serde(default, deserialize_with = "empty_as_none")]
    expires: Option<u64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SignatureQuery {
    /// Until when, in Unix seconds.
    expires: i64,
    /// What shows that the URL was given out by this service.
    signature: String,
}

/// Stores a notebook as a template, after checking that it is one.
#[utoipa::path(post, path = "/minio/upload-template", tag = "templates", operation_id = "upload_template",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "It is stored", body = Uploaded), ConflictProblem, BodyProblems))]
pub(super) async fn upload(State(engine): State<Engine>, request: Request) -> Answer<Json<Uploaded>> {
    let upload = upload::read(request, &engine).await?;
    // A task of its own: a client that goes away does not leave half of the work.
    let TemplateDetails { template, parameters, .. } =
        super::whole(async move { engine.upload_template(upload).await }).await?;
    Ok(Json(Uploaded {
        status: "success",
        template_name: template.name.to_string(),
        size: template.size,
        etag: template.etag,
        parameters,
    }))
}

/// Templates by name, page by page.
#[utoipa::path(get, path = "/minio/list-templates", tag = "templates", operation_id = "list_templates",
    params(ListQuery),
    responses((status = 200, description = "A page", body = Templates), QueryProblems))]
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Templates>> {
    let page = engine.list_templates(query.category.as_deref(), query.limit, query.cursor).await?;
    let templates = page.templates.into_iter().map(Template::from).collect();
    Ok(Json(Templates { templates, next_cursor: page.next_cursor }))
}

/// What is known about a template, its parameters among it.
#[utoipa::path(get, path = "/minio/get-template/{name}", tag = "templates", operation_id = "get_template",
    params(("name" = String, Path, description = "`category/name.ipynb`, slashes as they are or as %2F",
        example = "ml/churn.ipynb")),
    responses((status = 200, description = "The template", body = Details), LookupProblems, FileProblems))]
pub(super) async fn get(State(engine): State<Engine>, PathText(name): PathText) -> Answer<Json<Details>> {
    let TemplateDetails { template, parameters, kernel_name, language } = engine.template(&name).await?;
    let etag = template.etag.clone();
    Ok(Json(Details { template: template.into(), etag, parameters, kernel_name, language }))
}

/// Deletes a template. Notebooks made from it stay.
#[utoipa::path(delete, path = "/minio/delete-template/{name}", tag = "templates", operation_id = "delete_template",
    params(("name" = String, Path, description = "`category/name.ipynb`, slashes as they are or as %2F",
        example = "ml/churn.ipynb")),
    responses((status = 200, description = "It is deleted", body = Deleted), LookupProblems))]
pub(super) async fn delete(State(engine): State<Engine>, PathText(name): PathText) -> Answer<Json<Deleted>> {
    let name = engine.delete_template(&name).await?;
    Ok(Json(Deleted { status: "success", template_name: name.to_string() }))
}

/// A URL from which the template can be fetched for a while without other credentials.
#[utoipa::path(get, path = "/minio/download-url/{name}", tag = "templates", operation_id = "template_download_url",
    params(("name" = String, Path, description = "`category/name.ipynb`, slashes as they are or as %2F",
        example = "ml/churn.ipynb"), ExpiresQuery),
    responses((status = 200, description = "The URL", body = Download), LookupProblems))]
pub(super) async fn download_url(
    State(engine): State<Engine>,
    BaseUrl(base): BaseUrl,
    PathText(name): PathText,
    Query(query): Query<ExpiresQuery>,
) -> Answer<Json<Download>> {
    let expires = Duration::from_secs(query.expires.unwrap_or(DEFAULT_EXPIRY));
    let (name, url) = engine.template_download_url(&name, expires).await?;
    Ok(Json(match url {
        DownloadUrl::Presigned { url, expires_at } => Download { url, expires_at },
        DownloadUrl::SignedQuery { query, expires_at } => {
            let path = download::as_path(name.as_str());
            Download { url: format!("{base}/minio/download/{path}?{query}"), expires_at }
        }
    }))
}

/// A template's notebook, for whoever has a URL of `/minio/download-url`.
#[utoipa::path(get, path = "/minio/download/{name}", tag = "templates", operation_id = "download_template",
    params(("name" = String, Path, description = "`category/name.ipynb`", example = "ml/churn.ipynb"), SignatureQuery),
    responses((status = 200, description = "The notebook", content_type = download::NOTEBOOK_TYPE, body = Value,
            example = json!({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []})),
        ForbiddenProblem, LookupProblems))]
pub(super) async fn download(
    State(engine): State<Engine>,
    PathText(name): PathText,
    Query(query): Query<SignatureQuery>,
) -> Answer<Response> {
    let (name, bytes) = engine.signed_template(&name, query.expires, &query.signature).await?;
    Ok(download::notebook(name.file_name(), bytes))
}

impl From<StoredTemplate> for Template {
    fn from(template: StoredTemplate) -> Self {
        Self {
            name: template.name.to_string(),
            size: template.size,
            last_modified: template.last_modified,
            category: template.name.category().to_string(),
            description: template.description,
        }
    }
}
