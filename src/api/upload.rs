//! The multipart form of an upload.

use std::fmt::Display;

use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use percent_encoding::percent_decode_str;

use super::error::Problem;
use super::extract::DRAIN;
use crate::engine::Engine;
use crate::engine::templates::TemplateUpload;
use crate::error::Error;

/// The largest value of a field that is text, in bytes.
const MAX_TEXT: usize = 65_536;

/// Reads the form: `file`, and perhaps `category`, `description` and `overwrite`, in any order. Other fields are
/// ignored.
///
/// # Errors
/// When it is no form, when a field is missing, twice there or too large.
pub(super) async fn read(request: Request, engine: &Engine) -> Result<TemplateUpload, Problem> {
    let limit = usize::try_from(engine.config().max_notebook_size).unwrap_or(usize::MAX);
    let mut form = Multipart::from_request(request, &()).await.map_err(no_form)?;
    let mut budget = Budget { left: limit.saturating_add(DRAIN) };
    let (mut file, mut category, mut description, mut overwrite) = (None, None, None, None);
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" => {
                let file_name = file_name(&field);
                let bytes = budget.read(&mut field, limit).await?.ok_or_else(|| {
                    let message = format!("the notebook is larger than the limit of {limit} bytes");
                    Error::too_large(message).with_field("file", "is too large")
                })?;
                once(&name, &mut file, (file_name, bytes))?;
            }
            "category" => once(&name, &mut category, budget.text(&name, &mut field).await?)?,
            "description" => once(&name, &mut description, budget.text(&name, &mut field).await?)?,
            "overwrite" => {
                let text = budget.text(&name, &mut field).await?;
                once(&name, &mut overwrite, flag(&text)?)?;
            }
            _ => drop(budget.read(&mut field, 0).await?),
        }
    }
    let Some((file_name, bytes)) = file else {
        return Err(refuse("file", "is missing: the form must have the notebook in it").into());
    };
    let Some(file_name) = file_name.filter(|name| !name.is_empty()) else {
        return Err(refuse("file", "has no file name: send one, it becomes the template's").into());
    };
    Ok(TemplateUpload {
        file_name,
        category,
        description: description.unwrap_or_default(),
        overwrite: overwrite.unwrap_or(false),
        bytes: bytes.into(),
    })
}

/// How many bytes of the form may still be read, those to be thrown away included.
struct Budget {
    left: usize,
}

impl Budget {
    /// The field's bytes, or `None` above `limit`; read to its end all the same, so that the client gets to
    /// hear the answer.
    async fn read(&mut self, field: &mut Field<'_>, limit: usize) -> Result<Option<Vec<u8>>, Problem> {
        let mut bytes = Some(Vec::new());
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            self.left = self
                .left
                .checked_sub(chunk.len())
                .ok_or_else(|| Error::too_large("the form is larger than can be read"))?;
            match &mut bytes {
                Some(bytes) if bytes.len() + chunk.len() <= limit => bytes.extend_from_slice(&chunk),
                _ => bytes = None,
            }
        }
        Ok(bytes)
    }

    async fn text(&mut self, name: &str, field: &mut Field<'_>) -> Result<String, Problem> {
        let Some(bytes) = self.read(field, MAX_TEXT).await? else {
            let message = format!("the field `{name}` is larger than {MAX_TEXT} bytes");
            return Err(Error::too_large(message).with_field(name, "is too large").into());
        };
        Ok(String::from_utf8(bytes).map_err(|_| refuse(name, "is not UTF-8 text"))?)
    }
}

/// A form's truth value, as the usual clients write it.
fn flag(text: &str) -> Result<bool, Error> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "" | "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(refuse("overwrite", "must be `true` or `false`")),
    }
}

fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(refuse(name, "may be there only once")),
    }
}

/// The file's name: as RFC 5987 writes it (`filename*`, which some clients do for names beyond ASCII), else as
/// it stands.
fn file_name(field: &Field<'_>) -> Option<String> {
    let disposition = field.headers().get(header::CONTENT_DISPOSITION);
    let disposition = disposition.and_then(|value| value.to_str().ok()).unwrap_or_default();
    extended_file_name(disposition).or_else(|| field.file_name().map(str::to_owned))
}

fn extended_file_name(disposition: &str) -> Option<String> {
    let value = disposition.split(';').find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        name.eq_ignore_ascii_case("filename*").then_some(value)
    })?;
    let (charset, value) = value.split_once('\'')?;
    let (_, value) = value.split_once('\'')?;
    let decoded = percent_decode_str(value).decode_utf8().ok()?;
    charset.eq_ignore_ascii_case("utf-8").then(|| decoded.into_owned())
}

fn refuse(field: &str, what: impl Display) -> Error {
    Error::invalid(format!("the field `{field}` {what}")).with_field(field, what.to_string())
}

fn no_form(rejection: MultipartRejection) -> Problem {
    let detail = "the body must be a form: send it as multipart/form-data with the notebook in `file`";
    match rejection {
        MultipartRejection::InvalidBoundary(_) => {
            Problem::of_http(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
        }
        _ => Error::bad_input(detail).into(),
    }
}

fn broken(error: MultipartError) -> Problem {
    Error::bad_input("the multipart form is broken off or malformed").with_source(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_beyond_ascii_is_read() {
        let check = |disposition: &str, expected: Option<&str>| {
            assert_eq!(extended_file_name(disposition).as_deref(), expected, "{disposition}");
        };
        check("form-data; name=\"file\"; filename*=UTF-8''%C3%BC%20x.ipynb", Some("ü x.ipynb"));
        check("form-data; name=\"file\"; filename*=utf-8'de'a.ipynb", Some("a.ipynb"));
        check("form-data; name=\"file\"; filename*=iso-8859-1''%FC.ipynb", None);
        check("form-data; name=\"file\"; filename=\"a.ipynb\"", None);
    }

    #[test]
    fn flags_are_what_clients_write() {
        for (text, expected) in [("True", true), ("1", true), ("on", true), ("", false), ("false", false)] {
            assert_eq!(flag(text).unwrap(), expected, "{text}");
        }
        assert_eq!(flag("perhaps").unwrap_err().fields()[0].field, "overwrite");
    }
}
