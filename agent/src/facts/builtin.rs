//! Facts that need no command. They are read from the kernel's files, not asked of a C library: the agent is a static
//! program.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use batou_release::Builtin;
use batou_system::fs;
use serde_json::{Value, json};

/// Flags of addresses that do not last or cannot be used yet: bits of `/proc/net/if_inet6`, from the kernel's
/// `if_addr.h`: temporary, failed duplicate detection, deprecated, tentative.
const UNSETTLED: u8 = 0x01 | 0x08 | 0x20 | 0x40;

/// The value of a fact, or why there is none.
pub(super) fn value(builtin: Builtin) -> Result<Value, String> {
    match builtin {
        Builtin::Addresses => addresses(),
        Builtin::Architecture => uname("machine", rustix::system::uname().machine()),
        Builtin::Hostname => uname("node name", rustix::system::uname().nodename()),
        Builtin::Memory => {
            memory(&read("/proc/meminfo")?).ok_or_else(|| "/proc/meminfo has no MemTotal".into())
        }
        Builtin::OsRelease => {
            let text = read("/etc/os-release").or_else(|_| read("/usr/lib/os-release"))?;
            Ok(json!(os_release(&text)))
        }
        Builtin::Processors => std::thread::available_parallelism()
            .map(|count| json!(count.get()))
            .map_err(|error| error.to_string()),
    }
}

fn read(path: &str) -> Result<String, String> {
    let text = fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    String::from_utf8(text).map_err(|_| format!("{path} is not UTF-8"))
}

fn uname(what: &str, text: &std::ffi::CStr) -> Result<Value, String> {
    text.to_str().map(Value::from).map_err(|_| format!("its {what} is not UTF-8"))
}

fn addresses() -> Result<Value, String> {
    let v4 = v4(&read("/proc/net/fib_trie")?);
    // Without IPv6 in the kernel the file is absent.
    let v6 = read("/proc/net/if_inet6").map(|text| v6(&text)).unwrap_or_default();
    Ok(json!({ "v4": v4, "v6": v6 }))
}

/// The host's own addresses in the kernel's routing table: `|-- ADDRESS`, and below it `/32 host LOCAL`.
fn v4(trie: &str) -> BTreeSet<Ipv4Addr> {
    let mut found = BTreeSet::new();
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last);
        }
    }
    found.retain(|address| !address.is_loopback() && !address.is_link_local());
    found
}

/// Lines of `address interface prefix scope flags name`, all but the name in hex. Scope 0 is global.
fn v6(text: &str) -> BTreeSet<Ipv6Addr> {
    let address = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let address = u128::from_str_radix(fields.next()?, 16).ok()?;
        let scope = u8::from_str_radix(fields.nth(2)?, 16).ok()?;
        // There are newer flags above the first eight.
        let flags = u32::from_str_radix(fields.next()?, 16).ok()?;
        (scope == 0 && flags & u32::from(UNSETTLED) == 0).then(|| Ipv6Addr::from(address))
    };
    text.lines().filter_map(address).collect()
}

fn memory(meminfo: &str) -> Option<Value> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(json!(kib.checked_mul(1024)?))
}

/// The assignments of os-release(5), their names in lower case.
fn os_release(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), unquoted(value.trim()))).collect()
}

/// A word of the shell: in single quotes, in double quotes with backslashes, or bare.
fn unquoted(word: &str) -> String {
    if let Some(text) = word.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return text.to_owned();
    }
    let text = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(word);
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        plain.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn own_addresses_are_found_in_the_routing_table() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n        |-- 127.0.0.1\n           \
             /32 host LOCAL\n        |-- 192.0.2.0\n           /24 link UNICAST\n        |-- 192.0.2.10\n           /32 host LOCAL\n        \
             |-- 192.0.2.9\n           /32 host LOCAL\n        |-- 169.254.1.1\n           /32 host LOCAL\n        |-- 192.0.2.255\n           \
             /32 link BROADCAST\nLocal:\n  |-- 192.0.2.10\n           /32 host LOCAL\n  garbage\n /32 host LOCAL\n";
        let found: Vec<_> = v4(trie).iter().map(Ipv4Addr::to_string).collect();
        assert_eq!(found, ["192.0.2.9", "192.0.2.10"]);
    }

    #[test]
    fn only_settled_global_addresses_count() {
        let text = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n\
                    20010db8000000000000000000000010 02 40 00 80     eth0\n\
                    20010db8000000000000000000000002 02 40 00 82     eth0\n\
                    20010db800000000aaaaaaaaaaaaaaaa 02 40 00 01     eth0\n\
                    20010db800000000bbbbbbbbbbbbbbbb 02 40 00 120    eth0\n\
                    00000000000000000000000000000001 01 80 10 80       lo\nshort\n";
        let found: Vec<_> = v6(text).iter().map(Ipv6Addr::to_string).collect();
        assert_eq!(found, ["2001:db8::2", "2001:db8::10"]);
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(
            memory("MemFree: 1 kB\nMemTotal:       32780176 kB\n"),
            Some(json!(32_780_176_u64 * 1024))
        );
        assert_eq!(memory("MemTotal: lots kB"), None);
    }

    #[test]
    fn os_release_is_read_as_a_shell_does() {
        let text =
            "# comment\nID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME=\"A \\\"B\\\" \\$C\"\nX='a\\b'\n\nBROKEN\n";
        let found = os_release(text);
        let expected = [("id", "debian"), ("pretty_name", "A \"B\" $C"), ("version_id", "13"), ("x", "a\\b")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn this_machine_has_all_of_them() {
        let of = |builtin| value(builtin).unwrap();
        assert_eq!(of(Builtin::Architecture), std::env::consts::ARCH);
        assert!(of(Builtin::Memory).as_u64().unwrap() > 1 << 20);
        assert!(of(Builtin::Processors).as_u64().unwrap() >= 1);
        assert!(!of(Builtin::Hostname).as_str().unwrap().is_empty());
        assert!(of(Builtin::OsRelease)["id"].is_string());
        assert!(of(Builtin::Addresses)["v4"].is_array());
    }
}
