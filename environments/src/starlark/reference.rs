//! The functions and values of Starlark files, for the documentation. It is made from the functions themselves.

use serde::Serialize;
use starlark::docs::{DocFunction, DocItem, DocMember, DocParam, DocString};
use starlark::environment::{Globals, GlobalsBuilder};
use starlark::typing::Ty;

use crate::starlark::{builtins, definition, handle, namespace, netloc, subcomponent};

/// A function, or a value by name.
#[derive(Debug, Clone, Serialize)]
pub struct StarlarkEntry {
    /// What it belongs to: `c`, `json`, …; empty for a global function.
    pub of: String,
    /// Its name.
    pub name: String,
    /// `name(parameter: type = default) -> type`; a value is `name: type`.
    pub signature: String,
    /// In the order of declaration; empty for a value.
    pub parameters: Vec<StarlarkParameter>,
    /// The type of what it returns.
    pub gives: String,
    /// What it does, in Markdown.
    pub doc: String,
}

/// A parameter of a function.
#[derive(Debug, Clone, Serialize)]
pub struct StarlarkParameter {
    /// With `*` or `**` where it takes more than one.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// `None` if it must be given.
    pub default: Option<String>,
    /// Whether it can be given only by name.
    pub named: bool,
}

/// Everything that batou adds to Starlark, in groups: global functions, modules, and the members of values.
pub fn reference() -> Vec<StarlarkEntry> {
    let mut entries: Vec<StarlarkEntry> = Vec::new();
    let own = GlobalsBuilder::new().with(builtins::own).build();
    add_globals(&mut entries, &own);
    entries.sort_by(|one, other| (&one.of, &one.name).cmp(&(&other.of, &other.name)));
    let types = [
        ("c", subcomponent::METHODS.methods()),
        ("definition", definition::METHODS.methods()),
        ("file", handle::METHODS.methods()),
        ("address", netloc::METHODS.methods()),
        ("namespace", namespace::METHODS.methods()),
    ];
    for (of, methods) in types {
        let mut members: Vec<_> = methods.documentation(Ty::any()).members.into_iter().collect();
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        entries.extend(members.iter().map(|(name, member)| entry(of, name, member)));
    }
    entries
}

/// The functions of Starlark itself, and the methods of its types.
pub fn language() -> Vec<StarlarkEntry> {
    let mut entries = Vec::new();
    let (mut methods, own) = (Vec::new(), GlobalsBuilder::new().with(builtins::own).build());
    for (name, item) in builtins::globals().documentation().members {
        let is_own = own.names().any(|known| known.as_str() == name);
        match item {
            DocItem::Member(member) if !is_own => entries.push(entry("", &name, &member)),
            DocItem::Type(kind) => {
                if let Some(constructor) = kind.constructor {
                    entries.push(entry("", &name, &DocMember::Function(constructor)));
                }
                methods.extend(kind.members.iter().map(|(method, member)| entry(&name, method, member)));
            }
            DocItem::Member(_) | DocItem::Module(_) => {}
        }
    }
    entries.extend(methods);
    entries
}

fn add_globals(entries: &mut Vec<StarlarkEntry>, globals: &Globals) {
    for (name, item) in globals.documentation().members {
        match item {
            DocItem::Module(module) => {
                for (inner, item) in module.members {
                    if let DocItem::Member(member) = item {
                        entries.push(entry(&name, &inner, &member));
                    }
                }
            }
            DocItem::Member(member) => entries.push(entry("", &name, &member)),
            DocItem::Type(_) => {}
        }
    }
}

fn entry(of: &str, name: &str, member: &DocMember) -> StarlarkEntry {
    let (of, name) = (of.to_owned(), name.to_owned());
    match member {
        DocMember::Property(property) => {
            let gives = kind(&property.typ);
            let signature = format!("{name}: {gives}");
            StarlarkEntry {
                of,
                name,
                signature,
                parameters: Vec::new(),
                gives,
                doc: text(property.docs.as_ref()),
            }
        }
        DocMember::Function(function) => {
            let parameters = parameters(function);
            let gives = kind(&function.ret.typ);
            let signature = signature(&name, &parameters, &gives);
            StarlarkEntry { of, name, signature, parameters, gives, doc: text(function.docs.as_ref()) }
        }
    }
}

fn parameters(function: &DocFunction) -> Vec<StarlarkParameter> {
    let params = &function.params;
    let of = |param: &DocParam, stars: &str, named: bool| StarlarkParameter {
        name: format!("{stars}{}", param.name),
        kind: kind(&param.typ),
        // The interpreter shows an optional parameter as `...`: it is `None` to the function.
        default: param.default_value.as_ref().map(|shown| shown.replace("...", "None")),
        named,
    };
    let positional = params.pos_only.iter().chain(&params.pos_or_named).map(|param| of(param, "", false));
    let rest = params.args.iter().map(|param| of(param, "*", false));
    let named = params.named_only.iter().map(|param| of(param, "", true));
    let others = params.kwargs.iter().map(|param| of(param, "**", true));
    positional.chain(rest).chain(named).chain(others).collect()
}

fn signature(name: &str, parameters: &[StarlarkParameter], gives: &str) -> String {
    let mut shown: Vec<String> = Vec::new();
    let mut star = parameters.iter().any(|parameter| parameter.name.starts_with('*') && !parameter.named);
    for parameter in parameters {
        if parameter.named && !parameter.name.starts_with('*') && !std::mem::replace(&mut star, true) {
            shown.push("*".to_owned());
        }
        let default = parameter.default.as_ref().map(|default| format!(" = {default}")).unwrap_or_default();
        shown.push(format!("{}: {}{default}", parameter.name, parameter.kind));
    }
    format!("{name}({}) -> {gives}", shown.join(", "))
}

/// A type as it is shown.
fn kind(ty: &Ty) -> String {
    ty.to_string().replace("typing.Any", "any")
}

fn text(docs: Option<&DocString>) -> String {
    let Some(docs) = docs else { return String::new() };
    match &docs.details {
        Some(details) => format!("{}\n\n{details}", docs.summary),
        None => docs.summary.clone(),
    }
}
