//! Flags that several subcommands share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::file_fault;
use crate::config::{Config, DataSettings, LocalSettings, Settings, StoreSettings, mask_url};
use crate::engine::Engine;
use crate::engine::remote::{self, Remote};
use crate::error::{Error, Result};
use crate::notebook::{ParameterValue, Parameters, parse_cli_value, yaml};

/// What was read from URLs.
pub(super) type Fetched = BTreeMap<PathBuf, String>;

/// Parameters, with papermill's flags.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ParameterFlags {
    /// A parameter; the value is read as True, False, None, an integer or a float where it looks like one
    #[arg(
        short = 'p',
        long,
        num_args = 2,
        value_names = ["NAME", "VALUE"],
        allow_hyphen_values = true,
        help_heading = "Parameters"
    )]
    parameters: Vec<String>,
    /// A parameter whose value is text, whatever it looks like
    #[arg(
        short = 'r',
        long,
        alias = "parameters_raw",
        num_args = 2,
        value_names = ["NAME", "VALUE"],
        allow_hyphen_values = true,
        help_heading = "Parameters"
    )]
    parameters_raw: Vec<String>,
    /// A file of parameters in YAML or JSON, also by URL; `-` is standard input
    #[arg(short = 'f', long, alias = "parameters_file", value_name = "FILE", help_heading = "Parameters")]
    parameters_file: Vec<PathBuf>,
    /// Parameters in YAML, such as 'alpha: 0.1'
    #[arg(
        short = 'y',
        long,
        alias = "parameters_yaml",
        value_name = "YAML",
        allow_hyphen_values = true,
        help_heading = "Parameters"
    )]
    parameters_yaml: Vec<String>,
    /// Parameters in YAML, encoded in base64; of all these flags -b counts least, then -f, -y, -p, and -r most
    #[arg(
        short = 'b',
        long,
        alias = "parameters_base64",
        value_name = "BASE64",
        help_heading = "Parameters"
    )]
    parameters_base64: Vec<String>,
}

impl ParameterFlags {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.parameters.is_empty()
            && self.parameters_raw.is_empty()
            && self.parameters_file.is_empty()
            && self.parameters_yaml.is_empty()
            && self.parameters_base64.is_empty()
    }

    /// The texts of the files that are named by URLs.
    ///
    /// # Errors
    /// As [`Remote::open`] and [`remote::read_text`].
    pub(super) async fn fetch(&self, s3_endpoint: impl Fn() -> Result<Option<String>>) -> Result<Fetched> {
        let mut fetched = Fetched::new();
        for file in &self.parameters_file {
            let Some(text) = file.to_str() else { continue };
            if let Some(found) = Remote::open(text, &s3_endpoint)? {
                fetched.insert(file.clone(), remote::read_text(&found).await?);
            }
        }
        Ok(fetched)
    }

    /// The parameters of all flags.
    ///
    /// # Errors
    /// As [`ParameterFlags::parse_over`].
    pub(super) fn parse(&self) -> Result<Parameters> {
        self.parse_over(Parameters::new(), &Fetched::new())
    }

    /// The parameters of all flags over those given: `-b`, `-f`, `-y`, `-p`, `-r`, a name's last value winning
    /// (`papermill/cli.py`).
    ///
    /// # Errors
    /// `Invalid` for a name that is no identifier; `BadInput` for what is no base64 or YAML, and with its file's
    /// name for a file that cannot be read.
    pub(super) fn parse_over(&self, mut parameters: Parameters, fetched: &Fetched) -> Result<Parameters> {
        let mut add = |more: Parameters| {
            more.iter().try_for_each(|(name, value)| parameters.insert(name, value.clone()))
        };
        for text in &self.parameters_base64 {
            add(yaml::parse_parameters("--parameters-base64", &from_base64(text)?)?)?;
        }
        for file in &self.parameters_file {
            let shown = mask_url(&file.display().to_string());
            let text = match fetched.get(file) {
                Some(text) => text.clone(),
                None => read_text(file)?,
            };
            add(yaml::parse_parameters(&shown, &text)?)?;
        }
        for text in &self.parameters_yaml {
            add(yaml::parse_parameters("--parameters-yaml", text)?)?;
        }
        for pair in self.parameters.chunks_exact(2) {
            parameters.insert(pair[0].as_str(), parse_cli_value(&pair[1]))?;
        }
        for pair in self.parameters_raw.chunks_exact(2) {
            parameters.insert(pair[0].as_str(), ParameterValue::String(pair[1].clone()))?;
        }
        Ok(parameters)
    }
}

/// As Python decodes it: what is not of the alphabet, line breaks for one, is passed over.
fn from_base64(text: &str) -> Result<String> {
    use base64::Engine as _;
    let is_of_alphabet = |character: &char| character.is_ascii_alphanumeric() || "+/=".contains(*character);
    let text: String = text.chars().filter(is_of_alphabet).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| {
        Error::bad_input("--parameters-base64: this is not base64: encode the YAML with `base64`")
            .with_source(error)
    })?;
    String::from_utf8(bytes)
        .map_err(|_| Error::bad_input("--parameters-base64: what it encodes is not text in UTF-8"))
}

fn read_text(file: &Path) -> Result<String> {
    if file.to_str().is_some_and(remote::is_url) {
        return Err(Error::bad_input("parameters are not read from URLs here: name a local file, or `-`"));
    }
    let read = match file == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::not_found(format!("the parameters file {} does not exist", file.display()))
        }
        std::io::ErrorKind::InvalidData => {
            Error::bad_input(format!("the parameters file {} is not text in UTF-8", file.display()))
        }
        _ => file_fault(file, "read", error),
    })
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
    /// The only tree in which the service reads and writes user notebooks: a folder, or a place in an object store
    /// (gs:// and abs:// too) [default: `notebooks` in the data dir]
    #[arg(
        long,
        env = "BINDERY_NOTEBOOKS_ROOT",
        hide_env_values = true,
        value_name = "DIR|s3://BUCKET/PREFIX"
    )]
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
            ..Default::default()
        };
        let parsed = flags.parse().unwrap().to_json().to_string();
        assert_eq!(parsed, r#"{"a":"x","b":true,"c":-2.5,"d":"7"}"#);
        let faulty = ParameterFlags { parameters: words(&["not ok", "1"]), ..Default::default() };
        assert!(faulty.parse().unwrap_err().message().contains("parameters.not ok"));
    }

    #[test]
    fn of_the_flags_the_one_that_papermill_prefers_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yaml");
        std::fs::write(&file, "b: file\nf: file\ny: file\np: file\nr: file\n").unwrap();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let flags = ParameterFlags {
            parameters: words(&["p", "p", "r", "p"]),
            parameters_raw: words(&["r", "r"]),
            parameters_file: vec![file],
            parameters_yaml: words(&["{y: yaml, p: yaml, r: yaml}"]),
            // b: base64\nonly: 010
            parameters_base64: words(&["Yjog YmFzZTY0\nCm9ubHk6IDAxMA=="]),
        };
        let parsed = flags.parse().unwrap().to_json().to_string();
        assert_eq!(parsed, r#"{"b":"file","only":8,"f":"file","y":"yaml","p":"p","r":"r"}"#);
    }
}
