//! Names with strict character sets, so that none of them can pass for an option, a path or a control sequence.

use batou_release::HostName;

/// The variables that every template has. No other variable can be named like one of them.
pub(crate) const BUILT_IN: [&str; 5] =
    ["batou_generated_header", "component", "environment", "host", "settings"];

/// Whether it is a host's name or address.
pub(crate) fn is_host(name: &str) -> bool {
    HostName::new(name).is_ok()
}

/// A user: `[A-Za-z0-9._-]+` without a leading dash.
pub(crate) fn is_user(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= 253 && !name.starts_with('-') && name.bytes().all(allowed)
}

/// A component: `[a-z][a-z0-9_-]*`.
pub(crate) fn is_component(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

/// A project or an environment: `[A-Za-z0-9][A-Za-z0-9._-]*`, since folders are named after them.
pub(crate) fn is_project_or_environment(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// A variable of the template language.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_looks_like_an_option_or_a_path_is_a_name() {
        for bad in ["", "-oProxyCommand=x", "a b", "a/b", "a\x1b[0m", "ä", "a$(id)", "a\n"] {
            assert!(!is_host(bad) && !is_user(bad), "{bad:?}");
            assert!(!is_component(bad), "{bad:?}");
            assert!(!is_project_or_environment(bad), "{bad:?}");
        }
        assert!(is_user("first.last") && !is_user("a:b"));
        assert!(is_component("load_balancer-2") && !is_component("2nd") && !is_component("App"));
        assert!(is_project_or_environment("prod.eu") && !is_project_or_environment(".git"));
    }
}
