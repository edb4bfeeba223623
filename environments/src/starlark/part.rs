//! The component as code sees it: `c` in `configure`, and every sub-component.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use minijinja::value::Value as Data;
use starlark::any::ProvidesStaticType;
use starlark::collections::SmallMap;
use starlark::environment::{Methods, MethodsBuilder, MethodsStatic};
use starlark::eval::Evaluator;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{
    Heap, NoSerialize, StarlarkValue, Value, ValueLike, ValueOfUnchecked, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use crate::raw::Kind as ItemKind;
use crate::starlark::configure;
use crate::starlark::convert;
use crate::starlark::declare::Call;
use crate::starlark::frame::{Frame, Of, Offered, Stage};
use crate::starlark::handle::Handle;
use crate::starlark::lookup::Lookup;
use crate::starlark::phantom::Phantom;
use crate::starlark::resource::{self, Wanted};
use crate::starlark::session::Session;
use crate::starlark::site::Site;
use crate::starlark::stop::Stop;
use crate::starlark::text;

/// See the module.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub(crate) struct Part {
    #[allocative(skip)]
    frame: Arc<Frame>,
}

starlark_simple_value!(Part);

/// The names that every component has by itself, which no attribute can take.
pub(crate) fn own_names() -> Vec<String> {
    let methods = METHODS.methods().documentation(starlark::typing::Ty::any());
    methods.members.keys().cloned().collect()
}

impl Part {
    pub(crate) fn new(frame: Arc<Frame>) -> Part {
        Part { frame }
    }

    /// A sub-component that another component provides.
    pub(crate) fn adopted(offered: &Offered, session: &Arc<Session>) -> Part {
        let of = Of::Definition(Arc::clone(&offered.kind));
        let (name, arguments) = (offered.name.clone(), offered.arguments.clone());
        Part::new(Frame::new(session, of, name, &offered.at, arguments))
    }

    /// The sub-component as a value for others; `None` for the component itself.
    pub(crate) fn offered(&self) -> Option<Data> {
        let kind = Arc::clone(self.frame.kind()?);
        if self.frame.stage() == Stage::Made {
            self.frame.set_stage(Stage::Provided);
        }
        let Frame { name, at, arguments, .. } = self.frame.as_ref();
        let offered = Offered { kind, name: name.clone(), at: at.clone(), arguments: arguments.clone() };
        Some(Data::from_object(offered))
    }

    pub(crate) fn frame(&self) -> &Arc<Frame> {
        &self.frame
    }

    fn session(&self) -> &Arc<Session> {
        &self.frame.session
    }

    /// Only while `configure` of a component runs, it declares anything.
    fn configuring(&self, what: &str) -> Result<&Arc<Frame>, Stop> {
        if self.frame.stage() == Stage::Configuring {
            return Ok(&self.frame);
        }
        let message = format!("{what}() of `{}` is called outside of its `configure`", self.frame.shown());
        Err(Stop::mistake(message)
            .help("declare it in the `configure` of its definition, or on the component that adds it"))
    }

    fn call(&self, name: &str, eval: &Evaluator<'_, '_, '_>) -> Result<Call<'_>, Stop> {
        let frame = self.configuring(name)?;
        Ok(Call { frame, site: Site::of(eval, frame.session.sources()) })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.frame.shown())
    }
}

type Options<'v> = SmallMap<String, Value<'v>>;

/// A component: `c` in `configure(c)`, and each sub-component. Its attributes are `c.NAME`.
#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// Its name: the component's, or the one that the sub-component was made with.
    #[starlark(attribute)]
    fn name(this: &Part) -> starlark::Result<String> {
        Ok(this.frame.name.clone())
    }

    /// The component's path on the host, which stays the same over releases. Sub-components share the folder of the
    /// component that they are part of.
    #[starlark(attribute)]
    fn path(this: &Part) -> starlark::Result<String> {
        Ok(this.session().own("path").to_string())
    }

    /// The folder for the component's own data: kept by all releases.
    #[starlark(attribute)]
    fn state(this: &Part) -> starlark::Result<String> {
        Ok(this.session().own("state").to_string())
    }

    /// The component's features on this host: those that the environment names, else all.
    #[starlark(attribute)]
    fn features(this: &Part) -> starlark::Result<Vec<String>> {
        Ok(this
            .session()
            .own("features")
            .try_iter()
            .into_iter()
            .flatten()
            .map(|name| name.to_string())
            .collect())
    }

    /// The host's platform, else the environment's, else `None`.
    #[starlark(attribute)]
    fn platform(this: &Part) -> starlark::Result<NoneOr<String>> {
        let platform = this.session().scope.get_attr("host").and_then(|host| host.get_attr("platform"));
        Ok(match platform.unwrap_or_default().as_str() {
            Some(platform) => NoneOr::Other(platform.to_owned()),
            None => NoneOr::None,
        })
    }

    /// The host: `name`, `fqdn`, `address`, `platform`, `data` and `facts`.
    #[starlark(attribute)]
    fn host(this: &Part) -> starlark::Result<Lookup> {
        Ok(looked_up(this, "host", true))
    }

    /// The environment: `name`, `platform`, `service_user` and `hosts`.
    #[starlark(attribute)]
    fn environment(this: &Part) -> starlark::Result<Lookup> {
        Ok(looked_up(this, "environment", true))
    }

    /// The `[settings]` of the environment.
    #[starlark(attribute)]
    fn settings(this: &Part) -> starlark::Result<Lookup> {
        Ok(looked_up(this, "settings", false))
    }

    /// The component that this is part of, itself if it is none's.
    #[starlark(attribute)]
    fn root(this: &Part) -> starlark::Result<Part> {
        let mut frame = Arc::clone(&this.frame);
        while let Some(parent) = frame.parent() {
            frame = parent;
        }
        Ok(Part::new(frame))
    }

    /// The component that added this one; `None` at the top.
    #[starlark(attribute)]
    fn parent(this: &Part) -> starlark::Result<NoneOr<Part>> {
        Ok(this.frame.parent().map_or(NoneOr::None, |parent| NoneOr::Other(Part::new(parent))))
    }

    /// Adds a sub-component, and configures it at once. Gives it back: it can stand in `triggers`.
    fn add<'v>(
        this: &Part,
        #[starlark(require = pos)] part: ValueOfUnchecked<'v, &'v Part>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ValueOfUnchecked<'v, &'v Part>> {
        let parent = this.configuring("add")?;
        let (given, part) = (part, part.get());
        if part.downcast_ref::<Phantom>().is_some() {
            return Ok(given);
        }
        let Some(child) = part.downcast_ref::<Part>().filter(|part| part.frame.kind().is_some()) else {
            let help = "make one by calling a definition: c.add(Venv(\"py\"))";
            let message = format!("only a sub-component can be added, not `{}`", part.get_type());
            return Err(Stop::mistake(message).help(help).into());
        };
        configure::add(&child.frame, parent, eval)?;
        Ok(given)
    }

    /// A file of the release, with the keys of `[[file]]`: `content`, or `source` (by default the file of the same name
    /// beside the Starlark file), `mode`, `template`, … `variables` is a dict of what its template sees besides.
    fn file<'v>(
        this: &Part,
        path: Value<'v>,
        #[starlark(kwargs)] options: Options<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Handle> {
        Ok(this.call("file", eval)?.item(ItemKind::File, path, options, eval.heap())?)
    }

    /// A folder of the release, with the keys of `[[directory]]`: empty, or everything below `source`.
    fn directory<'v>(
        this: &Part,
        path: Value<'v>,
        #[starlark(kwargs)] options: Options<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Handle> {
        Ok(this.call("directory", eval)?.item(ItemKind::Directory, path, options, eval.heap())?)
    }

    /// A symlink of the release, with the keys of `[[symlink]]`: `to` says where it points.
    fn symlink<'v>(
        this: &Part,
        path: Value<'v>,
        #[starlark(kwargs)] options: Options<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Handle> {
        Ok(this.call("symlink", eval)?.item(ItemKind::Symlink, path, options, eval.heap())?)
    }

    /// A command that the host runs after the switch, with the keys of `[[step]]`: `update`, `verify`, `triggers`, … In
    /// `triggers` stand files, folders, sub-components (all their files), paths, and `"resource:KEY"`.
    fn step<'v>(
        this: &Part,
        name: Value<'v>,
        #[starlark(kwargs)] options: Options<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Handle> {
        Ok(this.call("step", eval)?.item(ItemKind::Step, name, options, eval.heap())?)
    }

    /// Offers a value to other components, of all hosts, which require it by its key. The value is data, or a
    /// sub-component that the requirer adds to itself.
    fn provide<'v>(
        this: &Part,
        key: &str,
        value: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        resource::provide(&this.call("provide", eval)?, key, value, eval.heap())?;
        Ok(NoneType)
    }

    /// The values that others provide under a key, by host, component and declaration. Without one, that is an error,
    /// unless `strict = False`. `host` limits it to one: `"same"`, a name, or a host. `sort` names the field that the values
    /// are ordered by. With `reverse = True` this component is activated before those that provide, with `dirty = True` in
    /// any order.
    fn require<'v>(
        this: &Part,
        key: &str,
        #[starlark(require = named)] host: Option<Value<'v>>,
        #[starlark(require = named, default = true)] strict: bool,
        #[starlark(require = named, default = false)] reverse: bool,
        #[starlark(require = named, default = false)] dirty: bool,
        #[starlark(require = named)] sort: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<Value<'v>>> {
        let wanted = Wanted { key, host, strict, reverse, dirty, sort, one: false };
        Ok(resource::require(&this.call("require", eval)?, &wanted, eval.heap())?)
    }

    /// The one value that is provided under a key; `None` if there is none and `strict = False`. Two are an error.
    fn require_one<'v>(
        this: &Part,
        key: &str,
        #[starlark(require = named)] host: Option<Value<'v>>,
        #[starlark(require = named, default = true)] strict: bool,
        #[starlark(require = named, default = false)] reverse: bool,
        #[starlark(require = named, default = false)] dirty: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let wanted = Wanted { key, host, strict, reverse, dirty, sort: None, one: true };
        let values = resource::require(&this.call("require_one", eval)?, &wanted, eval.heap())?;
        Ok(values.first().copied().unwrap_or(Value::new_none()))
    }

    /// A text with its `{{ … }}` replaced, as in templates; named arguments are variables for it.
    fn expand<'v>(
        this: &Part,
        #[starlark(require = pos)] text: &str,
        #[starlark(kwargs)] variables: Options<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        let site = Site::of(eval, this.session().sources());
        Ok(text::expand(&this.frame, text, &variables, &site, eval.heap())?)
    }

    /// What a template file gives; named arguments are variables for it. The file lies beside the Starlark file, or, with
    /// `//` before its path, anywhere in the project.
    fn template<'v>(
        this: &Part,
        #[starlark(require = pos)] file: &str,
        #[starlark(kwargs)] variables: Options<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        let site = Site::of(eval, this.session().sources());
        Ok(text::template(&this.frame, file, &variables, &site, eval.heap())?)
    }
}

fn looked_up(this: &Part, name: &str, nested: bool) -> Lookup {
    let data = this.session().scope.get_attr(name).unwrap_or_default();
    Lookup::new(data, format!("c.{name}"), this.session(), nested)
}

pub(crate) static METHODS: MethodsStatic = MethodsStatic::new("batou::component", methods);

#[starlark_value(type = "component")]
impl<'v> StarlarkValue<'v> for Part {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let value = self.frame.attribute(attribute)?;
        let value = value.and_then(|data| convert::value(&data, self.session(), heap));
        value.map_err(|stop| self.session().note(stop)).ok()
    }

    fn dir_attr(&self) -> Vec<String> {
        self.frame.attribute_names()
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.downcast_ref::<Part>().is_some_and(|other| Arc::ptr_eq(&self.frame, &other.frame)))
    }

    fn add(&self, _rhs: Value<'v>, _heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let message = format!("nothing can be added to `{}` with `+`", self.frame.shown());
        Some(Err(Stop::mistake(message).help("write c.add(Venv(\"py\"))").into()))
    }
}
