//! The functions that every file has, besides those of Starlark itself.

use std::sync::{Arc, OnceLock};

use minijinja::value::Value as Data;
use starlark::environment::{Globals, GlobalsBuilder, LibraryExtension};
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::list::{ListRef, UnpackList};
use starlark::values::none::NoneType;
use starlark::values::tuple::UnpackTuple;

use crate::file::{self, ConfigNode, Table};
use crate::starlark::context::{CallContext, Draft, own_place};
use crate::starlark::definition::data::DefinitionData;
use crate::starlark::definition::{self, DefinitionValue};
use crate::starlark::encode;
use crate::starlark::hashing;
use crate::starlark::netloc::Netloc;
use crate::starlark::node;
use crate::starlark::report::said;
use crate::starlark::site::Site;
use crate::starlark::sources::{SourceTexts, folder_of};
use crate::starlark::spec::{self, AttributeSpec};
use crate::starlark::stop::Stop;
use crate::template::address::NetLoc;
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::name::is_component;
use crate::text::source::{At, Text};

/// Everything that a file can use without loading it.
pub(crate) fn globals() -> &'static Globals {
    static GLOBALS: OnceLock<Globals> = OnceLock::new();
    GLOBALS.get_or_init(|| {
        let extensions = [
            LibraryExtension::StructType,
            LibraryExtension::RecordType,
            LibraryExtension::EnumType,
            LibraryExtension::SetType,
            LibraryExtension::Map,
            LibraryExtension::Filter,
            LibraryExtension::Partial,
            LibraryExtension::Typing,
        ];
        GlobalsBuilder::extended_by(&extensions).with(own).build()
    })
}

/// What batou adds to the language.
pub(crate) fn own(builder: &mut GlobalsBuilder) {
    functions(builder);
    builder.namespace("json", encode::json);
    builder.namespace("yaml", encode::yaml);
    builder.namespace("toml", encode::toml);
    builder.namespace("ini", encode::ini);
    builder.namespace("hashing", hashing::functions);
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// Declares a component of the given name, at the top of a file. A file without such a call, but with a function
    /// `configure` and perhaps `attributes`, `features` and `doc`, declares one component, named after its folder.
    ///
    /// ```starlark
    /// def instance(number):
    ///     def configure(c):
    ///         c.file("port", content = "%d\n" % c.port)
    ///
    ///     component("app%d" % number, attributes = {"port": 9000 + number}, configure = configure)
    ///
    /// for number in [1, 2]:
    ///     instance(number)
    /// ```
    fn component<'v>(
        #[starlark(require = pos)] name: &str,
        #[starlark(require = named)] attributes: Option<Value<'v>>,
        #[starlark(require = named)] features: Option<Value<'v>>,
        #[starlark(require = named)] doc: Option<&str>,
        #[starlark(require = named)] configure: Value<'v>,
        #[starlark(require = named)] platforms: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let context = CallContext::of(eval)?;
        let loading = context.loading("component")?;
        let site = Site::of(eval, context.sources());
        let mut problems = Problems::default();
        let attributes = spec::declarations(
            attributes.unwrap_or(Value::new_none()),
            &site.value("attributes"),
            context.sources(),
            &mut problems,
            eval.heap(),
        )?;
        let features = texts(features, "features", &site.value("features"), context.sources())?;
        let number = loading.number();
        definition::keep_configure(number, Some(configure), &site, eval)?;
        definition::keep_platforms(loading, number, platforms, &site, eval)?;
        let name_at = site.positional(0);
        check_name(name).map_err(|stop| stop.at(&name_at))?;
        let name = Text { value: name.to_owned(), at: name_at, literal: false };
        let (at, doc) = (site.at.clone(), doc.map(str::to_owned));
        let mut made = loading.made();
        made.problems.extend(problems);
        made.components.push(Draft { name, number, at, attributes, features, doc });
        Ok(NoneType)
    }

    /// Declares a kind of sub-component, at the top of a file. `attributes` are what each one is made with,
    /// `configure` declares what it consists of, and `platforms` adds to that on hosts of a platform: a function that
    /// takes the sub-component, or another definition.
    ///
    /// ```starlark
    /// def _configure(c):
    ///     c.file(c.name + ".conf", content = "port = {{ component.port }}\n")
    ///
    /// Instance = definition(attributes = {"port": 8080}, configure = _configure)
    ///
    /// def configure(c):
    ///     c.add(Instance("one"))
    ///     c.add(Instance("two", port = 8081))
    /// ```
    fn definition<'v>(
        #[starlark(require = named)] attributes: Option<Value<'v>>,
        #[starlark(require = named)] configure: Option<Value<'v>>,
        #[starlark(require = named)] platforms: Option<Value<'v>>,
        #[starlark(require = named)] doc: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<DefinitionValue> {
        let context = CallContext::of(eval)?;
        let loading = context.loading("definition")?;
        let site = Site::of(eval, context.sources());
        let mut problems = Problems::default();
        let attributes = spec::declarations(
            attributes.unwrap_or(Value::new_none()),
            &site.value("attributes"),
            context.sources(),
            &mut problems,
            eval.heap(),
        )?;
        let number = loading.number();
        let configure = configure.filter(|configure| !configure.is_none());
        definition::keep_configure(number, configure, &site, eval)?;
        definition::keep_platforms(loading, number, platforms, &site, eval)?;
        let kind = Arc::new(DefinitionData {
            number,
            name: OnceLock::new(),
            attributes,
            folder: folder_of(&site.at.source.path().to_string_lossy()),
            at: site.at.clone(),
            doc: doc.unwrap_or_default().to_owned(),
        });
        let mut made = loading.made();
        made.problems.extend(problems);
        made.definitions.push((Arc::clone(&kind), None));
        Ok(DefinitionValue { kind })
    }

    /// Describes an attribute: its type (`"str"`, `"int"`, `"float"`, `"bool"`, `"list"`, `"dict"`, `"address"`,
    /// `"path"`, `"literal"` or `"choice"`), the default, which may be a template, and what it is for. Without a
    /// default, the environment must set it.
    ///
    /// ```starlark
    /// attributes = {
    ///     "address": attribute("address", default = "{{ host.fqdn }}:8080", doc = "where it listens"),
    ///     "level": attribute("choice", choices = ["info", "debug"], default = "info"),
    /// }
    ///
    /// def configure(c):
    ///     c.file("app.conf", content = "{{ component.address.connect }} {{ component.level }}\n")
    /// ```
    fn attribute<'v>(
        #[starlark(require = pos)] r#type: Option<&str>,
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named)] choices: Option<Value<'v>>,
        #[starlark(require = named)] doc: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<AttributeSpec> {
        let site = Site::of(eval, CallContext::of(eval)?.sources());
        if r#type.is_none() && default.is_none() && choices.is_none() {
            let help = "write attribute(\"str\") for one that the environment must set";
            return Err(Stop::mistake("an attribute needs a type or a default").help(help).into());
        }
        let mut table = Table::new();
        if let Some(kind) = r#type {
            spec::insert(&mut table, "type", definition::text_node(kind, &site.positional(0)));
        }
        for (name, value) in [("default", default), ("choices", choices)] {
            if let Some(value) = value.filter(|value| !value.is_none()) {
                let at = site.value(name);
                let node = node::node(value, name, &at, eval.heap()).map_err(|stop| stop.at(&at))?;
                spec::insert(&mut table, name, node);
            }
        }
        if let Some(doc) = doc {
            spec::insert(&mut table, "doc", definition::text_node(doc, &site.value("doc")));
        }
        Ok(AttributeSpec { node: ConfigNode { data: file::Data::Table(table), at: site.at.clone() } })
    }

    /// An address from `"host:port"` or `"[v6]:port"`.
    ///
    /// ```starlark
    /// def configure(c):
    ///     address("www.example.net:80").connect.port  # gives 80
    ///     address("[::1]:80").connect  # gives [::1]:80
    ///     sorted([address("b:1"), address("a:10000"), address("a:9000")])  # gives [a:9000, a:10000, b:1]
    /// ```
    fn address<'v>(
        #[starlark(require = pos)] text: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Netloc> {
        let context = CallContext::of(eval)?;
        let session = context.session("address()")?;
        let at = Site::of(eval, context.sources()).positional(0);
        let location: NetLoc = text.parse().map_err(|error: crate::template::address::AddressError| {
            Stop::mistake(error.to_string()).help("write it as host:port, or [v6]:port").at(&at)
        })?;
        Ok(Netloc::new(Data::from_object(session.placement.address(location)), session))
    }

    /// The text of a file: one beside the Starlark file of the definition that is being configured or, if the path
    /// begins with `//`, one anywhere in the project.
    ///
    /// ```starlark
    /// def configure(c):
    ///     read("conf.d/a.conf")  # gives a = 1\n
    /// ```
    fn read<'v>(
        #[starlark(require = pos)] file: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        let context = CallContext::of(eval)?;
        let site = Site::of(eval, context.sources());
        let (text, cause) = context.files(&site).read(file).map_err(|stop| stop.at(&site.positional(0)))?;
        context.record(cause);
        Ok(text)
    }

    /// The paths of the files beside the Starlark file that match a pattern (or one of a list), sorted. `*` stays
    /// within a folder, `**` does not. `exclude` lists patterns of paths or names.
    ///
    /// ```starlark
    /// def configure(c):
    ///     glob("conf.d/*.conf")  # gives ["conf.d/a.conf"]
    ///     glob(["*.conf", "**/a.conf"], exclude = ["conf.d"])  # gives ["conf.d/a.conf", "nginx.conf"]
    /// ```
    fn glob<'v>(
        #[starlark(require = pos)] pattern: Value<'v>,
        #[starlark(require = named)] exclude: Option<UnpackList<String>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<String>> {
        let context = CallContext::of(eval)?;
        let site = Site::of(eval, context.sources());
        let at = site.positional(0);
        let patterns: Vec<String> = match pattern.unpack_str() {
            Some(text) => vec![text.to_owned()],
            None => texts(Some(pattern), "pattern", &at, context.sources())?
                .into_iter()
                .map(|text| text.value)
                .collect(),
        };
        let exclude = exclude.map(|list| list.items).unwrap_or_default();
        let found = context.files(&site).glob(&patterns, &exclude).map_err(|stop| stop.at(&at));
        let (files, cause) = found?;
        context.record(cause);
        Ok(files)
    }

    /// Shows a warning. The evaluation goes on.
    ///
    /// ```starlark
    /// def configure(c):
    ///     if c.platform != "debian12":
    ///         warn("not tried on", c.platform)
    /// ```
    fn warn<'v>(
        #[starlark(args)] texts: UnpackTuple<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        say(&texts, eval, None)
    }

    /// Shows values as a warning, for debugging.
    fn print<'v>(
        #[starlark(args)] texts: UnpackTuple<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        say(&texts, eval, Some("print() is for debugging; remove it when you are done"))
    }
}

fn say<'v>(
    texts: &UnpackTuple<Value<'v>>,
    eval: &Evaluator<'v, '_, '_>,
    help: Option<&str>,
) -> starlark::Result<NoneType> {
    let context = CallContext::of(eval)?;
    let texts: Vec<String> = texts.items.iter().map(|value| value.to_str()).collect();
    let diagnostic = Diagnostic::error(said(&texts.join(" ")));
    let diagnostic = own_place(eval, context.sources()).iter().fold(diagnostic, Diagnostic::at);
    context.warn(help.into_iter().fold(diagnostic, Diagnostic::help));
    Ok(NoneType)
}

/// A component's name, for the file that declares it.
pub(crate) fn check_name(name: &str) -> Result<(), Stop> {
    if is_component(name) {
        return Ok(());
    }
    let help = "a name is a lower-case letter, then lower-case letters, digits, `_` and `-`";
    Err(Stop::mistake(format!("`{name}` is not a component's name")).help(help))
}

/// A list of strings.
pub(crate) fn texts(
    given: Option<Value<'_>>,
    what: &str,
    at: &At,
    sources: &SourceTexts,
) -> Result<Vec<Text>, Stop> {
    let Some(given) = given.filter(|given| !given.is_none()) else { return Ok(Vec::new()) };
    let wrong = |found: &str| Stop::mistake(format!("`{what}` must be a list of strings, {found}")).at(at);
    let list = ListRef::from_value(given).ok_or_else(|| wrong(&format!("not `{}`", given.get_type())))?;
    list.iter()
        .map(|item| {
            let text =
                item.unpack_str().ok_or_else(|| wrong(&format!("and {} is not one", item.to_repr())))?;
            Ok(Text { value: text.to_owned(), at: sources.name_in(at, text), literal: false })
        })
        .collect()
}
