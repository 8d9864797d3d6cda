//! Where the tracking server is, and what it asks for at the door.

use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::error::{Error, Result};

/// What a tracking server may ask for; MLflow's own variables carry the same three.
///
/// `Debug` shows which of them are set, never their values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MlflowCredentials {
    /// `MLFLOW_TRACKING_USERNAME`; used together with the password.
    pub username: Option<String>,
    /// `MLFLOW_TRACKING_PASSWORD`.
    pub password: Option<String>,
    /// `MLFLOW_TRACKING_TOKEN`, sent as a bearer token when there is no user name and password.
    pub token: Option<String>,
}

impl fmt::Debug for MlflowCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = |value: &Option<String>| value.as_ref().map(|_| "***");
        formatter
            .debug_struct("MlflowCredentials")
            .field("username", &masked(&self.username))
            .field("password", &masked(&self.password))
            .field("token", &masked(&self.token))
            .finish()
    }
}

/// What is sent in the `Authorization` header.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Authorization {
    None,
    Basic { username: String, password: String },
    Bearer(String),
}

impl fmt::Debug for Authorization {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(***)",
            Self::Bearer(_) => "Bearer(***)",
        })
    }
}

/// A parsed tracking URI, its credentials apart from its address.
#[derive(Debug, Clone)]
pub(super) struct TrackingServer {
    /// Without userinfo, query, fragment or a slash at the end.
    base: String,
    url: Url,
    pub(super) authorization: Authorization,
}

impl TrackingServer {
    pub(super) fn parse(tracking_uri: &str, credentials: MlflowCredentials) -> Result<Self> {
        let tracking_uri = tracking_uri.trim();
        // The text itself may hold a password, so no message repeats it.
        let mut url = Url::parse(tracking_uri).map_err(|_| {
            Error::bad_input("the MLflow tracking URI is not a URL; give one such as http://127.0.0.1:5000")
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::bad_input(format!(
                "the MLflow tracking URI has the scheme {:?}; only a tracking server over http or https is \
                 supported: run `mlflow server` on that store and give its address",
                url.scheme()
            )));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::bad_input(
                "the MLflow tracking URI must end before any ? or #; give the address of the server only",
            ));
        }
        let authorization = authorization(&url, credentials)?;
        // Neither fails for http and https, which always have a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { base, url, authorization })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// True when the server runs on this machine, so that a path it names means the same path here.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || address.is_unspecified(),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        }
    }

    /// `text` with every secret in it replaced: servers and proxies like to repeat what they were sent.
    pub(super) fn masked(&self, text: &str) -> String {
        let secrets: &[&str] = match &self.authorization {
            Authorization::None => &[],
            Authorization::Basic { password, .. } => &[password.as_str()],
            Authorization::Bearer(token) => &[token.as_str()],
        };
        let mut text = text.to_owned();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "***");
        }
        text
    }
}

fn authorization(url: &Url, credentials: MlflowCredentials) -> Result<Authorization> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    match (url.username(), url.password()) {
        ("", None) => {}
        (username, Some(password)) if !username.is_empty() => {
            return Ok(Authorization::Basic { username: decoded(username), password: decoded(password) });
        }
        _ => {
            return Err(Error::bad_input(
                "the MLflow tracking URI names a user without a password, or a password without a user; \
                 give both, or neither and MLFLOW_TRACKING_TOKEN",
            ));
        }
    }
    Ok(match (given(credentials.username), given(credentials.password), given(credentials.token)) {
        (Some(username), Some(password), _) => Authorization::Basic { username, password },
        (_, _, Some(token)) => Authorization::Bearer(token),
        _ => Authorization::None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tracking_uri: &str, base: &str, authorization: &Authorization) {
        let server = TrackingServer::parse(tracking_uri, MlflowCredentials::default()).unwrap();
        assert_eq!(server.base(), base, "{tracking_uri}");
        assert_eq!(&server.authorization, authorization, "{tracking_uri}");
    }

    #[test]
    fn a_tracking_uri_is_taken_apart() {
        let none = Authorization::None;
        let basic = |username: &str, password: &str| Authorization::Basic {
            username: username.into(),
            password: password.into(),
        };
        check("http://localhost:5000", "http://localhost:5000", &none);
        check("http://localhost:5000/", "http://localhost:5000", &none);
        check(" https://ml.example.org/tracking// ", "https://ml.example.org/tracking", &none);
        check("http://ann:p%40ss@host", "http://host", &basic("ann", "p@ss"));
        check("http://ann:pw@[::1]:5000/x", "http://[::1]:5000/x", &basic("ann", "pw"));
    }

    #[test]
    fn other_tracking_uris_are_refused_without_being_repeated() {
        for (tracking_uri, expected) in [
            ("sqlite:///mlflow.db", "scheme \"sqlite\""),
            ("file:///srv/mlruns", "scheme \"file\""),
            ("databricks", "not a URL"),
            ("./mlruns", "not a URL"),
            ("", "not a URL"),
            ("http://host/?token=hunter2", "must end before"),
            ("http://hunter2@host", "without a password"),
            ("http://:hunter2@host", "without a user"),
            ("postgresql://ann:hunter2@db/mlflow", "scheme \"postgresql\""),
        ] {
            let error = TrackingServer::parse(tracking_uri, MlflowCredentials::default()).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::BadInput, "{tracking_uri}");
            assert!(error.message().contains(expected), "{tracking_uri}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn credentials_are_chosen_as_mlflow_chooses_and_never_shown() {
        let credentials = |username: &str, password: &str, token: &str| MlflowCredentials {
            username: Some(username.into()),
            password: Some(password.into()),
            token: Some(token.into()),
        };
        for (uri, credentials, expected) in [
            ("http://h", credentials("ann", "hunter2", "tok"), "Basic(***)"),
            ("http://h", credentials("ann", "", "tok"), "Bearer(***)"),
            ("http://h", credentials("", "", ""), "None"),
            ("http://u:hunter2@h", credentials("", "", "tok"), "Basic(***)"),
        ] {
            let shown = format!("{credentials:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("tok\""), "{shown}");
            let server = TrackingServer::parse(uri, credentials).unwrap();
            assert_eq!(format!("{:?}", server.authorization), expected);
            assert!(!format!("{server:?}").contains("hunter2"));
            assert!(!server.masked("you sent hunter2").contains("hunter2") || expected != "Basic(***)");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (uri, expected) in [
            ("http://localhost:5000", true),
            ("http://127.0.0.1:5000", true),
            ("http://[::1]:5000", true),
            ("http://10.0.0.1:5000", false),
            ("http://localhost.example.org", false),
        ] {
            let server = TrackingServer::parse(uri, MlflowCredentials::default()).unwrap();
            assert_eq!(server.is_loopback(), expected, "{uri}");
        }
    }
}
