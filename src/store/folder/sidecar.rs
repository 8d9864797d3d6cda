//! What is known of a template beside its bytes: `.bindery/metadata/<name>.json`.

use std::fs;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk::{etag, modified};
use crate::store::{StoredTemplate, TemplateMetadata, TemplateName};

/// The content of a sidecar file. Unknown fields are let through, absent ones are empty, so that older and
/// newer versions can share a folder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Sidecar {
    pub(super) description: String,
    /// Of the file as it was written, which `size` and `modified` recognise.
    pub(super) etag: String,
    size: u64,
    modified: Timestamp,
}

impl Default for Sidecar {
    fn default() -> Self {
        Self { description: String::new(), etag: String::new(), size: 0, modified: Timestamp::UNIX_EPOCH }
    }
}

impl Sidecar {
    pub(super) fn of(metadata: &TemplateMetadata, bytes: &[u8], file: &fs::Metadata) -> Self {
        Self {
            description: metadata.description().to_owned(),
            etag: etag(bytes),
            size: bytes.len() as u64,
            modified: modified(file),
        }
    }

    /// Whether the file is still the one that was written with this sidecar.
    pub(super) fn describes(&self, file: &fs::Metadata) -> bool {
        !self.etag.is_empty() && self.size == file.len() && self.modified == modified(file)
    }

    pub(super) fn from_json(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Strings, a number and a time: nothing here can fail to serialise.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    pub(super) fn into_template(self, name: TemplateName) -> StoredTemplate {
        StoredTemplate {
            name,
            size: self.size,
            last_modified: self.modified,
            etag: self.etag,
            description: self.description,
        }
    }
}
