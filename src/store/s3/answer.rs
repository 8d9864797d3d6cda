//! What the headers of an answer say of a template.

use jiff::fmt::rfc2822;
use minio::s3::multimap_ext::{Multimap, MultimapExt as _};
use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap, LAST_MODIFIED};

use super::fault::Fault;
use crate::error::Result;
use crate::store::{StoredTemplate, TemplateMetadata, TemplateName, metadata};

const DESCRIPTION: &str = "x-amz-meta-description";

/// The headers that keep the metadata beside the bytes.
pub(super) fn user_metadata(metadata: &TemplateMetadata) -> Multimap {
    let mut headers = Multimap::new();
    if !metadata.description().is_empty() {
        headers.add(DESCRIPTION, metadata::encode(metadata.description()));
    }
    headers
}

/// The size that the answer to a `HEAD` gives.
pub(super) fn size(headers: &HeaderMap) -> u64 {
    text(headers, CONTENT_LENGTH.as_str()).parse().unwrap_or(0)
}

/// The template that the answer to a `HEAD` or `GET` is about.
pub(super) fn template(name: TemplateName, size: u64, headers: &HeaderMap) -> Result<StoredTemplate> {
    let last_modified = rfc2822::parse(text(headers, LAST_MODIFIED.as_str()))
        .map(|time| time.timestamp())
        .map_err(|error| Fault::garbled(error).into_error())?;
    Ok(StoredTemplate {
        size,
        last_modified,
        etag: text(headers, ETAG.as_str()).trim_matches('"').to_owned(),
        description: metadata::decode(text(headers, DESCRIPTION)),
        name,
    })
}

/// A header's text, empty when there is none.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
