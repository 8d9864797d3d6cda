//! What an expression speaks of, without evaluating it.

use minijinja::machinery::ast::{CallArg, Expr};
use minijinja::machinery::parse_expr;

use super::pieces::Fault;

/// A name that is looked up: `steps.train.results.uri` or `steps["train"]`, as far as its parts are written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Its parts; at least one.
    pub(crate) path: Vec<String>,
    /// Where its first part stands in the expression, in bytes.
    pub(crate) offset: usize,
    /// Whether the expression asks if it is there, or says what counts when it is not.
    pub(crate) may_be_missing: bool,
}

/// A function, filter or test that is used, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    /// Its name.
    pub(crate) name: String,
    /// Where, in bytes.
    pub(crate) offset: usize,
}

/// All that an expression speaks of, in the order in which it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mentions {
    /// Names that are looked up.
    pub(crate) references: Vec<Reference>,
    /// Functions that are called.
    pub(crate) functions: Vec<Use>,
    /// Filters.
    pub(crate) filters: Vec<Use>,
    /// Tests, behind `is`.
    pub(crate) tests: Vec<Use>,
}

/// What an expression speaks of.
///
/// # Errors
/// Where it is no expression.
pub(crate) fn mentions(source: &str) -> Result<Mentions, Fault> {
    let mut mentions = Mentions::default();
    match parse_expr(source) {
        Ok(expression) => {
            mentions.expression(&expression, false);
            Ok(mentions)
        }
        Err(error) => {
            let offset = error.range().map_or(0, |range| range.start.min(source.len()));
            let detail = error.detail().unwrap_or("it cannot be read");
            let message = match source.trim().is_empty() {
                true => "an expression is missing here".to_owned(),
                false => format!("not an expression: {detail}"),
            };
            Err(Fault { offset, message })
        }
    }
}

impl Mentions {
    fn expression(&mut self, expression: &Expr<'_>, may_be_missing: bool) {
        match expression {
            Expr::Const(_) => {}
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.lookup(expression, may_be_missing),
            Expr::Slice(slice) => {
                self.expression(&slice.expr, false);
                self.optional([&slice.start, &slice.stop, &slice.step]);
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr, false),
            Expr::BinOp(operation) => {
                self.expression(&operation.left, false);
                self.expression(&operation.right, false);
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr, false);
                compare.ops.iter().for_each(|operation| self.expression(&operation.expr, false));
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.true_expr, false);
                self.expression(&choice.test_expr, false);
                self.optional([&choice.false_expr]);
            }
            Expr::Filter(filter) => {
                let has_default = matches!(filter.name, "default" | "d");
                if let Some(filtered) = &filter.expr {
                    self.expression(filtered, has_default);
                }
                let offset = expression.span().start_offset as usize;
                self.filters.push(Use { name: filter.name.to_owned(), offset });
                self.arguments(&filter.args);
            }
            Expr::Test(test) => {
                self.expression(&test.expr, matches!(test.name, "defined" | "undefined"));
                let offset = expression.span().start_offset as usize;
                self.tests.push(Use { name: test.name.to_owned(), offset });
                self.arguments(&test.args);
            }
            Expr::Call(call) => {
                match &call.expr {
                    Expr::Var(name) => self.functions.push(Use {
                        name: name.id.to_owned(),
                        offset: call.expr.span().start_offset as usize,
                    }),
                    other => self.expression(other, false),
                }
                self.arguments(&call.args);
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item, false)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item, false)),
            Expr::Map(map) => {
                map.keys.iter().zip(&map.values).for_each(|(key, value)| {
                    self.expression(key, false);
                    self.expression(value, false);
                });
            }
        }
    }

    fn optional<const COUNT: usize>(&mut self, expressions: [&Option<Expr<'_>>; COUNT]) {
        expressions.into_iter().flatten().for_each(|expression| self.expression(expression, false));
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => self.expression(value, false),
            }
        }
    }

    /// A chain of lookups: what is written out from its root on is the reference.
    fn lookup(&mut self, expression: &Expr<'_>, may_be_missing: bool) {
        let mut parts: Vec<Option<String>> = Vec::new();
        let mut subscripts = Vec::new();
        let mut next = expression;
        let root = loop {
            match next {
                Expr::GetAttr(attribute) => {
                    parts.push(Some(attribute.name.to_owned()));
                    next = &attribute.expr;
                }
                Expr::GetItem(item) => {
                    let constant = match &item.subscript_expr {
                        Expr::Const(constant) => constant.value.as_str().map(str::to_owned),
                        _ => None,
                    };
                    parts.push(constant);
                    subscripts.push(&item.subscript_expr);
                    next = &item.expr;
                }
                root => break root,
            }
        };
        match root {
            Expr::Var(name) => {
                let written = parts.into_iter().rev().map_while(|part| part);
                self.references.push(Reference {
                    path: std::iter::once(name.id.to_owned()).chain(written).collect(),
                    offset: root.span().start_offset as usize,
                    may_be_missing,
                });
            }
            other => self.expression(other, may_be_missing),
        }
        subscripts.into_iter().rev().for_each(|subscript| self.expression(subscript, false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let mentions = mentions(source).unwrap();
        let found: Vec<_> = mentions
            .references
            .iter()
            .map(|reference| {
                assert!(
                    source[reference.offset..].starts_with(&reference.path[0]),
                    "{source}: {reference:?}"
                );
                format!("{}{}", reference.path.join("."), if reference.may_be_missing { "?" } else { "" })
            })
            .collect();
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn every_name_is_seen_wherever_it_stands() {
        check("1 + 'steps.a'", &[]);
        check("steps.a.results.x", &["steps.a.results.x"]);
        check(r#"steps["a b"]['results'].x[0].y"#, &["steps.a b.results.x"]);
        check("steps[item].status", &["steps", "item"]);
        check("steps.a.results[1:index]", &["steps.a.results", "index"]);
        check("a.x if b else c", &["a.x", "b", "c"]);
        check("a | default(b) ~ c|d", &["a?", "b", "c?"]);
        check("a.b is defined and c is undefined", &["a.b?", "c?"]);
        check("not (a is divisibleby(b))", &["a", "b"]);
        check("{'k': a, b: [c, (d,)]}", &["a", "b", "c", "d"]);
        check("1 < a <= b", &["a", "b"]);
        check("range(a, n=b)", &["a", "b"]);
        check("a.b(c)", &["a.b", "c"]);
        check("(a ~ b).c", &["a", "b"]);
        check("ä.ö", &["ä.ö"]);
    }

    #[test]
    fn functions_filters_and_tests_are_named() {
        let names = |uses: &[Use]| uses.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        let found = mentions("always() or a | length > 0 and a is odd").unwrap();
        assert_eq!(names(&found.functions), ["always"]);
        assert_eq!(names(&found.filters), ["length"]);
        assert_eq!(names(&found.tests), ["odd"]);
    }

    #[test]
    fn what_is_no_expression_is_told_with_its_place() {
        let check = |source: &str, offset: usize, expected: &str| {
            let fault = mentions(source).unwrap_err();
            assert!(fault.message.contains(expected), "{source}: {fault:?}");
            assert_eq!(fault.offset, offset, "{source}: {fault:?}");
        };
        check("", 0, "an expression is missing here");
        check("a +", 2, "not an expression: unexpected end of input");
        check("a b", 2, "not an expression: ");
        check("a | ", 2, "not an expression: ");
        check("'a", 2, "not an expression: ");
    }
}
