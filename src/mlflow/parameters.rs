//! Parameters as MLflow takes them: which names and lengths, and how many at a time.
//!
//! The rules are those of `mlflow/utils/validation.py`. They differ: 3.x takes colons where 2.8 (and every
//! server on Windows) does not, the value limit is 500 or 6000 characters, and Python's idea of a letter is
//! not Rust's. So everything exists in two forms: the faithful one, and a strict one for a server that
//! refuses the first.

use std::collections::HashSet;

/// `MAX_PARAMS_TAGS_PER_BATCH`.
const MAX_BATCH: usize = 100;
/// Half of `MAX_BATCH_LOG_REQUEST_SIZE`, which counts the bytes of the whole JSON text.
const MAX_BATCH_BYTES: usize = 500_000;
/// `MAX_ENTITY_KEY_LENGTH`.
const MAX_KEY: usize = 250;

/// Which form of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    Faithful,
    Strict,
}

impl Rules {
    fn max_value(self) -> usize {
        match self {
            Self::Faithful => 6000,
            Self::Strict => 500,
        }
    }

    fn allows(self, character: char) -> bool {
        match character {
            '_' | '-' | '.' | '/' | ' ' => true,
            ':' => self == Self::Faithful,
            _ if self == Self::Strict => character.is_ascii_alphanumeric(),
            _ => character.is_alphanumeric(),
        }
    }
}

/// The first `limit` characters, the last of them `…` when something was cut.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A name that MLflow takes: no other characters, not empty, and a path that means itself
/// (`path_not_unique`), because its file store makes a file of it.
fn key(name: &str, rules: Rules) -> String {
    let mut key: String = name.chars().take(MAX_KEY).map(|c| if rules.allows(c) { c } else { '_' }).collect();
    if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        key = key.replace('/', "_");
    }
    // What is left of `path_not_unique`: the names `.` and those that start with two dots.
    if key == "." || key.starts_with("..") {
        key.replace_range(..1, "_");
    }
    if key.is_empty() { "_".to_owned() } else { key }
}

/// All parameters under names and values that `rules` allow. Names that become the same are told apart by
/// `_2`, `_3`, …; a name given twice keeps its last value, as a notebook's cell would.
pub(super) fn fitted(parameters: &[(String, String)], rules: Rules) -> Vec<(String, String)> {
    let mut last = HashSet::new();
    let mut distinct: Vec<_> =
        parameters.iter().rev().filter(|(name, _)| last.insert(name.as_str())).collect();
    distinct.reverse();

    // Names that need no change come first in the choice, so that they keep themselves.
    let mut taken: HashSet<String> =
        distinct.iter().filter(|(name, _)| key(name, rules) == *name).map(|(name, _)| name.clone()).collect();
    distinct
        .into_iter()
        .map(|(name, value)| {
            let wanted = key(name, rules);
            let unique = if wanted == *name { wanted } else { unique(wanted, &mut taken) };
            (unique, cut(value, rules.max_value()))
        })
        .collect()
}

fn unique(wanted: String, taken: &mut HashSet<String>) -> String {
    let mut candidate = wanted.clone();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        let suffix = format!("_{number}");
        candidate = wanted.chars().take(MAX_KEY - suffix.len()).collect();
        candidate.push_str(&suffix);
        number += 1;
    }
    candidate
}

/// Slices that one `runs/log-batch` takes.
pub(super) fn batches(parameters: &[(String, String)]) -> Vec<&[(String, String)]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, (key, value)) in parameters.iter().enumerate() {
        // A character takes at most six bytes of JSON (`\u0001`) for each byte of ours.
        let size = 40 + 6 * (key.len() + value.len());
        if index > start && (index - start == MAX_BATCH || bytes + size > MAX_BATCH_BYTES) {
            batches.push(&parameters[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += size;
    }
    if start < parameters.len() {
        batches.push(&parameters[start..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_ones_that_mlflow_takes() {
        for (name, faithful, strict) in [
            ("alpha", "alpha", "alpha"),
            ("a b-c.d_e", "a b-c.d_e", "a b-c.d_e"),
            ("a:b", "a:b", "a_b"),
            ("größe", "größe", "gr__e"),
            ("a\nb\0c", "a_b_c", "a_b_c"),
            ("a/b", "a/b", "a/b"),
            ("a//b", "a__b", "a__b"),
            ("/etc/passwd", "_etc_passwd", "_etc_passwd"),
            ("../../x", "_._.._x", "_._.._x"),
            ("a/", "a_", "a_"),
            ("a/./b", "a_._b", "a_._b"),
            (".", "_", "_"),
            ("..", "_.", "_."),
            ("..x", "_.x", "_.x"),
            (".x", ".x", ".x"),
            ("", "_", "_"),
            ("$(rm)", "__rm_", "__rm_"),
        ] {
            assert_eq!(key(name, Rules::Faithful), faithful, "{name:?}");
            assert_eq!(key(name, Rules::Strict), strict, "{name:?}");
        }
        assert_eq!(key(&"é".repeat(300), Rules::Faithful).chars().count(), 250);
    }

    #[test]
    fn names_that_become_the_same_stay_apart() {
        let parameters: Vec<_> = [("a#b", "1"), ("a_b", "2"), ("a?b", "3"), ("a_b_2", "4"), ("a_b", "5")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let fitted: Vec<_> = fitted(&parameters, Rules::Faithful);
        let shown: Vec<_> = fitted.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(shown, ["a_b_3=1", "a_b_4=3", "a_b_2=4", "a_b=5"]);

        let long: Vec<_> =
            ["!", "?"].map(|last| (format!("{}{last}", "x".repeat(249)), String::new())).into();
        let fitted = super::fitted(&long, Rules::Faithful);
        assert_ne!(fitted[0].0, fitted[1].0);
        assert!(fitted.iter().all(|(key, _)| key.chars().count() <= 250));
    }

    #[test]
    fn values_are_cut_by_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        let value = vec![("a".to_owned(), "€".repeat(7000))];
        assert_eq!(fitted(&value, Rules::Faithful)[0].1.chars().count(), 6000);
        assert_eq!(fitted(&value, Rules::Strict)[0].1.chars().count(), 500);
    }

    #[test]
    fn batches_hold_a_hundred_or_half_a_megabyte() {
        let sizes = |parameters: &[(String, String)]| -> Vec<usize> {
            batches(parameters).iter().map(|batch| batch.len()).collect()
        };
        let small = vec![("k".to_owned(), "v".to_owned()); 250];
        assert_eq!(sizes(&small), [100, 100, 50]);
        let large = vec![("k".to_owned(), "€".repeat(6000)); 10];
        assert_eq!(sizes(&large), [4, 4, 2]);
        let huge = vec![("k".to_owned(), "𝄞".repeat(40_000)); 2];
        assert_eq!(sizes(&huge), [1, 1]);
        assert!(batches(&[]).is_empty());
    }
}
