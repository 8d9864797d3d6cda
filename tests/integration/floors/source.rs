//! As much of Rust's grammar as it takes to see what a file refers to. Comments and literals are left out, so
//! that nothing in them counts.

/// A source file and where it stands in the crate.
pub(super) struct Source {
    /// As in `src/store/folder/disk.rs`.
    pub(super) path: String,
    /// As in `["store", "folder", "disk"]`; empty for the root of the library.
    modules: Vec<String>,
    tokens: Vec<Token>,
}

struct Token {
    text: String,
    /// From 1.
    line: usize,
    /// How many modules there are in braces around it, and whether one of them is `tests`.
    inner_modules: usize,
    is_test: bool,
}

/// A name of the crate's root that a file refers to.
#[derive(Debug, PartialEq)]
pub(super) struct Reference {
    /// Mostly a module: `store` in `crate::store::TemplateName`; `*` for a glob import of the root.
    pub(super) name: String,
    pub(super) line: usize,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let modules = modules(path);
        let is_test_file = modules.last().is_some_and(|module| module == "tests");
        let mut tokens = tokens(text);
        place(&mut tokens, is_test_file);
        Self { path: path.to_owned(), modules, tokens }
    }

    /// The module of the crate's root to which the file belongs, `main` for the binary; none for the root itself.
    pub(super) fn top(&self) -> Option<&str> {
        self.modules.first().map(String::as_str)
    }

    /// What the file refers to by a path that leads through the root.
    pub(super) fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        for at in 0..self.tokens.len() {
            if at > 0 && self.text(at - 1) == "::" {
                continue;
            }
            match self.text(at) {
                "crate" if self.text(at + 1) == "::" => self.follow(at + 2, 0, &mut found),
                "bindery" if self.path == "src/main.rs" && self.text(at + 1) == "::" => {
                    self.follow(at + 2, 0, &mut found);
                }
                "super" if self.text(at + 1) == "::" => {
                    self.follow(at, self.modules.len() + self.tokens[at].inner_modules, &mut found);
                }
                _ => {}
            }
        }
        found
    }

    /// Follows a path, or a group of paths, from a place `depth` modules below the root.
    fn follow(&self, mut at: usize, mut depth: usize, found: &mut Vec<Reference>) {
        loop {
            match self.text(at) {
                "super" if self.text(at + 1) == "::" => depth = depth.saturating_sub(1),
                "self" if self.text(at + 1) == "::" => {}
                "{" => return self.follow_group(at, depth, found),
                name => {
                    if depth == 0 {
                        found.push(Reference { name: name.to_owned(), line: self.tokens[at].line });
                    }
                    return;
                }
            }
            at += 2;
        }
    }

    fn follow_group(&self, open: usize, depth: usize, found: &mut Vec<Reference>) {
        let mut nesting = 0;
        for at in open..self.tokens.len() {
            match self.text(at) {
                "{" => nesting += 1,
                "}" => nesting -= 1,
                _ => {}
            }
            if nesting == 0 {
                return;
            }
            let is_start = at == open || (nesting == 1 && self.text(at) == ",");
            if is_start && self.text(at + 1) != "}" {
                self.follow(at + 1, depth, found);
            }
        }
    }

    /// The lines with an attribute that switches a lint off without saying why.
    pub(super) fn allowed_lints(&self) -> Vec<usize> {
        let mut lines = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let is_attribute = self.text(at) == "#" && (self.text(at + 1) == "[" || self.text(at + 2) == "[");
            at += 1;
            if !is_attribute {
                continue;
            }
            let mut nesting = 0;
            while at < self.tokens.len() {
                match self.text(at) {
                    "[" => nesting += 1,
                    "]" => nesting -= 1,
                    "allow" if self.text(at + 1) == "(" => lines.push(self.tokens[at].line),
                    _ => {}
                }
                at += 1;
                if nesting == 0 && self.text(at - 1) != "!" {
                    break;
                }
            }
        }
        lines
    }

    /// The lines outside of tests on which one of `words` stands; a word may be a path, `std::fs`.
    pub(super) fn lines_with(&self, words: &[&str]) -> Vec<(usize, String)> {
        let mut lines = Vec::new();
        for (at, token) in self.tokens.iter().enumerate().filter(|(_, token)| !token.is_test) {
            for word in words {
                let mut parts = word.split("::");
                let is_there = parts.next() == Some(&token.text)
                    && parts.enumerate().all(|(index, part)| {
                        self.text(at + 2 * index + 1) == "::" && self.text(at + 2 * index + 2) == part
                    });
                if is_there {
                    lines.push((token.line, (*word).to_owned()));
                }
            }
        }
        lines
    }

    /// How many lines there are before the tests module with which the file ends.
    pub(super) fn lines_without_tests(&self) -> usize {
        self.tokens.iter().rev().find(|token| !token.is_test).map_or(0, |token| token.line)
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }
}

/// A file's place in the crate. `x_tests.rs` holds the tests of `x.rs`, which says so with `#[path]`.
fn modules(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let mut modules: Vec<String> =
        inner.strip_suffix(".rs").unwrap_or(inner).split('/').map(str::to_owned).collect();
    let last = modules.pop().unwrap_or_default();
    match last.strip_suffix("_tests") {
        Some(tested) => modules.extend([tested.to_owned(), "tests".to_owned()]),
        None if last == "mod" || (modules.is_empty() && last == "lib") => {}
        None => modules.push(last),
    }
    modules
}

/// Notes for each token in which modules it stands.
fn place(tokens: &mut [Token], is_test_file: bool) {
    // One entry for each open brace: the name of the module that it opens, if it does.
    let mut open: Vec<Option<String>> = Vec::new();
    for at in 0..tokens.len() {
        match tokens[at].text.as_str() {
            "{" => {
                let is_module = at >= 2 && tokens[at - 2].text == "mod";
                open.push(is_module.then(|| tokens[at - 1].text.clone()));
            }
            "}" => drop(open.pop()),
            _ => {}
        }
        tokens[at].inner_modules = open.iter().flatten().count();
        tokens[at].is_test = is_test_file || open.iter().flatten().any(|module| module == "tests");
    }
    // The brace that closes the tests, and the words that open them, belong to them.
    for at in 0..tokens.len() {
        if tokens[at].text == "mod" && tokens.get(at + 3).is_some_and(|token| token.is_test) {
            // `#[cfg(test)]` is seven tokens.
            tokens[at.saturating_sub(7)..at + 3].iter_mut().for_each(|token| token.is_test = true);
        }
        if at > 0 && tokens[at].text == "}" && tokens[at - 1].is_test {
            tokens[at].is_test = true;
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (length, is_token) = next(rest, first);
        if is_token {
            let text = rest[..length].trim_start_matches("r#").to_owned();
            tokens.push(Token { text, line, inner_modules: 0, is_test: false });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The length of what comes next, and whether it counts.
fn next(rest: &str, first: char) -> (usize, bool) {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let until =
        |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), false);
    }
    // Prefixes of literals: b, c, r, br, cr.
    let prefix = rest.find(|character| !matches!(character, 'b' | 'c' | 'r')).unwrap_or(0);
    let after = &rest[prefix..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    if rest[..prefix].ends_with('r') && after[hashes..].starts_with('"') {
        return (until(&format!("\"{}", "#".repeat(hashes)), prefix + hashes + 1), false);
    }
    if prefix <= 1 && after.starts_with('"') {
        return (quoted(rest, prefix, '"'), false);
    }
    if first == '\'' || rest.starts_with("b'") {
        let open = usize::from(first == 'b');
        let mut inner = rest[open + 1..].chars();
        let is_character = inner.next() == Some('\\') || inner.next() == Some('\'');
        // Else a lifetime.
        let name =
            rest[open + 1..].find(|character| !is_word(character)).map_or(rest.len(), |at| open + 1 + at);
        return (if is_character { quoted(rest, open, '\'') } else { name }, false);
    }
    if is_word(first) {
        let start = if rest.starts_with("r#") { 2 } else { 0 };
        return (
            rest[start..].find(|character| !is_word(character)).map_or(rest.len(), |at| start + at),
            true,
        );
    }
    match first {
        ':' if rest.starts_with("::") => (2, true),
        _ => (first.len_utf8(), !first.is_whitespace()),
    }
}

/// The length of a literal whose opening quote is at `open`.
fn quoted(rest: &str, open: usize, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in rest.char_indices().skip(open + 1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a comment that may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut nesting, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (nesting, at) = (nesting + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (nesting, at) = (nesting - 1, at + 2);
            if nesting == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}
