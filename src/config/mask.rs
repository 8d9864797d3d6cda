//! URLs as they may be shown.

/// The URL with what must not be seen replaced by `***`: the password of its userinfo, or a lone token there, and the
/// values of parameters that sign or identify (`sig`, `X-Amz-Signature`, `access_token`, …).
pub fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = match authority.rfind('@') {
        None => authority.to_owned(),
        Some(at) => {
            let user = authority[..at].split_once(':').map_or("", |(user, _)| user);
            let mask = if user.is_empty() { "***".to_owned() } else { format!("{user}:***") };
            format!("{mask}{}", &authority[at..])
        }
    };
    let (rest, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    let rest = match rest.split_once('?') {
        None => rest.to_owned(),
        Some((path, query)) => {
            let pairs: Vec<_> = query.split('&').map(mask_pair).collect();
            format!("{path}?{}", pairs.join("&"))
        }
    };
    format!("{scheme}://{authority}{rest}{fragment}")
}

/// `name=value`, masked when the name says that the value is a secret.
fn mask_pair(pair: &str) -> String {
    let Some((name, _)) = pair.split_once('=') else { return pair.into() };
    let lower = name.to_ascii_lowercase();
    let is_secret = ["sig", "code", "auth"].contains(&lower.as_str())
        || ["signature", "token", "secret", "passw", "credential", "authorization"]
            .iter()
            .any(|word| lower.contains(word))
        || ["key", "keyid", "pwd"].iter().any(|end| lower.ends_with(end));
    if is_secret { format!("{name}=***") } else { pair.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_in_a_url_is_masked() {
        let check = |url: &str, expected: &str| assert_eq!(mask_url(url), expected);
        check("postgres://ada:pa:ss@db/bindery", "postgres://ada:***@db/bindery");
        check("http://token@host/x@y", "http://***@host/x@y");
        check("http://host/x@y", "http://host/x@y");
        check("sqlite:/data/bindery.db", "sqlite:/data/bindery.db");
        check("abs://a.b/c/x?sv=1&sig=hush&se=2", "abs://a.b/c/x?sv=1&sig=***&se=2");
        check("https://h/x?X-Amz-Signature=hush&page=2#part", "https://h/x?X-Amz-Signature=***&page=2#part");
        check("https://u:hush@h?access_token=hush", "https://u:***@h?access_token=***");
        check("https://h/x?design=blue&flag", "https://h/x?design=blue&flag");
    }
}
