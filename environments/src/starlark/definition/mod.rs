//! `definition()`: what makes sub-components when it is called.

pub(crate) mod data;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use minijinja::value::Value as Data;
use starlark::any::ProvidesStaticType;
use starlark::collections::SmallMap;
use starlark::environment::{Methods, MethodsBuilder, MethodsStatic};
use starlark::eval::{Arguments, Evaluator};
use starlark::values::dict::DictRef;
use starlark::values::{NoSerialize, StarlarkValue, Value, ValueLike, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use crate::file::{self, ConfigNode};
use crate::starlark::context::{CallContext, Loading};
use crate::starlark::convert;
use crate::starlark::definition::data::DefinitionData;
use crate::starlark::node;
use crate::starlark::phantom::Phantom;
use crate::starlark::session::{ConfigureSession, RunMode};
use crate::starlark::site::Site;
use crate::starlark::sources::folder_of;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent::SubComponentValue;
use crate::starlark::subcomponent::configured::{SubComponent, SubComponentOf};
use crate::text::diagnostic::{listed, nearest};
use crate::text::source::At;

/// A definition, as a value of Starlark.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, Allocative)]
pub(crate) struct DefinitionValue {
    #[allocative(skip)]
    pub(crate) kind: Arc<DefinitionData>,
}

starlark_simple_value!(DefinitionValue);

impl fmt::Display for DefinitionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())
    }
}

/// The name under which a file keeps the code of a component or definition.
pub(crate) fn slot(number: usize, what: &str) -> String {
    format!("${number}.{what}")
}

/// Keeps the function that configures a component or sub-component until the file is loaded: then it is frozen with it.
pub(crate) fn keep_configure<'v>(
    number: usize,
    configure: Option<Value<'v>>,
    site: &Site,
    eval: &Evaluator<'v, '_, '_>,
) -> Result<(), Stop> {
    let Some(configure) = configure else { return Ok(()) };
    check_function(configure, "configure").map_err(|stop| stop.at(&site.value("configure")))?;
    eval.module().set(&slot(number, "configure"), configure);
    Ok(())
}

/// Keeps the functions of the platforms likewise.
pub(crate) fn keep_platforms<'v>(
    loading: &Loading,
    number: usize,
    platforms: Option<Value<'v>>,
    site: &Site,
    eval: &Evaluator<'v, '_, '_>,
) -> Result<(), Stop> {
    let Some(platforms) = platforms.filter(|given| !given.is_none()) else { return Ok(()) };
    let at = site.value("platforms");
    let Some(dict) = DictRef::from_value(platforms) else {
        let message = format!("`platforms` must be a dict, not `{}`", platforms.get_type());
        return Err(Stop::mistake(message).help("write platforms = {\"debian12\": function}").at(&at));
    };
    for (name, value) in dict.iter() {
        let Some(name) = name.unpack_str() else {
            return Err(Stop::mistake(format!(
                "the keys of `platforms` must be strings, and {} is not one",
                name.to_repr()
            ))
            .at(&at));
        };
        if let Some(definition) = value.downcast_ref::<DefinitionValue>() {
            let kind = Arc::clone(&definition.kind);
            loading.made().platforms.insert((number, name.to_owned()), kind);
            continue;
        }
        check_function(value, &format!("platforms[\"{name}\"]")).map_err(|stop| stop.at(&at))?;
        eval.module().set(&slot(number, &format!("platform.{name}")), value);
    }
    Ok(())
}

/// Refuses what cannot be called with a component.
pub(crate) fn check_function(function: Value<'_>, what: &str) -> Result<(), Stop> {
    let help = "write def configure(c): …";
    if function.get_type() != "function" {
        let message = format!("`{what}` must be a function, not `{}`", function.get_type());
        return Err(Stop::mistake(message).help(help));
    }
    match function.parameters_spec() {
        Some(parameters) if !parameters.can_fill_with_args(1, &[]) => {
            let message = format!("`{what}` must take one argument, the component");
            Err(Stop::mistake(message).help(help))
        }
        _ => Ok(()),
    }
}

/// A definition. Calling it makes a sub-component, which `c.add()` adds or `c.provide()` hands to others:
/// `Venv("py", version = "3.11")`. The first argument is its name, the others are its attributes.
#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// Another definition with other defaults, and perhaps another `configure`. `platforms` is not taken over.
    ///
    /// ```starlark
    /// Venv = definition(attributes = {"version": "3.11"})
    /// NewVenv = Venv.variant(version = "3.12")
    ///
    /// def configure(c):
    ///     c.add(NewVenv("py")).version  # gives 3.12
    /// ```
    fn variant<'v>(
        this: &DefinitionValue,
        #[starlark(require = named)] configure: Option<Value<'v>>,
        #[starlark(kwargs)] defaults: SmallMap<String, Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<DefinitionValue> {
        let context = CallContext::of(eval)?;
        let loading = context.loading("variant")?;
        let site = Site::of(eval, context.sources());
        let configure = configure.filter(|configure| !configure.is_none());
        let mut attributes = this.kind.attributes.clone();
        for (name, value) in &defaults {
            let at = site.value(name);
            let Some(declaration) = attributes.get_mut(name.as_str()) else {
                return Err(unknown(&this.kind, name, &site.key(name)).into());
            };
            let node = node::node(*value, name, &at, eval.heap()).map_err(|stop| stop.at(&at))?;
            declaration.default = Some(node);
            declaration.at = site.key(name);
        }
        let base = configure.is_none().then(|| Arc::clone(&this.kind));
        let folder = match base {
            Some(_) => this.kind.folder.clone(),
            None => folder_of(&site.at.source.path().to_string_lossy()),
        };
        let number = loading.number();
        keep_configure(number, configure, &site, eval)?;
        let (at, doc) = (site.at.clone(), this.kind.doc.clone());
        let kind = Arc::new(DefinitionData {
            number,
            name: std::sync::OnceLock::new(),
            attributes,
            folder,
            at,
            doc,
        });
        loading.made().definitions.push((Arc::clone(&kind), base));
        Ok(DefinitionValue { kind })
    }

    /// What the definition is for.
    #[starlark(attribute)]
    fn doc(this: &DefinitionValue) -> starlark::Result<String> {
        Ok(this.kind.doc.clone())
    }
}

pub(crate) static METHODS: MethodsStatic = MethodsStatic::new("batou::definition", methods);

#[starlark_value(type = "definition")]
impl<'v> StarlarkValue<'v> for DefinitionValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn export_as(&self, variable: &str, _eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<()> {
        let _ = self.kind.name.set(variable.to_owned());
        Ok(())
    }

    fn invoke(
        &self,
        _me: Value<'v>,
        arguments: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let context = CallContext::of(eval)?;
        let what = format!("{}(…)", self.kind.name());
        let session = context.session(&what)?;
        let site = Site::of(eval, context.sources());
        let heap = eval.heap();
        let mut named: SmallMap<String, Value<'v>> = arguments
            .names_map()?
            .into_iter()
            .map(|(name, value)| (name.as_str().to_owned(), value))
            .collect();
        let mut positional: Vec<Value<'v>> = arguments.positions(heap)?.collect();
        positional.extend(named.shift_remove("name"));
        let [name] = positional.as_slice() else {
            let message = format!("{} takes one name, not {} values", self.kind.name(), positional.len());
            let advice = format!("write {}, and its attributes by name", self.kind.shown("NAME"));
            return Err(Stop::mistake(message).help(advice).into());
        };
        if name.downcast_ref::<Phantom>().is_some() {
            return Ok(*name);
        }
        let name = name_of(*name, &site)?;
        let arguments = checked(&self.kind, &name, &named, session, (&site, eval))?;
        let component = SubComponent::new(
            session,
            SubComponentOf::Definition(Arc::clone(&self.kind)),
            name,
            &site.at,
            arguments,
        );
        component.note_made();
        Ok(heap.alloc(SubComponentValue::new(component)))
    }
}

fn name_of(name: Value<'_>, site: &Site) -> Result<String, Stop> {
    let at = site.either(0, "name");
    let Some(text) = name.unpack_str() else {
        let message = format!("a sub-component's name must be a string, not `{}`", name.get_type());
        return Err(Stop::mistake(message).at(&at));
    };
    if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        let message = "a sub-component's name must be one line of at most 255 bytes, and not empty";
        return Err(Stop::mistake(message).at(&at));
    }
    Ok(text.to_owned())
}

/// The given attributes, converted to their types.
fn checked<'v>(
    kind: &DefinitionData,
    name: &str,
    named: &SmallMap<String, Value<'v>>,
    session: &Arc<ConfigureSession>,
    (site, eval): (&Site, &Evaluator<'v, '_, '_>),
) -> Result<BTreeMap<String, Data>, Stop> {
    let mut arguments = BTreeMap::new();
    for (attribute, value) in named {
        let Some(declaration) = kind.attributes.get(attribute.as_str()) else {
            return Err(unknown(kind, attribute, &site.key(attribute)));
        };
        let at = site.value(attribute);
        let data = convert::data(*value, attribute, eval.heap()).map_err(|stop| stop.at(&at))?;
        let address = |location| session.placement.address(location);
        let data = match declaration.kind.convert(&data, true, address) {
            Ok(data) => data,
            Err(_) if session.mode == RunMode::Phantom => data,
            Err(reason) => {
                let message = format!("the attribute `{attribute}` of `{}` {reason}", kind.shown(name));
                return Err(Stop::mistake(message).at(&at));
            }
        };
        arguments.insert(attribute.clone(), data);
    }
    let missing =
        |(attribute, declaration): &(&String, &crate::component::attribute::AttributeDeclaration)| {
            declaration.default.is_none() && !arguments.contains_key(attribute.as_str())
        };
    match kind.attributes.iter().find(missing) {
        Some((attribute, _)) => {
            let message = format!("`{}` needs the attribute `{attribute}`", kind.shown(name));
            Err(Stop::mistake(message)
                .help(format!("add {attribute} = …, or give it a default in its definition")))
        }
        None => Ok(arguments),
    }
}

fn unknown(kind: &DefinitionData, name: &str, at: &At) -> Stop {
    let known = || kind.attributes.keys().map(String::as_str);
    let help = match nearest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if kind.attributes.is_empty() => "it has no attributes".to_owned(),
        None => format!("it has {}", listed(known())),
    };
    Stop::mistake(format!("`{}` has no attribute `{name}`", kind.name())).help(help).at(at)
}

/// A value as a node, for `attribute()`.
pub(crate) fn text_node(text: &str, at: &At) -> ConfigNode {
    ConfigNode { data: file::Data::String(text.to_owned()), at: at.clone() }
}
