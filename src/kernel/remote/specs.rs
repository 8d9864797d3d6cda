//! The kernelspecs of a gateway.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::kernel::spec::{InterruptMode, KernelSpec};

/// What a gateway can start.
#[derive(Debug, Clone)]
pub struct GatewaySpecs {
    /// The gateway, for messages.
    pub(super) gateway: String,
    pub(super) answer: Answer,
}

/// The answer to `GET /api/kernelspecs`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    default: String,
    kernelspecs: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Deserialize)]
struct Entry {
    spec: Spec,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Spec {
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    metadata: Map<String, Value>,
}

impl GatewaySpecs {
    /// The kernel that runs a notebook: the one named, else the notebook's own, else the gateway's default. What is
    /// started by the gateway has no program here.
    ///
    /// # Errors
    /// `NotFound` when the gateway has none of this name; it says which it has.
    pub fn choose(&self, named: Option<&str>, of_notebook: Option<&str>) -> Result<KernelSpec> {
        let name = named.or(of_notebook).unwrap_or(&self.answer.default);
        let Some((name, Entry { spec })) = self.answer.kernelspecs.get_key_value(name) else {
            let known: Vec<_> = self.answer.kernelspecs.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Error::not_found(format!(
                "the kernel gateway at {} has no kernel `{name}`; it has: {known}",
                self.gateway
            )));
        };
        let display_name = if spec.display_name.is_empty() { name } else { &spec.display_name };
        Ok(KernelSpec {
            name: name.clone(),
            argv: Vec::new(),
            display_name: display_name.clone(),
            language: spec.language.clone(),
            interrupt_mode: InterruptMode::default(),
            env: Vec::new(),
            metadata: spec.metadata.clone(),
            resource_dir: PathBuf::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_named_counts_before_the_notebooks_and_the_gateways() {
        let answer = r#"{"default": "python3", "kernelspecs": {
            "python3": {"name": "python3", "spec": {"argv": ["python"], "language": "python"}, "resources": {}},
            "spark": {"name": "spark", "spec": {"display_name": "Spark", "language": "scala"}}}}"#;
        let specs =
            GatewaySpecs { gateway: "http://gateway".into(), answer: serde_json::from_str(answer).unwrap() };
        let name = |named, own| specs.choose(named, own).unwrap().name;
        assert_eq!(name(Some("spark"), Some("python3")), "spark");
        assert_eq!(name(None, Some("spark")), "spark");
        assert_eq!(name(None, None), "python3");
        let error = specs.choose(None, Some("r")).unwrap_err();
        assert_eq!(
            error.message(),
            "the kernel gateway at http://gateway has no kernel `r`; it has: python3, spark"
        );
    }
}
