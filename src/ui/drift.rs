//! Files that are not as they were released, in words.

use batou_agent::protocol::{Drift, DriftKind, DriftedFile};

use super::{plural, visible_name};

/// How many files a line names.
const SHOWN: usize = 5;

/// How many files, and the names of the first: `2 files: app/motd (changed), app/etc/x (missing)`.
pub fn drifted(drift: &Drift) -> String {
    named(drift, |file| format!("{} ({})", path(file), word(file.kind)))
}

/// Like [`drifted`], for files that have been put back, so that it no longer matters what was wrong.
pub fn mended(drift: &Drift) -> String {
    named(drift, path)
}

/// The folders of components' own data that are gone, among the files that are named.
pub fn lost(drift: &Drift) -> Vec<String> {
    drift.files.iter().filter(|file| file.kind == DriftKind::Lost).map(path).collect()
}

/// The others.
pub fn without_lost(drift: &Drift) -> Drift {
    let files: Vec<_> = drift.files.iter().filter(|file| file.kind != DriftKind::Lost).cloned().collect();
    let lost = (drift.files.len() - files.len()) as u64;
    Drift { count: drift.count.saturating_sub(lost), files }
}

/// How many files, for people.
pub fn count(drift: &Drift) -> String {
    plural(usize::try_from(drift.count).unwrap_or(usize::MAX), "file").to_string()
}

fn named(drift: &Drift, name: impl Fn(&DriftedFile) -> String) -> String {
    let names: Vec<_> = drift.files.iter().take(SHOWN).map(name).collect();
    let more = drift.count.saturating_sub(names.len() as u64);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}

/// The path below `current`, or below the target directory if the file belongs to no component.
fn path(file: &DriftedFile) -> String {
    let path = visible_name(&file.path);
    match &file.component {
        Some(component) if file.path == "." => format!("{component}/"),
        Some(component) => format!("{component}/{path}"),
        None => path,
    }
}

fn word(kind: DriftKind) -> &'static str {
    match kind {
        DriftKind::Missing => "missing",
        DriftKind::Changed => "changed",
        DriftKind::Foreign => "not released",
        DriftKind::Lost => "gone, with all data in it",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_files_are_named_and_the_others_counted() {
        let file = |path: &str, kind| DriftedFile {
            component: Some("app".parse().unwrap()),
            path: path.to_owned(),
            kind,
        };
        let beside = DriftedFile { component: None, path: "state/db\n".into(), kind: DriftKind::Missing };
        let files = vec![file(".", DriftKind::Changed), file("x", DriftKind::Foreign), beside];
        let mut drift = Drift::of(files);
        assert_eq!(drifted(&drift), "state/db^J (missing), app/ (changed), app/x (not released)");
        drift.count = 9;
        assert_eq!(mended(&drift), "state/db^J, app/, app/x, and 6 more");
        assert_eq!(count(&drift), "9 files");
    }
}
