//! Where the values of attributes come from: the component's default, and what an environment sets over it.

use std::sync::Arc;

use batou_release::Instance;
use serde::{Deserialize, Serialize};

use crate::project::host::Host;
use crate::project::policy::Policy;
use crate::text::diagnostic::{Diagnostic, Location};
use crate::values::LazyValues;

/// A component on a host, as the user typed it. It need not exist.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Typed {
    /// The host, in any way that [`Policy::host_name`](crate::Policy::host_name) knows.
    pub host: String,
    /// The component's name.
    pub component: String,
}

/// A component on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// What the component is for, if its code says so.
    pub doc: Option<String>,
    /// By name.
    pub attributes: Vec<Explained>,
}

/// What can be told about a component on a host, although the project may have mistakes.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExplainedEnvironment {
    /// `[environment]`
    pub policy: Policy,
    /// By name; ignored ones are marked.
    pub hosts: Vec<Host>,
    /// Every component that the environment names, on each of its hosts.
    pub declared: Vec<Instance>,
    /// `None` if the host does not have the component.
    pub explanation: Option<Explanation>,
    /// The mistakes and warnings that concern the component on this host, or the environment as a whole.
    pub mistakes: Vec<Diagnostic>,
    /// How many errors concern only others.
    pub elsewhere: usize,
}

/// An attribute of a component on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explained {
    /// The attribute's name.
    pub name: String,
    /// `int`, `address` and so on, as it is written in a declaration.
    #[serde(rename = "type")]
    pub kind: String,
    /// As a template would print it; `None` if a mistake left it without a value.
    pub value: Option<String>,
    /// What it is for, if its component says so.
    pub doc: Option<String>,
    /// Where it is set, starting with the place that takes effect; the last is the component's default, if it has one.
    pub set: Vec<SetAt>,
    /// What the value was made from: `host fqdn`, `attribute app.port`.
    pub causes: Vec<String>,
}

/// One place that sets an attribute.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetAt {
    /// The place.
    #[serde(flatten)]
    pub location: Location,
    /// Whether it is the component's own default.
    pub default: bool,
}

/// An instance and its attributes.
pub(crate) fn explain(values: &Arc<LazyValues>, index: usize) -> Explanation {
    let component = &values.instance(index).component;
    let names = component.interface.attributes.keys();
    Explanation {
        doc: component.code.as_ref().and_then(|code| code.doc.clone()),
        attributes: names.filter_map(|name| one(values, index, name)).collect(),
    }
}

fn one(values: &Arc<LazyValues>, index: usize, name: &str) -> Option<Explained> {
    let instance = values.instance(index);
    let declaration = instance.component.interface.attributes.get(name)?;
    let evaluated = values.attribute(index, name);
    let overrides = &values.model.environment.overrides;
    let above = overrides.places(&instance.component.name, &values.model.host(index).name, name);
    let winner = instance.overrides.get(name).map(|member| &member.node.at);
    let mut above: Vec<_> = above.into_iter().map(Location::of).collect();
    if let Some(winner) = winner.map(Location::of) {
        // The sort is stable: the place that takes effect comes first, the others keep their order.
        above.sort_by_key(|place| (&place.file, place.line) != (&winner.file, winner.line));
    }
    let above = above.into_iter().map(|location| SetAt { location, default: false });
    let default = declaration.default.as_ref().map(|_| Location::of(&declaration.at));
    let default = default.map(|location| SetAt { location, default: true });
    Some(Explained {
        name: name.to_owned(),
        kind: declaration.kind.to_string(),
        value: evaluated.map(|evaluated| evaluated.value.to_string()),
        doc: declaration.doc.clone(),
        set: above.chain(default).collect(),
        causes: evaluated.into_iter().flat_map(|evaluated| evaluated.causes.keys().cloned()).collect(),
    })
}
