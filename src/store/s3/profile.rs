//! The files in which AWS's tools keep credentials and settings, as botocore reads them.
//!
//! Only what is written there is used: roles to assume, single sign-on and programs to call are not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// What the files say of one profile.
pub(super) struct Profile {
    pub(super) name: String,
    values: BTreeMap<String, String>,
}

impl Profile {
    /// The profile that `AWS_PROFILE` names, else `default`: from `~/.aws/config` (or `AWS_CONFIG_FILE`), and what counts
    /// more, `~/.aws/credentials` (or `AWS_SHARED_CREDENTIALS_FILE`). Files that are not there say nothing.
    ///
    /// # Errors
    /// `BadInput` when the profile that was asked for is in neither file, or a file cannot be read.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let asked = variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE"));
        let home = variable("HOME");
        let expanded = |path: String| match (path.strip_prefix("~/"), &home) {
            (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
            _ => PathBuf::from(path),
        };
        let file = |name: &str, usual: &str| {
            let path = variable(name).map(expanded);
            path.or_else(|| home.as_ref().map(|home| PathBuf::from(home).join(usual)))
        };
        let name = asked.clone().unwrap_or_else(|| "default".to_owned());
        let mut profile = Self { name: name.clone(), values: BTreeMap::new() };
        let mut is_known = false;
        let in_config = if name == "default" { name.clone() } else { format!("profile {name}") };
        for (path, section) in [
            (file("AWS_CONFIG_FILE", ".aws/config"), in_config),
            (file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), name.clone()),
        ] {
            let Some(path) = path else { continue };
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let message = format!("AWS's file {} cannot be read: {}", path.display(), error.kind());
                    return Err(Error::bad_input(message).with_source(error));
                }
            };
            if let Some(values) = section_of(&text, &section) {
                is_known = true;
                profile.values.extend(values);
            }
        }
        if asked.is_some() && !is_known {
            return Err(Error::bad_input(format!(
                "AWS_PROFILE names the profile {name:?}, which is not in AWS's files: correct one of them"
            )));
        }
        Ok(profile)
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| !value.is_empty()).cloned()
    }
}

/// The settings of a section; those that are indented belong to a nested one and are passed over.
fn section_of(text: &str, section: &str) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut is_inside = false;
    for line in text.lines() {
        if line.trim().is_empty() || line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = line.trim_end().strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default();
            // `[profile  "a b"]` is how names with spaces may be written.
            let words = header.replace(['"', '\''], "");
            is_inside = words.split_whitespace().eq(section.split_whitespace());
            if is_inside {
                found.get_or_insert_default();
            }
        } else if is_inside
            && !line.starts_with([' ', '\t'])
            && let Some((name, value)) = line.split_once('=')
            && let Some(values) = &mut found
        {
            let value = value.split(" #").next().unwrap_or_default();
            values.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str, credentials: &str, variables: &[(&str, &str)]) -> Result<Profile> {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
        Profile::read(|name| match name {
            "HOME" => Some(home.path().to_str().unwrap().to_owned()),
            _ => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
        })
    }

    const CONFIG: &str =
        "[default]\nregion = eu-west-1\ns3 =\n  region = nested\n\n[profile team a]\nregion=eu-west-2\n";
    const CREDENTIALS: &str = "# mine\n[default]\naws_access_key_id = one\naws_secret_access_key=a=b+/c\n\
                               [team a]\naws_access_key_id = two\n";

    #[test]
    fn both_files_are_read_and_the_profile_that_is_asked_for_counts() {
        let default = read(CONFIG, CREDENTIALS, &[]).unwrap();
        assert_eq!(default.get("aws_access_key_id").as_deref(), Some("one"));
        assert_eq!(default.get("aws_secret_access_key").as_deref(), Some("a=b+/c"));
        assert_eq!(default.get("region").as_deref(), Some("eu-west-1"));
        let team = read(CONFIG, CREDENTIALS, &[("AWS_PROFILE", "team a")]).unwrap();
        assert_eq!(team.get("aws_access_key_id").as_deref(), Some("two"));
        assert_eq!(team.get("region").as_deref(), Some("eu-west-2"));
        assert_eq!(team.get("aws_secret_access_key"), None);
    }

    #[test]
    fn a_profile_that_is_not_there_is_an_error_only_when_asked_for() {
        assert!(read("", "", &[]).is_ok());
        let error = read(CONFIG, CREDENTIALS, &[("AWS_PROFILE", "other")]).err().unwrap();
        assert!(error.message().contains("the profile \"other\", which is not in AWS's files"));
    }
}
