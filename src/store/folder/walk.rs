//! Listing the folder: every regular `.ipynb` file whose path is a template's name.

use std::fs::{self, FileType};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::disk::{Folder, unusable};
use crate::error::{ErrorKind as Kind, Result};
use crate::store::paging::{Page, cursor_after};
use crate::store::{ListPage, MAX_CATEGORY_DEPTH, TemplateName};

impl Folder {
    pub(super) fn list(&self, page: &Page) -> Result<ListPage> {
        let mut names = Vec::new();
        let start = self.root.join(&page.prefix);
        match self.walk(&start, &page.prefix, &mut names) {
            // A category of which there is nothing is empty; a root which is not there is a fault.
            Err(error) if is_absent(&error) && !page.prefix.is_empty() => {
                fs::read_dir(&self.root).map_err(|error| unusable("read from", error))?;
            }
            result => result.map_err(|error| unusable("read from", error))?,
        }
        names.retain(|name| page.after.as_ref().is_none_or(|after| name > after));
        names.sort_unstable();
        let more = names.len() > page.limit;
        names.truncate(page.limit);
        let next_cursor = names.last().filter(|_| more).map(cursor_after);
        let mut templates = Vec::with_capacity(names.len());
        for name in names {
            match self.head(name) {
                Ok(template) => templates.push(template),
                // Deleted since its name was read.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ListPage { templates, next_cursor })
    }

    /// Adds the names of all templates in `folder`; they begin with `prefix`, which is empty or ends in `/`.
    fn walk(&self, folder: &Path, prefix: &str, names: &mut Vec<TemplateName>) -> io::Result<()> {
        if !prefix.is_empty() && !fs::canonicalize(folder).is_ok_and(|folder| self.holds(&folder)) {
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let file_name = entry.file_name();
            // Hidden files are ours or nobody's business; names that are not text are no templates' names.
            let Some(file_name) = file_name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let full = format!("{prefix}{file_name}");
            let Some(kind) = self.kind_of(&entry) else { continue };
            if kind.is_dir() {
                // The bound also ends a circle of links.
                if prefix.matches('/').count() < MAX_CATEGORY_DEPTH {
                    match self.walk(&entry.path(), &format!("{full}/"), names) {
                        Err(error) if !is_absent(&error) => return Err(error),
                        _ => {}
                    }
                }
            } else if kind.is_file()
                && let Ok(name) = TemplateName::parse(&full)
            {
                names.push(name);
            }
        }
        Ok(())
    }

    /// What an entry is, after following a link inside the root; nothing for what is not to be seen.
    fn kind_of(&self, entry: &fs::DirEntry) -> Option<FileType> {
        let kind = entry.file_type().ok()?;
        if !kind.is_symlink() {
            return Some(kind);
        }
        let target = fs::canonicalize(entry.path()).ok().filter(|target| self.holds(target))?;
        Some(fs::metadata(target).ok()?.file_type())
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
