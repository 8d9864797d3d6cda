//! The addresses that links in answers are made of.

use crate::error::{Error, Result};

/// Links are made from it: what is no web address would make links that lead nowhere, or run something.
pub(super) fn check_web_address(name: &str, url: &str) -> Result<()> {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let is_sound = host.is_some_and(|host| {
        !host.is_empty()
            && !host.starts_with('/')
            && !host.contains(|c: char| c.is_whitespace() || c.is_control())
    });
    // Empty is as good as not there.
    if url.is_empty() || is_sound {
        return Ok(());
    }
    Err(Error::bad_input(format!(
        "`{name}` must be a web address such as https://host.example.org, not {url:?}"
    )))
}

/// A misspelt placeholder would stand in every link as it is.
pub(super) fn check_url_template(template: &str) -> Result<()> {
    let left =
        ["{base}", "{username}", "{path}"].iter().fold(template.to_owned(), |text, it| text.replace(it, ""));
    if left.contains(['{', '}']) {
        return Err(Error::bad_input(
            "`jupyter-url-template` has a placeholder that is not known: {base}, {username} and {path} are",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ServiceSettings, Settings};

    #[test]
    fn addresses_that_links_are_made_of_are_checked() {
        let resolve = |service: ServiceSettings| Config::resolve(Settings { service, ..Settings::default() });
        for url in ["javascript:1", "host", "http://", "ftp://host", "http://a b"] {
            let error = resolve(ServiceSettings { jupyter_base_url: Some(url.into()), ..Default::default() });
            assert!(error.unwrap_err().message().starts_with("`jupyter-base-url` must be"), "{url}");
            let error = resolve(ServiceSettings { public_url: Some(url.into()), ..Default::default() });
            assert!(error.unwrap_err().message().starts_with("`public-url` must be"), "{url}");
        }
        for template in ["{base}/{user}", "{base", "{}"] {
            let service =
                ServiceSettings { jupyter_url_template: Some(template.into()), ..Default::default() };
            assert!(resolve(service).unwrap_err().message().contains("placeholder"), "{template}");
        }
        let sound = ServiceSettings {
            public_url: Some(String::new()),
            jupyter_base_url: Some("https://hub.example.org:8443/hub/".into()),
            jupyter_url_template: Some("{base}/user/{username}/tree/{path}?x=1".into()),
            ..Default::default()
        };
        assert_eq!(resolve(sound).unwrap().jupyter_base_url, "https://hub.example.org:8443/hub");
    }
}
