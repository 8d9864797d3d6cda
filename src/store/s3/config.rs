//! Where the bucket is and who we are there.

use std::fmt;
use std::path::PathBuf;

use minio::s3::creds::StaticProvider;
use minio::s3::http::BaseUrl;
use minio::s3::types::{BucketName, Region};
use minio::s3::{MinioClient, MinioClientBuilder};

use super::profile::Profile;
use crate::error::{Error, Result};

const DEFAULT_REGION: &str = "us-east-1";

/// What is needed to use a bucket. `Debug` hides the secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Config {
    /// The bucket; created when absent.
    pub bucket: String,
    /// `http://` or `https://`, host and port of the server; Amazon's own for the region when absent.
    pub endpoint: Option<String>,
    /// The endpoint to write into download URLs, when browsers reach the server by another name than we do.
    pub public_endpoint: Option<String>,
    /// The region, which most servers other than Amazon's ignore.
    pub region: String,
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
    /// A PEM file with certificate authorities to trust beside the public ones.
    pub ca_file: Option<PathBuf>,
}

impl S3Config {
    /// Fills a configuration from the variables that AWS's and MinIO's own tools read; `variable` is
    /// usually `|name| std::env::var(name).ok()`. Empty variables count as absent.
    ///
    /// | value | variables, the first that is set counts |
    /// | --- | --- |
    /// | credentials (pairs) | `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (with `AWS_SESSION_TOKEN`); `MINIO_ACCESS_KEY` and `MINIO_SECRET_KEY`; `MINIO_ROOT_USER` and `MINIO_ROOT_PASSWORD` |
    /// | endpoint | the argument, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `MINIO_ENDPOINT` |
    /// | region | `AWS_REGION`, `AWS_DEFAULT_REGION`, else `us-east-1` |
    /// | certificate authorities | `AWS_CA_BUNDLE` |
    ///
    /// # Errors
    /// `BadInput` when there are no credentials or half of a pair; it names the variables.
    pub fn from_variables(
        bucket: impl Into<String>,
        endpoint: Option<String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let read = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let first = |names: &[&str]| names.iter().find_map(|name| read(name));
        let Some((access_key, secret_key, session_token)) = credentials(&read)? else {
            return Err(Error::bad_input(
                "an S3 store needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY \
                 (or MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or MINIO_ROOT_USER and MINIO_ROOT_PASSWORD)",
            ));
        };
        Ok(Self {
            bucket: bucket.into(),
            endpoint: endpoint
                .filter(|endpoint| !endpoint.trim().is_empty())
                .or_else(|| first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MINIO_ENDPOINT"])),
            public_endpoint: None,
            region: first(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or_else(|| DEFAULT_REGION.to_owned()),
            access_key,
            secret_key,
            session_token,
            ca_file: read("AWS_CA_BUNDLE").map(PathBuf::from),
        })
    }

    /// The same for a person's own objects: what the variables leave open, AWS's files may say
    /// (`~/.aws/credentials`, `~/.aws/config`, `AWS_PROFILE`).
    ///
    /// # Errors
    /// As [`S3Config::from_variables`], and `BadInput` for a profile that is not there.
    pub fn of_a_user(
        bucket: impl Into<String>,
        endpoint: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let read = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let profile = Profile::read(read)?;
        let filled = |name: &str| {
            read(name).or_else(|| match name {
                "AWS_ACCESS_KEY_ID" => profile.get("aws_access_key_id"),
                "AWS_SECRET_ACCESS_KEY" => profile.get("aws_secret_access_key"),
                "AWS_SESSION_TOKEN" => profile.get("aws_session_token"),
                "AWS_CA_BUNDLE" => profile.get("ca_bundle"),
                "AWS_DEFAULT_REGION" => profile.get("region"),
                _ => None,
            })
        };
        // The files' credentials are whole or not at all: half of the environment's and half of theirs fit nothing.
        let from_environment = credentials(&read)?.is_some();
        let variable = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" if from_environment => {
                read(name)
            }
            _ => filled(name),
        };
        if credentials(&variable)?.is_none() {
            let of_profile = match profile.name.as_str() {
                "default" => String::new(),
                name => format!(", and the profile {name:?} holds none"),
            };
            return Err(Error::bad_input(format!(
                "s3:// needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put them into \
                 ~/.aws/credentials{of_profile}"
            )));
        }
        let mut config = Self::from_variables(bucket, endpoint.map(str::to_owned), variable)?;
        config.endpoint = config.endpoint.or_else(|| profile.get("endpoint_url"));
        Ok(config)
    }

    pub(super) fn bucket_name(&self) -> Result<BucketName> {
        BucketName::new_strict(&self.bucket).map_err(|error| {
            Error::bad_input(format!(
                "{:?} is no bucket name: 3 to 63 small letters, digits, dots and hyphens, with a letter or \
                 digit at both ends",
                self.bucket
            ))
            .with_source(error)
        })
    }

    /// A client for the server's own endpoint.
    pub(in crate::store) fn client(&self) -> Result<MinioClient> {
        match &self.endpoint {
            Some(endpoint) => self.client_at(endpoint),
            None => {
                let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
                self.client_at(&format!("https://s3.{}.amazonaws.com{suffix}", self.region))
            }
        }
    }

    /// A client which signs for another endpoint.
    pub(super) fn client_at(&self, endpoint: &str) -> Result<MinioClient> {
        let endpoint = endpoint.trim().trim_end_matches('/');
        let has_scheme = endpoint.starts_with("http://") || endpoint.starts_with("https://");
        // The text is not repeated: some people write a password into it.
        let wrong = || {
            Error::bad_input(
                "the S3 endpoint must be http:// or https://, a host and perhaps a port, such as \
                 http://127.0.0.1:9000, without user, path or query",
            )
        };
        if !has_scheme || endpoint.contains('@') {
            return Err(wrong());
        }
        let mut base_url: BaseUrl = endpoint.parse().map_err(|error| wrong().with_source(error))?;
        if base_url.region.is_empty() {
            base_url.region = Region::new(&self.region).map_err(|error| {
                Error::bad_input(format!("{:?} is no region; correct AWS_REGION", self.region))
                    .with_source(error)
            })?;
        }
        let provider = StaticProvider::new(&self.access_key, &self.secret_key, self.session_token.as_deref());
        MinioClientBuilder::new(base_url)
            .provider(Some(provider))
            .app_info(Some(("bindery".to_owned(), env!("CARGO_PKG_VERSION").to_owned())))
            .ssl_cert_file(self.ca_file.as_deref())
            .build()
            .map_err(|error| {
                let what = match self.ca_file {
                    Some(_) => "cannot use the certificates that AWS_CA_BUNDLE names; it must be a PEM file",
                    None => "cannot set up the connection to the template store",
                };
                Error::bad_input(what).with_source(error)
            })
    }
}

/// Key id, secret and session token, by the first pair of variables that is set.
fn credentials(read: &impl Fn(&str) -> Option<String>) -> Result<Option<(String, String, Option<String>)>> {
    for (id, secret) in [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
        ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
    ] {
        match (read(id), read(secret)) {
            (Some(access_key), Some(secret_key)) => {
                let token = read("AWS_SESSION_TOKEN").filter(|_| id.starts_with("AWS"));
                return Ok(Some((one_line(id, access_key)?, one_line(secret, secret_key)?, token)));
            }
            (None, None) => {}
            (Some(_), None) => return Err(half(id, secret)),
            (None, Some(_)) => return Err(half(secret, id)),
        }
    }
    Ok(None)
}

/// A value that goes into a header. What was read from a file often ends in a line break.
fn one_line(variable: &str, value: String) -> Result<String> {
    let line = value.trim_end_matches(['\r', '\n']);
    if line.chars().any(char::is_control) {
        return Err(Error::bad_input(format!("{variable} holds a line break or another control character")));
    }
    Ok(line.to_owned())
}

fn half(set: &str, missing: &str) -> Error {
    Error::bad_input(format!("{set} is set but {missing} is not; both are needed"))
}

impl fmt::Debug for S3Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3Config")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .field("public_endpoint", &self.public_endpoint)
            .field("region", &self.region)
            .field("access_key", &self.access_key)
            .field("secret_key", &"***")
            .field("session_token", &self.session_token.as_ref().map(|_| "***"))
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(endpoint: Option<&str>, variables: &[(&str, &str)]) -> Result<S3Config> {
        S3Config::from_variables("templates", endpoint.map(str::to_owned), |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const AWS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hush")];

    #[test]
    fn the_variables_of_aws_and_of_minio_are_read() {
        let aws =
            read(None, &[AWS[0], AWS[1], ("AWS_SESSION_TOKEN", "tok"), ("AWS_REGION", "eu-west-1")]).unwrap();
        assert_eq!(
            (aws.access_key.as_str(), aws.secret_key.as_str(), aws.region.as_str()),
            ("id", "hush", "eu-west-1")
        );
        assert_eq!((aws.session_token.as_deref(), aws.endpoint), (Some("tok"), None));
        let minio = read(
            None,
            &[
                ("MINIO_ROOT_USER", "root"),
                ("MINIO_ROOT_PASSWORD", "hush"),
                ("MINIO_ENDPOINT", "http://m:9000"),
                ("AWS_SESSION_TOKEN", "of someone else"),
                ("AWS_ACCESS_KEY_ID", " "),
            ],
        )
        .unwrap();
        assert_eq!((minio.access_key.as_str(), minio.session_token), ("root", None));
        assert_eq!((minio.endpoint.as_deref(), minio.region.as_str()), (Some("http://m:9000"), "us-east-1"));
    }

    #[test]
    fn the_nearest_endpoint_counts() {
        let all = [
            AWS[0],
            AWS[1],
            ("AWS_ENDPOINT_URL", "http://general"),
            ("AWS_ENDPOINT_URL_S3", "http://s3"),
            ("MINIO_ENDPOINT", "http://minio"),
        ];
        assert_eq!(read(Some("http://flag"), &all).unwrap().endpoint.as_deref(), Some("http://flag"));
        assert_eq!(read(None, &all).unwrap().endpoint.as_deref(), Some("http://s3"));
        assert_eq!(read(Some(""), &all[..3]).unwrap().endpoint.as_deref(), Some("http://general"));
    }

    #[test]
    fn missing_credentials_are_named_once() {
        let message = read(None, &[]).unwrap_err().to_string();
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MINIO_ACCESS_KEY", "MINIO_ROOT_PASSWORD"]
        {
            assert!(message.contains(name), "{message}");
        }
        let message = read(None, &AWS[..1]).unwrap_err().to_string();
        assert_eq!(message, "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not; both are needed");
    }

    #[test]
    fn a_user_is_known_by_the_environment_or_by_the_files() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        let file = "[default]\naws_access_key_id=filed\naws_secret_access_key=hush\naws_session_token=old\n\
                    region=eu-west-3\nendpoint_url=http://filed\n[empty]\n";
        std::fs::write(home.path().join(".aws/credentials"), file).unwrap();
        let read = |variables: &[(&str, &str)]| {
            S3Config::of_a_user("b", None, |name| match name {
                "HOME" => Some(home.path().to_str().unwrap().to_owned()),
                _ => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
            })
        };
        let filed = read(&[]).unwrap();
        assert_eq!((filed.access_key.as_str(), filed.session_token.as_deref()), ("filed", Some("old")));
        assert_eq!((filed.region.as_str(), filed.endpoint.as_deref()), ("eu-west-3", Some("http://filed")));
        // A profile that is asked for gives the region, yet the environment's credentials count.
        let both = read(&[AWS[0], AWS[1], ("AWS_PROFILE", "default")]).unwrap();
        assert_eq!(
            (both.access_key.as_str(), both.session_token, both.region.as_str()),
            ("id", None, "eu-west-3")
        );
        assert_eq!(read(&[("AWS_ENDPOINT_URL", "http://e")]).unwrap().endpoint.as_deref(), Some("http://e"));
        let message = read(&[("AWS_PROFILE", "empty")]).unwrap_err().to_string();
        assert!(
            message.starts_with("s3:// needs credentials:") && message.ends_with("\"empty\" holds none"),
            "{message}"
        );
    }

    #[test]
    fn credentials_are_one_line_each() {
        let config =
            read(None, &[("AWS_ACCESS_KEY_ID", "id\n"), ("AWS_SECRET_ACCESS_KEY", "hush\r\n")]).unwrap();
        assert_eq!((config.access_key.as_str(), config.secret_key.as_str()), ("id", "hush"));
        let message = read(None, &[("AWS_ACCESS_KEY_ID", "id\nid"), AWS[1]]).unwrap_err().to_string();
        assert_eq!(message, "AWS_ACCESS_KEY_ID holds a line break or another control character");
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = read(Some("http://s3"), &[AWS[0], AWS[1], ("AWS_SESSION_TOKEN", "hush too")]).unwrap();
        let text = format!("{config:?}");
        assert!(!text.contains("hush") && text.contains("***"), "{text}");
    }

    #[test]
    fn endpoints_that_cannot_be_are_refused_without_repeating_them() {
        for endpoint in
            ["s3.example.com:9000", "ftp://x", "http://", "http://u:hush@h", "http://h/path", "http://h?q=1"]
        {
            let config = read(Some(endpoint), &AWS).unwrap();
            let message = config.client().map(|_| ()).unwrap_err().to_string();
            assert!(message.starts_with("the S3 endpoint must be") && !message.contains("hush"), "{message}");
        }
        for endpoint in [
            None,
            Some("http://127.0.0.1:9000/"),
            Some("https://[::1]:9000"),
            Some("https://s3.amazonaws.com"),
        ] {
            read(endpoint, &AWS).unwrap().client().unwrap();
        }
    }

    #[test]
    fn bucket_names_are_checked_before_anything_is_sent() {
        for bucket in ["", "ab", "Upper", "a_b", "../x", "a..b", "192.168.1.1"] {
            let mut config = read(None, &AWS).unwrap();
            config.bucket = bucket.to_owned();
            assert!(config.bucket_name().unwrap_err().message().contains("is no bucket name"), "{bucket}");
        }
    }
}
