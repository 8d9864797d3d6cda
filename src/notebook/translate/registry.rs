//! Which translator goes by which kernel name or language.

use super::Translator;

/// The names under which papermill registers its translators.
const PAPERMILL: &[(&str, Translator)] = &[
    ("python", Translator::Python),
    ("R", Translator::R),
    ("scala", Translator::Scala),
    ("julia", Translator::Julia),
    ("matlab", Translator::Matlab),
    (".net-csharp", Translator::CSharp),
    (".net-fsharp", Translator::FSharp),
    (".net-powershell", Translator::PowerShell),
    ("pysparkkernel", Translator::Python),
    ("sparkkernel", Translator::Scala),
    ("sparkrkernel", Translator::R),
    ("bash", Translator::Bash),
];

/// Further names, in lower case: of kernels, and of languages as their kernelspecs call them.
const FURTHER: &[(&str, Translator)] = &[
    ("r", Translator::R),
    ("ir", Translator::R),
    ("xr", Translator::R),
    ("c#", Translator::CSharp),
    ("csharp", Translator::CSharp),
    ("f#", Translator::FSharp),
    ("fsharp", Translator::FSharp),
    ("powershell", Translator::PowerShell),
    ("pwsh", Translator::PowerShell),
    ("sh", Translator::Bash),
    ("rust", Translator::Rust),
    ("evcxr", Translator::Rust),
    ("javascript", Translator::JavaScript),
    ("jslab", Translator::TypeScript),
    ("xjavascript", Translator::JavaScript),
    ("typescript", Translator::TypeScript),
    ("deno", Translator::TypeScript),
    ("tslab", Translator::TypeScript),
    ("go", Translator::Go),
    ("gonb", Translator::Go),
    ("gophernotes", Translator::Go),
    ("sql", Translator::Sql),
    ("xsql", Translator::Sql),
    ("xeus-sql", Translator::Sql),
    ("sqlite", Translator::StandardSql),
    ("xsqlite", Translator::StandardSql),
    ("xeus-sqlite", Translator::StandardSql),
    ("postgres", Translator::StandardSql),
    ("postgresql", Translator::StandardSql),
    ("duckdb", Translator::StandardSql),
];

/// The languages by one name each, for messages; every one of them is found.
pub(super) const LANGUAGES: &[&str] = &[
    "python",
    "R",
    "scala",
    "julia",
    "matlab",
    "csharp",
    "fsharp",
    "powershell",
    "bash",
    "rust",
    "javascript",
    "typescript",
    "go",
    "sql",
    "sqlite",
    "postgresql",
    "duckdb",
];

/// By papermill's names, the kernel's before the language's; then by the further ones in the same order, so
/// that these never change what papermill finds.
pub(super) fn find(kernel_name: Option<&str>, language: Option<&str>) -> Option<Translator> {
    let papermills = |wanted: &str| in_table(PAPERMILL, |name| name == wanted);
    kernel_name
        .and_then(papermills)
        .or_else(|| language.and_then(papermills))
        .or_else(|| kernel_name.and_then(further))
        .or_else(|| language.and_then(further))
}

fn further(wanted: &str) -> Option<Translator> {
    let wanted = wanted.to_ascii_lowercase();
    // IJulia names its kernel after Julia's version: `julia-1.10`.
    if wanted.starts_with("julia-") {
        return Some(Translator::Julia);
    }
    in_table(FURTHER, |name| name == wanted)
        .or_else(|| in_table(PAPERMILL, |name| name.eq_ignore_ascii_case(&wanted)))
}

fn in_table(table: &[(&str, Translator)], is_wanted: impl Fn(&str) -> bool) -> Option<Translator> {
    table.iter().find(|(name, _)| is_wanted(name)).map(|(_, translator)| *translator)
}
