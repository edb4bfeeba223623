//! The files of all crates as Rust reads them: from `lib.rs` and `main.rs` along the modules, without tests.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, FnArg, ItemMod, Meta, Pat, Signature, Token};

/// A file with what it defines.
pub(super) struct Source {
    /// The folder of its crate.
    pub(super) package: String,
    /// From the project's folder.
    pub(super) path: String,
    /// How many lines it has without its tests.
    pub(super) lines: usize,
    /// Structs, enums, unions, traits and type aliases.
    pub(super) types: Vec<Place>,
    pub(super) functions: Vec<Function>,
}

/// Something that has a name, and its line.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) line: usize,
}

/// A function or method that has a body.
pub(super) struct Function {
    pub(super) place: Place,
    /// From its signature to its closing brace.
    pub(super) lines: usize,
    /// Without `self`.
    pub(super) parameters: usize,
    /// Those that are taken apart at once, as `(a, b): (A, B)`: more parameters in disguise.
    pub(super) tuples: usize,
}

/// All files of all crates of the workspace, in the order of their paths.
pub(super) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let members = members.iter().map(|member| member.as_str().unwrap());
    let mut sources = Vec::new();
    let mut seen = BTreeSet::new();
    for package in members.chain(["."]) {
        for file in ["src/lib.rs", "src/main.rs"] {
            let file = root.join(package).join(file);
            if file.exists() {
                read(root, package, &file, &mut seen, &mut sources);
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Reads a file and those of its modules.
fn read(root: &Path, package: &str, file: &Path, seen: &mut BTreeSet<PathBuf>, sources: &mut Vec<Source>) {
    if !seen.insert(file.to_owned()) {
        return;
    }
    let text = fs::read_to_string(file).unwrap();
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut reader = Reader::new(file);
    reader.visit_file(&parsed);
    let tests: usize = reader.tests.iter().map(|lines| lines.end() - lines.start() + 1).sum();
    sources.push(Source {
        package: package.replace('.', "src"),
        path: file.strip_prefix(root).unwrap().display().to_string(),
        lines: text.lines().count() - tests,
        types: reader.types,
        functions: reader.functions,
    });
    for module in reader.modules {
        read(root, package, &module, seen, sources);
    }
}

/// Collects what a file defines outside its tests.
struct Reader {
    /// Where the files of the modules are that are declared here.
    folder: PathBuf,
    modules: Vec<PathBuf>,
    tests: Vec<RangeInclusive<usize>>,
    types: Vec<Place>,
    functions: Vec<Function>,
}

impl Reader {
    fn new(file: &Path) -> Self {
        let folder = match file.file_name().unwrap().to_str().unwrap() {
            "lib.rs" | "main.rs" | "mod.rs" => file.parent().unwrap().to_owned(),
            _ => file.with_extension(""),
        };
        Self { folder, modules: Vec::new(), tests: Vec::new(), types: Vec::new(), functions: Vec::new() }
    }

    fn defines_type(&mut self, name: &syn::Ident) {
        self.types.push(place(name));
    }

    fn defines_function(&mut self, attributes: &[Attribute], signature: &Signature, body: &Block) {
        // Starlark's functions stand within one that is only their list.
        if attributes.iter().any(|attribute| attribute.path().is_ident("starlark_module")) {
            return;
        }
        let parameters = signature.inputs.iter().filter_map(|parameter| match parameter {
            FnArg::Receiver(_) => None,
            FnArg::Typed(parameter) => Some(&*parameter.pat),
        });
        self.functions.push(Function {
            place: place(&signature.ident),
            lines: body.span().end().line - signature.span().start().line + 1,
            parameters: parameters.clone().count(),
            tuples: parameters.filter(|pattern| matches!(pattern, Pat::Tuple(_))).count(),
        });
    }
}

fn place(name: &syn::Ident) -> Place {
    Place { name: name.to_string(), line: name.span().start().line }
}

/// Whether what has these attributes is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return attribute.path().is_ident("test") };
        list.path.is_ident("cfg") && list.parse_args().is_ok_and(|condition| needs_test(&condition))
    })
}

/// Whether this condition holds in tests only: it is `test`, or `all(...)` with it.
fn needs_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            parts.is_ok_and(|parts| parts.iter().any(needs_test))
        }
        _ => false,
    }
}

fn attributes(item: &syn::Item) -> &[Attribute] {
    use syn::Item;
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if is_test(attributes(item)) {
            self.tests.push(item.span().start().line..=item.span().end().line);
            return;
        }
        match item {
            syn::Item::Struct(item) => self.defines_type(&item.ident),
            syn::Item::Enum(item) => self.defines_type(&item.ident),
            syn::Item::Union(item) => self.defines_type(&item.ident),
            syn::Item::Trait(item) => self.defines_type(&item.ident),
            syn::Item::Type(item) => self.defines_type(&item.ident),
            syn::Item::Fn(item) => self.defines_function(&item.attrs, &item.sig, &item.block),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let name = module.ident.to_string();
        if module.content.is_none() {
            let beside = self.folder.join(format!("{name}.rs"));
            let within = self.folder.join(&name).join("mod.rs");
            self.modules.push(if beside.exists() { beside } else { within });
            return;
        }
        self.folder.push(name);
        visit::visit_item_mod(self, module);
        self.folder.pop();
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if is_test(&function.attrs) {
            self.tests.push(function.span().start().line..=function.span().end().line);
            return;
        }
        self.defines_function(&function.attrs, &function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.defines_function(&function.attrs, &function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}
