//! The service's own credentials, which are none of a notebook's business.

use crate::config::{Config, NotebooksRootConfig, TOKEN_VARIABLES, TemplateStoreConfig, TokenSource};

const S3: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY",
    "MINIO_ROOT_USER",
    "MINIO_ROOT_PASSWORD",
];
const GOOGLE: &[&str] = &[
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];
const AZURE: &[&str] = &[
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
];
/// URLs that may hold a password or a signature.
const URLS: &[&str] = &["BINDERY_DATABASE_URL", "BINDERY_MLFLOW_TRACKING_URI"];

/// The variables that kernels do not get: what the database, the stores of templates and of notebooks, and kernel gateways
/// are used with.
pub(super) fn hidden_variables(config: &Config) -> Vec<&'static str> {
    let mut hidden = Vec::new();
    let root = match &config.notebooks_root {
        NotebooksRootConfig::Folder(_) => "",
        NotebooksRootConfig::Store(url) => url.split("://").next().unwrap_or_default(),
    };
    let root = root.to_ascii_lowercase();
    if matches!(config.template_store, TemplateStoreConfig::S3 { .. }) || root == "s3" {
        hidden.extend(S3);
    }
    if root == "gs" {
        hidden.extend(GOOGLE);
    }
    if root.starts_with("ab") {
        hidden.extend(AZURE);
    }
    if !root.is_empty() {
        hidden.push("BINDERY_NOTEBOOKS_ROOT");
    }
    if !hidden.is_empty() || config.database_url.starts_with("postgres") {
        hidden.extend(URLS);
    }
    hidden.push(TOKEN_VARIABLES[0]);
    for gateway in &config.kernel_gateways {
        match gateway.token {
            TokenSource::Variable(name) => hidden.push(name),
            TokenSource::UsualVariables => hidden.extend(&TOKEN_VARIABLES[1..]),
            TokenSource::File(_) | TokenSource::Nowhere => {}
        }
    }
    hidden
}
