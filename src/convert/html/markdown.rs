//! Markdown cells: CommonMark with the tables, strike-through, task lists and mathematics of notebooks.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};
use serde_json::Value;

use super::outputs::data_uri;
use super::sanitize::{Sanitizer, image, link};

/// Writes `source` as HTML; `attachments` are the cell's images by name.
pub(super) fn write(source: &str, attachments: Option<&Value>, page: &mut String) {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_FOOTNOTES
        // Keeps `$a_b$` from becoming emphasis; the source is shown as it is.
        | Options::ENABLE_MATH;
    let mut sanitizer = Sanitizer::default();
    // A block's raw HTML comes line by line, and a tag may span lines.
    let mut block: Option<String> = None;
    let events = Parser::new_ext(source, options).filter_map(|event| match event {
        Event::Start(Tag::HtmlBlock) => {
            block = Some(String::new());
            None
        }
        Event::End(TagEnd::HtmlBlock) => {
            Some(Event::Html(cleaned(&mut sanitizer, &block.take().unwrap_or_default())))
        }
        Event::Html(html) => match &mut block {
            Some(block) => {
                block.push_str(&html);
                None
            }
            None => Some(Event::Html(cleaned(&mut sanitizer, &html))),
        },
        Event::InlineHtml(html) => Some(Event::InlineHtml(cleaned(&mut sanitizer, &html))),
        // Inside a raw block everything is raw.
        Event::Text(text) if block.is_some() => {
            block.iter_mut().for_each(|block| block.push_str(&text));
            None
        }
        Event::InlineMath(text) => Some(Event::Code(format!("${text}$").into())),
        Event::DisplayMath(text) => Some(Event::Code(format!("$${text}$$").into())),
        Event::Start(tag) => Some(Event::Start(harmless(tag, attachments))),
        event => Some(event),
    });
    html::push_html(page, events);
    sanitizer.finish(page);
}

fn cleaned(sanitizer: &mut Sanitizer, html: &str) -> CowStr<'static> {
    let mut text = String::new();
    sanitizer.write(html, &mut text);
    text.into()
}

/// Links and images with URLs that may be.
fn harmless<'a>(tag: Tag<'a>, attachments: Option<&Value>) -> Tag<'a> {
    match tag {
        Tag::Link { link_type, dest_url, title, id } => {
            let dest_url = link(&dest_url).map_or_else(|| CowStr::from("#"), |url| url.to_owned().into());
            Tag::Link { link_type, dest_url, title, id }
        }
        Tag::Image { link_type, dest_url, title, id } => {
            let dest_url = match dest_url.strip_prefix("attachment:") {
                Some(name) => attachment(attachments, name).unwrap_or_default(),
                None => image(&dest_url).unwrap_or_default().to_owned(),
            };
            Tag::Image { link_type, dest_url: dest_url.into(), title, id }
        }
        tag => tag,
    }
}

fn attachment(attachments: Option<&Value>, name: &str) -> Option<String> {
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    let bundle = attachments?.get(&*name)?.as_object()?;
    bundle.iter().find_map(|(kind, data)| data_uri(kind, Some(data)))
}
