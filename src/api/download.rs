//! A notebook as a file to save.

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The media type of notebooks.
pub(super) const NOTEBOOK_TYPE: &str = "application/x-ipynb+json";

/// What RFC 5987 lets stand unencoded in `filename*`.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What may stand in a segment of a path.
const SEGMENT: &AsciiSet = VALUE;

/// A notebook to be saved as `name`; never shown as a page, whatever is in it.
pub(super) fn notebook(name: &str, bytes: impl Into<Bytes>) -> Response {
    // For clients that do not know `filename*`.
    let plain: String =
        name.chars().map(|character| if is_plain(character) { character } else { '_' }).collect();
    let encoded = utf8_percent_encode(name, VALUE);
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    // Both parts are printable ASCII by construction.
    let disposition = HeaderValue::try_from(disposition).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(NOTEBOOK_TYPE)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    (headers, bytes.into()).into_response()
}

/// A name with slashes as the end of a URL's path.
pub(super) fn as_path(name: &str) -> String {
    let segments: Vec<_> =
        name.split('/').map(|segment| utf8_percent_encode(segment, SEGMENT).to_string()).collect();
    segments.join("/")
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || " ._-()+@,=".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_name_and_breaks_no_header() {
        let response = notebook("ü \"x\"\r\n.ipynb", Bytes::new());
        assert_eq!(
            response.headers()["content-disposition"],
            "attachment; filename=\"_ _x___.ipynb\"; filename*=UTF-8''%C3%BC%20%22x%22%0D%0A.ipynb"
        );
    }
}
