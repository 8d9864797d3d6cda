//! SQL: one temporary view `parameters`, whose only row has a column for each parameter.
//!
//! SQL has no variables on which dialects agree. One statement, for there are kernels that run no more than
//! one of a cell; a view that is temporary, for it is gone with the session and takes nothing away: in SQLite,
//! PostgreSQL and DuckDB it goes before a lasting table or view of its name, which may hold the defaults. A
//! query reads `(SELECT alpha FROM parameters)`. A list or a dictionary is a text of JSON, for the JSON
//! functions that these databases have.

use super::writing::{Written, integer_digits, integer_refused, nul_refused, push, push_joined};
use super::{Language, names};
use crate::notebook::Parameters;
use crate::notebook::json::python_float;
use crate::notebook::value::ParameterValue;

pub(super) struct Sql {
    /// Whether a backslash in a text is a character like any other. In MySQL, Spark and BigQuery it escapes
    /// the quote that would end the text.
    pub(super) backslash_is_itself: bool,
}

const VIEW: &str = "CREATE TEMPORARY VIEW parameters AS SELECT";

/// The words that common dialects reserve.
const WORDS: &str = "ADD ALL ALTER ANALYSE ANALYZE AND ANY ARRAY AS ASC ASYMMETRIC BETWEEN BOTH BY CASE CAST CHECK COLLATE \
     COLUMN COMMIT CONSTRAINT CREATE CROSS CURRENT_CATALOG CURRENT_DATE CURRENT_ROLE CURRENT_TIME \
     CURRENT_TIMESTAMP CURRENT_USER DEFAULT DEFERRABLE DELETE DESC DESCRIBE DISTINCT DO DROP ELSE END ESCAPE \
     EXCEPT EXISTS FALSE FETCH FOR FOREIGN FROM FULL GRANT GROUP HAVING IF IN INDEX INITIALLY INNER INSERT \
     INTERSECT INTO IS ISNULL JOIN LATERAL LEADING LEFT LIKE LIMIT LOCALTIME LOCALTIMESTAMP NATURAL NOT \
     NOTNULL NULL OFFSET ON ONLY OR ORDER OUTER OVERLAPS PIVOT PLACING PRIMARY QUALIFY REFERENCES RETURNING \
     RIGHT SELECT SESSION_USER SET SIMILAR SOME SUMMARIZE SYMMETRIC TABLE THEN TO TRAILING TRANSACTION TRUE \
     UNION UNIQUE UNPIVOT UPDATE USER USING VALUES VARIADIC WHEN WHERE WINDOW WITH _";

impl Language for Sql {
    fn name(&self) -> &'static str {
        "SQL"
    }

    fn comment(&self, text: &str) -> String {
        format!("-- {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        names::fault(&name.to_ascii_uppercase(), WORDS, names::is_ascii_name(name), names::ASCII)
    }

    fn stored_name(&self, name: &str) -> String {
        name.to_ascii_lowercase()
    }

    fn prologue(&self, _parameters: &Parameters) -> String {
        VIEW.to_owned()
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        out.push_str(if out.ends_with(VIEW) { "\n    " } else { ",\n    " });
        self.push_literal(out, value)?;
        push(out, format_args!(" AS {name}"));
        Ok(())
    }

    fn epilogue(&self) -> &'static str {
        ";\n"
    }
}

impl Sql {
    fn push_literal(&self, out: &mut String, value: &ParameterValue) -> Written {
        match value {
            ParameterValue::Null => out.push_str("NULL"),
            ParameterValue::Bool(value) => out.push_str(if *value { "TRUE" } else { "FALSE" }),
            ParameterValue::Integer(value) => push(out, format_args!("{value}")),
            ParameterValue::BigInteger(_) => return Err(integer_refused("SQL", "64 bits")),
            ParameterValue::Float(value) if value.is_finite() => out.push_str(&python_float(*value)),
            ParameterValue::Float(_) => return Err(not_finite()),
            ParameterValue::String(text) => self.push_text(out, text)?,
            ParameterValue::List(_) | ParameterValue::Dict(_) => {
                let mut json = String::new();
                push_json(&mut json, value)?;
                self.push_text(out, &json)?;
            }
        }
        Ok(())
    }

    fn push_text(&self, out: &mut String, text: &str) -> Written {
        if text.contains('\0') {
            return Err(nul_refused("SQL"));
        }
        if text.contains('\\') && !self.backslash_is_itself {
            return Err("is or holds a text with a backslash, or one that needs it in JSON, and SQL's dialects \
                        differ on what it means: name the language `sqlite`, `postgresql` or `duckdb`, or give \
                        a text without it"
                .into());
        }
        push(out, format_args!("'{}'", text.replace('\'', "''")));
        Ok(())
    }
}

fn push_json(out: &mut String, value: &ParameterValue) -> Written {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match value {
        ParameterValue::Null => out.push_str("null"),
        ParameterValue::Bool(value) => push(out, format_args!("{value}")),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            out.push_str(&integer_digits(value).unwrap_or_default());
        }
        ParameterValue::Float(value) if value.is_finite() => out.push_str(&python_float(*value)),
        ParameterValue::Float(_) => return Err(not_finite()),
        ParameterValue::String(text) => out.push_str(&quoted(text)),
        ParameterValue::List(values) => {
            out.push('[');
            push_joined(out, ", ", values, push_json)?;
            out.push(']');
        }
        ParameterValue::Dict(entries) => {
            out.push('{');
            push_joined(out, ", ", entries, |out, (key, value)| {
                push(out, format_args!("{}: ", quoted(key)));
                push_json(out, value)
            })?;
            out.push('}');
        }
    }
    Ok(())
}

fn not_finite() -> String {
    "is or holds a float that is not finite, for which SQL has no literal: give a number or null".to_owned()
}
