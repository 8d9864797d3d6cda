use super::*;

/// A home that does not exist, so that nothing of the machine gets in; `MINE` is replaced by a folder of this user.
#[cfg(not(target_os = "macos"))]
fn check(variables: &[(&str, &str)], expected: &[&str]) {
    let mine = tempfile::tempdir().unwrap();
    let fill = |text: &str| text.replace("MINE", mine.path().to_str().unwrap());
    let lookup = |name: &str| {
        let found =
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(fill(value)));
        found.or_else(|| (name == "HOME").then(|| "/home/of/nobody".into()))
    };
    let search_path = SearchPath::new(Path::new("/data"), &lookup);
    let expected: Vec<PathBuf> =
        expected.iter().map(|path| fill(&path.replace('~', "/home/of/nobody")).into()).collect();
    assert_eq!(search_path.folders(), expected, "with {variables:?}");
}

#[cfg(not(target_os = "macos"))]
#[test]
fn folders_come_in_jupyters_order() {
    const OWN: &str = "/data/kernels";
    const USER: &str = "~/.local/share/jupyter/kernels";
    const LOCAL: &str = "/usr/local/share/jupyter/kernels";
    const USR: &str = "/usr/share/jupyter/kernels";
    const IPYTHON: &str = "~/.ipython/kernels";
    const ENV: &str = "MINE/share/jupyter/kernels";
    const ROOTS: &str = "/opt/nobodys/env/share/jupyter/kernels";

    check(&[], &[OWN, USER, LOCAL, USR, IPYTHON]);
    check(&[("JUPYTER_PATH", "/a/:/b")], &[OWN, "/a/kernels", "/b/kernels", USER, LOCAL, USR, IPYTHON]);
    check(&[("JUPYTER_PATH", ":/a::")], &[OWN, "/a/kernels", USER, LOCAL, USR, IPYTHON]);
    check(&[("JUPYTER_PATH", "")], &[OWN, USER, LOCAL, USR, IPYTHON]);
    check(&[("JUPYTER_DATA_DIR", "/d")], &[OWN, "/d/kernels", USER, LOCAL, USR, IPYTHON]);
    check(&[("JUPYTER_DATA_DIR", "")], &[OWN, USER, LOCAL, USR, IPYTHON]);
    check(&[("XDG_DATA_HOME", "/x")], &[OWN, "/x/jupyter/kernels", USER, LOCAL, USR, IPYTHON]);
    check(
        &[("XDG_DATA_HOME", "/x"), ("PYTHONNOUSERSITE", "1")],
        &[OWN, "/x/jupyter/kernels", LOCAL, USR, IPYTHON],
    );
    check(&[("PYTHONUSERBASE", "/base")], &[OWN, USER, "/base/share/jupyter/kernels", LOCAL, USR, IPYTHON]);
    check(&[("IPYTHONDIR", "~/ipy")], &[OWN, USER, LOCAL, USR, "~/ipy/kernels"]);
    check(
        &[("JUPYTER_PLATFORM_DIRS", "1"), ("XDG_DATA_DIRS", "/s:/t")],
        &[OWN, USER, "/s/jupyter/kernels", "/t/jupyter/kernels", IPYTHON],
    );

    check(&[("VIRTUAL_ENV", "MINE")], &[OWN, ENV, USER, LOCAL, USR, IPYTHON]);
    check(
        &[("VIRTUAL_ENV", "MINE"), ("JUPYTER_PREFER_ENV_PATH", "off")],
        &[OWN, USER, ENV, LOCAL, USR, IPYTHON],
    );
    check(
        &[("VIRTUAL_ENV", "MINE"), ("XDG_DATA_HOME", "/x")],
        &[OWN, ENV, "/x/jupyter/kernels", LOCAL, USR, IPYTHON],
    );
    check(&[("CONDA_PREFIX", "MINE")], &[OWN, USER, ENV, LOCAL, USR, IPYTHON]);
    check(&[("CONDA_PREFIX", "MINE"), ("CONDA_DEFAULT_ENV", "base")], &[OWN, USER, ENV, LOCAL, USR, IPYTHON]);
    check(&[("CONDA_PREFIX", "MINE"), ("CONDA_DEFAULT_ENV", "work")], &[OWN, ENV, USER, LOCAL, USR, IPYTHON]);
    check(
        &[("CONDA_PREFIX", "/opt/nobodys/env"), ("JUPYTER_PREFER_ENV_PATH", "1")],
        &[OWN, ROOTS, USER, LOCAL, USR, IPYTHON],
    );
    check(&[("CONDA_PREFIX", "/usr/local")], &[OWN, USER, LOCAL, USR, IPYTHON]);
    check(&[("VIRTUAL_ENV", "MINE"), ("CONDA_PREFIX", "/c")], &[OWN, ENV, USER, LOCAL, USR, IPYTHON]);
    check(&[(INSTALLED_IN, "MINE"), ("VIRTUAL_ENV", "/v")], &[OWN, ENV, USER, LOCAL, USR, IPYTHON]);
}

#[test]
fn called_by_python_its_environment_comes_first_and_bindery_after_jupyter() {
    let prefix = tempfile::tempdir().unwrap();
    let lookup = |name: &str| match name {
        "HOME" => Some("/home/of/nobody".into()),
        "VIRTUAL_ENV" => Some("/another".into()),
        PYTHON_PREFIX => Some(prefix.path().into()),
        _ => None,
    };
    let position = |end: &str| {
        let search_path = SearchPath::new(Path::new("/data"), &lookup);
        search_path.folders().iter().position(|folder| folder.ends_with(end)).unwrap()
    };
    let environment = prefix.path().join("share/jupyter/kernels");
    let environment = environment.to_str().unwrap();
    // A Python that is no virtual environment has what the user installed before what it holds itself.
    assert!(position(".local/share/jupyter/kernels") < position(environment));
    assert!(position("/usr/share/jupyter/kernels") < position("/data/kernels"));
    std::fs::write(prefix.path().join("pyvenv.cfg"), "").unwrap();
    assert!(position(environment) == 0 && position(".local/share/jupyter/kernels") == 1);
}

#[test]
fn a_relative_data_dir_is_made_absolute() {
    assert!(specs_folder(Path::new("bindery-data")).is_absolute());
}
