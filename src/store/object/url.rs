//! The forms of URLs that name an object: papermill's (`papermill/iorw.py`, `abs.py`, `adl.py`, `s3.py`) and a few more.

use std::fmt;

use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::config::mask_url;
use crate::error::{Error, Result};

/// The schemes that are known, for messages.
const KNOWN: &str = "s3://, gs://, abs:// (or abfss://), http:// and https://";

/// The URL of one object. `Display` and `Debug` mask what is secret in it.
#[derive(Clone, PartialEq, Eq)]
pub struct ObjectUrl {
    shown: String,
    pub(super) place: Place,
}

/// What a URL comes to.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Place {
    S3 {
        bucket: String,
        key: String,
    },
    Google {
        bucket: String,
        key: String,
    },
    Azure(AzureBlob),
    Http(Url),
    /// A file that GitHub shows; it can only be read.
    GitHub {
        repository: String,
        path: String,
        reference: String,
    },
}

/// A blob, also one of a Data Lake (Gen2), which is a blob container with folders.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct AzureBlob {
    pub(super) account: String,
    /// Of the cloud: `core.windows.net`, or the one of a national cloud.
    pub(super) suffix: String,
    pub(super) container: String,
    pub(super) blob: String,
    /// The shared access signature, as names and values.
    pub(super) sas: Vec<(String, String)>,
}

impl ObjectUrl {
    /// The scheme of what may be a URL, in small letters; `None` for a path.
    pub fn scheme(text: &str) -> Option<String> {
        let (scheme, _) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|next| next.is_ascii_alphanumeric() || "+-.".contains(next));
        is_scheme.then(|| scheme.to_ascii_lowercase())
    }

    /// Reads a URL; `None` for what is a path.
    ///
    /// # Errors
    /// `BadInput` for a scheme that is not known or a URL that names no object. No message repeats a secret.
    pub fn parse(text: &str) -> Option<Result<Self>> {
        let scheme = Self::scheme(text)?;
        let shown = mask_url(text);
        let wrong = |why: &str| Error::bad_input(format!("`{shown}` cannot be used: {why}"));
        let (_, rest) = text.split_once("://").unwrap_or_default();
        let place = match scheme.as_str() {
            "s3" => bucket_and_key(rest).map(|(bucket, key)| Place::S3 { bucket, key }),
            "gs" => bucket_and_key(rest).map(|(bucket, key)| Place::Google { bucket, key }),
            "abs" => blob(rest, &["blob"]).map(Place::Azure),
            "adl" if is_first_data_lake(rest) => Err(
                "Azure has retired Data Lake Storage Gen1 (azuredatalakestore.net); name its successor as \
                 abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
                    .to_owned(),
            ),
            "adl" => blob(rest, &["dfs", "blob"]).map(Place::Azure),
            "abfs" | "abfss" => match rest.split_once('@') {
                Some((container, rest)) if !container.contains(['/', ':']) => {
                    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                    blob(&format!("{host}/{container}/{path}"), &["dfs", "blob"]).map(Place::Azure)
                }
                _ => Err(format!("the form is {scheme}://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH")),
            },
            "http" | "https" => match Url::parse(text) {
                Ok(url) if url.host_str() == Some("github.com") => git_hub(&url),
                Ok(url) => Ok(Place::Http(url)),
                Err(error) => Err(error.to_string()),
            },
            "hdfs" => Err(format!(
                "HDFS is not supported; copy the file with `hdfs dfs -get`, or name it by {KNOWN}"
            )),
            _ => Err(format!("{scheme}:// is not supported; a path, `-`, and URLs of {KNOWN} are")),
        };
        Some(match place {
            Ok(place) => Ok(Self { shown, place }),
            Err(why) => Err(wrong(&why)),
        })
    }

    /// The URL of the object `name` in the folder that `folder` names: a bucket or container, or a prefix in one.
    ///
    /// # Errors
    /// As [`ObjectUrl::parse`], and `BadInput` for `http(s)://`, where nothing tells one state from another.
    pub(super) fn in_folder(folder: &str, name: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let shown = mask_url(folder);
            Error::bad_input(format!(
                "`{shown}` cannot hold notebooks: {why}; the forms are s3://BUCKET/PREFIX, gs://BUCKET/PREFIX and \
                 abs://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX"
            ))
        };
        let scheme = Self::scheme(folder).unwrap_or_default();
        let (_, rest) = folder.split_once("://").unwrap_or_default();
        let (path, query) = match scheme.as_str() {
            "s3" | "gs" => (rest, ""),
            "abs" | "abfs" | "abfss" => rest.split_at(rest.find('?').unwrap_or(rest.len())),
            _ => return Err(wrong("that is no bucket")),
        };
        let path = path.trim_end_matches('/');
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(wrong("no part of it may be empty, `.` or `..`"));
        }
        match Self::parse(&format!("{scheme}://{path}/{name}{query}")) {
            Some(url) => url,
            None => Err(wrong("that is no URL")),
        }
    }

    /// The object's name in its bucket; empty where there are no buckets.
    pub(super) fn key(&self) -> &str {
        match &self.place {
            Place::S3 { key, .. } | Place::Google { key, .. } => key,
            Place::Azure(blob) => &blob.blob,
            Place::Http(_) | Place::GitHub { .. } => "",
        }
    }

    /// As it may be shown and recorded: passwords and signatures are masked.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The last part of its path, `notebook.ipynb` where that is none.
    pub fn file_name(&self) -> &str {
        let path = match &self.place {
            Place::S3 { key, .. } | Place::Google { key, .. } => key,
            Place::Azure(blob) => &blob.blob,
            Place::Http(url) => url.path(),
            Place::GitHub { path, .. } => path,
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.is_empty() { "notebook.ipynb" } else { name }
    }
}

impl fmt::Display for ObjectUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

impl fmt::Debug for ObjectUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ObjectUrl({})", self.shown)
    }
}

fn bucket_and_key(rest: &str) -> Result<(String, String), String> {
    match rest.split_once('/') {
        Some((bucket, _)) if bucket.contains('@') => {
            Err("credentials do not belong into this URL; they come from the environment".to_owned())
        }
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() && !key.ends_with('/') => {
            Ok((bucket.to_owned(), key.to_owned()))
        }
        _ => Err("name the bucket and, behind a slash, the object in it".to_owned()),
    }
}

fn is_first_data_lake(rest: &str) -> bool {
    rest.split('/').next().is_some_and(|host| host.ends_with(".azuredatalakestore.net"))
}

/// `ACCOUNT.blob.SUFFIX/CONTAINER/BLOB?SAS`.
fn blob(rest: &str, services: &[&str]) -> Result<AzureBlob, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let form = || format!("the form is ACCOUNT.{}.core.windows.net/CONTAINER/PATH", services[0]);
    let mut parts = path.splitn(3, '/');
    let (host, container, blob) = (parts.next(), parts.next(), parts.next());
    let (Some(host), Some(container), Some(blob)) = (host, container, blob) else { return Err(form()) };
    let mut labels = host.splitn(3, '.');
    let (account, service, suffix) = (labels.next(), labels.next(), labels.next());
    let (Some(account), Some(service), Some(suffix)) = (account, service, suffix) else { return Err(form()) };
    let is_account = !account.is_empty() && account.chars().all(|it| it.is_ascii_alphanumeric() || it == '-');
    // A signature goes to nobody but Azure.
    let is_azure = ["core.windows.net", "core.chinacloudapi.cn", "core.usgovcloudapi.net"].contains(&suffix);
    if !is_account || !is_azure || !services.contains(&service) || container.is_empty() || blob.is_empty() {
        return Err(form());
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    Ok(AzureBlob {
        account: account.to_owned(),
        suffix: suffix.to_owned(),
        container: container.to_owned(),
        blob: blob.to_owned(),
        sas: pairs.map(|(name, value)| (decoded(name), decoded(value))).collect(),
    })
}

/// `https://github.com/OWNER/REPOSITORY/blob/REF/PATH`.
fn git_hub(url: &Url) -> Result<Place, String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let parts: Vec<_> = url.path_segments().map(|parts| parts.map(decoded).collect()).unwrap_or_default();
    match parts.as_slice() {
        [owner, repository, _, reference, path @ ..] if !path.is_empty() => Ok(Place::GitHub {
            repository: format!("{owner}/{repository}"),
            path: path.join("/"),
            reference: reference.clone(),
        }),
        _ => Err("of GitHub, name a file as https://github.com/OWNER/REPOSITORY/blob/REF/PATH".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Place, String> {
        ObjectUrl::parse(text).unwrap().map(|url| url.place).map_err(|error| error.message().to_owned())
    }

    fn blob_of(text: &str) -> AzureBlob {
        match place(text) {
            Ok(Place::Azure(blob)) => blob,
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn paths_are_no_urls() {
        for path in ["a/b.ipynb", "-", "a b://c", "://x", "/s3:/b"] {
            assert!(ObjectUrl::parse(path).is_none(), "{path}");
        }
    }

    #[test]
    fn buckets_and_keys_are_taken_as_they_stand() {
        let s3 = |bucket: &str, key: &str| Place::S3 { bucket: bucket.into(), key: key.into() };
        assert!(place("s3://b/a/x y%20?z.ipynb") == Ok(s3("b", "a/x y%20?z.ipynb")));
        assert!(place("S3://b/x.ipynb") == Ok(s3("b", "x.ipynb")));
        assert!(place("gs://b/x.ipynb") == Ok(Place::Google { bucket: "b".into(), key: "x.ipynb".into() }));
        for text in ["s3://", "s3://b", "s3://b/", "s3:///x", "gs://b/a/"] {
            assert!(place(text).err().unwrap().contains("name the bucket"), "{text}");
        }
        let message = place("s3://id:hush@b/x.ipynb").err().unwrap();
        assert!(message.contains("from the environment") && !message.contains("hush"), "{message}");
    }

    #[test]
    fn blobs_are_found_in_every_form() {
        let signed = blob_of("abs://acc.blob.core.windows.net/c/a/x.ipynb?sv=1&sig=a%2Bb%3D");
        assert_eq!(
            (signed.account.as_str(), signed.container.as_str(), signed.blob.as_str()),
            ("acc", "c", "a/x.ipynb")
        );
        assert_eq!(signed.sas, [("sv".into(), "1".into()), ("sig".into(), "a+b=".into())]);
        let plain = AzureBlob { sas: Vec::new(), ..signed };
        assert!(blob_of("abfss://c@acc.dfs.core.windows.net/a/x.ipynb") == plain);
        assert!(blob_of("adl://acc.dfs.core.windows.net/c/a/x.ipynb") == plain);
        for text in [
            "abs://acc/c/x",
            "abs://acc.blob.core.windows.net/c",
            "abs://acc.blob.core.windows.net.evil.example/c/x",
            "abs://evil.example/.blob.core.windows.net/c/x",
            "abfss://acc.dfs.core.windows.net/c/x",
        ] {
            assert!(place(text).err().unwrap().contains("the form is"), "{text}");
        }
    }

    #[test]
    fn what_is_not_supported_says_what_is() {
        let check = |text: &str, expected: &str| {
            let message = place(text).err().unwrap();
            assert!(message.contains(expected), "{message}");
        };
        check("adl://store.azuredatalakestore.net/x.ipynb", "retired Data Lake Storage Gen1");
        check("hdfs://h/x.ipynb", "HDFS is not supported");
        check("ftp://u:p@h/x", "`ftp://u:***@h/x` cannot be used: ftp:// is not supported; a path, `-`, and");
        check("http://", "empty host");
        check("https://github.com/owner/repository", "name a file as https://github.com/");
    }

    #[test]
    fn a_file_that_git_hub_shows_is_found() {
        let expected = Place::GitHub {
            repository: "nteract/papermill".into(),
            path: "a b/x.ipynb".into(),
            reference: "main".into(),
        };
        assert!(place("https://github.com/nteract/papermill/blob/main/a%20b/x.ipynb") == Ok(expected));
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        let url = ObjectUrl::parse("https://ada:hush@h/x.ipynb?sig=hush").unwrap().unwrap();
        assert_eq!(url.to_string(), "https://ada:***@h/x.ipynb?sig=***");
        assert!(!format!("{url:?}").contains("hush"));
        assert_eq!(url.file_name(), "x.ipynb");
    }
}
