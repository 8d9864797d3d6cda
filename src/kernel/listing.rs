//! Everything that a user can choose from: installed kernels of any origin, and those that Bindery could install.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::discovery;
use super::environment::{EnvironmentState, state};
use super::rust;
use super::search_path::{SearchPath, specs_folder};
use super::shipped::SHIPPED;

/// Where a kernelspec comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelSource {
    /// Bindery ships it or holds it in the data dir.
    Bindery,
    /// Found in a folder of Jupyter.
    Jupyter,
}

/// One line of `bindery kernels list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KernelListing {
    /// The kernel's name.
    pub name: String,
    /// The name for people.
    pub display_name: String,
    /// The language, empty when the spec gives none.
    pub language: String,
    /// Where it comes from.
    pub source: KernelSource,
    /// How it stands; a kernel of Jupyter's is `Installed` as far as its spec tells.
    pub state: EnvironmentState,
    /// The folder of its kernelspec; `None` when it is not installed.
    pub resource_dir: Option<PathBuf>,
}

/// All kernels by name. A kernel that Bindery ships is listed even where it is not installed; where Jupyter has one of
/// the same name, that is the one listed, because that is the one that a notebook gets.
pub fn list(data_dir: &Path) -> Vec<KernelListing> {
    let own_folder = specs_folder(data_dir);
    let mut listings: Vec<KernelListing> = discovery::find_all(&SearchPath::from_process(data_dir))
        .into_iter()
        .map(|spec| {
            let is_own = spec.resource_dir.starts_with(&own_folder);
            let shipped = SHIPPED.iter().find(|kernel| is_own && kernel.name == spec.name);
            KernelListing {
                source: if is_own { KernelSource::Bindery } else { KernelSource::Jupyter },
                state: shipped.map_or(EnvironmentState::Installed, |kernel| state(kernel, data_dir)),
                name: spec.name,
                display_name: spec.display_name,
                language: spec.language,
                resource_dir: Some(spec.resource_dir),
            }
        })
        .collect();
    for kernel in SHIPPED {
        if listings.iter().all(|listing| listing.name != kernel.name) {
            listings.push(KernelListing {
                name: kernel.name.to_owned(),
                display_name: kernel.field("/display_name"),
                language: kernel.field("/language"),
                source: KernelSource::Bindery,
                state: state(kernel, data_dir),
                resource_dir: None,
            });
        }
    }
    if listings.iter().all(|listing| listing.name != rust::NAME) {
        listings.push(KernelListing {
            name: rust::NAME.to_owned(),
            display_name: rust::field("/display_name"),
            language: rust::field("/language"),
            source: KernelSource::Bindery,
            state: EnvironmentState::Absent,
            resource_dir: None,
        });
    }
    listings.sort_by(|a, b| a.name.cmp(&b.name));
    listings
}
