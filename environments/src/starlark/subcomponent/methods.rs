//! The functions of `c` and of every sub-component. Their comments are their documentation.

use std::sync::Arc;

use batou_release::UnitKind;
use starlark::collections::SmallMap;
use starlark::environment::{MethodsBuilder, MethodsStatic};
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{Value, ValueLike, ValueOfUnchecked};

use super::value::SubComponentValue;
use crate::component::item::ItemKind;
use crate::starlark::configure;
use crate::starlark::declare::Call;
use crate::starlark::handle::ItemHandle;
use crate::starlark::namespace::Namespace;
use crate::starlark::phantom::Phantom;
use crate::starlark::resource::{self, RequireCall};
use crate::starlark::site::Site;
use crate::starlark::stop::Stop;
use crate::starlark::text::{self, TextCall};
use crate::starlark::trace::CallTrace;

type NamedArguments<'v> = SmallMap<String, Value<'v>>;

/// A component: `c` in `configure(c)`, and each sub-component. Its attributes are `c.NAME`.
#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// Its name: the component's, or the one that the sub-component was made with.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.name  # gives app
    /// ```
    #[starlark(attribute)]
    fn name(this: &SubComponentValue) -> starlark::Result<String> {
        Ok(this.component.name.clone())
    }

    /// The component's path on the host, which stays the same across releases. Sub-components share the folder of the
    /// component that they are part of.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.path  # gives /srv/shop/current/app
    /// ```
    #[starlark(attribute)]
    fn path(this: &SubComponentValue) -> starlark::Result<String> {
        Ok(this.session().own("path").to_string())
    }

    /// The folder for the component's own data, kept across releases.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.state  # gives /srv/shop/state/app
    /// ```
    #[starlark(attribute)]
    fn state(this: &SubComponentValue) -> starlark::Result<String> {
        Ok(this.session().own("state").to_string())
    }

    /// The component's features on this host: those that the environment names, else all.
    ///
    /// ```starlark
    /// features = ["web", "worker"]
    ///
    /// def configure(c):
    ///     for feature in c.features:
    ///         c.file(feature + ".conf", content = "")
    /// ```
    #[starlark(attribute)]
    fn features(this: &SubComponentValue) -> starlark::Result<Vec<String>> {
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
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.platform  # gives debian12
    /// ```
    #[starlark(attribute)]
    fn platform(this: &SubComponentValue) -> starlark::Result<NoneOr<String>> {
        let platform = this.session().scope.get_attr("host").and_then(|host| host.get_attr("platform"));
        Ok(match platform.unwrap_or_default().as_str() {
            Some(platform) => NoneOr::Other(platform.to_owned()),
            None => NoneOr::None,
        })
    }

    /// The host: `name`, `fqdn`, `address`, `platform`, `data` and `facts`.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.host.name  # gives web01
    ///     c.host.fqdn  # gives web01.example.net
    ///     c.host.data["alias"]  # gives www
    ///     c.host.data.get("nothing", "-")  # gives -
    /// ```
    #[starlark(attribute)]
    fn host(this: &SubComponentValue) -> starlark::Result<Namespace> {
        Ok(looked_up(this, "host", true))
    }

    /// The environment: `name`, `platform`, `service_user` and `hosts`.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.environment.name  # gives dev
    ///     [host.name for host in c.environment.hosts]  # gives ["web01"]
    /// ```
    #[starlark(attribute)]
    fn environment(this: &SubComponentValue) -> starlark::Result<Namespace> {
        Ok(looked_up(this, "environment", true))
    }

    /// The `[settings]` of the environment.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.settings.mail_from  # gives ops@example.net
    /// ```
    #[starlark(attribute)]
    fn settings(this: &SubComponentValue) -> starlark::Result<Namespace> {
        Ok(looked_up(this, "settings", false))
    }

    /// The component that this sub-component is part of, or the component itself.
    #[starlark(attribute)]
    fn root(this: &SubComponentValue) -> starlark::Result<SubComponentValue> {
        let mut component = Arc::clone(&this.component);
        while let Some(parent) = component.parent() {
            component = parent;
        }
        Ok(SubComponentValue::new(component))
    }

    /// The component that added this one; `None` at the top.
    ///
    /// ```starlark
    /// def _configure(c):
    ///     c.file(c.name, content = "a part of %s\n" % c.parent.name)
    ///
    /// Part = definition(configure = _configure)
    ///
    /// def configure(c):
    ///     c.add(Part("one"))
    /// ```
    #[starlark(attribute)]
    fn parent(this: &SubComponentValue) -> starlark::Result<NoneOr<SubComponentValue>> {
        Ok(this
            .component
            .parent()
            .map_or(NoneOr::None, |parent| NoneOr::Other(SubComponentValue::new(parent))))
    }

    /// Adds a sub-component, and configures it at once. Returns it, so that it can be named in `triggers`.
    ///
    /// ```starlark
    /// Part = definition(attributes = {"size": 1})
    ///
    /// def configure(c):
    ///     part = c.add(Part("one", size = 2))
    ///     part.size  # gives 2
    /// ```
    fn add<'v>(
        this: &SubComponentValue,
        #[starlark(require = pos)] part: ValueOfUnchecked<'v, &'v SubComponentValue>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ValueOfUnchecked<'v, &'v SubComponentValue>> {
        let parent = this.configuring("add")?;
        let (given, part) = (part, part.get());
        if part.downcast_ref::<Phantom>().is_some() {
            return Ok(given);
        }
        let Some(child) =
            part.downcast_ref::<SubComponentValue>().filter(|part| part.component.kind().is_some())
        else {
            let help = "make one by calling a definition: c.add(Venv(\"py\"))";
            let message = format!("only a sub-component can be added, not `{}`", part.get_type());
            return Err(Stop::mistake(message).help(help).into());
        };
        configure::add(&child.component, parent, eval)?;
        Ok(given)
    }

    /// A file of the release, with the keys of `[[file]]`: `content`, or `source` (by default the file of the same
    /// name beside the Starlark file), `mode`, `template`, … `variables` is a dict of additional variables for its
    /// template.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.file("nginx.conf")
    ///     c.file("bin/run", mode = "0755", content = "#!/bin/sh\nexec {{ program }}\n", variables = {"program": "true"})
    ///     c.file("raw", content = "{{ as it is }}", template = False).path  # gives /srv/shop/current/app/raw
    /// ```
    fn file<'v>(
        this: &SubComponentValue,
        path: Value<'v>,
        #[starlark(kwargs)] options: NamedArguments<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ItemHandle> {
        Ok(call(this, "file", eval)?.item(ItemKind::File, path, options, eval.heap())?)
    }

    /// A folder of the release, with the keys of `[[directory]]`: empty, or everything below `source`.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.directory("conf.d", source = "conf.d", exclude = ["*.orig"])
    ///     c.directory("empty")
    /// ```
    fn directory<'v>(
        this: &SubComponentValue,
        path: Value<'v>,
        #[starlark(kwargs)] options: NamedArguments<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ItemHandle> {
        Ok(call(this, "directory", eval)?.item(ItemKind::Directory, path, options, eval.heap())?)
    }

    /// A symlink of the release, with the keys of `[[symlink]]`: `to` says where it points.
    ///
    /// ```starlark
    /// def configure(c):
    ///     config = c.file("nginx.conf")
    ///     c.symlink("log", to = c.state)
    ///     c.symlink("default.conf", to = config)
    /// ```
    fn symlink<'v>(
        this: &SubComponentValue,
        path: Value<'v>,
        #[starlark(kwargs)] options: NamedArguments<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ItemHandle> {
        Ok(call(this, "symlink", eval)?.item(ItemKind::Symlink, path, options, eval.heap())?)
    }

    /// A command that the host runs after the switch, with the keys of `[[step]]`: `update`, `verify`, `triggers`, …
    /// `triggers` lists files, folders, sub-components (all their files), paths, and `"resource:KEY"`.
    ///
    /// ```starlark
    /// def configure(c):
    ///     config = c.file("nginx.conf")
    ///     c.step("data", creates = "data.csv", update = "echo 1,2 > data.csv", timeout = "1m")
    ///     c.step("reload", update = "systemctl --user reload nginx", triggers = [config, "conf.d/*.conf"])
    ///     c.directory("conf.d", source = "conf.d")
    /// ```
    fn step<'v>(
        this: &SubComponentValue,
        name: Value<'v>,
        #[starlark(kwargs)] options: NamedArguments<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ItemHandle> {
        Ok(call(this, "step", eval)?.item(ItemKind::Unit(UnitKind::Step), name, options, eval.heap())?)
    }

    /// Offers a value to other components, on all hosts, which require it by its key. The value is data, or a
    /// sub-component that the requiring component adds to itself: it keeps the attributes that it has here, and its
    /// files and templates become the requiring component's.
    ///
    /// ```starlark
    /// def _web(c):
    ///     c.provide("web", {"host": c.host.name, "address": address(c.host.fqdn + ":80")})
    ///
    /// def _lb(c):
    ///     c.file("backends", content = "\n".join([str(web["address"]) for web in c.require("web")]))
    ///
    /// component("web", configure = _web)
    /// component("lb", configure = _lb)
    /// ```
    fn provide<'v>(
        this: &SubComponentValue,
        key: &str,
        value: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        resource::provide(&call(this, "provide", eval)?, key, value, eval.heap())?;
        Ok(NoneType)
    }

    /// The values that others provide under a key, by host, component and declaration. It is an error if there are
    /// none, unless `strict = False`. `host` limits them to those of one host: `"same"`, a name, or one of
    /// `c.environment.hosts`. `sort` names the field that the values are ordered by. With `reverse = True`, this
    /// component is activated before its providers; with `dirty = True`, in any order.
    ///
    /// ```starlark
    /// def _web(c):
    ///     c.provide("web", {"name": "b", "weight": 1})
    ///     c.provide("web", {"name": "a", "weight": 2})
    ///
    /// def _lb(c):
    ///     [web["name"] for web in c.require("web")]  # gives ["b", "a"]
    ///     [web["name"] for web in c.require("web", sort = "name")]  # gives ["a", "b"]
    ///     c.require("web", host = "same", dirty = True)[0]["weight"]  # gives 1
    ///     c.require("cache", strict = False)  # gives []
    ///
    /// component("web", configure = _web)
    /// component("lb", configure = _lb)
    /// ```
    fn require<'v>(
        this: &SubComponentValue,
        key: &str,
        #[starlark(require = named)] host: Option<Value<'v>>,
        #[starlark(require = named, default = true)] strict: bool,
        #[starlark(require = named, default = false)] reverse: bool,
        #[starlark(require = named, default = false)] dirty: bool,
        #[starlark(require = named)] sort: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<Value<'v>>> {
        let wanted = RequireCall { key, host, strict, reverse, dirty, sort, one: false };
        Ok(resource::require(&call(this, "require", eval)?, &wanted, eval.heap())?)
    }

    /// The one value that is provided under a key; `None` if there is none and `strict = False`. More than one is an
    /// error.
    ///
    /// ```starlark
    /// def _db(c):
    ///     c.provide("db", {"port": 5432})
    ///
    /// def _app(c):
    ///     c.file("app.conf", content = "port = %d\n" % c.require_one("db")["port"])
    ///     c.require_one("cache", strict = False)  # gives None
    ///
    /// component("db", configure = _db)
    /// component("app", configure = _app)
    /// ```
    fn require_one<'v>(
        this: &SubComponentValue,
        key: &str,
        #[starlark(require = named)] host: Option<Value<'v>>,
        #[starlark(require = named, default = true)] strict: bool,
        #[starlark(require = named, default = false)] reverse: bool,
        #[starlark(require = named, default = false)] dirty: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let wanted = RequireCall { key, host, strict, reverse, dirty, sort: None, one: true };
        let values = resource::require(&call(this, "require_one", eval)?, &wanted, eval.heap())?;
        Ok(values.first().copied().unwrap_or(Value::new_none()))
    }

    /// A text with its `{{ … }}` replaced, as in templates; named arguments are variables for it.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.expand("{{ host.name | upper }}-{{ number }}", number = 1)  # gives WEB01-1
    /// ```
    fn expand<'v>(
        this: &SubComponentValue,
        #[starlark(require = pos)] text: &str,
        #[starlark(kwargs)] variables: NamedArguments<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        Ok(text::expand(&TextCall::of(&this.component, eval), text, &variables, eval.heap())?)
    }

    /// What a template file renders to; named arguments are variables for it. The file is beside the Starlark file or,
    /// if the path begins with `//`, anywhere in the project.
    ///
    /// ```starlark
    /// def configure(c):
    ///     c.template("motd", name = "ann")  # gives hello ann\n
    /// ```
    fn template<'v>(
        this: &SubComponentValue,
        #[starlark(require = pos)] file: &str,
        #[starlark(kwargs)] variables: NamedArguments<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        Ok(text::template(&TextCall::of(&this.component, eval), file, &variables, eval.heap())?)
    }
}

fn call<'a>(this: &'a SubComponentValue, name: &str, eval: &Evaluator<'_, '_, '_>) -> Result<Call<'a>, Stop> {
    let component = this.configuring(name)?;
    Ok(Call {
        component,
        site: Site::of(eval, component.session.sources()),
        trace: CallTrace::of(eval, component.made()),
    })
}

fn looked_up(this: &SubComponentValue, name: &str, nested: bool) -> Namespace {
    let data = this.session().scope.get_attr(name).unwrap_or_default();
    Namespace::new(data, format!("c.{name}"), this.session(), nested)
}

pub(crate) static METHODS: MethodsStatic = MethodsStatic::new("batou::component", methods);
