//! Where templates are.

use std::path::{Path, PathBuf};

use super::{StoreSettings, absolute};
use crate::error::{Error, Result};

/// Where templates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateStoreConfig {
    /// A folder; absolute.
    Folder(PathBuf),
    /// A bucket. Credentials come from the usual variables and are never part of the configuration.
    S3 {
        /// Its name.
        bucket: String,
        /// The server, when it is not AWS.
        endpoint: Option<String>,
        /// The server as clients see it.
        public_endpoint: Option<String>,
    },
}

pub(super) fn resolve(store: &StoreSettings, data_dir: &Path) -> Result<TemplateStoreConfig> {
    Ok(match store.template_store.as_deref() {
        None => TemplateStoreConfig::Folder(data_dir.join("templates")),
        Some(url) if url.starts_with("s3://") => {
            let bucket = url.trim_start_matches("s3://").trim_end_matches('/');
            if bucket.is_empty() || bucket.contains('/') {
                return Err(Error::bad_input(format!("the template store `{url}` must be `s3://BUCKET`")));
            }
            TemplateStoreConfig::S3 {
                bucket: bucket.into(),
                endpoint: store.s3_endpoint.clone(),
                public_endpoint: store.s3_public_endpoint.clone(),
            }
        }
        Some(url) if url.contains("://") => {
            return Err(Error::bad_input("the template store must be a folder or `s3://BUCKET`"));
        }
        Some(folder) => TemplateStoreConfig::Folder(absolute(Path::new(folder))?),
    })
}
