//! Addresses and their parts in Starlark: the same objects as in templates.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use minijinja::value::Value as Data;
use starlark::any::ProvidesStaticType;
use starlark::collections::StarlarkHasher;
use starlark::environment::{Methods, MethodsBuilder, MethodsStatic};
use starlark::values::Demand;
use starlark::values::none::NoneOr;
use starlark::values::{NoSerialize, StarlarkValue, Value, ValueError, ValueLike, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use crate::starlark::as_data::{AsData, Convertible};
use crate::starlark::session::ConfigureSession;
use crate::starlark::stop::Stop;
use crate::template::address::{Address, NetLoc};
use crate::template::dns::Family;
use crate::template::elsewhere::{PENDING, REPORTED};

/// An [`Address`], or a [`NetLoc`].
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub(crate) struct Netloc {
    #[allocative(skip)]
    data: Data,
    #[allocative(skip)]
    session: Arc<ConfigureSession>,
}

starlark_simple_value!(Netloc);

impl Netloc {
    pub(crate) fn new(data: Data, session: &Arc<ConfigureSession>) -> Netloc {
        Netloc { data, session: Arc::clone(session) }
    }

    fn connect(&self) -> Option<Data> {
        match self.data.downcast_object_ref::<Address>() {
            Some(_) => self.data.get_attr("connect").ok(),
            None => Some(self.data.clone()),
        }
    }

    fn location(&self) -> Option<NetLoc> {
        self.connect()?.downcast_object_ref::<NetLoc>().cloned()
    }

    fn listen(&self, family: Family) -> starlark::Result<NoneOr<Netloc>> {
        let Some(address) = self.data.downcast_object_ref::<Address>() else {
            let stop =
                Stop::mistake(format!("`{}` is only a host and a port, and has no `listen`", self.data));
            return Err(stop.help("`listen` belongs to an address: address(\"host:port\").listen").into());
        };
        let found = match address.listen(family) {
            Ok(found) => found,
            Err(error) => match error.detail() {
                // The name is noted, and everything is evaluated again with the answer.
                Some(PENDING) => return Ok(NoneOr::Other(self.placeholder(family))),
                Some(REPORTED) => return Err(Stop::Reported.into()),
                detail => return Err(Stop::mistake(detail.unwrap_or("the address cannot be used")).into()),
            },
        };
        if found.is_none() {
            return Ok(NoneOr::None);
        }
        Ok(NoneOr::Other(Netloc::new(found, &self.session)))
    }

    fn placeholder(&self, family: Family) -> Netloc {
        let host = crate::template::dns::documentation(family).to_string();
        let port = self.location().map_or(1, |location| location.port);
        Netloc::new(Data::from_object(NetLoc { host, port }), &self.session)
    }
}

impl fmt::Display for Netloc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.data, f)
    }
}

/// An address: a host's name and a port, to which others connect, and the addresses that the name stands for, on which
/// a service listens. As a string it is `host:port`, or `[v6]:port`. Addresses are compared by host, then port.
#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// Where to connect: the host as it was written, and the port.
    ///
    /// ```starlark
    /// def configure(c):
    ///     address("www.example.net:80").connect.host  # gives www.example.net
    /// ```
    #[starlark(attribute)]
    fn connect(this: &Netloc) -> starlark::Result<Netloc> {
        let data = this.connect().ok_or(Stop::Reported)?;
        Ok(Netloc::new(data, &this.session))
    }

    /// Where to listen, over IPv4: the address of the name, and the port. `None` if `require_v4 = "optional"` and there is
    /// none.
    ///
    /// ```starlark
    /// def configure(c):
    ///     address("www.example.net:80").listen  # gives 192.0.2.10:80
    /// ```
    #[starlark(attribute)]
    fn listen(this: &Netloc) -> starlark::Result<NoneOr<Netloc>> {
        this.listen(Family::V4)
    }

    /// Where to listen, over IPv6.
    #[starlark(attribute)]
    fn listen_v6(this: &Netloc) -> starlark::Result<NoneOr<Netloc>> {
        this.listen(Family::V6)
    }

    /// The host's name or address.
    #[starlark(attribute)]
    fn host(this: &Netloc) -> starlark::Result<String> {
        Ok(this.location().map(|location| location.host).unwrap_or_default())
    }

    /// The port.
    #[starlark(attribute)]
    fn port(this: &Netloc) -> starlark::Result<i32> {
        Ok(this.location().map_or(0, |location| i32::from(location.port)))
    }
}

pub(crate) static METHODS: MethodsStatic = MethodsStatic::new("batou::address", methods);

impl AsData for Netloc {
    fn as_data(&self, _what: &str) -> Result<Data, Stop> {
        Ok(self.data.clone())
    }
}

#[starlark_value(type = "address")]
impl<'v> StarlarkValue<'v> for Netloc {
    fn provide(&'v self, demand: &mut Demand<'_, 'v>) {
        demand.provide_value(Convertible(self));
    }

    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.downcast_ref::<Netloc>().is_some_and(|other| other.location() == self.location()))
    }

    fn compare(&self, other: Value<'v>) -> starlark::Result<Ordering> {
        match other.downcast_ref::<Netloc>() {
            Some(other) => Ok(self.location().cmp(&other.location())),
            None => ValueError::unsupported_with(self, "compare", other),
        }
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        std::hash::Hash::hash(&self.data.to_string(), hasher);
        Ok(())
    }
}
