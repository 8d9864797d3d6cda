//! An executed notebook as one page of HTML, for people who only want to look.
//!
//! The page is self-contained: style, images and outputs are inside. It will be shown by servers with
//! accounts (MLflow's, our own), so nothing that came from the notebook runs with the page's origin:
//! - text is escaped, and terminal colours become `<span>`s;
//! - images are `data:` URIs in `<img>`, where SVG runs no script;
//! - `text/html` outputs live in `<iframe sandbox="allow-scripts">`, without `allow-same-origin`: plots may
//!   run their scripts, in an origin of their own that can read nothing;
//! - of the raw HTML in markdown, a list of harmless tags and attributes is written anew, all else is
//!   dropped or shown as text, and links go to `http(s):`, `mailto:` and places in the page only;
//! - JavaScript outputs and widgets are never run: their plain text is shown.
//!
//! Mathematics stays as its TeX source, and code is not coloured.

mod color;
mod markdown;
mod outputs;
mod sanitize;
mod tag;
mod terminal;

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;

const STYLE: &str = include_str!("page.css");
/// The only script of the page: a frame tells its height, and gets it. It stands before the frames, for a
/// message that comes before its listener is lost.
const SCRIPT: &str = "addEventListener('message',e=>{const h=e.data&&e.data.binderyFrameHeight;\
if(!Number.isFinite(h))return;for(const f of document.querySelectorAll('iframe.html'))\
if(f.contentWindow===e.source)f.style.height=Math.min(Math.max(h+2,24),20000)+'px'})";

/// The whole page. `notebook` is the JSON of an nbformat 4 notebook; whatever in it has another shape than
/// nbformat says is left out, never an error.
pub fn notebook_to_html(notebook: &Value, title: &str) -> String {
    let mut page = String::with_capacity(STYLE.len() + 4096);
    page.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"object-src 'none'; base-uri 'none'; form-action 'none'\">\n");
    page.push_str("<title>");
    escape_into(title, &mut page);
    let _ = write!(
        page,
        "</title>\n<style>\n{STYLE}</style>\n<script>{SCRIPT}</script>\n</head>\n<body>\n<header><h1>"
    );
    escape_into(title, &mut page);
    page.push_str("</h1>");
    let cells = notebook.get("cells").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    summary(notebook, cells, &mut page);
    page.push_str("</header>\n<main>\n");
    for (index, cell) in cells.iter().enumerate() {
        write_cell(index, cell, &mut page);
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// Kernel and number of cells, and where it went wrong if it did.
fn summary(notebook: &Value, cells: &[Value], page: &mut String) {
    page.push_str("<p class=\"muted\">");
    let kernelspec = notebook.pointer("/metadata/kernelspec");
    let name = |key| kernelspec.and_then(|spec| spec.get(key)).and_then(Value::as_str);
    if let Some(name) = name("display_name").or_else(|| name("name")) {
        escape_into(name, page);
        page.push_str(" · ");
    }
    let _ = writeln!(page, "{} cells</p>", cells.len());
    for (index, cell) in cells.iter().enumerate() {
        let Some(error) = outputs_of(cell).iter().find(|output| kind(output) == Some("error")) else {
            continue;
        };
        let _ = write!(page, "<p class=\"failed\"><a href=\"#cell-{index}\">Cell {}</a> failed: ", index + 1);
        escape_into(&joined(error.get("ename")), page);
        // Only the first line: a message may be a page long, and stands at its cell in full.
        if let Some(line) = joined(error.get("evalue")).lines().next() {
            page.push_str(": ");
            page.push_str(&terminal::to_html(line));
        }
        page.push_str("</p>\n");
    }
}

fn write_cell(index: usize, cell: &Value, page: &mut String) {
    let source = joined(cell.get("source"));
    let (class, body): (&str, fn(&Value, &str, &mut String)) =
        match cell.get("cell_type").and_then(Value::as_str) {
            Some("markdown") => ("markdown", |cell, source, page| {
                page.push_str("<div class=\"prose\">");
                markdown::write(source, cell.get("attachments"), page);
                page.push_str("</div>\n");
            }),
            Some("code") => ("code", write_code),
            _ => ("raw", |_, source, page| preformatted("source", source, page)),
        };
    let _ = write!(page, "<section id=\"cell-{index}\" class=\"cell {class}");
    let tags = cell.pointer("/metadata/tags").and_then(Value::as_array);
    for tag in tags.into_iter().flatten().filter_map(Value::as_str) {
        page.push_str(" celltag_");
        page.extend(tag.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }));
    }
    page.push_str("\">\n");
    body(cell, &source, page);
    page.push_str("</section>\n");
}

fn write_code(cell: &Value, source: &str, page: &mut String) {
    let hidden = |what: &str| cell.pointer(what).and_then(Value::as_bool) == Some(true);
    if !hidden("/metadata/jupyter/source_hidden") {
        page.push_str("<div class=\"input\"><div class=\"prompt\">In&nbsp;[");
        match cell.get("execution_count").and_then(Value::as_u64) {
            Some(count) => {
                let _ = write!(page, "{count}");
            }
            None => page.push_str("&nbsp;"),
        }
        page.push_str("]:</div>");
        preformatted("source", source, page);
        page.push_str("</div>\n");
    }
    let outputs = outputs_of(cell);
    if outputs.is_empty() {
        return;
    }
    let folded = hidden("/metadata/jupyter/outputs_hidden") || hidden("/metadata/collapsed");
    page.push_str(if folded {
        "<details class=\"outputs\"><summary>outputs</summary>\n"
    } else {
        "<div class=\"outputs\">\n"
    });
    outputs::write(outputs, page);
    page.push_str(if folded { "</details>\n" } else { "</div>\n" });
}

fn preformatted(class: &str, text: &str, page: &mut String) {
    let _ = write!(page, "<pre class=\"{class}\">");
    // A parser drops the first newline of a <pre>, so one is given to it.
    page.push('\n');
    escape_into(text, page);
    page.push_str("</pre>\n");
}

fn outputs_of(cell: &Value) -> &[Value] {
    cell.get("outputs").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn kind(output: &Value) -> Option<&str> {
    output.get("output_type").and_then(Value::as_str)
}

/// nbformat's multi-line string: one string, or a list of them.
fn joined(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(Value::Array(lines)) => Cow::Owned(lines.iter().filter_map(Value::as_str).collect()),
        _ => Cow::Borrowed(""),
    }
}

/// Text as text, fit for content and for quoted attributes.
fn escape_into(text: &str, page: &mut String) {
    page.reserve(text.len());
    let mut rest = text;
    // Every byte looked for is ASCII, so the cuts fall between characters.
    while let Some(at) = rest.bytes().position(|byte| {
        matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'')
            || (byte < b' ' && !matches!(byte, b'\n' | b'\t' | b'\r'))
    }) {
        page.push_str(&rest[..at]);
        page.push_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            // No control character is allowed in HTML, not even as a reference.
            _ => "\u{fffd}",
        });
        rest = &rest[at + 1..];
    }
    page.push_str(rest);
}

#[cfg(test)]
mod tests;
