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

/// A parameter in both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fitted {
    name: String,
    value: String,
    strict_name: String,
}

impl Fitted {
    /// Name and value under `rules`.
    pub(super) fn under(&self, rules: Rules) -> (&str, String) {
        let name = if rules == Rules::Strict { &self.strict_name } else { &self.name };
        (name, cut(&self.value, rules.max_value()))
    }
}

/// All parameters under names that MLflow takes. Names that become the same are told apart by `_2`, `_3`, …;
/// a name given twice keeps its last value, as a variable in a cell would.
///
/// Names are distinct over both forms, because one batch of a run may need the strict one and another not.
pub(super) fn fitted(parameters: &[(String, String)]) -> Vec<Fitted> {
    let mut seen = HashSet::new();
    let mut distinct: Vec<_> =
        parameters.iter().rev().filter(|(name, _)| seen.insert(name.as_str())).collect();
    distinct.reverse();

    // Names that need no change are taken before any other, so that they keep themselves.
    let unchanged = |name: &String| key(name, Rules::Faithful) == *name;
    let mut taken: HashSet<String> =
        distinct.iter().map(|(name, _)| name.clone()).filter(unchanged).collect();
    let faithful: Vec<_> = distinct
        .iter()
        .map(|(name, _)| match key(name, Rules::Faithful) {
            key if key == *name => key,
            key => unique(key, &mut taken),
        })
        .collect();
    let strict = faithful.iter().map(|name| match key(name, Rules::Strict) {
        key if key == *name => key,
        key => unique(key, &mut taken),
    });
    let strict: Vec<_> = strict.collect();
    let names = faithful.into_iter().zip(strict);
    distinct
        .into_iter()
        .zip(names)
        .map(|((_, value), (name, strict_name))| Fitted {
            name,
            value: cut(value, Rules::Faithful.max_value()),
            strict_name,
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
pub(super) fn batches(parameters: &[Fitted]) -> Vec<&[Fitted]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, parameter) in parameters.iter().enumerate() {
        // A character takes at most six bytes of JSON (`\u0001`) for each byte of ours.
        let size = 40 + 6 * (parameter.name.len() + parameter.value.len());
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

    fn given(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn names_that_become_the_same_stay_apart() {
        let parameters =
            given(&[("a#b", "1"), ("a_b", "2"), ("a?b", "3"), ("a_b_2", "4"), ("a:b", "5"), ("a_b", "6")]);
        let fitted = fitted(&parameters);
        let shown: Vec<_> =
            fitted.iter().map(|one| format!("{} {} {}", one.name, one.strict_name, one.value)).collect();
        assert_eq!(shown, ["a_b_3 a_b_3 1", "a_b_4 a_b_4 3", "a_b_2 a_b_2 4", "a:b a_b_5 5", "a_b a_b 6"]);

        let long = ["!", "?"].map(|last| (format!("{}{last}", "x".repeat(249)), String::new()));
        let fitted = super::fitted(&long);
        assert_ne!(fitted[0].name, fitted[1].name);
        assert!(fitted.iter().all(|one| one.name.chars().count() <= 250));
    }

    #[test]
    fn values_are_cut_by_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        let fitted = fitted(&given(&[("a", &"€".repeat(7000))]));
        assert_eq!(fitted[0].under(Rules::Faithful).1.chars().count(), 6000);
        assert_eq!(fitted[0].under(Rules::Strict).1.chars().count(), 500);
    }

    #[test]
    fn batches_hold_a_hundred_or_half_a_megabyte() {
        let sizes = |count: usize, value: &str| -> Vec<usize> {
            let parameters: Vec<_> = (0..count).map(|index| (index.to_string(), value.to_owned())).collect();
            batches(&fitted(&parameters)).iter().map(|batch| batch.len()).collect()
        };
        assert_eq!(sizes(250, "v"), [100, 100, 50]);
        assert_eq!(sizes(10, &"€".repeat(6000)), [4, 4, 2]);
        assert_eq!(sizes(5, &"𝄞".repeat(9000)), [3, 2]);
        assert!(sizes(0, "").is_empty());
    }
}
