use serde_json::json;

use super::*;
use crate::workflow::expression::{Context, bind, items, output_path as evaluated_path};

fn request(parameters: Value, method: Method) -> SweepRequest {
    let Value::Object(parameters) = parameters else { panic!("parameters are an object") };
    SweepRequest { parameters, method, ..SweepRequest::new(StepSource::Notebook("ada/train.ipynb".into())) }
}

fn compiled(request: SweepRequest) -> Result<Vec<Value>> {
    let workflow = request.compile(|| 7)?;
    match workflow.steps.as_slice() {
        [Step { for_each: Some(ForEach::List(points)), literal_parameters: true, .. }] => Ok(points.clone()),
        other => panic!("not a sweep: {other:?}"),
    }
}

#[track_caller]
fn check(parameters: Value, method: Method, expected: Value) {
    let points = compiled(request(parameters.clone(), method)).unwrap();
    assert_eq!(Value::Array(points).to_string(), expected.to_string(), "{parameters}");
}

#[track_caller]
fn refused(request: SweepRequest, field: &str, expected: &str) {
    let error = request.clone().compile(|| 7).unwrap_err();
    assert!(error.message().contains(expected), "{request:?}: {error}");
    assert_eq!(error.fields()[0].field, field, "{error}");
}

/// The values of a parameter alone.
#[track_caller]
fn values(value: Value, expected: Value) {
    let points = compiled(request(json!({"x": value}), Method::Grid)).unwrap();
    let values: Value = points.into_iter().map(|mut point| point["x"].take()).collect();
    assert_eq!(values.to_string(), expected.to_string(), "{value}");
}

#[test]
fn a_grid_is_each_with_each_the_last_varying_fastest() {
    check(
        json!({"a": [1, 2], "fixed": {"k": [1, 2]}, "b": ["x", "y"], "list": {"value": [1, 2]}, "c": [true]}),
        Method::Grid,
        json!([
            {"a": 1, "fixed": {"k": [1, 2]}, "b": "x", "list": [1, 2], "c": true},
            {"a": 1, "fixed": {"k": [1, 2]}, "b": "y", "list": [1, 2], "c": true},
            {"a": 2, "fixed": {"k": [1, 2]}, "b": "x", "list": [1, 2], "c": true},
            {"a": 2, "fixed": {"k": [1, 2]}, "b": "y", "list": [1, 2], "c": true},
        ]),
    );
    check(json!({"a": [[1, 2], [3]]}), Method::Grid, json!([{"a": [1, 2]}, {"a": [3]}]));
    check(
        json!({"a": [1], "b": {"range": [1, 2], "also": 1}}),
        Method::Grid,
        json!([{"a": 1, "b": {"range": [1, 2], "also": 1}}]),
    );
}

#[test]
fn a_zip_goes_through_all_lists_together() {
    check(
        json!({"a": [1, 2], "f": 0, "b": {"range": [2]}}),
        Method::Zip,
        json!([{"a": 1, "f": 0, "b": 0}, {"a": 2, "f": 0, "b": 1}]),
    );
    let unequal = request(json!({"a": [1, 2], "b": [1], "c": [1, 2], "d": {"range": [5]}}), Method::Zip);
    refused(unequal, "parameters", "`a` has 2, `b` has 1, `d` has 5");
}

#[test]
fn ranges_are_pythons_and_spaces_numpys_without_growing_errors() {
    values(json!({"range": [3]}), json!([0, 1, 2]));
    values(json!({"range": [1, 4]}), json!([1, 2, 3]));
    values(json!({"range": [5, 0, -2]}), json!([5, 3, 1]));
    values(json!({"range": {"stop": 2}}), json!([0, 1]));
    values(json!({"range": {"start": 1, "stop": 2, "step": 0.25}}), json!([1.0, 1.25, 1.5, 1.75]));
    values(json!({"range": [0, 0.5, 0.1]}), json!([0.0, 0.1, 0.2, 0.3, 0.4]));
    values(json!({"range": [1, 1.3, 0.1]}), json!([1.0, 1.1, 1.2]));
    values(json!({"range": [0.3, 0, -0.1]}), json!([0.3, 0.2, 0.1]));
    values(json!({"range": [0, 3e-7, 1e-7]}), json!([0.0, 1e-7, 2e-7]));
    values(json!({"range": [1e300, 3e300, 1e300]}), json!([1e300, 2e300]));
    values(json!({"range": [i64::MAX - 1, i64::MAX]}), json!([i64::MAX - 1]));
    values(json!({"linspace": [0, 1, 11]}), json!([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]));
    values(json!({"linspace": [0.1, 0.3, 3]}), json!([0.1, 0.2, 0.3]));
    values(json!({"linspace": {"start": 1, "stop": -1, "num": 3}}), json!([1.0, 0.0, -1.0]));
    values(json!({"linspace": [5, 6, 1]}), json!([5.0]));
    values(json!({"logspace": [-3, 1, 5]}), json!([0.001, 0.01, 0.1, 1.0, 10.0]));
    values(json!({"logspace": [0, 1, 3]}), json!([1.0, 10_f64.sqrt(), 10.0]));
}

#[test]
fn the_same_seed_is_the_same_sample() {
    let parameters = json!({"u": {"uniform": [-1, 1]}, "l": {"log_uniform": [1e-5, 1e-1]}, "i": {"int_uniform": [1, 3]},
        "c": {"choice": ["a", "b"]}, "v": [10, 20, 30], "r": {"range": [4]}, "f": "x"});
    let sample = |seed: Option<u64>| {
        let request =
            SweepRequest { samples: Some(500), seed, ..request(parameters.clone(), Method::Random) };
        compiled(request).unwrap()
    };
    let points = sample(Some(42));
    assert_eq!(points, sample(Some(42)));
    assert_ne!(points, sample(Some(43)));
    assert_eq!(sample(None), sample(Some(7)), "the seed that was chosen");
    // For ever: these are recorded with what was made of them.
    assert_eq!(
        points[0].to_string(),
        r#"{"u":0.36379238461334285,"l":0.0632559861485371,"i":2,"c":"a","v":30,"r":2,"f":"x"}"#
    );
    let mut seen = [
        std::collections::BTreeSet::new(),
        std::collections::BTreeSet::new(),
        std::collections::BTreeSet::new(),
    ];
    for point in &points {
        assert!((-1.0..=1.0).contains(&point["u"].as_f64().unwrap()), "{point}");
        assert!((1e-5..=1e-1).contains(&point["l"].as_f64().unwrap()), "{point}");
        for (name, seen) in ["i", "c", "v"].iter().zip(&mut seen) {
            seen.insert(point[name].to_string());
        }
        assert_eq!(point["f"], "x");
    }
    assert_eq!(seen.map(|seen| seen.len()), [3, 2, 3]);
    let low = points.iter().filter(|point| point["l"].as_f64().unwrap() < 1e-3).count();
    assert!((200..300).contains(&low), "half of the logarithms are below the middle: {low}");
    let all = json!({"x": {"int_uniform": [i64::MIN, i64::MAX]}});
    compiled(SweepRequest { samples: Some(10), ..request(all, Method::Random) }).unwrap();
}

#[test]
fn too_many_points_are_refused_before_any_is_made() {
    let million = json!({"a": {"range": [10]}, "b": {"range": [100]}, "f": 1, "c": {"range": [1000]}});
    refused(
        request(million, Method::Grid),
        "parameters",
        "10 × 100 × 1000 = 1,000,000 points; the limit is 10,000",
    );
    let huge = json!({"a": {"range": [i64::MAX]}, "b": {"range": [i64::MAX]}, "c": {"range": [i64::MAX]}});
    refused(request(huge, Method::Grid), "parameters", "= more than 10^38 points");
    refused(
        request(json!({"a": {"range": [10001]}}), Method::Zip),
        "parameters",
        "10,001 points; the limit is 10,000",
    );
    refused(
        request(json!({"a": {"linspace": [0, 1, 10001]}}), Method::Grid),
        "parameters",
        "10,001 points; the",
    );
    let random = request(json!({"a": [1, 2]}), Method::Random);
    refused(
        SweepRequest { samples: Some(1_000_000), ..random.clone() },
        "parameters",
        "1,000,000 points; the",
    );
    let lower =
        SweepRequest { max_points: Some(3), ..request(json!({"a": [1, 2], "b": [1, 2]}), Method::Grid) };
    refused(lower, "parameters", "2 × 2 = 4 points; the limit is 3");
    let large = json!({"a": {"range": [1000]}, "b": "x".repeat(100_000)});
    refused(request(large, Method::Grid), "parameters", "come to more than 32 MB");
    assert_eq!(
        compiled(request(json!({"a": {"range": [100]}, "b": {"range": [100]}}), Method::Grid)).unwrap().len(),
        10_000
    );
}

#[test]
fn what_makes_no_sense_is_told_by_name() {
    let grid = |value: Value| request(json!({"x": value, "y": [1]}), Method::Grid);
    for (value, expected) in [
        (json!([]), "is an empty list"),
        (json!({"range": []}), "`range` must be [stop]"),
        (json!({"range": [0, "1"]}), "`range` must be [stop]"),
        (json!({"range": {"start": 1}}), "`range` must be [stop]"),
        (json!({"range": {"stop": 1, "by": 2}}), "`range` must be [stop]"),
        (json!({"range": [0, 1, 0]}), "a step of 0"),
        (json!({"range": [0, 1, -1]}), "`range` is empty"),
        (json!({"range": [1, 1]}), "`range` is empty"),
        (json!({"range": [0, 1e300, 1]}), "more values than can be counted"),
        (json!({"linspace": [0, 1]}), "`linspace` must be [start, stop, number of values]"),
        (json!({"linspace": [0, 1, 0]}), "a whole number from 1"),
        (json!({"logspace": [0, 1, 2.5]}), "a whole number from 1"),
        (json!({"uniform": [1]}), "`uniform` must be [lowest, highest]"),
        (json!({"uniform": [2, 1]}), "`uniform` must be [lowest, highest]"),
        (json!({"log_uniform": [0, 1]}), "above 0"),
        (json!({"int_uniform": [0.5, 1]}), "two whole numbers"),
        (json!({"choice": []}), "one at least"),
        (json!({"choice": [1]}), "is drawn at random: set the method to `random`"),
    ] {
        refused(grid(value), "parameters.x", expected);
    }
    refused(request(json!({"x": 1}), Method::Grid), "parameters", "nothing to try");
    refused(request(json!({}), Method::Grid), "parameters", "nothing to try");
    refused(request(json!({"a b": [1]}), Method::Grid), "parameters.a b", "is not a name");
    refused(request(json!({"x": [1]}), Method::Random), "samples", "how many points");
    refused(
        SweepRequest { samples: Some(0), ..request(json!({"x": [1]}), Method::Random) },
        "samples",
        "how many",
    );
    refused(SweepRequest { samples: Some(1), ..grid(json!([1])) }, "samples", "is for the method `random`");
    refused(SweepRequest { seed: Some(1), ..grid(json!([1])) }, "seed", "is for the method `random`");
    let folder = SweepRequest { output_directory: Some("${{ x }}".into()), ..grid(json!([1])) };
    refused(folder, "output_directory", "must not hold");
}

#[test]
fn a_sweep_becomes_a_workflow_of_one_step() {
    let request = SweepRequest {
        output_directory: Some("ada/out/".into()),
        max_parallel: Some(4),
        fail_fast: true,
        username: Some("ada".into()),
        ..request(json!({"text": ["${{ workflow.id }}", "b"], "f": 1, "n": {"range": [6]}}), Method::Grid)
    };
    let workflow = request.compile(|| panic!("a grid needs no seed")).unwrap();
    assert_eq!((workflow.name.as_str(), workflow.username.as_deref()), ("train", Some("ada")));
    let plan = SweepPlan { method: Method::Grid, seed: None, varied: vec!["text".into(), "n".into()] };
    assert_eq!(workflow.sweep, Some(plan));
    let stored: Workflow = serde_json::from_str(&serde_json::to_string(&workflow).unwrap()).unwrap();
    assert_eq!(stored, workflow);
    let step = workflow.step(SWEEP_STEP).unwrap();
    assert_eq!((step.max_parallel, step.fail_fast), (Some(4), true));
    let context = Context::new(&json!({"workflow": {"id": 1}, "parameters": {}, "steps": {}}));
    let points = items(step, &context).unwrap().unwrap();
    assert_eq!(points.len(), 12);
    let first = context.with_item(&points[0], 0);
    assert_eq!(
        Value::Object(bind(step, &first).unwrap()),
        json!({"text": "${{ workflow.id }}", "f": 1, "n": 0})
    );
    assert_eq!(evaluated_path(step, &first).unwrap().unwrap(), "ada/out/train-00.ipynb");
    assert_eq!(
        evaluated_path(step, &context.with_item(&points[11], 11)).unwrap().unwrap(),
        "ada/out/train-11.ipynb"
    );
}

#[test]
fn numbers_are_told_with_commas() {
    for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(thousands(number), expected);
    }
}
