//! Paths of a component's files in the release, and their modes.

use crate::text::diagnostic::visible_name;

/// Why a text is not a path in a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("the path is empty")]
    Empty,
    #[error("the path `{0}` is absolute; paths are relative to the component")]
    Absolute(String),
    #[error("the path `{0}` leaves the component with `..`")]
    Parent(String),
    #[error("the path `{0}` contains a control character")]
    Control(String),
    #[error("a part of the path `{0}` is longer than 255 bytes, or the whole is longer than 4,095")]
    TooLong(String),
    #[error("`{0}` is not a path below the project's folder")]
    Project(String),
    #[error("the path `{0}` looks like a template; a path cannot be one")]
    Template(String),
}

/// A relative path without `.`, `..` and empty parts.
pub(crate) fn check(text: &str) -> Result<String, PathError> {
    let own = || text.to_owned();
    if text.starts_with('/') {
        return Err(PathError::Absolute(own()));
    }
    if text.chars().any(char::is_control) {
        return Err(PathError::Control(visible_name(text)));
    }
    if crate::template::is_template(text) {
        return Err(PathError::Template(own()));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(PathError::Parent(own()));
    }
    if parts.is_empty() {
        return Err(PathError::Empty);
    }
    if text.len() > 4095 || parts.iter().any(|part| part.len() > 255) {
        return Err(PathError::TooLong(own()));
    }
    Ok(parts.join("/"))
}

/// A path below a folder of the project, or below its root where the path begins with `//`.
pub(crate) fn check_source(text: &str) -> Result<String, PathError> {
    match text.strip_prefix("//") {
        Some(below) => match check(below) {
            Ok(path) => Ok(format!("//{path}")),
            Err(PathError::Absolute(_) | PathError::Parent(_) | PathError::Empty) => {
                Err(PathError::Project(text.to_owned()))
            }
            Err(error) => Err(error),
        },
        None => check(text),
    }
}

/// Why a text is not a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileModeError {
    #[error("`{0}` is not a mode")]
    Unknown(String),
    #[error("the mode `{0}` has the setuid, setgid or sticky bit, which a release cannot have")]
    Special(String),
}

/// `"0755"`, `"755"` or `"rwxr-xr-x"`, as nine bits.
pub(crate) fn mode(text: &str) -> Result<u32, FileModeError> {
    let unknown = || FileModeError::Unknown(text.to_owned());
    if text.len() == 9 && text.is_ascii() && !text.bytes().all(|b| b.is_ascii_digit()) {
        return symbolic(text);
    }
    if !(3..=5).contains(&text.len()) || !text.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return Err(unknown());
    }
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        Ok(mode) if mode <= 0o7777 => Err(FileModeError::Special(text.to_owned())),
        _ => Err(unknown()),
    }
}

fn symbolic(text: &str) -> Result<u32, FileModeError> {
    let mut mode = 0;
    for (found, wanted) in text.bytes().zip("rwxrwxrwx".bytes()) {
        mode <<= 1;
        match found {
            b'-' => {}
            _ if found == wanted => mode |= 1,
            b's' | b'S' | b't' | b'T' if wanted == b'x' => {
                return Err(FileModeError::Special(text.to_owned()));
            }
            _ => return Err(FileModeError::Unknown(text.to_owned())),
        }
    }
    Ok(mode)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(check("./etc//app.conf").unwrap(), "etc/app.conf");
        assert_eq!(check("-rf").unwrap(), "-rf");
        assert!(matches!(check("/etc/passwd"), Err(PathError::Absolute(_))));
        assert!(matches!(check("a/../../b"), Err(PathError::Parent(_))));
        assert!(matches!(check("a\x1b[0m"), Err(PathError::Control(_))));
        assert!(matches!(check("{{ host.name }}"), Err(PathError::Template(_))));
        assert!(matches!(check("./"), Err(PathError::Empty)));
        assert!(matches!(check(&"x".repeat(256)), Err(PathError::TooLong(_))));
    }

    #[test]
    fn modes_are_octal_or_letters() {
        assert_eq!(mode("0755").unwrap(), 0o755);
        assert_eq!(mode("640").unwrap(), 0o640);
        assert_eq!(mode("rwxr-x--x").unwrap(), 0o751);
        assert!(matches!(mode("4755"), Err(FileModeError::Special(_))));
        assert!(matches!(mode("rwsr-xr-x"), Err(FileModeError::Special(_))));
        for bad in ["", "7", "0888", "0o755", "rwxrwxrwz", "u+x", "xwrxwrxwr"] {
            assert!(matches!(mode(bad), Err(FileModeError::Unknown(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_has_only_plain_parts(text in "\\PC{0,40}") {
            if let Ok(path) = check(&text) {
                prop_assert!(path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
            }
        }
    }
}
