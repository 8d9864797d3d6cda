//! Validation against nbformat's verdicts on some 25,000 changes to valid notebooks.

use bindery::notebook::Notebook;
use serde_json::Value;

use super::{fixture, real_notebooks};

struct Tally {
    checked: usize,
    faults: Vec<String>,
}

impl Tally {
    fn check(&mut self, notebook: Value, place: &str, change: &Value, expected: u8) {
        self.checked += 1;
        let result = Notebook::from_value(notebook).and_then(|notebook| notebook.validate());
        if result.is_ok() != (expected == b'1') {
            self.faults.push(format!("{place} = {change}: {result:?}"));
        }
        if let Err(error) = result {
            assert!(!error.fields().is_empty(), "a fault has a place: {error}");
        }
    }
}

#[test]
fn verdicts_are_nbformats() {
    let mut values = Vec::new();
    let mut notebooks = vec![Value::Null; 7];
    let mut tally = Tally { checked: 0, faults: Vec::new() };
    for row in fixture("validation.json") {
        if let Some(list) = row["values"].as_array() {
            values = list.clone();
            continue;
        }
        let minor = row["minor"].as_u64().unwrap() as usize;
        if row.get("notebook").is_some() {
            notebooks[minor] = row["notebook"].clone();
            tally.check(notebooks[minor].clone(), "", &Value::Null, b'1');
            continue;
        }
        let path = row["path"].as_array().unwrap();
        let pointer: String = path.iter().map(|key| format!("/{}", escaped(key))).collect();
        let place = format!("4.{minor}{pointer}");
        if let Some(verdicts) = row["verdicts"].as_str() {
            let (removal, replacements) = verdicts.as_bytes().split_first().unwrap();
            let (holder, key) = pointer.rsplit_once('/').unwrap();
            let mut notebook = notebooks[minor].clone();
            match notebook.pointer_mut(holder).unwrap() {
                Value::Object(object) => drop(object.shift_remove(&key.replace("~1", "/"))),
                Value::Array(list) => drop(list.remove(key.parse().unwrap())),
                _ => unreachable!("a place is in an object or a list"),
            }
            tally.check(notebook, &place, &"(removed)".into(), *removal);
            assert_eq!(replacements.len(), values.len());
            for (value, verdict) in values.iter().zip(replacements) {
                let mut notebook = notebooks[minor].clone();
                *notebook.pointer_mut(&pointer).unwrap() = value.clone();
                tally.check(notebook, &place, value, *verdict);
            }
        } else {
            let object = notebooks[minor].pointer(&pointer).unwrap().as_object().unwrap().clone();
            let additions = ["unknown", "id", "attachments", "outputs"]
                .into_iter()
                .filter(|name| !object.contains_key(*name))
                .flat_map(|name| [(name, Value::from("x")), (name, Value::from(1))]);
            let verdicts = row["added"].as_str().unwrap().bytes();
            for ((name, value), verdict) in additions.zip(verdicts) {
                let mut notebook = notebooks[minor].clone();
                notebook.pointer_mut(&pointer).unwrap()[name] = value.clone();
                tally.check(notebook, &format!("{place}/{name}"), &value, verdict);
            }
        }
    }
    assert!(tally.checked > 25_000, "only {} changes were checked", tally.checked);
    let shown = tally.faults.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(tally.faults.is_empty(), "{} of {} differ:\n{shown}", tally.faults.len(), tally.checked);
}

fn escaped(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), |key| key.replace('/', "~1"))
}

#[test]
fn verdicts_on_real_notebooks_are_nbformats() {
    let rows = fixture("real_validity.json");
    let notebooks = real_notebooks();
    assert_eq!(rows.len(), notebooks.len());
    for (row, (name, bytes)) in rows.iter().zip(notebooks) {
        assert_eq!(row["notebook"], name);
        let result = Notebook::parse(&bytes).and_then(|notebook| notebook.validate());
        assert_eq!(result.is_ok(), row["valid"].as_bool().unwrap(), "{name}: {result:?}");
    }
}
