//! Files of a run: through the tracking server's artifact proxy, or straight into its folder when that is
//! on this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

use super::rest::Repeat;
use super::{MlflowClient, MlflowRun};
use crate::error::{Error, Result};

/// Where MLflow's artifact proxy lives (`MlflowArtifactsRepository.resolve_uri`).
const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";
/// What must be encoded inside one segment of a path.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Where the bytes of an artifact go.
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    Put { url: Url, with_credentials: bool },
    Folder(PathBuf),
}

impl MlflowClient {
    /// Stores `bytes` as the artifact `path` (relative, `/` between folders) of the run.
    ///
    /// `#` and `%` in `path` become `_`: MLflow 3 refuses the one, and decodes the other a second time.
    ///
    /// Works for the artifact proxy (`mlflow-artifacts:`, the server's default), for `http(s):` roots, and
    /// for folders when the tracking server runs on this machine: a path that another machine names is
    /// never written here.
    ///
    /// # Errors
    /// `BadInput` for a path that leaves the run's folder; `Unavailable`, beginning "… was not uploaded
    /// because …", when the root is of another kind (`s3:`, `gs:`, `dbfs:`), not on this machine, or the
    /// server refuses.
    pub async fn log_artifact(
        &self,
        run: &MlflowRun,
        path: &str,
        bytes: Bytes,
        content_type: &str,
    ) -> Result<()> {
        let named = path.replace(['#', '%'], "_");
        let segments = segments(&named)?;
        let refused = |why: String| Error::unavailable(format!("{path} was not uploaded because {why}"));
        match self.destination(run, &segments).map_err(refused)? {
            Destination::Folder(target) => write(target, bytes).await.map_err(|error| {
                let why = format!("MLflow's artifact folder cannot be written ({})", error.kind());
                refused(why).with_source(error)
            }),
            Destination::Put { url, with_credentials } => {
                let timeout = self.options.request_timeout + Duration::from_secs(bytes.len() as u64 >> 20);
                let build = || {
                    self.http
                        .put(url.clone())
                        .header(CONTENT_TYPE, content_type)
                        .timeout(timeout)
                        .body(bytes.clone())
                };
                let call = "the upload of an artifact";
                let answer = if with_credentials {
                    self.send(call, Repeat::Safe, build).await
                } else {
                    self.send_as_built(call, Repeat::Safe, build).await
                };
                answer.map(|_| ()).map_err(|fault| {
                    let error = fault.into_error(call);
                    Error::new(error.kind(), format!("{path} was not uploaded because {error}"))
                        .with_source(error)
                })
            }
        }
    }

    fn destination(&self, run: &MlflowRun, segments: &[&str]) -> Result<Destination, String> {
        let root = run.artifact_uri.trim_end_matches('/');
        let encoded: String =
            segments.iter().map(|segment| format!("/{}", utf8_percent_encode(segment, SEGMENT))).collect();
        let (scheme, rest) = match root.split_once(':') {
            // One letter is a drive of Windows.
            Some((scheme, rest)) if scheme.len() > 1 && !scheme.contains('/') => (scheme, rest),
            _ => ("", root),
        };
        match scheme.to_ascii_lowercase().as_str() {
            "mlflow-artifacts" => {
                let (host, path) = match rest.strip_prefix("//") {
                    Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
                    None => ("", rest),
                };
                let server = self.server.url();
                let text = if host.is_empty() {
                    format!("{}{PROXY}/{}{encoded}", self.server.base(), path.trim_matches('/'))
                } else {
                    let prefix = server.path().trim_end_matches('/');
                    format!("{}://{host}{prefix}{PROXY}/{}{encoded}", server.scheme(), path.trim_matches('/'))
                };
                self.put(&text)
            }
            "http" | "https" => self.put(&format!("{root}{encoded}")),
            "" | "file" => self.folder(run, scheme, rest, segments).map(Destination::Folder),
            other => Err(format!(
                "MLflow keeps artifacts in {other}: storage, which only its server has the keys for; run it \
                 with --serve-artifacts"
            )),
        }
    }

    fn put(&self, text: &str) -> Result<Destination, String> {
        let url = Url::parse(text).map_err(|_| "MLflow's artifact root is not a URL".to_owned())?;
        // Anyone who may make an experiment may choose its artifact root: our credentials go to the
        // tracking server's host only.
        let server = self.server.url();
        let with_credentials = url.scheme() == server.scheme() && url.host_str() == server.host_str();
        Ok(Destination::Put { url, with_credentials })
    }

    fn folder(
        &self,
        run: &MlflowRun,
        scheme: &str,
        rest: &str,
        segments: &[&str],
    ) -> Result<PathBuf, String> {
        let advice = "run the server with --serve-artifacts";
        if !self.server.is_loopback() {
            return Err(format!("MLflow keeps artifacts in a folder of another machine; {advice}"));
        }
        let path = match (scheme, rest.strip_prefix("//")) {
            ("", _) => rest.to_owned(),
            (_, None) => percent_decode_str(rest).decode_utf8_lossy().into_owned(),
            (_, Some(rest)) => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                percent_decode_str(path).decode_utf8_lossy().into_owned()
            }
        };
        let root = Path::new(&path);
        if !root.is_absolute() {
            return Err(format!("MLflow names its artifact folder by a relative path; {advice}"));
        }
        // MLflow always appends `{run}/artifacts`. Without that end the root is something else, and a
        // stranger's experiment could have us write anywhere.
        let inside_run = root.ends_with(Path::new(&run.run_id).join("artifacts"));
        if !inside_run || root.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(format!("MLflow's artifact folder is not that of the run; {advice}"));
        }
        Ok(segments.iter().fold(root.to_owned(), |target, segment| target.join(segment)))
    }
}

fn segments(path: &str) -> Result<Vec<&str>> {
    let segments: Vec<_> = path.split('/').collect();
    let faulty = |segment: &&str| {
        matches!(*segment, "" | "." | "..")
            || segment.contains(['\\', ':'])
            || segment.chars().any(char::is_control)
    };
    if segments.iter().any(faulty) {
        return Err(Error::bad_input(format!(
            "{path:?} cannot be an artifact's path; give a relative one such as notebook/executed.ipynb"
        )));
    }
    Ok(segments)
}

/// Writes beside the target and renames, so that nobody sees half a notebook.
async fn write(target: PathBuf, bytes: Bytes) -> std::io::Result<()> {
    let write = move || {
        let folder = target.parent().unwrap_or(&target);
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".bindery-").tempfile_in(folder)?;
        std::io::Write::write_all(&mut file, &bytes)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // MLflow's server, perhaps another account, must be able to read it.
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(&target)?;
        Ok(())
    };
    tokio::task::spawn_blocking(write).await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mlflow::MlflowCredentials;

    fn destination(tracking_uri: &str, artifact_uri: &str, path: &str) -> Result<String, String> {
        let client = MlflowClient::new(tracking_uri, MlflowCredentials::default()).unwrap();
        let run = MlflowRun {
            experiment_id: "1".into(),
            run_id: "abc".into(),
            url: String::new(),
            artifact_uri: artifact_uri.into(),
            notes: Vec::new(),
        };
        Ok(match client.destination(&run, &segments(path).unwrap())? {
            Destination::Folder(path) => path.display().to_string(),
            Destination::Put { url, with_credentials: true } => url.to_string(),
            Destination::Put { url, with_credentials: false } => format!("anonymous {url}"),
        })
    }

    #[test]
    fn an_artifact_uri_says_where_the_bytes_go() {
        let local = "http://localhost:5000";
        let proxy = "http://localhost:5000/api/2.0/mlflow-artifacts/artifacts";
        for (tracking_uri, artifact_uri, expected) in [
            (local, "mlflow-artifacts:/1/abc/artifacts", format!("{proxy}/1/abc/artifacts/d/a%20b.html")),
            ("https://h/ml/", "mlflow-artifacts:/1/abc/artifacts",
             "https://h/ml/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts/d/a%20b.html".into()),
            (local, "mlflow-artifacts://localhost:9000/x/1/abc/artifacts",
             "http://localhost:9000/api/2.0/mlflow-artifacts/artifacts/x/1/abc/artifacts/d/a%20b.html".into()),
            (local, "mlflow-artifacts://evil.example/1/abc/artifacts",
             "anonymous http://evil.example/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts/d/a%20b.html".into()),
            (local, "http://localhost:5000/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts",
             format!("{proxy}/1/abc/artifacts/d/a%20b.html")),
            (local, "/srv/mlruns/1/abc/artifacts", "/srv/mlruns/1/abc/artifacts/d/a b.html".into()),
            (local, "file:///srv/ml%20runs/1/abc/artifacts/", "/srv/ml runs/1/abc/artifacts/d/a b.html".into()),
            (local, "file://localhost/srv/1/abc/artifacts", "/srv/1/abc/artifacts/d/a b.html".into()),
        ] {
            assert_eq!(destination(tracking_uri, artifact_uri, "d/a b.html"), Ok(expected), "{artifact_uri}");
        }
    }

    #[test]
    fn other_artifact_uris_say_why_not() {
        for (tracking_uri, artifact_uri, expected) in [
            ("http://localhost", "s3://bucket/1/abc/artifacts", "s3: storage"),
            ("http://localhost", "wasbs://c@a.example/1/abc/artifacts", "wasbs: storage"),
            ("http://10.0.0.1", "/srv/mlruns/1/abc/artifacts", "another machine"),
            ("http://localhost", "./mlruns/1/abc/artifacts", "relative path"),
            ("http://localhost", "", "relative path"),
            ("http://localhost", "/etc", "not that of the run"),
            ("http://localhost", "/srv/../etc/abc/artifacts", "not that of the run"),
            ("http://localhost", "file:///etc/cron.d/abc", "not that of the run"),
        ] {
            let why = destination(tracking_uri, artifact_uri, "a").unwrap_err();
            assert!(why.contains(expected), "{artifact_uri}: {why}");
            assert!(!why.contains("/srv") && !why.contains("bucket"), "{why}");
        }
    }

    #[test]
    fn an_artifacts_path_stays_inside_its_run() {
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a\\b", "c:x", "a\0b"] {
            assert_eq!(segments(path).unwrap_err().kind(), crate::ErrorKind::BadInput, "{path:?}");
        }
        assert_eq!(segments("notebook/größe.html").unwrap(), ["notebook", "größe.html"]);
    }
}
