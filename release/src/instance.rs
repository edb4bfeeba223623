//! A component on a host.

use batou_store::Name;
use serde::{Deserialize, Serialize};

use crate::HostName;

/// A component on a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The host's name in the environment.
    pub host: HostName,
    /// The component's name.
    pub component: Name,
}

impl std::fmt::Display for Instance {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.host, self.component)
    }
}
