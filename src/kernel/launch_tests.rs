use super::super::spec::InterruptMode;
use super::*;

fn spec(argv: &[&str], language: &str, resource_dir: &Path) -> KernelSpec {
    KernelSpec {
        name: "k".into(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        display_name: "K".into(),
        language: language.into(),
        interrupt_mode: InterruptMode::Signal,
        env: Vec::new(),
        metadata: serde_json::Map::new(),
        resource_dir: resource_dir.to_owned(),
    }
}

/// The command with `HOME` and the given variables as the environment.
fn launch(spec: &KernelSpec, variables: &[(&str, &Path)]) -> LaunchCommand {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        found.or_else(|| (name == "HOME").then(|| "/home/of/nobody".into()))
    };
    let search_path = SearchPath::new(Path::new("/data"), &lookup);
    launch_command(spec, Path::new("/run/c.json"), &search_path, &lookup)
}

fn prefix_with(programs: &[&str]) -> tempfile::TempDir {
    let prefix = tempfile::tempdir().unwrap();
    std::fs::create_dir(prefix.path().join("bin")).unwrap();
    for program in programs {
        std::fs::write(prefix.path().join("bin").join(program), "").unwrap();
    }
    prefix
}

#[test]
fn placeholders_that_are_known_are_filled() {
    let argv = [
        "/bin/k",
        "{connection_file}",
        "--dir={resource_dir}/x",
        "{prefix}",
        "{other}",
        "{{resource_dir}",
        "{",
    ];
    let command = launch(&spec(&argv, "l", Path::new("/specs/k")), &[]);
    assert_eq!(command.program, "/bin/k");
    let expected = ["/run/c.json", "--dir=/specs/k/x", "{prefix}", "{other}", "{/specs/k", "{"];
    assert_eq!(command.args, expected);
    assert_eq!(command.env_remove, [PYTHON_PREFIX]);

    let command = launch(&spec(&argv, "l", Path::new("/opt/env/share/jupyter/kernels/k")), &[]);
    assert_eq!(command.args[2], "/opt/env");
}

#[test]
fn a_bare_python_is_that_of_the_environment_which_holds_the_spec() {
    let own = prefix_with(&["python", "python3"]);
    let active = prefix_with(&["python"]);
    let resource_dir = own.path().join("share/jupyter/kernels/k");
    for name in ["python", "python3", "python3.11"] {
        let command = launch(&spec(&[name], "python", &resource_dir), &[("VIRTUAL_ENV", active.path())]);
        let expected = if name == "python3" { "bin/python3" } else { "bin/python" };
        assert_eq!(command.program, own.path().join(expected));
        assert_eq!(command.env_remove, [PYTHON_PREFIX, "PYTHONEXECUTABLE"]);
    }
    let command = launch(&spec(&["pythonic"], "python", &resource_dir), &[]);
    assert_eq!(command.program, "pythonic");
}

#[test]
fn else_it_is_that_of_the_active_environment_else_left_to_the_path() {
    let active = prefix_with(&["python"]);
    let only_three = prefix_with(&["python3"]);
    let python = spec(&["python"], "python", Path::new("/specs/k"));
    assert_eq!(launch(&python, &[("VIRTUAL_ENV", active.path())]).program, active.path().join("bin/python"));
    assert_eq!(launch(&python, &[("PATH", &active.path().join("bin"))]).program, "python");
    assert_eq!(launch(&python, &[("PATH", &only_three.path().join("bin"))]).program, "python3");
    assert_eq!(launch(&python, &[]).program, "python");
}

#[test]
fn variables_are_filled_as_string_template_does() {
    let lookup = |name: &str| (name == "A_1").then(|| OsString::from("value"));
    for (text, expected) in [
        ("plain", "plain"),
        ("$A_1", "value"),
        ("${A_1}/x", "value/x"),
        ("$A_1-$A_1", "value-value"),
        ("$A_12 ${B} $ ${A_1 $1 $$A_1 $", "$A_12 ${B} $ ${A_1 $1 $A_1 $"),
        ("é${A_1}é", "évalueé"),
    ] {
        assert_eq!(fill_variables(text, &lookup), expected, "{text}");
    }
}
