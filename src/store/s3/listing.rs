//! Listing a bucket, one `ListObjectsV2` at a time.
//!
//! The client's own listing always sends `delimiter=` and `encoding-type=url`. Some servers take the empty
//! delimiter for one that cuts every key after its first letter, and some confirm the encoding without
//! doing it, so that `+` is read as a space and a key ends at its `=`. So the request and the reading of its
//! answer are ours; the client signs and sends it.

use futures::StreamExt as _;
use futures::stream;
use minio::s3::client::Method;
use minio::s3::multimap_ext::{Multimap, MultimapExt as _};
use minio::s3::types::S3Request;
use percent_encoding::percent_decode_str;
use xmltree::Element;

use super::fault::Fault;
use super::{ANSWER_LIMIT, S3Store, limited};
use crate::error::{Error, ErrorKind, Result};
use crate::store::paging::{MAX_PAGE, Page, cursor_after};
use crate::store::{ListPage, TemplateName};

/// How many templates are asked for their metadata at once.
const HEADS_AT_ONCE: usize = 16;

/// The fewest keys to ask for at once.
const FEWEST_KEYS: usize = 50;

/// The keys of one answer.
#[derive(Debug, PartialEq, Eq)]
struct Keys {
    keys: Vec<String>,
    more: bool,
}

impl S3Store {
    pub(super) async fn list_page(&self, page: &Page) -> Result<ListPage> {
        let mut names = self.names(page).await?;
        let more = names.len() > page.limit;
        names.truncate(page.limit);
        let next_cursor = names.last().filter(|_| more).map(cursor_after);
        // The listing has no metadata, so each template is asked; they come back in order.
        let mut heads = stream::iter(names).map(|name| self.head_object(name)).buffered(HEADS_AT_ONCE);
        let mut templates = Vec::new();
        while let Some(template) = heads.next().await {
            match template {
                Ok(template) => templates.push(template),
                // Deleted since its key was read.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ListPage { templates, next_cursor })
    }

    /// The names on the page and, when there is one, the name after it.
    async fn names(&self, page: &Page) -> Result<Vec<TemplateName>> {
        let wanted = page.limit + 1;
        let mut names = Vec::new();
        let mut after = page.after.as_ref().map(|name| name.as_str().to_owned());
        loop {
            // What is no template's name is passed over, so there may be many answers to one page; a short
            // page asks for some more keys than it needs, to need fewer of them.
            let max_keys = (wanted - names.len()).clamp(FEWEST_KEYS, MAX_PAGE);
            let Keys { keys, more } = self.keys(&page.prefix, after.as_deref(), max_keys).await?;
            let last = keys.last().cloned();
            names.extend(keys.iter().filter_map(|key| TemplateName::parse(key).ok()));
            if !more || names.len() >= wanted {
                return Ok(names);
            }
            if last <= after {
                return Err(Error::unavailable(
                    "the template store cannot be listed: its S3 server does not list keys in order; use another server",
                ));
            }
            after = last;
        }
    }

    async fn keys(&self, prefix: &str, after: Option<&str>, max_keys: usize) -> Result<Keys> {
        let plain = self.ask_for_keys(prefix, after, max_keys, false);
        let keys = match limited(ANSWER_LIMIT, plain).await {
            // A key with a control character, of which XML has no plain form. It is no template's name.
            Err(Fault::Garbled(_)) => {
                limited(ANSWER_LIMIT, self.ask_for_keys(prefix, after, max_keys, true)).await
            }
            result => result,
        };
        keys.map_err(|fault| self.report(fault))
    }

    async fn ask_for_keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        max_keys: usize,
        encoded: bool,
    ) -> Result<Keys, Fault> {
        let mut query = Multimap::new();
        query.add("list-type", "2");
        query.add("max-keys", max_keys.to_string());
        if !prefix.is_empty() {
            query.add("prefix", prefix);
        }
        if let Some(after) = after {
            query.add("start-after", after);
        }
        if encoded {
            query.add("encoding-type", "url");
        }
        let mut request = S3Request::builder()
            .client(self.client.clone())
            .method(Method::GET)
            .bucket(self.bucket.clone())
            .query_params(query)
            .build();
        let answer = request.execute().await?;
        Keys::read(&answer.bytes().await.map_err(Fault::from)?)
    }
}

impl Keys {
    /// Reads a `ListBucketResult`.
    fn read(xml: &[u8]) -> Result<Self, Fault> {
        let root = Element::parse(xml).map_err(Fault::garbled)?;
        let encoded = child_text(&root, "EncodingType") == "url";
        let contents =
            root.children.iter().filter_map(|node| node.as_element()).filter(|e| e.name == "Contents");
        let keys = contents.map(|entry| child_text(entry, "Key")).map(|key| match encoded {
            true => percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned(),
            false => key,
        });
        Ok(Self { keys: keys.collect(), more: child_text(&root, "IsTruncated").eq_ignore_ascii_case("true") })
    }
}

fn child_text(element: &Element, name: &str) -> String {
    element.get_child(name).and_then(Element::get_text).unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(inside: &str, keys: &[&str], more: bool) {
        let xml = format!(
            r#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3">{inside}</ListBucketResult>"#
        );
        let expected = Keys { keys: keys.iter().map(|key| (*key).to_owned()).collect(), more };
        assert_eq!(Keys::read(xml.as_bytes()).unwrap(), expected, "{inside}");
    }

    #[test]
    fn keys_are_read_as_they_are_unless_the_server_encoded_them() {
        check("<Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>", &[], false);
        check(
            "<IsTruncated>true</IsTruncated><Contents><Key>a/x + y=1.ipynb</Key><Size>1</Size></Contents>\
             <Contents><Key>a/b  c &amp; é.ipynb</Key></Contents><CommonPrefixes><Prefix>z/</Prefix></CommonPrefixes>",
            &["a/x + y=1.ipynb", "a/b  c & é.ipynb"],
            true,
        );
        check(
            "<EncodingType>url</EncodingType><Contents><Key>a/x+%2B%20y%3D1.ipynb</Key></Contents>",
            &["a/x + y=1.ipynb"],
            false,
        );
    }

    #[test]
    fn what_is_no_listing_is_a_fault() {
        for xml in [
            "",
            "<html>",
            "not found",
            "<ListBucketResult><Contents><Key>&#1;</Key></Contents></ListBucketResult>",
        ] {
            assert!(matches!(Keys::read(xml.as_bytes()), Err(Fault::Garbled(_))), "{xml}");
        }
    }
}
