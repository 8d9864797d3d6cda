//! Flags that several subcommands share.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, DataSettings, LocalSettings, Settings, StoreSettings};
use crate::engine::Engine;
use crate::error::Result;
use crate::notebook::{ParameterValue, Parameters, parse_cli_value};

/// Parameters, with papermill's flags.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ParameterFlags {
    /// A parameter; the value is read as True, False, None, an integer or a float where it looks like one
    #[arg(short = 'p', long, num_args = 2, value_names = ["NAME", "VALUE"], allow_hyphen_values = true)]
    parameters: Vec<String>,
    /// A parameter whose value is text, whatever it looks like
    #[arg(short = 'r', long, alias = "parameters_raw", num_args = 2, value_names = ["NAME", "VALUE"], allow_hyphen_values = true)]
    parameters_raw: Vec<String>,
}

impl ParameterFlags {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.parameters_raw.is_empty()
    }

    /// The parameters: those of `-p`, then those of `-r`, a name's last value winning (`papermill/cli.py`).
    ///
    /// # Errors
    /// `Invalid` for a name that is no identifier.
    pub(super) fn parse(&self) -> Result<Parameters> {
        let mut parameters = Parameters::new();
        for pair in self.parameters.chunks_exact(2) {
            parameters.insert(pair[0].as_str(), parse_cli_value(&pair[1]))?;
        }
        for pair in self.parameters_raw.chunks_exact(2) {
            parameters.insert(pair[0].as_str(), ParameterValue::String(pair[1].clone()))?;
        }
        Ok(parameters)
    }
}

/// The settings of commands that work on what a service works on, without one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct EngineFlags {
    /// Configuration file [default: bindery.toml where it exists]
    #[arg(long, env = "BINDERY_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: DataSettings,
    #[command(flatten)]
    store: StoreSettings,
    /// Database [default: sqlite:DATA_DIR/bindery.db]
    #[arg(long, env = "BINDERY_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    /// The only tree in which the service reads and writes user notebooks [default: `notebooks` in the data dir]
    #[arg(long, env = "BINDERY_NOTEBOOKS_ROOT", hide_env_values = true, value_name = "DIR")]
    notebooks_root: Option<PathBuf>,
    /// Where the service listens [default: 127.0.0.1:8002]
    #[arg(long, env = "BINDERY_LISTEN", hide_env_values = true, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
}

impl EngineFlags {
    /// Opens the engine on the data that the flags, the environment and the configuration file name.
    ///
    /// # Errors
    /// As [`Config::resolve`] and [`Engine::open`].
    pub(super) async fn open(self) -> Result<Engine> {
        let mut settings = Settings::try_from(LocalSettings { config: self.config, data: self.data })?;
        settings.store = self.store;
        settings.service.database_url = self.database_url;
        settings.service.notebooks_root = self.notebooks_root;
        settings.service.listen = self.listen;
        Engine::open(Config::resolve(settings)?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_typed_unless_raw_and_the_last_value_wins() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let flags = ParameterFlags {
            parameters: words(&["a", "1", "b", "True", "c", "-2.5", "a", "x", "d", "7"]),
            parameters_raw: words(&["d", "7"]),
        };
        let parsed = flags.parse().unwrap().to_json().to_string();
        assert_eq!(parsed, r#"{"a":"x","b":true,"c":-2.5,"d":"7"}"#);
        let faulty = ParameterFlags { parameters: words(&["not ok", "1"]), ..Default::default() };
        assert!(faulty.parse().unwrap_err().message().contains("parameters.not ok"));
    }
}
