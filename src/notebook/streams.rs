//! The texts of standard output and error among a cell's outputs.

use serde_json::Value;

use super::{join_lines, split_lines};

/// Appends the text of `output` to `last` when both are texts of the same stream.
pub(super) fn append_stream(last: &mut Value, output: &Value) -> bool {
    let same = output.get("output_type").and_then(Value::as_str) == Some("stream")
        && last.get("output_type") == output.get("output_type")
        && last.get("name") == output.get("name");
    if !same {
        return false;
    }
    match (last.get_mut("text"), output.get("text").map(join_lines)) {
        (Some(Value::String(text)), Some(more)) => {
            text.push_str(&more);
            true
        }
        _ => false,
    }
}

/// The text of a stream as the list of lines in which Jupyter stores it.
pub(super) fn split_stream_text(output: &mut Value) {
    if output.get("output_type").and_then(Value::as_str) == Some("stream")
        && let Some(text) = output.get_mut("text")
        && let Value::String(whole) = text
    {
        *text = split_lines(whole);
    }
}

/// nbclient's `coalesce_streams` (`client.py`): one output for each stream, at the place of its first, what `\r`
/// took back left out, and standard output before standard error where they are neighbours. Backspaces stay: nbclient
/// means to take them out, and does not.
///
/// Answers where each output is now, by where it was.
pub(super) fn coalesce(outputs: &mut Vec<Value>) -> Vec<usize> {
    let mut merged: Vec<Value> = Vec::new();
    let mut places = Vec::new();
    for output in outputs.drain(..) {
        let same_stream = merged.iter_mut().position(|earlier| append_stream(earlier, &output));
        places.push(same_stream.unwrap_or(merged.len()));
        if same_stream.is_none() {
            merged.push(output);
        }
    }
    for output in &mut merged {
        if is_stream(output, "stdout") || is_stream(output, "stderr") {
            let text = output.get("text").map(|text| after_returns(&join_lines(text)));
            output["text"] = text.into();
        }
    }
    for index in 1..merged.len() {
        if is_stream(&merged[index - 1], "stderr") && is_stream(&merged[index], "stdout") {
            merged.swap(index - 1, index);
            for place in &mut places {
                *place = match *place {
                    at if at == index => index - 1,
                    at if at == index - 1 => index,
                    at => at,
                };
            }
        }
    }
    *outputs = merged;
    places
}

fn is_stream(output: &Value, name: &str) -> bool {
    let field = |field: &str| output.get(field).and_then(Value::as_str);
    field("output_type") == Some("stream") && field("name") == Some(name)
}

/// What is left of each line after its last `\r`, unless that ends the line or the text.
fn after_returns(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let before_end = line.strip_suffix('\r').unwrap_or(line);
        before_end.rfind('\r').map_or(line, |at| &line[at + 1..])
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn returns_take_back_what_stands_before_them_in_their_line() {
        // What Python's `re.sub(r".*\r(?=[^\n])", "", text)` gives.
        for (text, left) in [
            ("", ""),
            ("a\rb", "b"),
            ("1\r2\r3\nx", "3\nx"),
            ("a\r\nb", "a\r\nb"),
            ("a\rb\r\n", "b\r\n"),
            ("a\r\r\n", "\r\n"),
            ("a\r", "a\r"),
            ("a\u{2028}b\rc", "c"),
        ] {
            assert_eq!(after_returns(text), left, "{text:?}");
        }
    }

    #[test]
    fn each_stream_becomes_one_output_and_all_are_found_where_they_went() {
        let stream = |name: &str, text: &str| json!({"name": name, "output_type": "stream", "text": text});
        let display = json!({"data": {}, "metadata": {}, "output_type": "display_data"});
        let mut outputs = vec![
            stream("stderr", "e1\r"),
            stream("stdout", "o1"),
            display.clone(),
            stream("stderr", "e2"),
            stream("stdout", "o2"),
        ];
        let places = coalesce(&mut outputs);
        assert_eq!(outputs, [stream("stdout", "o1o2"), stream("stderr", "e2"), display]);
        assert_eq!(places, [1, 0, 2, 1, 0]);
    }
}
