//! The notebooks under `templates/`: what a new user runs first must be right without running it.

use std::path::{Path, PathBuf};

use bindery::engine::kernels;
use bindery::notebook::Notebook;

fn templates() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let categories = std::fs::read_dir(root).unwrap();
    let files = categories.flat_map(|category| std::fs::read_dir(category.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn every_starter_template_is_clean_and_has_parameters_with_type_and_help() {
    let data_dir = tempfile::tempdir().unwrap();
    let kernels: Vec<String> = kernels::list(data_dir.path()).into_iter().map(|kernel| kernel.name).collect();
    let templates = templates();
    assert!(templates.len() >= 3, "{templates:?}");
    for template in templates {
        let name = template.display();
        let bytes = std::fs::read(&template).unwrap();
        let notebook = Notebook::parse(&bytes).unwrap();
        assert!(notebook.to_bytes() == bytes, "{name} is not written as Jupyter writes it");

        let kernel = notebook.metadata().unwrap()["kernelspec"]["name"].as_str().unwrap().to_owned();
        assert!(kernels.contains(&kernel), "{name} runs on {kernel}, which Bindery does not ship");
        for cell in notebook.cells() {
            assert!(cell.get("id").is_some(), "{name} has a cell without an id");
            assert!(cell.outputs().is_empty() && cell.execution_count().is_none(), "{name} holds outputs");
        }
        assert_eq!(notebook.cells().iter().filter(|cell| cell.has_tag("parameters")).count(), 1, "{name}");

        let parameters = bindery::notebook::infer_parameters(&notebook);
        assert!(parameters.len() >= 4, "{name} has {} parameters", parameters.len());
        for parameter in parameters {
            let is_described = !parameter.help.is_empty() && parameter.inferred_type_name != "None";
            assert!(is_described, "{name}: {} lacks a type or a comment", parameter.name);
        }
    }
}
