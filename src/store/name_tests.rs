use super::*;
use crate::error::ErrorKind;

fn accept(text: &str, category: &str, file_name: &str) {
    let name = TemplateName::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(
        (name.as_str(), name.category().as_str(), name.file_name()),
        (text, category, file_name),
        "{text:?}"
    );
}

fn refuse_with(text: &str, expected: &str) {
    let Err(error) = TemplateName::parse(text) else { panic!("{text:?} was accepted") };
    assert_eq!(error.kind(), ErrorKind::BadInput, "{text:?}");
    assert!(error.message().contains(expected), "{text:?}: {}", error.message());
    assert!(!error.message().contains(char::is_control), "{text:?}: {}", error.message());
}

#[test]
fn ordinary_names_of_any_script_are_accepted() {
    for (text, category, file_name) in [
        ("ml/train.ipynb", "ml", "train.ipynb"),
        ("a/b/c/d/x.ipynb", "a/b/c/d", "x.ipynb"),
        (
            "team a/my report (v2) + notes, final=1 @home.ipynb",
            "team a",
            "my report (v2) + notes, final=1 @home.ipynb",
        ),
        ("données/été-2024.ipynb", "données", "été-2024.ipynb"),
        ("機械学習/訓練.ipynb", "機械学習", "訓練.ipynb"),
        ("हिन्दी/रिपोर्ट.ipynb", "हिन्दी", "रिपोर्ट.ipynb"),
        ("0/v1.2.3_rc-1.ipynb", "0", "v1.2.3_rc-1.ipynb"),
        ("ml/x.ipynb.ipynb", "ml", "x.ipynb.ipynb"),
    ] {
        accept(text, category, file_name);
    }
    assert_eq!(TemplateName::parse("ml/a.b.ipynb").unwrap().stem(), "a.b");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (text, expected) in [
        ("", "empty"),
        ("x.ipynb", "no category"),
        ("/x.ipynb", "empty part"),
        ("/etc/x.ipynb", "empty part"),
        ("ml//x.ipynb", "empty part"),
        ("ml/x.ipynb/", "empty part"),
        ("../x.ipynb", "begins with a dot"),
        ("ml/../x.ipynb", "begins with a dot"),
        ("ml/./x.ipynb", "begins with a dot"),
        ("ml/.hidden.ipynb", "begins with a dot"),
        ("ml/.ipynb", "begins with a dot"),
        (".bindery/x.ipynb", "begins with a dot"),
        ("ml/a..b.ipynb", "two dots"),
        ("ml\\x.ipynb", "U+005C"),
        ("ml/x\0.ipynb", "U+0000"),
        ("ml/x\n.ipynb", "U+000A"),
        ("ml/x%2f.ipynb", "U+0025"),
        ("ml/x:y.ipynb", "U+003A"),
        ("ml/x?.ipynb", "U+003F"),
        ("ml/ x.ipynb", "begins or ends with a space"),
        ("ml /x.ipynb", "begins or ends with a space"),
        ("ml/x .ipynb", "before .ipynb"),
        ("a/b/c/d/e/x.ipynb", "5 parts"),
        ("ml.ipynb/x.ipynb", "only a notebook's name may"),
    ] {
        refuse_with(text, expected);
    }
}

#[test]
fn names_that_only_look_like_others_are_refused() {
    for (text, expected) in [
        ("ml／x/y.ipynb", "U+FF0F"),
        ("ml/x\u{202E}bpynb.ipynb", "U+202E"),
        ("ml/x\u{2066}.ipynb", "U+2066"),
        ("ml/x\u{200B}.ipynb", "U+200B"),
        ("ml/x\u{200D}.ipynb", "U+200D"),
        ("ml/x\u{FEFF}.ipynb", "U+FEFF"),
        ("ml/x\u{00AD}.ipynb", "U+00AD"),
        ("ml/x\u{FE0F}.ipynb", "U+FE0F"),
        ("ml/x\u{1160}.ipynb", "U+1160"),
        ("ml/x\u{3164}.ipynb", "U+3164"),
        ("ml/x\u{A0}y.ipynb", "U+00A0"),
        ("ml/x\u{2024}ipynb", "U+2024"),
        ("ml/ﬁt.ipynb", "NFKC"),
        ("ml/ｆｉｔ.ipynb", "NFKC"),
        ("ml/e\u{301}.ipynb", "NFKC"),
        ("ml/x².ipynb", "NFKC"),
        ("ml/\u{94D}x.ipynb", "combining mark"),
    ] {
        refuse_with(text, expected);
    }
}

#[test]
fn the_extension_is_exact() {
    for text in ["ml/x", "ml/x.IPYNB", "ml/x.Ipynb", "ml/x.ipynb.txt", "ml/x.py", "ml/xipynb"] {
        refuse_with(text, "does not end in .ipynb");
    }
}

#[test]
fn length_is_counted_in_bytes() {
    let longest = format!("ml/{}.ipynb", "x".repeat(MAX_NAME_BYTES - 9));
    accept(&longest, "ml", &longest[3..]);
    refuse_with(&format!("ml/{}.ipynb", "x".repeat(MAX_NAME_BYTES - 8)), "201 bytes");
    refuse_with(&format!("ml/{}.ipynb", "字".repeat(64)), "201 bytes");
}

#[test]
fn a_file_name_brings_no_category_of_its_own() {
    let category = Category::parse("ml").unwrap();
    assert_eq!(TemplateName::in_category(&category, "x.ipynb").unwrap().as_str(), "ml/x.ipynb");
    for file_name in ["a/x.ipynb", "/x.ipynb", "../x.ipynb", ""] {
        assert!(TemplateName::in_category(&category, file_name).is_err(), "{file_name:?}");
    }
}

#[test]
fn categories_are_checked_alone_too() {
    for text in ["", "/", "ml/", "/ml", "a/b/c/d/e", "..", "a/../b", "ml\u{200B}", "x.ipynb"] {
        assert!(Category::parse(text).is_err(), "{text:?}");
    }
    assert_eq!(Category::parse("a/b c").unwrap().prefix(), "a/b c/");
}
