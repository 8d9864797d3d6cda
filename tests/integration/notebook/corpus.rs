//! Real notebooks, read and written.

use std::collections::BTreeMap;
use std::fs;

use bindery::notebook::Notebook;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{real_notebooks, tests_folder};

#[test]
fn real_notebooks_come_back_byte_for_byte() {
    let exceptions = fs::read(tests_folder().join("notebooks/rewritten.json")).unwrap();
    let mut exceptions: BTreeMap<String, Value> = serde_json::from_slice(&exceptions).unwrap();
    let (mut same, mut rewritten) = (0, 0);
    for (name, bytes) in real_notebooks() {
        let written = Notebook::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}")).to_bytes();
        let Some(exception) = exceptions.remove(&name) else {
            assert!(written == bytes, "{name} did not come back as it was");
            same += 1;
            continue;
        };
        // Jupyter's own writer changes this one too; what Python's json module makes of it is expected.
        assert!(written != bytes, "{name} is no exception any more: {}", exception["reason"]);
        let digest: String = Sha256::digest(&written).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, exception["sha256"], "{name}: {}", exception["reason"]);
        rewritten += 1;
    }
    assert!(exceptions.is_empty(), "exceptions without a notebook: {exceptions:?}");
    assert_eq!((same, rewritten), (203, 15), "tests/notebooks has changed: bring the counts up to date");
}

#[test]
fn reading_what_was_written_gives_the_same_notebook() {
    for (name, bytes) in real_notebooks() {
        let notebook = Notebook::parse(&bytes).unwrap();
        let again = Notebook::from_value(notebook.to_value()).unwrap();
        assert!(notebook == again && again.to_bytes() == notebook.to_bytes(), "{name}");
    }
}
