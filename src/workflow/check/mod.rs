//! Parameters against what a notebook or template declares: before a workflow is accepted for what is written out, and
//! before each execution for what expressions came to. Nothing is refused that could be right.

mod types;

use serde_json::{Map, Value};

use super::definition::{ForEach, Step, StepParameters};
use super::expression::{Piece, split, type_of};
use super::fault::{Fault, Places};
use crate::notebook::Parameter;
use types::{Type, of_default};

/// What is wrong, and what a reader should know though it stops nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is certainly wrong.
    pub faults: Vec<Fault>,
    /// What is probably wrong.
    pub warnings: Vec<Fault>,
}

impl Checked {
    /// Takes in what another check has found.
    pub fn extend(&mut self, other: Self) {
        self.faults.extend(other.faults);
        self.warnings.extend(other.warnings);
    }
}

/// A step's parameters as they are written. `declared` are those of its notebook, `None` where they cannot be known
/// (another language than Python). Of a sweep's step each value of its points is looked at, and each name told once.
pub fn step(step: &Step, declared: Option<&[Parameter]>, places: &Places) -> Checked {
    let mut checked = Checked::default();
    let Some(declared) = declared else { return checked };
    let prefix = format!("steps.{}.parameters", step.name);
    match (&step.parameters, &step.for_each) {
        (_, Some(ForEach::List(points))) if step.literal_parameters => {
            for point in points.iter().filter_map(Value::as_object) {
                let found = values(point, Some(declared));
                let is_new = |known: &[Fault], fault: &Fault| known.iter().all(|it| it.field != fault.field);
                for fault in found.faults {
                    if is_new(&checked.faults, &fault) {
                        checked.faults.push(fault);
                    }
                }
                for warning in found.warnings {
                    if is_new(&checked.warnings, &warning) {
                        checked.warnings.push(warning);
                    }
                }
            }
        }
        (StepParameters::Map(map), _) => check(map, declared, &prefix, Some(places), &mut checked),
        (StepParameters::Expression(_), _) => {}
    }
    checked
}

/// Values as they are, each with the field `parameters.NAME`.
pub fn values(map: &Map<String, Value>, declared: Option<&[Parameter]>) -> Checked {
    let mut checked = Checked::default();
    if let Some(declared) = declared {
        check(map, declared, "parameters", None, &mut checked);
    }
    checked
}

/// With places, texts may hold expressions.
fn check(
    map: &Map<String, Value>,
    declared: &[Parameter],
    prefix: &str,
    places: Option<&Places>,
    checked: &mut Checked,
) {
    for (name, value) in map {
        let field = format!("{prefix}.{name}");
        let fault = |message: String| {
            let place = places.and_then(|places| places.of(&field));
            Fault::new(place, field.as_str(), message)
        };
        let Some(parameter) = declared.iter().find(|parameter| parameter.name == *name) else {
            // Papermill's words.
            checked.warnings.push(fault(format!("Passed unknown parameter: {name}")));
            continue;
        };
        let is_open = |text: &str| places.is_some() && is_one_expression(text);
        if let Some((message, is_certain)) = mismatch(parameter, value, &is_open) {
            if is_certain { &mut checked.faults } else { &mut checked.warnings }.push(fault(message));
        }
    }
}

fn is_one_expression(text: &str) -> bool {
    split(text.trim()).is_ok_and(|pieces| matches!(pieces.as_slice(), [Piece::Expression { .. }]))
}

/// Why a value is not what a parameter declares, and whether that is certain.
fn mismatch(parameter: &Parameter, value: &Value, is_open: &dyn Fn(&str) -> bool) -> Option<(String, bool)> {
    let annotation = parameter.inferred_type_name.as_str();
    // A default of None makes any annotation optional, as many write it.
    if value.is_null() && parameter.default == "None" {
        return None;
    }
    let (declared, expected, is_certain) = match annotation {
        "None" => {
            let (expected, is_certain) = of_default(&parameter.default)?;
            (format!("its default is `{}`", shortened(&parameter.default)), expected, is_certain)
        }
        annotation => {
            (format!("it is declared as `{}`", shortened(annotation)), Type::of_annotation(annotation), true)
        }
    };
    if expected.takes(value, is_open) {
        return None;
    }
    Some((format!("must be {}, not {}: {declared}", expected.told(), type_of(value)), is_certain))
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notebook::Translator;
    use crate::workflow::definition::StepSource;

    /// Whether a value is taken (`+`), warned of (`?`) or refused (`-`) for a line of a parameters cell.
    #[track_caller]
    fn check(declaration: &str, value: Value, expected: char) {
        let declared = Translator::Python.inspect(declaration);
        assert_eq!(declared.len(), 1, "{declaration}");
        let map = Map::from_iter([("x".to_owned(), value.clone())]);
        let checked = values(&map, Some(&declared));
        let found = match (checked.faults.len(), checked.warnings.len()) {
            (1, 0) => '-',
            (0, 1) => '?',
            (0, 0) => '+',
            _ => '!',
        };
        assert_eq!(found, expected, "{declaration} with {value}: {checked:?}");
    }

    #[test]
    fn annotations_are_held_to() {
        for (declaration, taken, refused) in [
            ("x: int = 1", json!([1, -1, true, u64::MAX]), json!([1.5, "1", null, [1], {}])),
            ("x: float = 1", json!([1, 1.5, 1e300]), json!(["1e3", null, [1.0]])),
            ("x: str = ''", json!(["", "a"]), json!([1, 1.5, true, null, []])),
            ("x: bool = True", json!([true, false, 0, 1]), json!([2, "true", "yes", null])),
            ("x: list = []", json!([[], [1, "a"]]), json!([1, "a", {}])),
            ("x: List[int] = []", json!([[], [1]]), json!([["a"], [1, null], 1])),
            ("x: dict = {}", json!([{}, {"a": 1}]), json!([[], "a"])),
            ("x: Dict[str, float] = {}", json!([{"a": 1}]), json!([{"a": "b"}])),
            ("x: Optional[int] = 1", json!([1, null]), json!(["1", 1.5])),
            ("x: Union[int, str] = 1", json!([1, "a"]), json!([1.5, null])),
            ("x = 1 # type: int|None", json!([1, null]), json!(["a"])),
            ("x = 1 # type: typing.Optional[typing.List[int]]", json!([[1], null]), json!([1])),
            ("x = 1 # type: Literal['a','b',3]", json!(["a", "b", 3, 3.0]), json!(["c", 4, null])),
            ("x: str = None", json!(["a", null]), json!([1])),
            ("x: datetime = None", json!([1, "a", [], {}, null]), json!([])),
            ("x: Path = 1", json!([1, "a", [], {}, null]), json!([])),
            ("x: 'int' = 1", json!([1]), json!(["1"])),
            ("x: List[Path] = []", json!([["a", 1]]), json!(["a"])),
            ("x: Literal = 1", json!([1, "a"]), json!([])),
        ] {
            for value in taken.as_array().unwrap() {
                check(declaration, value.clone(), '+');
            }
            for value in refused.as_array().unwrap() {
                check(declaration, value.clone(), '-');
            }
        }
    }

    #[test]
    fn without_annotation_the_default_says_what_is_certainly_wrong() {
        for (declaration, taken, warned, refused) in [
            ("x = 1", json!([1, 1.5, true, null]), json!([]), json!(["a", [1], {}])),
            ("x = -1_000.5e3", json!([1, 1.5]), json!([]), json!(["1e3"])),
            ("x = False", json!([true, 1, null]), json!([]), json!(["no", []])),
            ("x = 'a'", json!(["b", null]), json!([1, true, ["a", "b"], {}]), json!([])),
            ("x = r\"a\"", json!(["b"]), json!([1]), json!([])),
            ("x = [1, 2]", json!([[], ["a"], null]), json!([]), json!([1, "a", {}])),
            ("x = {'a': 1}", json!([{}, null]), json!([]), json!([1, []])),
            ("x = {1, 2}", json!([1, "a", [], {}]), json!([]), json!([])),
            ("x = None", json!([1, "a", [], {}, null]), json!([]), json!([])),
            ("x = today()", json!([1, "a", [], {}, null]), json!([]), json!([])),
            ("x = 1 + 2", json!([1, "a"]), json!([]), json!([])),
            ("x = 1; y", json!([1, "a"]), json!([]), json!([])),
        ] {
            for (values, expected) in [(taken, '+'), (warned, '?'), (refused, '-')] {
                for value in values.as_array().unwrap() {
                    check(declaration, value.clone(), expected);
                }
            }
        }
    }

    #[test]
    fn faults_say_what_would_be_right_and_show_no_value() {
        let declared = Translator::Python.inspect("rows: int = 5\nrate = 0.1");
        let map = json!({"rows": "hunter2", "rate": [0.1], "extra": 1});
        let checked = values(map.as_object().unwrap(), Some(&declared));
        let told: Vec<_> = checked.faults.iter().chain(&checked.warnings).map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "parameters.rows: must be an integer, not a text: it is declared as `int`",
                "parameters.rate: must be a number or null, not a list: its default is `0.1`",
                "parameters.extra: Passed unknown parameter: extra",
            ]
        );
        assert_eq!(values(map.as_object().unwrap(), None), Checked::default());
    }

    #[test]
    fn what_an_expression_will_come_to_is_left_open() {
        let declared = Translator::Python.inspect("rows: int = 5\nname: str = ''\nlist: List[int] = []");
        let text = "name: x\nsteps:\n  a: {notebook: a.ipynb, for_each: [1], parameters: {rows: '${{ item }}', name: 'n-${{ index }}', list: [1, '${{ item }}']}}\n  b: {notebook: a.ipynb, parameters: {rows: 'a ${{ 1 }}', list: ['a', 1], name: x}}\n";
        let reading = crate::workflow::parse::read(text);
        assert_eq!(reading.faults, []);
        let [a, b] = reading.workflow.steps.as_slice() else { panic!("there are two") };
        assert_eq!(step(a, Some(&declared), &reading.places), Checked::default());
        let found: Vec<_> =
            step(b, Some(&declared), &reading.places).faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "4:45: steps.b.parameters.rows: must be an integer, not a text: it is declared as `int`",
                "4:65: steps.b.parameters.list: must be a list, each item an integer, not a list: it is declared as `List[int]`",
            ]
        );
    }

    #[test]
    fn the_points_of_a_sweep_are_told_by_name_once() {
        let declared = Translator::Python.inspect("rows: int = 5");
        let points =
            vec![json!({"rows": 1}), json!({"rows": "${{ a }}", "b": 1}), json!({"rows": "c", "b": 2})];
        let mut sweep = Step::new("sweep", StepSource::Notebook("a.ipynb".into()));
        sweep.for_each = Some(ForEach::List(points));
        sweep.literal_parameters = true;
        let checked = step(&sweep, Some(&declared), &Places::default());
        assert_eq!((checked.faults.len(), checked.warnings.len()), (1, 1));
        assert_eq!(checked.faults[0].field, "parameters.rows");
    }
}
