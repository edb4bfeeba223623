//! `Address` and `NetLoc`, as in batou 2: where to connect, and where to listen.
//!
//! `connect` is a name and a port, used as written. `listen` and `listen_v6` are the addresses that the name stands
//! for; using them makes the evaluation ask DNS.

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use minijinja::value::{DynObject, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind};

use crate::template::cause;
use crate::template::dns::{DnsAnswer, DnsAnswers, Family};
use crate::template::elsewhere::pending_error;

/// Whether an address must have an IPv4 or IPv6 address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Yes,
    No,
    Optional,
}

/// A host and a port, printed as `host:port` or `[v6]:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NetLoc {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for NetLoc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("the address `{0}` has no port")]
    NoPort(String),
    #[error("the port of the address `{0}` is not a number from 1 to 65535")]
    BadPort(String),
    #[error("`{0}` is not a host's name or address")]
    BadHost(String),
}

impl std::str::FromStr for NetLoc {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<NetLoc, AddressError> {
        let text = text.trim();
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(AddressError::NoPort(text.to_owned()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| AddressError::NoPort(text.to_owned()))?;
        if port.is_empty() || port.ends_with(']') {
            return Err(AddressError::NoPort(text.to_owned()));
        }
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| port.parse::<u16>().ok().filter(|port| *port > 0)).flatten();
        let port = number.ok_or_else(|| AddressError::BadPort(text.to_owned()))?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let valid = match bracketed {
            Some(host) => host.parse::<Ipv6Addr>().is_ok(),
            None => crate::text::name::is_host(host),
        };
        if !valid {
            return Err(AddressError::BadHost(host.to_owned()));
        }
        Ok(NetLoc { host: bracketed.unwrap_or(host).to_owned(), port })
    }
}

impl Object for NetLoc {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "host" => Some(Value::from(self.host.as_str())),
            "port" => Some(Value::from(self.port)),
            _ => None,
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<NetLoc>().map(|other| self.as_ref().cmp(other))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_ref(), f)
    }
}

/// The value of an attribute of the type `address`.
#[derive(Debug)]
pub(crate) struct Address {
    connect: NetLoc,
    /// `connect` as templates get it.
    shown: Value,
    require_v4: Need,
    require_v6: Need,
    answers: Arc<DnsAnswers>,
}

impl Address {
    pub(crate) fn new(
        connect: NetLoc,
        require_v4: Need,
        require_v6: Need,
        answers: &Arc<DnsAnswers>,
    ) -> Address {
        let shown = Value::from_object(connect.clone());
        Address { connect, shown, require_v4, require_v6, answers: Arc::clone(answers) }
    }

    pub(crate) fn listen(&self, family: Family) -> Result<Value, Error> {
        let (need, key) = match family {
            Family::V4 => (self.require_v4, "require_v4"),
            Family::V6 => (self.require_v6, "require_v6"),
        };
        let name = &self.connect.host;
        let refuse = |reason: String| Err(Error::new(ErrorKind::InvalidOperation, reason));
        if need == Need::No {
            return refuse(format!(
                "there is no {family} address for `{}`: `{key}` is false in [environment]",
                self.connect
            ));
        }
        match self.answers.get(name, family) {
            DnsAnswer::Address(address) => {
                let part = if family == Family::V4 { "listen" } else { "listen_v6" };
                if cause::is_new(cause::key(self, part)) && name.parse::<IpAddr>().is_err() {
                    let answer = cause::digest(address.to_string().as_bytes());
                    cause::record(format!("DNS answer for {name} ({family})"), answer);
                }
                Ok(Value::from_object(NetLoc { host: address.to_string(), port: self.connect.port }))
            }
            DnsAnswer::None if need == Need::Optional => Ok(Value::from(())),
            DnsAnswer::None => {
                refuse(format!("`{name}` has no {family} address; add it to [resolver] or to DNS"))
            }
            DnsAnswer::Failed(reason) => refuse(format!("cannot resolve `{name}`: {reason}")),
            DnsAnswer::Pending => Err(pending_error()),
        }
    }
}

impl Object for Address {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "connect" => Some(self.shown.clone()),
            "listen" => Some(self.listen(Family::V4).unwrap_or_else(Value::from)),
            "listen_v6" => Some(self.listen(Family::V6).unwrap_or_else(Value::from)),
            _ => None,
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Address>().map(|other| self.connect.cmp(&other.connect))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.connect, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn prints_what_it_read() {
        for text in ["web01.example.net:80", "[2001:db8::1]:443", "192.0.2.1:1"] {
            assert_eq!(text.parse::<NetLoc>().unwrap().to_string(), text);
        }
        assert_eq!(
            "2001:db8::1:80".parse::<NetLoc>().unwrap_err(),
            AddressError::NoPort("2001:db8::1:80".into())
        );
    }

    #[test]
    fn a_port_is_needed_and_a_host() {
        for text in ["web01", "web01:", "[::1]", "::1"] {
            assert!(matches!(text.parse::<NetLoc>(), Err(AddressError::NoPort(_))), "{text}");
        }
        for text in ["web01:0", "web01:65536", "web01:http", "web01:+5"] {
            assert!(matches!(text.parse::<NetLoc>(), Err(AddressError::BadPort(_))), "{text}");
        }
        for text in [":80", "-x:80", "a b:80", "[zz]:80", "a:b:80"] {
            assert!(matches!(text.parse::<NetLoc>(), Err(AddressError::BadHost(_))), "{text}");
        }
    }
}
