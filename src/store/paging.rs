//! Listing in pages that stay right while templates come and go.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Category, StoredTemplate, TemplateName};
use crate::error::{Error, Result};

/// The most templates in one page, and the most keys that S3 lists in one answer.
pub const MAX_PAGE: usize = 1000;
/// The size of a page when none is asked for.
pub const DEFAULT_PAGE: usize = 100;

/// Which templates to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Only those in this category and in the categories below it; all when absent.
    pub category: Option<Category>,
    /// How many at most, from 1 to [`MAX_PAGE`].
    pub limit: usize,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self { category: None, limit: DEFAULT_PAGE, cursor: None }
    }
}

/// One page of templates, ordered by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The templates. A page may be shorter than its limit, even empty, and still not be the last.
    pub templates: Vec<StoredTemplate>,
    /// What to pass for the next page; absent after the last one.
    pub next_cursor: Option<String>,
}

/// A query with its limit checked and its cursor read.
#[derive(Debug)]
pub(super) struct Page {
    /// What every name begins with; empty for all.
    pub(super) prefix: String,
    pub(super) limit: usize,
    /// Names up to and including this one have been listed already.
    pub(super) after: Option<TemplateName>,
}

impl ListQuery {
    pub(super) fn page(&self) -> Result<Page> {
        if self.limit == 0 || self.limit > MAX_PAGE {
            return Err(Error::bad_input(format!("limit {} must be from 1 to {MAX_PAGE}", self.limit)));
        }
        let prefix = self.category.as_ref().map(Category::prefix).unwrap_or_default();
        let after = self.cursor.as_deref().map(read_cursor).transpose()?;
        Ok(Page { prefix, limit: self.limit, after })
    }
}

/// The cursor is the last name itself, so it holds whatever is added or removed between two pages. It is
/// encoded to keep callers from building one.
pub(super) fn cursor_after(name: &TemplateName) -> String {
    URL_SAFE_NO_PAD.encode(name.as_str())
}

fn read_cursor(cursor: &str) -> Result<TemplateName> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| TemplateName::parse(&text).ok())
        .ok_or_else(|| Error::bad_input("cursor is not one that a listing gave; begin again without it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_its_name() {
        let name = TemplateName::parse("données/a + b.ipynb").unwrap();
        assert_eq!(read_cursor(&cursor_after(&name)).unwrap(), name);
    }

    #[test]
    fn what_no_listing_gave_is_refused() {
        for cursor in ["", "ml/a.ipynb", "%%%", "Li4vLi4v", "_w"] {
            let query = ListQuery { cursor: Some(cursor.to_owned()), ..ListQuery::default() };
            assert!(query.page().unwrap_err().message().contains("cursor"), "{cursor:?}");
        }
        for limit in [0, MAX_PAGE + 1] {
            let query = ListQuery { limit, ..ListQuery::default() };
            assert!(query.page().unwrap_err().message().contains("limit"), "{limit}");
        }
    }
}
