//! What the cells put out, each output in the richest form that can be shown without running it here.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{escape_into, joined, kind, markdown, preformatted, terminal};

/// From rich to plain, in the order of nbconvert's HTML exporter without what needs to be run, and with the
/// image and data types that it leaves out.
const RICHEST_FIRST: [&str; 10] = [
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "text/latex",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "application/json",
    "text/plain",
];

/// Put before the HTML of an output, inside its frame: Jupyter's look for tables, and news of the
/// height. A frame that is still without a size says nothing: it would be believed.
const FRAME_HEAD: &str = "<!DOCTYPE html><meta charset=utf-8><style>:root{color-scheme:light dark}\
body{margin:0;padding:1px;font:14px/1.4 system-ui,sans-serif;display:flow-root;overflow-x:auto}\
table{border-collapse:collapse;font-size:12px}td,th{padding:4px 8px;text-align:right;border:0}\
thead{border-bottom:1px solid #8888}tbody tr:nth-child(odd){background:#8881}img{max-width:100%}</style>\
<script>addEventListener('DOMContentLoaded',()=>{const b=document.body,t=()=>{if(innerWidth)\
parent.postMessage({binderyFrameHeight:Math.ceil(b.getBoundingClientRect().height)},'*')};\
new ResizeObserver(t).observe(b);for(const e of['load','resize'])addEventListener(e,t);setTimeout(t,300)})</script>";

/// Writes the outputs of one cell.
pub(super) fn write(outputs: &[Value], page: &mut String) {
    let mut rest = outputs;
    while let Some((output, behind)) = rest.split_first() {
        rest = behind;
        match kind(output) {
            Some("stream") => rest = stream(output, behind, page),
            Some("error") => error(output, page),
            Some("execute_result" | "display_data") => bundle(output, page),
            _ => {}
        }
    }
}

/// A stream, together with its continuations: a progress bar rewinds into what came before.
fn stream<'a>(output: &Value, behind: &'a [Value], page: &mut String) -> &'a [Value] {
    let name = output.get("name").and_then(Value::as_str);
    let more = behind
        .iter()
        .take_while(|next| kind(next) == Some("stream") && next.get("name").and_then(Value::as_str) == name)
        .count();
    let text = if more == 0 {
        terminal::to_html(&joined(output.get("text")))
    } else {
        let texts = std::iter::once(output).chain(&behind[..more]);
        terminal::to_html(&texts.map(|output| joined(output.get("text"))).collect::<String>())
    };
    let class = if name == Some("stderr") { "stream stderr" } else { "stream" };
    rendered(class, &text, page);
    &behind[more..]
}

fn error(output: &Value, page: &mut String) {
    let lines = output.get("traceback").and_then(Value::as_array);
    let lines: Vec<_> = lines.into_iter().flatten().filter_map(Value::as_str).collect();
    let text = if lines.is_empty() {
        format!("{}: {}", joined(output.get("ename")), joined(output.get("evalue")))
    } else {
        lines.join("\n")
    };
    rendered("stream error", &terminal::to_html(&text), page);
}

/// A `<pre>` around HTML of ours.
fn rendered(class: &str, html: &str, page: &mut String) {
    let _ = write!(page, "<pre class=\"{class}\">\n{html}</pre>\n");
}

fn bundle(output: &Value, page: &mut String) {
    let Some(data) = output.get("data").and_then(Value::as_object) else { return };
    page.push_str("<div class=\"output\">");
    if let Some(count) = output.get("execution_count").and_then(Value::as_u64) {
        let _ = write!(page, "<div class=\"prompt\">Out[{count}]:</div>");
    }
    let shown = RICHEST_FIRST.iter().any(|kind| {
        data.get(*kind).is_some_and(|value| representation(kind, value, output.get("metadata"), page))
    });
    if !shown {
        page.push_str("<p class=\"muted\">not shown: ");
        let kinds: Vec<_> = data.keys().map(String::as_str).collect();
        escape_into(&kinds.join(", "), page);
        page.push_str("</p>");
    }
    page.push_str("</div>\n");
}

/// Writes one representation; false when it is faulty and the next one should be tried.
fn representation(kind: &str, value: &Value, metadata: Option<&Value>, page: &mut String) -> bool {
    match kind {
        "text/html" => frame(&joined(Some(value)), page),
        "text/markdown" => {
            page.push_str("<div class=\"prose\">");
            markdown::write(&joined(Some(value)), None, page);
            page.push_str("</div>\n");
        }
        "text/latex" => preformatted("latex", &joined(Some(value)), page),
        "text/plain" => rendered("plain", &terminal::to_html(&joined(Some(value))), page),
        "application/json" => {
            preformatted("json", &serde_json::to_string_pretty(value).unwrap_or_default(), page);
        }
        _ => {
            let Some(uri) = data_uri(kind, Some(value)) else { return false };
            let _ = write!(page, "<img alt=\"output\" src=\"{uri}\"");
            let metadata = metadata.map(|metadata| metadata.get(kind).unwrap_or(metadata));
            for side in ["width", "height"] {
                let length = metadata.and_then(|metadata| metadata.get(side)).and_then(Value::as_f64);
                if let Some(length) = length.filter(|length| *length > 0.0) {
                    let _ = write!(page, " {side}=\"{length:.0}\"");
                }
            }
            page.push('>');
        }
    }
    true
}

/// HTML of the notebook's making, in a frame with an origin of its own.
fn frame(html: &str, page: &mut String) {
    // A first guess for readers without scripts; the frame itself knows better.
    let rows = html.matches("<tr").count();
    let height = (rows * 27 + 40).clamp(80, 600);
    let _ = write!(
        page,
        "<iframe class=\"html\" sandbox=\"allow-scripts\" style=\"height:{height}px\" title=\"output\" srcdoc=\""
    );
    escape_into(FRAME_HEAD, page);
    escape_into(html, page);
    page.push_str("\"></iframe>\n");
}

/// An image as a `data:` URI, fit for an attribute; None when `kind` is no image that we show, or the data
/// is not what nbformat says: base64, or for SVG its text.
pub(super) fn data_uri(kind: &str, data: Option<&Value>) -> Option<String> {
    let data = joined(data);
    match kind {
        "image/svg+xml" if !data.trim().is_empty() => {
            let mut uri = String::with_capacity(data.len() * 4 / 3 + 40);
            uri.push_str("data:image/svg+xml;base64,");
            // Attachments are base64 already, outputs are text.
            if data.trim_start().starts_with('<') {
                STANDARD.encode_string(data.as_bytes(), &mut uri);
                Some(uri)
            } else {
                base64_into(&data, uri)
            }
        }
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" => {
            let mut uri = String::with_capacity(data.len() + 40);
            let _ = write!(uri, "data:{kind};base64,");
            base64_into(&data, uri)
        }
        _ => None,
    }
}

/// Appends base64 without its line breaks; None when there is anything else in it, or nothing.
fn base64_into(data: &str, mut uri: String) -> Option<String> {
    let before = uri.len();
    for line in data.split_ascii_whitespace() {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        if !line.bytes().all(good) {
            return None;
        }
        uri.push_str(line);
    }
    (uri.len() > before).then_some(uri)
}
