//! The kernel gateways that executions may name.
//!
//! Only what the operator has configured is ever called: a request names a gateway, and brings no address of its own.
//! A token is never part of the configuration, only the file or the variable that it is in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::Url;
use serde::Deserialize;

use super::Seconds;
use crate::error::{Error, Result};

/// The variables that the token of a gateway is taken from that nothing else is said of: ours, and the one that Jupyter
/// Server reads for its own `--gateway-url`.
pub const TOKEN_VARIABLES: [&str; 2] = ["BINDERY_KERNEL_GATEWAY_TOKEN", "JUPYTER_GATEWAY_AUTH_TOKEN"];
/// The name of the gateway that flags and variables configure.
pub const DEFAULT_GATEWAY: &str = "default";

/// Kernels elsewhere.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct GatewaySettings {
    /// Address of a Jupyter Server, Kernel Gateway or Enterprise Gateway whose kernels executions may ask for, under the
    /// name `default`; the configuration file can name more, in `[kernel-gateways.NAME]`
    #[arg(long, env = "BINDERY_KERNEL_GATEWAY", hide_env_values = true, value_name = "URL")]
    pub kernel_gateway: Option<String>,
    /// File with its token [default: the variables BINDERY_KERNEL_GATEWAY_TOKEN and JUPYTER_GATEWAY_AUTH_TOKEN]
    #[arg(long, env = "BINDERY_KERNEL_GATEWAY_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    pub kernel_gateway_token_file: Option<PathBuf>,
    /// How long a gateway may be away from a run before the run fails [default: 5m]
    #[arg(long, env = "BINDERY_KERNEL_GATEWAY_PATIENCE", hide_env_values = true, value_name = "TIME")]
    pub kernel_gateway_patience: Option<Seconds>,
}

impl GatewaySettings {
    /// What is said here, and where nothing is said, what `other` says. The token goes with the address.
    pub(super) fn or(self, other: Self) -> Self {
        let token_file = self.kernel_gateway_token_file;
        let (kernel_gateway, kernel_gateway_token_file) = match self.kernel_gateway {
            Some(url) => (Some(url), token_file),
            None => (other.kernel_gateway, token_file.or(other.kernel_gateway_token_file)),
        };
        let kernel_gateway_patience = self.kernel_gateway_patience.or(other.kernel_gateway_patience);
        Self { kernel_gateway, kernel_gateway_token_file, kernel_gateway_patience }
    }
}

/// What `[kernel-gateways.NAME]` says.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct GatewayTable {
    url: String,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
}

/// The tables of the configuration file, by name.
pub(super) type GatewayTables = BTreeMap<String, GatewayTable>;

/// A gateway that executions may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelGatewayConfig {
    /// Its name.
    pub name: String,
    /// Its address, without a slash at the end.
    pub url: String,
    /// Where its token is.
    pub token: TokenSource,
}

/// Where a token is. It is read when it is needed, so that it can be changed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// There is none.
    Nowhere,
    /// In a file.
    File(PathBuf),
    /// In the first of [`TOKEN_VARIABLES`] that is set.
    UsualVariables,
    /// In a variable. The name lives as long as the process.
    Variable(&'static str),
}

/// The gateways, and how long one may be away.
pub(super) fn resolve(
    settings: GatewaySettings,
    tables: GatewayTables,
) -> Result<(Vec<KernelGatewayConfig>, Duration)> {
    let mut gateways = Vec::new();
    if let Some(url) = settings.kernel_gateway.filter(|url| !url.is_empty()) {
        let token = settings.kernel_gateway_token_file.map_or(TokenSource::UsualVariables, TokenSource::File);
        gateways.push(KernelGatewayConfig {
            name: DEFAULT_GATEWAY.into(),
            url: gateway_address(&url)?,
            token,
        });
    }
    for (name, GatewayTable { url, token_file, token_env }) in tables {
        let place = |error: Error| Error::bad_input(format!("[kernel-gateways.{name}]: {}", error.message()));
        if name.is_empty() || name.contains("://") {
            return Err(place(Error::bad_input("a gateway's name must not be empty or an address")));
        }
        let token = match (token_file, token_env) {
            (Some(_), Some(_)) => {
                return Err(place(Error::bad_input("say either `token-file` or `token-env`")));
            }
            (Some(file), None) => TokenSource::File(file),
            // Configuration is read once in a process.
            (None, Some(variable)) => TokenSource::Variable(variable.leak()),
            (None, None) => TokenSource::Nowhere,
        };
        if gateways.iter().all(|gateway| gateway.name != name) {
            gateways.push(KernelGatewayConfig { url: gateway_address(&url).map_err(place)?, name, token });
        }
    }
    let patience = settings.kernel_gateway_patience.map_or(Duration::from_secs(300), |time| time.0);
    Ok((gateways, patience))
}

/// The address of a gateway without a slash at the end. Its kernels are at `api/kernels` below it.
///
/// # Errors
/// `BadInput` when it is no `http://` or `https://` URL, or has a user, a password or a query. What may be secret in it is
/// not repeated.
pub fn gateway_address(text: &str) -> Result<String> {
    let url = Url::parse(text.trim()).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let Some(mut url) = url.filter(Url::has_host) else {
        return Err(Error::bad_input("the address of a kernel gateway must be an http:// or https:// URL"));
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(Error::bad_input(
            "the address of a kernel gateway has no user, password or token in it, because addresses are logged and \
             shown; a token belongs into the variable BINDERY_KERNEL_GATEWAY_TOKEN, the file of \
             --kernel-gateway-token-file, or what `token-file` or `token-env` in [kernel-gateways.NAME] of bindery.toml \
             names",
        ));
    }
    url.set_fragment(None);
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(text: &str) -> GatewayTables {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn addresses_have_no_secrets_and_no_slash_at_their_end() {
        let shown = |text: &str| gateway_address(text).unwrap();
        assert_eq!(shown("http://127.0.0.1:8888"), "http://127.0.0.1:8888");
        assert_eq!(shown(" https://hub.example.org/user/ada/ "), "https://hub.example.org/user/ada");
        for wrong in ["", "127.0.0.1:8888", "ftp://host", "http://", "ws://host"] {
            assert!(gateway_address(wrong).unwrap_err().message().contains("http://"), "{wrong}");
        }
        for secret in ["http://u:hush@host", "http://hush@host", "http://host/?token=hush"] {
            let error = gateway_address(secret).unwrap_err();
            assert!(error.message().contains("BINDERY_KERNEL_GATEWAY_TOKEN"), "{error}");
            assert!(!error.message().contains("hush"), "{error}");
        }
    }

    #[test]
    fn gateways_come_from_the_flags_and_the_file() {
        let settings = GatewaySettings { kernel_gateway: Some("http://a/".into()), ..Default::default() };
        let file = tables(
            "default = { url = 'http://b' }\nspark = { url = 'https://c/x/', token-env = 'SPARK' }\n\
             y = { url = 'http://y', token-file = '/run/y' }",
        );
        let (gateways, patience) = resolve(settings, file).unwrap();
        let shown: Vec<_> =
            gateways.iter().map(|it| (it.name.as_str(), it.url.as_str(), &it.token)).collect();
        assert_eq!(
            shown,
            [
                ("default", "http://a", &TokenSource::UsualVariables),
                ("spark", "https://c/x", &TokenSource::Variable("SPARK")),
                ("y", "http://y", &TokenSource::File("/run/y".into())),
            ]
        );
        assert_eq!(patience, Duration::from_secs(300));
    }

    #[test]
    fn faults_name_the_table() {
        for (text, expected) in [
            ("x = { url = 'nowhere' }", "[kernel-gateways.x]: the address"),
            (
                "x = { url = 'http://h', token-file = 'a', token-env = 'b' }",
                "[kernel-gateways.x]: say either",
            ),
        ] {
            let error = resolve(GatewaySettings::default(), tables(text)).unwrap_err();
            assert!(error.message().starts_with(expected), "{error}");
        }
        assert!(toml::from_str::<GatewayTables>("x = { url = 'http://h', token = 'hush' }").is_err());
    }
}
