//! What belongs to somebody else in a target directory, as after a `sudo batou`.

use std::io;
use std::path::{Path, PathBuf};

use batou_system::fs;

use crate::error::{Error, Unreadable};
use crate::target::TargetDirectory;
use crate::user::User;

/// Adds to an error for want of permission whose files they are, and how they are given back.
pub(crate) fn explain(error: Error, target: &TargetDirectory, user: &User) -> Error {
    let Some(denied) = denied(&error) else { return error };
    let Some(path) = foreign(target, &denied, user.uid) else { return error };
    let owner =
        fs::symlink_metadata(&path).map_or_else(|_| "somebody else".into(), |it| User::of(it.uid()).name);
    let (user, directory) = (user.name.clone(), target.directory().to_owned());
    Error::Owned { path, owner, user, directory, source: Box::new(error) }
}

/// On which path something was not permitted, if that is what the error comes from.
fn denied(error: &Error) -> Option<PathBuf> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut path = None;
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::PermissionDenied) {
            return path;
        }
        path = place(error).map(Path::to_owned).or(path);
        next = error.source();
    }
    None
}

/// Which path an error itself names.
fn place<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Path> {
    let unreadable = || {
        let boxed = error.downcast_ref::<Box<Unreadable>>().map(|it| &**it);
        boxed.or_else(|| error.downcast_ref())
    };
    // An error that only passes another one on does not have it as its source.
    let of_store = match (error.downcast_ref::<Error>(), unreadable()) {
        (Some(Error::Io { path, .. }), _) => return Some(path),
        (Some(Error::Store(store)), _) | (_, Some(Unreadable::File(store))) => Some(store),
        _ => error.downcast_ref(),
    };
    match of_store? {
        batou_store::Error::Io { path, .. } => Some(path),
        _ => None,
    }
}

/// What is somebody else's: the path, what it is in, or, where neither is, something else of the target directory's own.
fn foreign(target: &TargetDirectory, path: &Path, uid: u32) -> Option<PathBuf> {
    let directory = target.directory();
    let within = path.ancestors().take_while(|path| path.starts_with(directory));
    let is_foreign = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.uid() != uid);
    if let Some(found) = within.into_iter().find(|path| is_foreign(path)) {
        return Some(found.to_owned());
    }
    if !path.starts_with(directory) || path.starts_with(target.states()) {
        return None;
    }
    // A file of somebody else's can be neither linked nor renamed to a path that is free.
    [target.store(), target.generations()].iter().find_map(|part| find(part, &is_foreign))
}

fn find(path: &Path, wanted: &impl Fn(&Path) -> bool) -> Option<PathBuf> {
    if wanted(path) {
        return Some(path.to_owned());
    }
    if fs::is_symlink(path) || !fs::is_dir(path) {
        return None;
    }
    let entries = fs::read_dir(path).ok()?;
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).find_map(|path| find(&path, wanted))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_somebody_else_owns_is_named_with_how_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("my shop");
        let target = TargetDirectory::new(directory.to_str().unwrap()).unwrap();
        std::fs::create_dir_all(target.store().join("tmp")).unwrap();
        let own = User::current();
        let other = User { name: "shop".into(), uid: own.uid + 1, ..own.clone() };
        let refused = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        let of_store = |path: &Path, errno| batou_store::Error::Io {
            action: "write",
            path: path.to_owned(),
            source: refused(errno),
        };
        let errors = |path: &Path, errno| {
            [
                Error::io("open", path)(refused(errno)),
                Error::Store(of_store(path, errno)),
                Error::Stream(of_store(path, errno)),
                Error::Past {
                    number: 1,
                    directory: directory.clone(),
                    source: Box::new(Unreadable::File(of_store(path, errno))),
                },
            ]
        };
        // What is not there, or cannot be examined, is in something that is.
        for (path, named) in [
            (target.journal(), directory.clone()),
            (target.store().join("tmp/1"), target.store().join("tmp")),
            (target.store(), target.store()),
        ] {
            for errno in [Errno::ACCESS, Errno::PERM] {
                for error in errors(&path, errno) {
                    let text = explain(error, &target, &other).sentence();
                    assert!(
                        text.starts_with(&format!("{} belongs to {}", named.display(), own.name)),
                        "{text}"
                    );
                    let give = format!("`chown -R shop '{}'`", directory.display());
                    assert!(text.contains(&give) && text.contains("(os error "), "{text}");
                }
            }
            for error in errors(&path, Errno::ACCESS) {
                assert!(!matches!(explain(error, &target, &own), Error::Owned { .. }), "it is one's own");
            }
            for error in errors(&path, Errno::NOSPC) {
                assert!(!matches!(explain(error, &target, &other), Error::Owned { .. }), "it was permitted");
            }
        }
        let elsewhere = Error::io("open", Path::new("/etc/hosts"))(refused(Errno::ACCESS));
        assert!(!matches!(explain(elsewhere, &target, &other), Error::Owned { .. }));
    }
}
