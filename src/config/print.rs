//! What is in force, as text.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::gateways::DEFAULT_GATEWAY;
use super::{
    ByteSize, Config, KernelGatewayConfig, Seconds, TemplateStoreConfig, TokenSource, WarmList, mask_url,
};

impl Config {
    /// The configuration as a `bindery.toml` that would bring it about, with secrets masked.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: toml::Value| {
            let _ = writeln!(out, "{name} = {value}");
        };
        let path = |path: &Path| toml::Value::from(path.to_string_lossy().into_owned());
        let seconds = |time: Duration| toml::Value::from(Seconds(time).to_string());
        line("listen", self.listen.to_string().into());
        if let Some(url) = &self.public_url {
            line("public-url", url.clone().into());
        }
        line("data-dir", path(&self.data_dir));
        line("database-url", mask_url(&self.database_url).into());
        match &self.template_store {
            TemplateStoreConfig::Folder(folder) => line("template-store", path(folder)),
            TemplateStoreConfig::S3 { bucket, public_endpoint, .. } => {
                line("template-store", format!("s3://{bucket}").into());
                if let Some(url) = public_endpoint {
                    line("s3-public-endpoint", mask_url(url).into());
                }
            }
        }
        if let Some(url) = &self.s3_endpoint {
            line("s3-endpoint", mask_url(url).into());
        }
        line("notebooks-root", self.notebooks_root.shown().into());
        line("workers", toml::Value::Integer(i64::try_from(self.workers).unwrap_or(i64::MAX)));
        for (name, limit) in
            [("max-running", self.max_running), ("max-running-per-user", self.max_running_per_user)]
        {
            if let Some(limit) = limit {
                line(name, toml::Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
            }
        }
        line("warm", WarmList(self.warm.clone()).to_string().into());
        if let Some(bytes) = self.warm_memory {
            line("warm-memory", ByteSize(bytes).to_string().into());
        }
        line("jupyter-base-url", self.jupyter_base_url.clone().into());
        line("jupyter-url-template", self.jupyter_url_template.clone().into());
        for (name, uri) in [
            ("mlflow-tracking-uri", &self.mlflow_tracking_uri),
            ("mlflow-public-uri", &self.mlflow_public_uri),
        ] {
            if let Some(uri) = uri {
                line(name, mask_url(uri).into());
            }
        }
        line("max-notebook-size", ByteSize(self.max_notebook_size).to_string().into());
        line("max-output-size", ByteSize(self.max_output_size).to_string().into());
        line("save-patience", seconds(self.save_patience));
        if let Some(time) = self.retention {
            line("retention", seconds(time));
        }
        line("shutdown-grace", seconds(self.shutdown_grace));
        line("start-timeout", seconds(self.limits.start_timeout));
        for (name, time) in [
            ("cell-timeout", self.limits.cell_timeout),
            ("execution-timeout", self.limits.timeout),
            ("queue-timeout", self.limits.queue_timeout),
        ] {
            if let Some(time) = time {
                line(name, seconds(time));
            }
        }
        let resources = &self.limits.resources;
        for (name, size) in
            [("max-memory", resources.max_memory), ("max-disk-writes", resources.max_disk_writes)]
        {
            if let Some(bytes) = size {
                line(name, ByteSize(bytes).to_string().into());
            }
        }
        if let Some(time) = resources.max_cpu_time {
            line("max-cpu-time", seconds(time));
        }
        if let Some(count) = resources.max_processes {
            line("max-processes", toml::Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
        }
        self.gateways_to_toml(&mut out);
        out
    }

    /// Tables come last in TOML.
    fn gateways_to_toml(&self, out: &mut String) {
        let patience = toml::Value::from(Seconds(self.kernel_gateway_patience).to_string());
        let _ = writeln!(out, "kernel-gateway-patience = {patience}");
        let path = |path: &Path| toml::Value::from(path.to_string_lossy().into_owned());
        let is_of_flags = |gateway: &&KernelGatewayConfig| {
            gateway.name == DEFAULT_GATEWAY
                && !matches!(gateway.token, TokenSource::Variable(_) | TokenSource::Nowhere)
        };
        for gateway in self.kernel_gateways.iter().filter(is_of_flags) {
            let _ = writeln!(out, "kernel-gateway = {}", toml::Value::from(gateway.url.clone()));
            if let TokenSource::File(file) = &gateway.token {
                let _ = writeln!(out, "kernel-gateway-token-file = {}", path(file));
            }
        }
        for gateway in self.kernel_gateways.iter().filter(|gateway| !is_of_flags(gateway)) {
            let _ = writeln!(out, "\n[kernel-gateways.{}]", toml::Value::from(gateway.name.clone()));
            let _ = writeln!(out, "url = {}", toml::Value::from(gateway.url.clone()));
            match &gateway.token {
                TokenSource::File(file) => {
                    let _ = writeln!(out, "token-file = {}", path(file));
                }
                TokenSource::Variable(name) => {
                    let _ = writeln!(out, "token-env = {}", toml::Value::from(*name));
                }
                TokenSource::Nowhere | TokenSource::UsualVariables => {}
            }
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.to_toml())
    }
}
