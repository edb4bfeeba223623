//! The dialect of Starlark in which components are written.

use starlark::syntax::{AstModule, Dialect, DialectTypes};

/// Parses a file: Starlark with types, f-strings, and loops and conditions at the top.
pub(crate) fn parse(name: &str, text: &str) -> starlark::Result<AstModule> {
    let dialect = Dialect {
        enable_def: true,
        enable_lambda: true,
        enable_load: true,
        enable_keyword_only_arguments: true,
        enable_positional_only_arguments: true,
        enable_types: DialectTypes::Enable,
        enable_load_reexport: true,
        enable_top_level_stmt: true,
        enable_f_strings: true,
        _non_exhaustive: (),
    };
    AstModule::parse(name, text.to_owned(), &dialect)
}
