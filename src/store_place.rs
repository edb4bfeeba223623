//! The local store and the target directories on this machine: each removes what it does not know, so that neither may be
//! inside of the other.

use std::path::{Path, PathBuf};

use batou_environments::{ConnectMethod, Host, Policy};

use crate::error::CommandError;
use crate::login;

/// Refuses an environment with a host on this machine whose target directory is in the way of this store.
pub fn check(store: &Path, policy: &Policy, hosts: &[Host]) -> Result<(), CommandError> {
    if policy.connect_method != ConnectMethod::Local {
        return Ok(());
    }
    let mut local = hosts.iter().filter(|host| !host.ignored);
    local.try_for_each(|host| check_target(store, &host.name, &target(host)))
}

fn check_target(store: &Path, host: &str, target: &Path) -> Result<(), CommandError> {
    let (real_store, real_target) = (real(store), real(target));
    let (inner, outer) = if real_store.starts_with(&real_target) {
        ("the local store", format!("the target directory of {host}"))
    } else if real_target.starts_with(&real_store) {
        ("the target directory", "the local store".to_owned())
    } else {
        return Ok(());
    };
    let (store, target) = (store.display(), target.display());
    let message = format!(
        "{inner} lies inside of {outer}, and each would remove what the other keeps: the store is {store}, and the \
         target directory {target}; nothing was changed"
    );
    let hint = "have BATOU_STORE name another folder for the store, or choose another target_directory";
    Err(CommandError::input(message).hint(hint))
}

fn target(host: &Host) -> PathBuf {
    let path = &host.target_directory;
    match path.strip_prefix('~') {
        Some(rest) => format!("{}{rest}", host.home.clone().unwrap_or_else(|| login::current().home)).into(),
        None => path.into(),
    }
}

/// The path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let resolved = |found: &Path| Some(found.canonicalize().ok()?.join(path.strip_prefix(found).ok()?));
    path.ancestors().find_map(resolved).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_store_and_a_target_directory_are_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let place = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(place("real/x")).unwrap();
        std::os::unix::fs::symlink("real", place("link")).unwrap();
        let checked = |store: &str, target: &str| {
            check_target(&place(store), "web01", &place(target)).map_err(|error| error.to_string())
        };
        for (store, target) in [("real/x/store", "real/x"), ("link/x/a/b", "real/x"), ("real/x", "link/x")] {
            let refused = checked(store, target).unwrap_err();
            assert!(refused.starts_with("the local store lies inside of the target directory of web01"));
            for path in [store, target] {
                assert!(refused.contains(&place(path).display().to_string()), "{refused}");
            }
        }
        let refused = checked("real/new/store", "link/new/store/below").unwrap_err();
        assert!(refused.starts_with("the target directory lies inside of the local store"), "{refused}");
        for (store, target) in [("real/x", "real/xy"), ("real/store", "real/x"), ("x", "y")] {
            checked(store, target).unwrap();
        }
    }
}
