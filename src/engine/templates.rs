//! Templates: accepted when they are sound, kept in the store, looked into when asked about.

use std::time::Duration;

use bytes::Bytes;

use super::{Engine, blocking};
use crate::error::{Error, Result};
use crate::notebook::Notebook;
use crate::notebook::inspect::{Parameter, infer_parameters};
pub use crate::store::{
    Category, DownloadUrl, ListPage, ListQuery, StoredTemplate, TemplateMetadata, TemplateName,
};

/// The category of a template that is uploaded without one.
pub const DEFAULT_CATEGORY: &str = "general";

/// A template on its way in.
#[derive(Debug, Clone)]
pub struct TemplateUpload {
    /// The file's name, such as `train.ipynb`.
    pub file_name: String,
    /// The category; [`DEFAULT_CATEGORY`] when none is given.
    pub category: Option<String>,
    /// What the template is for.
    pub description: String,
    /// Whether a template of the same name is replaced.
    pub overwrite: bool,
    /// The notebook.
    pub bytes: Bytes,
}

/// What is known about a template.
#[derive(Debug, Clone)]
pub struct TemplateDetails {
    /// As the store has it.
    pub template: StoredTemplate,
    /// What its parameters cell declares.
    pub parameters: Vec<Parameter>,
    /// The kernel that it asks for.
    pub kernel_name: Option<String>,
    /// Its language.
    pub language: Option<String>,
}

impl Engine {
    /// Checks a template and puts it into the store.
    ///
    /// # Errors
    /// `BadInput` for its name or category, `TooLarge`, `NotANotebook`, `Invalid` with the places of the
    /// faults, `Conflict` when it exists and may not be replaced, `Unavailable`.
    pub async fn upload_template(&self, upload: TemplateUpload) -> Result<TemplateDetails> {
        let category = upload.category.as_deref().filter(|category| !category.is_empty());
        let category = Category::parse(category.unwrap_or(DEFAULT_CATEGORY))?;
        let name = TemplateName::in_category(&category, &upload.file_name)?;
        let metadata = TemplateMetadata::new(upload.description)?;
        let limit = self.config().max_notebook_size;
        if upload.bytes.len() as u64 > limit {
            return Err(Error::too_large(format!("the notebook is larger than the limit of {limit} bytes")));
        }
        let bytes = upload.bytes.clone();
        let notebook = blocking(move || {
            let notebook = Notebook::parse(&bytes)?;
            notebook.validate()?;
            Ok(notebook)
        })
        .await?;
        let template = self.store().put(&name, upload.bytes, &metadata, upload.overwrite).await?;
        metrics::counter!("bindery_templates_uploaded_total").increment(1);
        tracing::info!(template.name = %template.name, size = template.size, "a template was uploaded");
        Ok(details(template, &notebook))
    }

    /// One page of templates, sorted by name.
    ///
    /// # Errors
    /// `BadInput` for the category or cursor, `Unavailable`.
    pub async fn list_templates(
        &self,
        category: Option<&str>,
        limit: Option<usize>,
        cursor: Option<String>,
    ) -> Result<ListPage> {
        let category = category.filter(|it| !it.is_empty()).map(Category::parse).transpose()?;
        let mut query = ListQuery { category, cursor, ..ListQuery::default() };
        if let Some(limit) = limit {
            query.limit = limit;
        }
        self.store().list(&query).await
    }

    /// What is known about one template.
    ///
    /// # Errors
    /// `NotFound`; `NotANotebook` or `Invalid` when what was put there by other hands is no notebook.
    pub async fn template(&self, name: &str) -> Result<TemplateDetails> {
        let (template, bytes) = self.store().get(&TemplateName::parse(name)?).await?;
        blocking(move || Ok(details(template, &Notebook::parse(&bytes)?))).await
    }

    /// A template's bytes.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn template_bytes(&self, name: &str) -> Result<(StoredTemplate, Bytes)> {
        self.store().get(&TemplateName::parse(name)?).await
    }

    /// Deletes a template.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn delete_template(&self, name: &str) -> Result<TemplateName> {
        let name = TemplateName::parse(name)?;
        self.store().delete(&name).await?;
        tracing::info!(template.name = %name, "a template was deleted");
        Ok(name)
    }

    /// A URL from which the template can be fetched for a while, without other credentials.
    ///
    /// # Errors
    /// `NotFound`, `BadInput` for the time.
    pub async fn template_download_url(
        &self,
        name: &str,
        expires: Duration,
    ) -> Result<(TemplateName, DownloadUrl)> {
        let name = TemplateName::parse(name)?;
        let url = self.store().download_url(&name, expires).await?;
        Ok((name, url))
    }

    /// A template's bytes for whoever shows a signature of [`Engine::template_download_url`].
    ///
    /// # Errors
    /// `Forbidden` when the signature is wrong or out of date, `NotFound`.
    pub async fn signed_template(
        &self,
        name: &str,
        expires_at: i64,
        signature: &str,
    ) -> Result<(TemplateName, Bytes)> {
        let name = TemplateName::parse(name)?;
        self.store().verify_download(&name, expires_at, signature).await?;
        let (_, bytes) = self.store().get(&name).await?;
        Ok((name, bytes))
    }
}

fn details(template: StoredTemplate, notebook: &Notebook) -> TemplateDetails {
    TemplateDetails {
        template,
        parameters: infer_parameters(notebook),
        kernel_name: notebook.kernel_name().map(str::to_owned),
        language: notebook.language().map(str::to_owned),
    }
}
