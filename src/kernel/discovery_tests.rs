use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::*;
use crate::error::ErrorKind;

const SPEC: &str = r#"{"argv": ["cat", "{connection_file}"], "display_name": "D", "language": "l"}"#;

/// A data dir, a folder of JUPYTER_PATH and a home, all of this test alone.
struct Machine {
    root: tempfile::TempDir,
    search_path: SearchPath,
}

fn machine(specs: &[(&str, &str)]) -> Machine {
    let root = tempfile::tempdir().unwrap();
    for (folder, json) in specs {
        let folder = root.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("kernel.json"), json).unwrap();
    }
    let lookup = |name: &str| -> Option<OsString> {
        match name {
            "HOME" => Some(root.path().join("home").into()),
            "JUPYTER_PATH" => Some(root.path().join("jupyter").into()),
            _ => None,
        }
    };
    let search_path = SearchPath::new(&root.path().join("data"), &lookup);
    Machine { search_path, root }
}

impl Machine {
    #[track_caller]
    fn assert_finds(&self, name: &str, folder: &str) {
        let spec = find(&self.search_path, name).unwrap();
        assert_eq!(spec.resource_dir, self.root.path().join(folder));
    }
}

#[test]
fn the_data_dir_comes_before_jupyters_folders() {
    let machine = machine(&[
        ("jupyter/kernels/python3", SPEC),
        ("data/kernels/python3", SPEC),
        ("jupyter/kernels/other", SPEC),
        ("data/kernels/envs/python3", SPEC),
    ]);
    machine.assert_finds("python3", "data/kernels/python3");
    machine.assert_finds("other", "jupyter/kernels/other");
    let names: Vec<String> = find_all(&machine.search_path).into_iter().map(|spec| spec.name).collect();
    assert!(
        names.contains(&"python3".into())
            && names.contains(&"other".into())
            && !names.contains(&"envs".into())
    );
}

#[test]
fn names_are_found_in_any_case_and_python_means_python3() {
    let machine = machine(&[("jupyter/kernels/IR", SPEC), ("data/kernels/python3", SPEC)]);
    machine.assert_finds("ir", "jupyter/kernels/IR");
    machine.assert_finds("Ir", "jupyter/kernels/IR");
    machine.assert_finds("python", "data/kernels/python3");
    assert_eq!(find(&machine.search_path, "IR").unwrap().name, "ir");
}

#[test]
fn a_name_that_jupyter_warns_of_is_found_as_it_is_by_jupyter() {
    let machine = machine(&[("jupyter/kernels/my kernel", SPEC)]);
    machine.assert_finds("my kernel", "jupyter/kernels/my kernel");
}

#[test]
fn a_name_never_becomes_a_path() {
    let machine = machine(&[("jupyter/elsewhere", SPEC), ("jupyter/kernels/a", SPEC)]);
    for name in ["../elsewhere", "a/../../elsewhere", "/etc", "", ".", "..", "a\0", "kernels/a"] {
        let Err(FindError::NotFound(error)) = find(&machine.search_path, name) else {
            panic!("{name} was found")
        };
        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[test]
fn a_malformed_spec_is_passed_over_and_named_when_asked_for() {
    let machine = machine(&[
        ("data/kernels/broken", "{"),
        ("jupyter/kernels/broken", SPEC),
        ("jupyter/kernels/good", SPEC),
    ]);
    let names: Vec<String> = find_all(&machine.search_path).into_iter().map(|spec| spec.name).collect();
    assert!(names.contains(&"good".into()) && !names.contains(&"broken".into()));

    let error = find(&machine.search_path, "broken").unwrap_err();
    assert!(error.to_string().contains("data/kernels/broken/kernel.json"), "{error}");
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::Kernel);
    assert!(error.message().contains("\"broken\" is malformed: it is not JSON"), "{error}");
    assert!(!error.message().contains(machine.root.path().to_str().unwrap()), "{error}");
}

#[test]
fn a_missing_kernel_says_what_there_is_where_it_looked_and_how_to_install_it() {
    let machine = machine(&[("jupyter/kernels/julia-1.11", SPEC)]);
    let error = find(&machine.search_path, "mlflow_kernel").unwrap_err();
    let folder = machine.root.path().join("data/kernels");
    assert!(error.to_string().contains(&format!("\n  {}", folder.display())), "{error}");

    let error = Error::from(error);
    assert!(error.message().starts_with("no kernel is called \"mlflow_kernel\"; there are: "), "{error}");
    assert!(error.message().contains("julia-1.11"), "{error}");
    assert!(error.message().contains("folders were searched"), "{error}");
    assert!(error.message().ends_with("install it with `bindery kernels install mlflow_kernel`"), "{error}");
    assert!(!error.message().contains(Path::new(machine.root.path()).to_str().unwrap()), "{error}");
    assert!(error.cause().unwrap().contains(&folder.display().to_string()));

    let error = Error::from(find(&machine.search_path, "nobodys").unwrap_err());
    assert!(error.message().contains("ipykernel install --user --name nobodys"), "{error}");
    let error = Error::from(find(&machine.search_path, "no such").unwrap_err());
    assert!(error.message().contains("a kernel's name has only"), "{error}");
}
