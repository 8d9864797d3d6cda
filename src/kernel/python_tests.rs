use super::*;
use crate::error::ErrorKind;

/// A folder for PATH with programs that are small shell scripts. A shell writes them: a file that this process had
/// open for writing may still be open in a child that another test forks, and could not be executed.
fn programs(scripts: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, body) in scripts {
        let write = r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#;
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", write, "sh"]).arg(folder.path().join(name)).arg(body);
        assert!(shell.status().unwrap().success());
    }
    folder
}

fn says(version: &str, has_venv: bool) -> String {
    format!(r#"echo '{{"executable": "/opt/python", "version": [{version}], "has_venv": {has_venv}}}'"#)
}

#[tokio::test]
async fn the_python_of_this_machine_is_found_behind_its_wrappers() {
    let path = std::env::var_os("PATH").unwrap();
    let python = find_python(None, &path, true).await.unwrap();
    assert!(python.executable.is_absolute() && python.version.is_supported() && python.has_venv);
    let again = find_python(Some(python.executable.as_os_str()), OsStr::new(""), true).await.unwrap();
    assert_eq!(again, python);
}

#[tokio::test]
async fn one_that_is_too_old_broken_or_without_venv_is_passed_over() {
    let (old, broken) = (says("3, 9, 2", true), "exit 127");
    let (bare, good) = (says("3, 12, 1", false), says("3, 10, 13", true));
    let folder =
        programs(&[("python3", &old), ("python", broken), ("python3.12", &bare), ("python3.10", &good)]);
    let path = folder.path().as_os_str();
    assert_eq!(find_python(None, path, true).await.unwrap().version, Version(3, 10, 13));
    assert_eq!(find_python(None, path, false).await.unwrap().version, Version(3, 12, 1));
}

#[tokio::test]
async fn one_that_is_newer_than_the_wheels_is_the_last_resort() {
    let (newest, usual) = (says("3, 15, 0", true), says("3, 13, 0", true));
    let folder = programs(&[("python3", &newest), ("python3.13", &usual)]);
    assert_eq!(find_python(None, folder.path().as_os_str(), true).await.unwrap().version, Version(3, 13, 0));
    let folder = programs(&[("python3", &newest)]);
    assert_eq!(find_python(None, folder.path().as_os_str(), true).await.unwrap().version, Version(3, 15, 0));
}

#[tokio::test]
async fn without_a_suitable_one_the_error_says_what_was_found_and_what_to_do() {
    let (old, bare) = (says("3, 8, 18", true), says("3, 11, 2", false));
    let (two, other) = (says("2, 7, 18", true), "echo hello");
    for (scripts, wanted, needles) in [
        (vec![], None, vec!["none was found on PATH", "Python 3.10 or newer", "--python"]),
        (
            vec![("python3", old.as_str()), ("python", &two)],
            None,
            vec!["found: 3.8.18 (/opt/python), 2.7.18"],
        ),
        (vec![("python3", bare.as_str())], None, vec!["Python 3.11.2", "apt install python3.11-venv", "uv"]),
        (vec![("python3", other)], Some("python3"), vec!["python3 does not run as a Python"]),
        (vec![], Some("/no/python"), vec!["/no/python does not run as a Python"]),
    ] {
        let folder = programs(&scripts);
        let error = find_python(wanted.map(OsStr::new), folder.path().as_os_str(), true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        for needle in needles {
            assert!(error.message().contains(needle), "{needle}: {error}");
        }
    }
}
