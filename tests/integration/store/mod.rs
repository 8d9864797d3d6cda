//! The template stores: one contract for both, then what is each one's own.

mod contract;
mod folder;
mod s3;

use bindery::store::{ListQuery, TemplateMetadata, TemplateName, TemplateStore};
use bytes::Bytes;

fn name(text: &str) -> TemplateName {
    TemplateName::parse(text).unwrap()
}

fn described(description: &str) -> TemplateMetadata {
    TemplateMetadata::new(description).unwrap()
}

async fn put(store: &dyn TemplateStore, text: &str) {
    store.put(&name(text), Bytes::from(format!("bytes of {text}")), &described(""), false).await.unwrap();
}

/// All names that a query finds, page by page.
async fn names(store: &dyn TemplateStore, query: ListQuery) -> Vec<String> {
    let mut names = Vec::new();
    let mut query = query;
    loop {
        let page = store.list(&query).await.unwrap();
        assert!(page.templates.len() <= query.limit);
        names.extend(page.templates.into_iter().map(|template| template.name.to_string()));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return names;
        }
    }
}
