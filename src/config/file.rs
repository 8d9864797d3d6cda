//! The configuration file.

use std::path::Path;

use clap::Args;
use serde::Deserialize as _;

use super::gateways::{GatewaySettings, GatewayTables};
use super::{CONFIG_FILE, DataSettings, LimitSettings, ServiceSettings, Settings, StoreSettings};
use crate::error::{Error, Result};

/// What the file says; nothing when there is none.
#[derive(Default)]
pub(super) struct File {
    pub(super) data: DataSettings,
    pub(super) store: StoreSettings,
    pub(super) service: ServiceSettings,
    pub(super) limits: LimitSettings,
    pub(super) gateways: GatewaySettings,
    /// What stands in `[kernel-gateways.NAME]`.
    pub(super) tables: GatewayTables,
}

/// The setting that is a table, and no flag.
const TABLES: &str = "kernel-gateways";

pub(super) fn read_file(named: Option<&Path>) -> Result<File> {
    let path = named.unwrap_or(Path::new(CONFIG_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            return Ok(File::default());
        }
        Err(error) => {
            return Err(Error::bad_input(format!(
                "the configuration file {} cannot be read: {error}",
                path.display()
            )));
        }
    };
    parse_file(&text, path)
}

fn parse_file(text: &str, path: &Path) -> Result<File> {
    // The parser's text names the line and shows it.
    let fault = |error: toml::de::Error| {
        Error::bad_input(format!("the configuration file {} is faulty: {error}", path.display()))
    };
    let mut table: toml::Table = text.parse().map_err(fault)?;
    let tables = table.remove(TABLES).map(GatewayTables::deserialize);
    let known = known_names();
    if let Some(unknown) = table.keys().find(|key| !known.contains(key)) {
        return Err(Error::bad_input(format!(
            "the configuration file {} has an unknown setting `{unknown}`; known are: {}",
            path.display(),
            known.join(", ")
        )));
    }
    Ok(File {
        data: toml::from_str(text).map_err(fault)?,
        store: toml::from_str(text).map_err(fault)?,
        service: toml::from_str(text).map_err(fault)?,
        limits: toml::from_str(text).map_err(fault)?,
        gateways: toml::from_str(text).map_err(fault)?,
        tables: tables
            .transpose()
            .map_err(|error| {
                let path = path.display();
                Error::bad_input(format!(
                    "the configuration file {path} is faulty at [{TABLES}.NAME]: {error}"
                ))
            })?
            .unwrap_or_default(),
    })
}

/// The settings' names as flags and in the file, which are the same.
fn known_names() -> Vec<String> {
    let command = Settings::augment_args(clap::Command::new("settings"));
    let names = command.get_arguments().filter_map(|argument| argument.get_long());
    names.filter(|name| *name != "config").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_in_the_file_are_named() {
        let check = |text: &str, expected: &str| {
            let error = parse_file(text, Path::new("x.toml")).err().unwrap();
            assert!(error.message().contains(expected), "{}", error.message());
        };
        check("wrokers = 3", "unknown setting `wrokers`");
        check("workers = \"three\"", "invalid type");
        check("workers = ", "line 1");
        check("cell-timeout = \"soon\"", "`soon` is not a time");
        check("[kernel-gateways.x]\nurl = \"http://h\"\ntoken = \"hush\"", "unknown field `token`");
    }
}
