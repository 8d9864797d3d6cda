//! What is no notebook, or a broken one: a clear error, never a panic.

use bindery::error::ErrorKind;
use bindery::notebook::Notebook;

use super::real_notebooks;

const GOOD: &str = r#"{"cells": [{"cell_type": "markdown", "metadata": {}, "source": "x"}],
 "metadata": {}, "nbformat": 4, "nbformat_minor": 4}"#;

fn parse(text: impl AsRef<[u8]>) -> bindery::error::Error {
    Notebook::parse(text.as_ref()).unwrap_err()
}

#[test]
fn what_is_not_json_is_refused_with_line_and_column() {
    let check = |text: &[u8], told: &str| {
        let error = parse(text);
        assert_eq!(error.kind(), ErrorKind::NotANotebook, "{error}");
        assert!(error.message().contains(told), "{error} should tell {told:?}");
    };
    check(b"", "line 1 column 0");
    check(b"hello", "line 1 column 1");
    check(b"{\n \"cells\": [,]}", "line 2 column 12");
    check(&GOOD.as_bytes()[..GOOD.len() - 1], "line 2 column");
    check(format!("{GOOD}x").as_bytes(), "trailing characters at line 2");
    check(GOOD.replace("\"x\"", "NaN").as_bytes(), "NaN and Infinity are not JSON");
    check(GOOD.replace("\"x\"", "-Infinity").as_bytes(), "NaN and Infinity are not JSON");
    check(GOOD.replace("\"x\"", "1e999").as_bytes(), "number out of range at line 1");
    check(GOOD.replace("\"x\"", r#""\ud800""#).as_bytes(), "line 1 column");
    check(GOOD.replace("\"x\"", r#""\udc00\ud800""#).as_bytes(), "line 1 column");
    check(GOOD.replace("\"x\"", "\"\u{1}\"").as_bytes(), "control character");
    check(b"{\"cells\": \"\xff\"}", "line 1 column");
    check(&[0xff, 0xfe, b'{', 0, b'}', 0], "UTF-16");
    check(format!("\u{feff}{GOOD}").as_bytes(), "byte order mark");
    check(b"\0\0\0\0", "line 1 column 1");
    check(b"PK\x03\x04", "line 1 column 1");
}

#[test]
fn json_of_another_kind_is_refused() {
    let check = |text: &str, kind: ErrorKind, told: &str| {
        let error = parse(text);
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(error.message().contains(told), "{text}: {error}");
    };
    check("[]", ErrorKind::NotANotebook, "not an object");
    check("null", ErrorKind::NotANotebook, "not an object");
    check("{}", ErrorKind::NotANotebook, "`nbformat`");
    check(r#"{"nbformat": 1, "cells": []}"#, ErrorKind::Invalid, "nbformat is 1");
    check(r#"{"nbformat": 3, "cells": []}"#, ErrorKind::Invalid, "`worksheets` is not a list");
    check(r#"{"nbformat": 2, "worksheets": [{"cells": [1]}]}"#, ErrorKind::Invalid, "worksheets[0].cells[0]");
    check(r#"{"nbformat": 4.0, "cells": []}"#, ErrorKind::Invalid, "nbformat is 4.0");
    check(r#"{"nbformat": "4", "cells": []}"#, ErrorKind::Invalid, "nbformat is \"4\"");
    check(r#"{"nbformat": 5, "cells": []}"#, ErrorKind::Invalid, "nbformat is 5");
    check(r#"{"nbformat": -4, "cells": []}"#, ErrorKind::Invalid, "nbformat is -4");
    check(r#"{"nbformat": 4}"#, ErrorKind::Invalid, "no `cells`");
    check(r#"{"nbformat": 4, "cells": {}}"#, ErrorKind::Invalid, "not a list");
    check(r#"{"nbformat": 4, "cells": [[]]}"#, ErrorKind::Invalid, "cell 0 is not an object");
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        let error = parse(GOOD.replace("\n \"metadata\": {}", &format!("\n \"metadata\": {nested}")));
        assert_eq!(error.kind(), ErrorKind::NotANotebook);
        let error = parse(GOOD.replace("\"x\"", &nested));
        assert!(error.message().contains("recursion limit exceeded at line 1"), "{error}");
    }
}

#[test]
fn a_key_given_twice_keeps_the_last_value_as_in_python() {
    let notebook = Notebook::parse(GOOD.replace("\"x\"", r#""x", "source": "y""#).as_bytes()).unwrap();
    assert_eq!(notebook.cells()[0].source(), "y");
}

#[test]
fn sixty_megabytes_are_read_and_written() {
    let line = "0123456789abcdef".repeat(64);
    let text = format!("\"{}\"", line.repeat(60 * 1024));
    let notebook = Notebook::parse(GOOD.replace("\"x\"", &text).as_bytes()).unwrap();
    notebook.validate().unwrap();
    assert!(notebook.to_bytes().len() > 60 * 1024 * 1024);
    let junk = vec![b'['; 60 * 1024 * 1024];
    assert_eq!(parse(junk).kind(), ErrorKind::NotANotebook);
}

/// Real notebooks cut off, with bytes flipped and spans repeated: each either reads or is refused, and what
/// reads can be validated, inspected and written.
#[test]
fn damaged_notebooks_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut read = 0;
    for (name, bytes) in real_notebooks() {
        for _ in 0..20 {
            let mut damaged = bytes[..bytes.len().min(20_000)].to_vec();
            if bytes.len() <= 20_000 || random(2) == 0 {
                damaged = bytes.clone();
            }
            for _ in 0..=random(4) {
                let at = random(damaged.len());
                match random(4) {
                    0 => damaged.truncate(at),
                    1 => damaged[at] = random(256) as u8,
                    2 => damaged.insert(at, b"{}[]\",:\\0n"[random(10)]),
                    _ => {
                        let end = damaged.len().min(at + random(40));
                        let span = damaged[at..end].to_vec();
                        damaged.splice(at..at, span);
                    }
                }
                if damaged.is_empty() {
                    break;
                }
            }
            match Notebook::parse(&damaged) {
                Ok(notebook) => {
                    read += 1;
                    let _ = notebook.validate();
                    bindery::notebook::infer_parameters(&notebook);
                    assert!(Notebook::parse(&notebook.to_bytes()).unwrap() == notebook, "{name}");
                }
                Err(error) => assert!(!error.message().is_empty()),
            }
        }
    }
    assert!(read > 100, "the damage was too great to test anything: {read}");
}
