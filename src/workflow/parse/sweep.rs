//! A sweep as people write it into a file, in YAML or JSON: the fields of a body of `POST /api/v1/sweeps`.

use super::reader::Reader;
use super::{is_nothing, retries};
use crate::execution::{ATTEMPTS, PRIORITIES};
use crate::notebook::yaml::{self, Node};
use crate::workflow::definition::{MAX_ITEMS, PARALLEL};
use crate::workflow::fault::{Fault, Places, suggestion};
use crate::workflow::sweep::Method;
use crate::workflow::{StepSource, SweepRequest};

const FIELDS: [&str; 20] = [
    "notebook_path",
    "template_name",
    "username",
    "name",
    "parameters",
    "method",
    "samples",
    "seed",
    "max_parallel",
    "fail_fast",
    "retries",
    "sweep_timeout",
    "timeout",
    "cell_timeout",
    "queue_timeout",
    "max_attempts",
    "kernel_name",
    "kernel_gateway",
    "priority",
    "output_directory",
];

/// A sweep that was read.
#[derive(Debug)]
pub struct SweepReading {
    /// The sweep as far as it could be read; all of it when there are no faults.
    pub request: SweepRequest,
    /// Where its parts stand.
    pub places: Places,
    /// What is wrong with it, in the order of the text.
    pub faults: Vec<Fault>,
}

/// Reads a sweep. What its parameters come to is not looked at: see [`SweepRequest::compile`].
pub fn read_sweep(text: &str) -> SweepReading {
    let mut reader = Reader::new(text);
    let request = match yaml::parse(text) {
        Ok(node) => sweep(&mut reader, &node),
        Err(yaml::Fault { place, message }) => {
            reader.fault(place, "", message);
            None
        }
    };
    let mut faults = reader.faults;
    faults.sort_by_key(|fault| (fault.line, fault.column));
    let request = request.unwrap_or_else(|| SweepRequest::new(StepSource::Notebook(String::new())));
    SweepReading { request, places: reader.places, faults }
}

fn sweep(reader: &mut Reader<'_>, node: &Node) -> Option<SweepRequest> {
    let what = "a mapping with `notebook_path` and `parameters`";
    let fields = reader.fields("", node, what, &FIELDS)?;
    let get = |key: &str| fields.get(key).filter(|(_, node)| !is_nothing(node));
    let mut text = |key: &str| get(key).and_then(|(path, node)| reader.text(&path, node));
    let (path, template) = (text("notebook_path"), text("template_name"));
    let (name, username) = (text("name"), text("username"));
    let (kernel_name, kernel_gateway) = (text("kernel_name"), text("kernel_gateway"));
    let output_directory = text("output_directory");
    let source = match (path, template) {
        (Some(path), None) => StepSource::Notebook(path),
        (None, Some(name)) => StepSource::Template(name),
        (path, _) => {
            if path.is_some() || (get("notebook_path").is_none() && get("template_name").is_none()) {
                let what = "must be given, or `template_name`: one of the two";
                reader.fault(node.place, "notebook_path", what);
            }
            StepSource::Notebook(String::new())
        }
    };
    let mut request = SweepRequest::new(source);
    match get("parameters") {
        Some((path, node)) => request.parameters = reader.parameters(&path, node),
        None => reader.fault(node.place, "parameters", "is missing: give one parameter a list of values"),
    }
    if let Some((path, node)) = get("method") {
        request.method = method(reader, &path, node);
    }
    if let Some((path, node)) = get("retries") {
        request.retries = retries(reader, &path, node);
    }
    if let Some((path, node)) = get("fail_fast") {
        request.fail_fast = reader.boolean(&path, node).unwrap_or_default();
    }
    let points = 1..=i64::try_from(MAX_ITEMS).unwrap_or(i64::MAX);
    let mut duration = |key: &str| get(key).and_then(|(path, node)| reader.duration(&path, node, false));
    request.sweep_timeout = duration("sweep_timeout");
    request.timeout = duration("timeout");
    request.cell_timeout = duration("cell_timeout");
    request.queue_timeout = duration("queue_timeout");
    request.samples = get("samples").and_then(|(path, node)| reader.integer(&path, node, &points));
    request.seed = get("seed").and_then(|(path, node)| reader.integer(&path, node, &(0..=i64::MAX)));
    request.max_parallel =
        get("max_parallel").and_then(|(path, node)| reader.integer(&path, node, &PARALLEL));
    request.max_attempts =
        get("max_attempts").and_then(|(path, node)| reader.integer(&path, node, &ATTEMPTS));
    request.priority = get("priority").and_then(|(path, node)| reader.integer(&path, node, &PRIORITIES));
    Some(SweepRequest { name, username, kernel_name, kernel_gateway, output_directory, ..request })
}

fn method(reader: &mut Reader<'_>, path: &str, node: &Node) -> Method {
    const KNOWN: [(&str, Method); 3] =
        [("grid", Method::Grid), ("zip", Method::Zip), ("random", Method::Random)];
    let Some(word) = reader.text(path, node) else { return Method::Grid };
    match KNOWN.into_iter().find(|(known, _)| *known == word) {
        Some((_, method)) => method,
        None => {
            let suggestion = suggestion(&word, KNOWN.map(|(known, _)| known));
            reader.fault(node.place, path, format!("there is no method `{word}`{suggestion}"));
            Method::Grid
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_sweep_is_read_from_yaml_and_json_alike() {
        let yaml = "notebook_path: ada/train.ipynb\nusername: ada\nparameters:\n  alpha: [0.1, 0.2]\n  data: may.csv\n\
                    method: zip\nmax_parallel: 4\nretries: 2\nsweep_timeout: 1h\ntimeout: 90\n";
        let json = json!({"notebook_path": "ada/train.ipynb", "username": "ada", "parameters": {"alpha": [0.1, 0.2],
            "data": "may.csv"}, "method": "zip", "max_parallel": 4, "retries": {"limit": 2}, "sweep_timeout": 3600,
            "timeout": 90, "seed": null});
        let (yaml, json) = (read_sweep(yaml), read_sweep(&json.to_string()));
        assert_eq!((&yaml.faults, &json.faults), (&Vec::new(), &Vec::new()));
        assert_eq!(yaml.request, json.request);
        let request = yaml.request;
        assert_eq!(request.source, StepSource::Notebook("ada/train.ipynb".into()));
        assert_eq!((request.method, request.retries.limit), (Method::Zip, 2));
        assert_eq!(request.sweep_timeout, Some(Duration::from_secs(3600)));
        assert_eq!(request.parameters["alpha"], json!([0.1, 0.2]));
    }

    #[test]
    fn each_fault_has_its_place() {
        let check = |text: &str, expected: &str| {
            let faults: Vec<_> = read_sweep(text).faults.iter().map(ToString::to_string).collect();
            assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{faults:?}");
        };
        check("a: [", "2:1: ");
        check("[1]", "1:1: must be a mapping with `notebook_path` and `parameters`, not a list");
        check("parameters: {a: [1]}", "1:1: notebook_path: must be given, or `template_name`");
        check("notebook_path: a.ipynb", "1:1: parameters: is missing");
        check(
            "notebook_path: a.ipynb\nparameters: {}\nmethod: gird",
            "3:9: method: there is no method `gird`: did you mean `grid`?",
        );
        check(
            "notebook_path: a.ipynb\nparameters: {}\nmax_paralel: 2",
            "3:1: max_paralel: there is no such field: did you mean `max_parallel`?",
        );
        check("notebook_path: a.ipynb\nparameters:\n  a b: [1]\nsamples: 0", "3:3: parameters.a b: ");
        check("notebook_path: 5\nparameters: {}", "1:16: notebook_path: must be a text");
        let place = read_sweep("notebook_path: a.ipynb\nparameters:\n  a: [1]\n").places.of("parameters.a");
        assert_eq!(place.map(|place| (place.line, place.column)), Some((3, 6)));
    }
}
