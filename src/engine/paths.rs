//! Paths that clients give: always inside the notebooks root, whatever is written in them.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::config::mask_url;
use crate::error::{Error, Result};

/// A place inside a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FolderPath {
    /// Relative to the root, with `/` between the parts: what clients see and what is recorded.
    pub(super) relative: String,
    /// Where it is, with every symlink on the way resolved.
    pub(super) absolute: PathBuf,
}

/// A notebooks root that is a folder.
#[derive(Debug, Clone)]
pub(super) struct FolderRoot {
    given: PathBuf,
    canonical: PathBuf,
}

impl FolderRoot {
    /// Takes the root, made when absent.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be made.
    pub(super) fn open(given: &Path) -> Result<Self> {
        let canonical =
            std::fs::create_dir_all(given).and_then(|()| given.canonicalize()).map_err(|error| {
                Error::unavailable(format!("the notebooks root cannot be used ({})", error.kind()))
                    .with_source(error)
            })?;
        Ok(Self { given: given.into(), canonical })
    }

    /// The root with every symlink resolved.
    pub(super) fn path(&self) -> &Path {
        &self.canonical
    }

    /// Resolves a path, relative to the root or absolute and inside it. What it names need not exist.
    ///
    /// # Errors
    /// `BadInput` when it leads out of the root or has no place in a path.
    pub(super) fn resolve(&self, field: &str, path: &str) -> Result<FolderPath> {
        let refuse = |why: &str| refusal(field, path, why);
        check_text(field, path)?;
        let given = Path::new(path);
        let inside = match given.is_absolute() {
            false => given,
            true => given
                .strip_prefix(&self.canonical)
                .or_else(|_| given.strip_prefix(&self.given))
                .map_err(|_| refuse("is outside of the notebooks root"))?,
        };
        let parts = parts(field, path, inside)?;
        let relative: Vec<_> = parts.iter().filter_map(|part| part.to_str()).collect();
        let absolute = self.follow(&parts).map_err(|outside| match outside {
            Some(error) if error.kind() == std::io::ErrorKind::InvalidFilename => {
                refuse("holds a name that is too long")
            }
            Some(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                refuse("holds a link that leads to itself")
            }
            Some(error) => Error::unavailable("the notebooks root cannot be read").with_source(error),
            None => refuse("leads out of the notebooks root through a link"),
        })?;
        Ok(FolderPath { relative: relative.join("/"), absolute })
    }

    /// Follows the links in what exists of the path; `Err(None)` when they lead out of the root.
    fn follow(&self, parts: &[&OsStr]) -> Result<PathBuf, Option<std::io::Error>> {
        let mut path = self.canonical.clone();
        for (index, part) in parts.iter().enumerate() {
            let next = path.join(part);
            match next.canonicalize() {
                Ok(canonical) if canonical.starts_with(&self.canonical) => path = canonical,
                Ok(_) => return Err(None),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    // A link to what does not exist yet could be aimed anywhere.
                    if next.symlink_metadata().is_ok() {
                        return Err(None);
                    }
                    path.extend(&parts[index..]);
                    return Ok(path);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                    path.extend(&parts[index..]);
                    return Ok(path);
                }
                Err(error) => return Err(Some(error)),
            }
        }
        Ok(path)
    }
}

/// Checks that a path names a notebook.
///
/// # Errors
/// `BadInput`.
pub(super) fn check_notebook(field: &str, path: &str) -> Result<()> {
    if path.ends_with(".ipynb") {
        return Ok(());
    }
    let message = format!("`{}` is not the path of a notebook: it must end in `.ipynb`", shown(path));
    Err(Error::bad_input(message).with_field(field, "must end in `.ipynb`"))
}

/// Checks that a notebook has a name before `.ipynb`.
///
/// # Errors
/// `BadInput`.
pub(super) fn check_name(field: &str, path: &str, relative: &str) -> Result<()> {
    match Path::new(relative).file_stem() {
        Some(stem) if stem != ".ipynb" => Ok(()),
        _ => Err(Error::bad_input(format!("`{}` has no name before `.ipynb`", shown(path)))
            .with_field(field, "has no name")),
    }
}

/// Checks what no path may be, whatever it names.
///
/// # Errors
/// `BadInput`.
pub(super) fn check_text(field: &str, path: &str) -> Result<()> {
    let refuse = |why: &str| Err(refusal(field, path, why));
    if let Some(odd) = path.chars().find(|character| is_forbidden(*character)) {
        return refuse(&format!("holds a character that no path may hold: {}", odd.escape_unicode()));
    }
    if path.contains("://") {
        return refuse("is a URL, and the service reads and writes in the notebooks root only");
    }
    if path.len() > 1000 {
        return refuse("is longer than 1000 bytes");
    }
    if path.split('/').any(|part| part.len() > 255) {
        return refuse("has a part that is longer than 255 bytes");
    }
    Ok(())
}

/// The parts of a relative path, which was given as `path`.
///
/// # Errors
/// `BadInput` when one of them leads up, or the path is none that is relative.
pub(super) fn parts<'a>(field: &str, path: &str, inside: &'a Path) -> Result<Vec<&'a OsStr>> {
    let mut parts = Vec::new();
    for component in inside.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            _ => return Err(refusal(field, path, "may not hold `..`")),
        }
    }
    Ok(parts)
}

/// Why a path is refused.
pub(super) fn refusal(field: &str, path: &str, why: &str) -> Error {
    Error::bad_input(format!("the path `{}` {why}", shown(path))).with_field(field, why)
}

/// A path as it was given, cut short and without characters that garble a terminal or a log.
fn shown(path: &str) -> String {
    mask_url(path).chars().take(200).flat_map(char::escape_debug).collect()
}

/// Controls, separators of other systems, and characters that make a name look like another.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\\' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{2044}' | '\u{2215}' | '\u{ff0f}' | '\u{ff0e}' | '\u{2024}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, FolderRoot) {
        let folder = tempfile::tempdir().unwrap();
        let root = FolderRoot::open(&folder.path().join("root")).unwrap();
        (folder, root)
    }

    impl FolderRoot {
        fn notebook(&self, field: &str, path: &str) -> Result<FolderPath> {
            check_notebook(field, path)?;
            let resolved = self.resolve(field, path)?;
            check_name(field, path, &resolved.relative).map(|()| resolved)
        }
    }

    #[test]
    fn paths_stay_inside() {
        let (_folder, root) = root();
        let check = |path: &str, expected: &str| {
            let resolved = root.notebook("notebook_path", path).unwrap();
            assert_eq!(resolved.relative, expected, "{path}");
            assert_eq!(resolved.absolute, root.path().join(expected), "{path}");
        };
        check("a.ipynb", "a.ipynb");
        check("./ada//x y/ü.ipynb", "ada/x y/ü.ipynb");
        check(root.path().join("b/c.ipynb").to_str().unwrap(), "b/c.ipynb");
    }

    #[test]
    fn what_could_lead_out_is_refused() {
        let (folder, root) = root();
        let outside = folder.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("x.ipynb"), "{}").unwrap();
        std::os::unix::fs::symlink(&outside, root.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("x.ipynb"), root.path().join("file.ipynb")).unwrap();
        std::os::unix::fs::symlink(outside.join("new.ipynb"), root.path().join("dangling.ipynb")).unwrap();
        std::fs::create_dir(root.path().join("inside")).unwrap();
        std::os::unix::fs::symlink(root.path().join("inside"), root.path().join("fine")).unwrap();
        std::os::unix::fs::symlink("loop", root.path().join("loop")).unwrap();
        for path in [
            "../x.ipynb",
            "a/../../x.ipynb",
            "/etc/x.ipynb",
            "link/x.ipynb",
            "link/new/x.ipynb",
            "file.ipynb",
            "dangling.ipynb",
            "a\0.ipynb",
            "a\\..\\x.ipynb",
            "a\u{202e}bnypi.ipynb",
            "a\u{ff0f}b.ipynb",
            "a\n.ipynb",
            ".ipynb",
            "a/.ipynb",
            "",
            "a.txt",
            &format!("{}.ipynb", "long".repeat(70)),
            "loop/x.ipynb",
        ] {
            let error = root.notebook("notebook_path", path).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::BadInput, "{path:?}");
            assert_eq!(error.fields()[0].field, "notebook_path", "{path:?}");
            assert!(!error.to_string().contains(root.path().to_str().unwrap()), "{error}");
        }
        assert_eq!(root.notebook("notebook_path", "fine/x.ipynb").unwrap().relative, "fine/x.ipynb");
    }
}
