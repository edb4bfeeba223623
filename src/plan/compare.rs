//! Compares two manifests by what is known of their objects.

use std::collections::{BTreeMap, BTreeSet};

use batou_store::{Digest, Node, ObjectId, RelPath};
use similar::TextDiff;

use super::objects::{ComparedObjects, FileNodes, MAX_TEXT};
use super::{ComponentPlan, ContentPlan, FilePlan, UnitPlan};
use crate::error::CommandError;
use crate::ui::line::plan::Change;
use batou_release::{Component, DECLARED_BY, HostRelease, Unit, unit_key};

/// The cause of a file that is not a template and has different content.
const OWN_FILE: &str = "its own file";
/// How many lines are shown around a change.
const CONTEXT: usize = 3;

type Reasons = BTreeMap<String, BTreeMap<String, String>>;

/// What changes on a host from `old`, if there is one, to `new`, whose objects are in the store.
pub fn compare(
    objects: ComparedObjects<'_>,
    old: Option<&HostRelease>,
    new: &HostRelease,
) -> Result<Vec<ComponentPlan>, CommandError> {
    let none = Reasons::new();
    let mut plans = Vec::new();
    for component in &new.manifest().components {
        let before = old.and_then(|old| {
            let component = old.manifest().component(component.name.as_str())?;
            Some(Side { component, reasons: reasons(old, component, &none) })
        });
        let after = Side { component, reasons: reasons(new, component, &none) };
        plans.extend(component_plan(objects, before, &after)?);
    }
    let gone = old.iter().flat_map(|old| &old.manifest().components);
    for component in gone.filter(|component| new.manifest().component(component.name.as_str()).is_none()) {
        plans.push(removed(objects, component)?);
    }
    Ok(plans)
}

/// The old files whose text [`compare`] would show and that are not known.
pub fn unknown_texts(
    objects: ComparedObjects<'_>,
    old: &HostRelease,
    new: &HostRelease,
) -> Result<Vec<ObjectId>, CommandError> {
    let none = Reasons::new();
    let mut unknown = Vec::new();
    for component in &new.manifest().components {
        let Some(before) = old.manifest().component(component.name.as_str()) else { continue };
        if before.artifact == component.artifact || objects.has(&before.artifact)? {
            continue;
        }
        if let Some(before) = objects.known_files(&before.artifact)? {
            let after = objects.files(&component.artifact)?;
            let causes = (&none, &none);
            let changes = Changes { objects, old: &before, is_stored: false, new: &after, causes };
            unknown.extend(changes.unknown_texts()?);
        }
    }
    Ok(unknown)
}

/// Why a component's files are as they are.
fn reasons<'r>(release: &'r HostRelease, component: &Component, none: &'r Reasons) -> &'r Reasons {
    release.causes().get(component.name.as_str()).unwrap_or(none)
}

/// A component and why its files are as they are.
#[derive(Clone, Copy)]
struct Side<'a> {
    component: &'a Component,
    reasons: &'a Reasons,
}

fn component_plan(
    objects: ComparedObjects<'_>,
    old: Option<Side<'_>>,
    new: &Side<'_>,
) -> Result<Option<ComponentPlan>, CommandError> {
    let Some(old) = old else { return added(objects, new).map(Some) };
    let mut plan = ComponentPlan {
        component: new.component.name.to_string(),
        change: Change::Changed,
        files: Vec::new(),
        units: units(Some(old.component), new),
        incomparable: false,
    };
    if old.component.artifact != new.component.artifact {
        let after = objects.files(&new.component.artifact)?;
        if let Some(before) = objects.known_files(&old.component.artifact)? {
            let is_stored = objects.has(&old.component.artifact)?;
            let causes = (old.reasons, new.reasons);
            let changes = Changes { objects, old: &before, is_stored, new: &after, causes };
            plan.files = changes.all()?;
        } else {
            plan.incomparable = true;
            plan.files = listed(&after, Change::Changed, new.reasons);
        }
    } else if plan.units.is_empty() && old.component.units == new.component.units {
        return Ok(None);
    }
    Ok(Some(plan))
}

fn added(objects: ComparedObjects<'_>, new: &Side<'_>) -> Result<ComponentPlan, CommandError> {
    Ok(ComponentPlan {
        component: new.component.name.to_string(),
        change: Change::Added,
        files: listed(&objects.files(&new.component.artifact)?, Change::Added, new.reasons),
        units: units(None, new),
        incomparable: false,
    })
}

fn removed(objects: ComparedObjects<'_>, component: &Component) -> Result<ComponentPlan, CommandError> {
    let known = objects.known_files(&component.artifact)?;
    Ok(ComponentPlan {
        component: component.name.to_string(),
        change: Change::Removed,
        incomparable: known.is_none(),
        files: listed(&known.unwrap_or_default(), Change::Removed, &Reasons::new()),
        units: Vec::new(),
    })
}

/// The units that the new component has and the old one did not, in order.
fn units(old: Option<&Component>, new: &Side<'_>) -> Vec<UnitPlan> {
    let fingerprints =
        |old: &Component| -> Vec<Digest> { old.units.iter().map(|unit| old.fingerprint(unit)).collect() };
    let known: BTreeSet<_> = old.map(fingerprints).into_iter().flatten().collect();
    let units = new.component.units.iter();
    let units = units.filter(|unit| !known.contains(&new.component.fingerprint(unit)));
    let plan = |unit: &Unit| {
        let (kind, name) = (unit.kind(), unit.name().to_owned());
        let same = |before: &&Unit| before.kind() == kind && before.name() == name;
        let before = old.and_then(|old| old.units.iter().find(same));
        let because = before.map(|before| changed_dependencies(before, unit)).unwrap_or_default();
        let by = declared_by(new.reasons, &unit_key(kind, &name));
        UnitPlan { kind, name, because, by }
    };
    units.map(plan).collect()
}

/// What both versions of a unit depend on, with different content.
fn changed_dependencies(old: &Unit, new: &Unit) -> Vec<String> {
    let (old, new) = (old.dependencies(), new.dependencies());
    let changed = new.into_iter().filter(|(name, digest)| old.get(name).is_some_and(|old| old != digest));
    changed.map(|(name, _)| name.to_owned()).collect()
}

/// All files without their content: for a component that is added or removed as a whole, the names are enough.
fn listed(files: &FileNodes, change: Change, reasons: &Reasons) -> Vec<FilePlan> {
    let file = |(path, node): (&RelPath, &Node)| FilePlan {
        path: path.to_string(),
        change,
        content: sizes(if change == Change::Removed { (Some(node), None) } else { (None, Some(node)) }),
        mode: None,
        by: declared_by(reasons, path.as_str()),
        causes: Vec::new(),
    };
    files.iter().map(file).collect()
}

/// Two sets of files to compare.
struct Changes<'a> {
    objects: ComparedObjects<'a>,
    old: &'a FileNodes,
    /// Whether the store claims to have all of the old files. It always has the new ones.
    is_stored: bool,
    new: &'a FileNodes,
    causes: (&'a Reasons, &'a Reasons),
}

impl Changes<'_> {
    fn all(&self) -> Result<Vec<FilePlan>, CommandError> {
        let paths: BTreeSet<_> = self.old.keys().chain(self.new.keys()).collect();
        let differing = paths.into_iter().filter(|&path| self.old.get(path) != self.new.get(path));
        differing.map(|path| self.one(path)).collect()
    }

    fn one(&self, path: &RelPath) -> Result<FilePlan, CommandError> {
        let nodes = (self.old.get(path), self.new.get(path));
        let change = match nodes {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            _ => Change::Changed,
        };
        let mode = match nodes {
            (Some(Node::File { mode: old, .. }), Some(Node::File { mode: new, .. })) if old != new => {
                Some((*old, *new))
            }
            _ => None,
        };
        let content = self.content(nodes)?;
        let (by, causes) = (self.declared_by(path.as_str()), self.causes(path.as_str()));
        Ok(FilePlan { path: path.to_string(), change, content, mode, by, causes })
    }

    fn content(&self, nodes: (Option<&Node>, Option<&Node>)) -> Result<ContentPlan, CommandError> {
        if let (Some(Node::File { digest: old, .. }), Some(Node::File { digest: new, .. })) = nodes
            && old == new
        {
            return Ok(ContentPlan::Same);
        }
        let (Some(old), Some(new)) = (self.text(nodes.0, self.is_stored)?, self.text(nodes.1, true)?) else {
            return Ok(sizes(nodes));
        };
        let diff = TextDiff::from_lines(&old, &new);
        Ok(ContentPlan::Diff(diff.unified_diff().context_radius(CONTEXT).to_string()))
    }

    /// The text of a file, which is empty if there is no file; `None` if there is no text to show.
    fn text(&self, node: Option<&Node>, is_stored: bool) -> Result<Option<String>, CommandError> {
        let Some(node) = node else { return Ok(Some(String::new())) };
        let Some(blob) = blob(node) else { return Ok(None) };
        Ok(self.objects.text(&blob, is_stored)?)
    }

    /// The old files that are not known and whose text would be shown.
    fn unknown_texts(&self) -> Result<Vec<ObjectId>, CommandError> {
        let mut unknown = Vec::new();
        for (path, old) in self.old {
            let new = self.new.get(path);
            let Some(file) = blob(old).filter(|file| file.size() <= MAX_TEXT) else { continue };
            let same_content = new.and_then(blob).is_some_and(|new| content(&new) == content(&file));
            if !same_content && !self.objects.has_blob(&file)? && self.text(new, true)?.is_some() {
                unknown.push(file);
            }
        }
        Ok(unknown)
    }

    /// What the new file was rendered from that the old one was not, or that had another value. If there is an
    /// old file, a new cause does not count if any old file of the component already had it with the same
    /// value. If there is none, a cause counts only if some old file had it with another value.
    fn causes(&self, path: &str) -> Vec<String> {
        let (old, new) = (self.causes.0.get(path), self.causes.1.get(path));
        let new: Vec<_> = new.into_iter().flatten().filter(|(cause, _)| *cause != DECLARED_BY).collect();
        let differs = |(cause, value): &&(&String, &String)| match old.and_then(|old| old.get(*cause)) {
            Some(before) => before != *value,
            None if old.is_some() => !self.was_there(cause, value),
            None => self.has_changed(cause, value),
        };
        let changed: Vec<_> = new.iter().filter(differs).map(|(cause, _)| (*cause).clone()).collect();
        if changed.is_empty() && new.is_empty() && self.has_other_content(path) {
            return vec![OWN_FILE.to_owned()];
        }
        changed
    }

    fn was_there(&self, cause: &str, value: &String) -> bool {
        self.causes.0.values().any(|causes| causes.get(cause) == Some(value))
    }

    /// Whether any of the component's old files had this cause with another value.
    fn has_changed(&self, cause: &str, value: &str) -> bool {
        let values = self.causes.0.values().filter_map(|causes| causes.get(cause));
        values.into_iter().any(|before| before != value)
    }

    fn has_other_content(&self, path: &str) -> bool {
        let digest = |files: &FileNodes| match files.get(path) {
            Some(Node::File { digest, .. }) => Some(*digest),
            _ => None,
        };
        digest(self.old).zip(digest(self.new)).is_some_and(|(old, new)| old != new)
    }

    fn declared_by(&self, path: &str) -> Option<String> {
        declared_by(self.causes.1, path).or_else(|| declared_by(self.causes.0, path))
    }
}

/// A file's object.
fn blob(node: &Node) -> Option<ObjectId> {
    match node {
        Node::File { digest, size, mode } => {
            Some(ObjectId::Blob { digest: *digest, size: *size, mode: *mode })
        }
        _ => None,
    }
}

/// A file's object without its mode.
fn content(file: &ObjectId) -> Option<Digest> {
    match file {
        ObjectId::Blob { digest, .. } => Some(*digest),
        _ => None,
    }
}

/// The sub-component that declares a file, or a unit by its key.
fn declared_by(reasons: &Reasons, path: &str) -> Option<String> {
    reasons.get(path)?.get(DECLARED_BY).cloned()
}

fn sizes((old, new): (Option<&Node>, Option<&Node>)) -> ContentPlan {
    let size = |node: Option<&Node>| match node {
        Some(Node::File { size, .. }) => Some(*size),
        _ => None,
    };
    let is_file = |node: Option<&Node>| matches!(node, None | Some(Node::File { .. }));
    if is_file(old) && is_file(new) {
        return ContentPlan::Sizes(size(old), size(new));
    }
    let kind = |node: &Node| match node {
        Node::File { size, .. } => format!("file of {}", crate::ui::bytes(*size)),
        Node::Directory { .. } => "empty folder".to_owned(),
        Node::Symlink { target } => format!("symlink to {target}"),
    };
    ContentPlan::Kinds(old.map(kind), new.map(kind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use batou_release::{Causes, Manifest};
    use batou_store::{ArtifactId, Store};

    use super::super::objects::Fetched;
    use super::*;
    use crate::testing::{artifact, causes, component, manifest, step, store};

    const LONG: &[u8] = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n";

    /// Two sides, each a manifest and its causes.
    fn compared(
        store: &Store,
        old: Option<(&Manifest, &Causes)>,
        new: (&Manifest, &Causes),
    ) -> Result<Vec<ComponentPlan>, CommandError> {
        let [old, new] = [old, Some(new)]
            .map(|side| side.map(|(manifest, causes)| HostRelease::new(manifest.clone(), causes.clone())));
        compare(ComparedObjects { store, fetched: &Fetched::default() }, old.as_ref(), &new.unwrap())
    }

    fn changed(files: [&[(&str, &[u8])]; 2], reasons: [&Causes; 2]) -> ComponentPlan {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let [old, new] =
            files.map(|files| manifest("h", vec![component("web", artifact(&store, "web", files), &[])]));
        let mut plans = compared(&store, Some((&old, reasons[0])), (&new, reasons[1])).unwrap();
        assert_eq!(plans.len(), 1);
        plans.remove(0)
    }

    #[test]
    fn equal_manifests_have_an_empty_plan() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let web = component("web", artifact(&store, "web", &[("a", b"1")]), &[step("s", "true")]);
        let both = manifest("h", vec![web]);
        let causes = Causes::new();
        assert_eq!(compared(&store, Some((&both, &causes)), (&both, &causes)).unwrap(), []);
    }

    #[test]
    fn text_is_shown_as_a_diff_with_three_lines_around_it() {
        let after: &[u8] = b"1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
        let none = Causes::new();
        let plan = changed([&[("a", LONG)], &[("a", after)]], [&none, &none]);
        let diff = "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n";
        assert_eq!(plan.files[0].content, ContentPlan::Diff(diff.to_owned()));
        assert_eq!((plan.change, plan.files[0].change), (Change::Changed, Change::Changed));
    }

    #[test]
    fn added_and_removed_files_are_told_apart() {
        let none = Causes::new();
        let plan = changed(
            [&[("gone", b"x\n"), ("same", b"s")], &[("new", b"y\n"), ("same", b"s")]],
            [&none, &none],
        );
        let seen: Vec<_> = plan.files.iter().map(|file| (file.path.as_str(), file.change)).collect();
        assert_eq!(seen, [("gone", Change::Removed), ("new", Change::Added)]);
        assert_eq!(plan.files[1].content, ContentPlan::Diff("@@ -0,0 +1 @@\n+y\n".to_owned()));
    }

    #[test]
    fn only_causes_whose_value_differs_are_named() {
        let before =
            causes("web", "a", &[("attribute web.sleep", "1"), ("setting mail", "m"), ("file a", "f")]);
        let after = causes(
            "web",
            "a",
            &[
                ("attribute web.sleep", "2"),
                ("setting mail", "m"),
                ("resource db", "d"),
                ("by", "Site(\"a\")"),
            ],
        );
        let plan = changed([&[("a", b"1")], &[("a", b"2")]], [&before, &after]);
        assert_eq!(plan.files[0].causes, ["attribute web.sleep", "resource db"]);
        assert_eq!(plan.files[0].by.as_deref(), Some("Site(\"a\")"));
    }

    #[test]
    fn a_new_file_is_not_because_of_what_did_not_change() {
        let before = causes("web", "a", &[("attribute web.names", "1"), ("setting mail", "m")]);
        let mut after = causes("web", "a", &[("attribute web.names", "2"), ("setting mail", "m")]);
        let new = [("attribute web.names", "2"), ("setting mail", "m"), ("file new", "f")];
        after.get_mut("web").unwrap().extend(causes("web", "new", &new).remove("web").unwrap());
        let plan = changed([&[("a", b"1")], &[("a", b"1"), ("new", b"2")]], [&before, &after]);
        assert_eq!((plan.files[0].path.as_str(), plan.files[0].change), ("new", Change::Added));
        assert_eq!(plan.files[0].causes, ["attribute web.names"]);
    }

    #[test]
    fn a_file_that_is_no_template_changes_because_of_itself() {
        let none = causes("web", "a", &[]);
        let plan = changed([&[("a", b"1"), ("b", b"1")], &[("a", b"2"), ("c", b"2")]], [&none, &none]);
        let seen: Vec<_> = plan.files.iter().map(|file| file.causes.join(", ")).collect();
        assert_eq!(seen, ["its own file", "", ""]);
    }

    #[test]
    fn a_new_file_has_no_causes_that_were_there_before() {
        let code = [("attribute web.port", "1"), ("file component.star", "f")];
        let before = causes("web", "a", &code);
        let mut after = causes("web", "new", &[code[0], ("file component.star", "g"), ("by", "Site(\"b\")")]);
        let new: &[(&str, &[u8])] = &[("a", b"1"), ("new", b"2")];
        let plan = changed([&[("a", b"1")], new], [&before, &after]);
        assert_eq!(plan.files[0].causes, ["file component.star"]);

        // A value that the file itself was made from before counts, whatever others were made from.
        after
            .get_mut("web")
            .unwrap()
            .insert("a".to_owned(), BTreeMap::from([("setting x".to_owned(), "2".to_owned())]));
        let mut before = causes("web", "a", &[("setting x", "1")]);
        before
            .get_mut("web")
            .unwrap()
            .insert("b".to_owned(), BTreeMap::from([("setting x".to_owned(), "2".to_owned())]));
        let plan = changed([&[("a", b"1"), ("b", b"")], &[("a", b"2"), ("b", b"")]], [&before, &after]);
        assert_eq!(plan.files[0].causes, ["setting x"]);
    }

    #[test]
    fn files_of_a_new_component_say_who_declares_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let new = manifest("h", vec![component("web", artifact(&store, "web", &[("a", b"1")]), &[])]);
        let causes = causes("web", "a", &[("by", "Site(\"a\")"), ("setting x", "1")]);
        let plans = compared(&store, None, (&new, &causes)).unwrap();
        assert_eq!(plans[0].files[0].by.as_deref(), Some("Site(\"a\")"));
        assert!(plans[0].files[0].causes.is_empty());
    }

    #[test]
    fn what_is_no_text_or_too_large_has_only_sizes() {
        let large = vec![b'x'; usize::try_from(MAX_TEXT).unwrap() + 1];
        let none = Causes::new();
        let plan = changed(
            [
                &[("bin", b"\0"), ("big", b"small"), ("latin", b"a")],
                &[("bin", b"\0\0"), ("big", &large), ("latin", b"\xe4")],
            ],
            [&none, &none],
        );
        let contents: Vec<_> = plan.files.into_iter().map(|file| file.content).collect();
        let sizes = |old, new| ContentPlan::Sizes(Some(old), Some(new));
        assert_eq!(contents, [sizes(5, MAX_TEXT + 1), sizes(1, 2), sizes(1, 1)]);
    }

    #[test]
    fn a_file_that_becomes_a_symlink_is_described() {
        let none = Causes::new();
        let plan = changed([&[("a", b"123")], &[("a", b"->/srv/x")]], [&none, &none]);
        let kinds = ContentPlan::Kinds(Some("file of 3 B".to_owned()), Some("symlink to /srv/x".to_owned()));
        assert_eq!(plan.files[0].content, kinds);
    }

    #[test]
    fn components_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let [old, new] = ["old", "new"].map(|name| {
            let id = artifact(&store, name, &[("f", name.as_bytes())]);
            manifest("h", vec![component(name, id, &[step("migrate", "true")])])
        });
        let none = Causes::new();
        let plans = compared(&store, Some((&old, &none)), (&new, &none)).unwrap();
        let seen: Vec<_> =
            plans.iter().map(|plan| (plan.component.as_str(), plan.change, plan.units.len())).collect();
        assert_eq!(seen, [("new", Change::Added, 1), ("old", Change::Removed, 0)]);
        assert_eq!(plans[1].files[0].content, ContentPlan::Sizes(Some(3), None));
    }

    #[test]
    fn a_step_says_which_of_its_triggers_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let id = artifact(&store, "web", &[("a", b"1")]);
        let with = |etc: &str, db: &str, update: &str| {
            let mut step = step("reload", update);
            step.triggers =
                [("etc/".to_owned(), etc.to_owned()), ("resource:db".to_owned(), db.to_owned())].into();
            manifest("h", vec![component("web", id, &[step])])
        };
        let none = Causes::new();
        let plan =
            |old: &Manifest, new: &Manifest| compared(&store, Some((old, &none)), (new, &none)).unwrap();
        let old = with("1", "1", "true");
        assert_eq!(plan(&old, &old), []);
        assert_eq!(plan(&old, &with("2", "1", "true"))[0].units[0].because, ["etc/"]);
        assert_eq!(plan(&old, &with("2", "2", "false"))[0].units[0].because, ["etc/", "resource:db"]);
        let reworded = plan(&old, &with("1", "1", "false"));
        assert_eq!((reworded[0].units.len(), reworded[0].units[0].because.len()), (1, 0));
        let first = compared(&store, None, (&old, &none)).unwrap();
        assert_eq!((first[0].units.len(), first[0].units[0].because.len()), (1, 0));
    }

    #[test]
    fn a_step_runs_when_it_is_new_or_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let id = artifact(&store, "web", &[("a", b"1")]);
        let with = |steps: &[_]| manifest("h", vec![component("web", id, steps)]);
        let (same, old, new) = (step("same", "true"), step("other", "true"), step("other", "false"));
        let none = Causes::new();
        let (before, after) = (with(&[same.clone(), old]), with(&[same.clone(), new]));
        let plans = compared(&store, Some((&before, &none)), (&after, &none)).unwrap();
        assert_eq!(
            (plans[0].change, plans[0].units.len(), &*plans[0].units[0].name),
            (Change::Changed, 1, "other")
        );
        assert!(plans[0].files.is_empty());
        let fewer = compared(&store, Some((&before, &none)), (&with(&[same]), &none)).unwrap();
        assert_eq!((fewer.len(), fewer[0].units.len()), (1, 0));
    }

    #[test]
    fn an_old_artifact_that_is_not_here_is_said_to_be_incomparable() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let foreign = ArtifactId::from(Digest::of(b"elsewhere"));
        let old = manifest("h", vec![component("web", foreign, &[]), component("gone", foreign, &[])]);
        let new = manifest("h", vec![component("web", artifact(&store, "web", &[("a", b"1")]), &[])]);
        let none = Causes::new();
        let plans = compared(&store, Some((&old, &none)), (&new, &none)).unwrap();
        assert!(plans.iter().all(|plan| plan.incomparable));
        assert_eq!((plans[0].files.len(), plans[1].files.len()), (1, 0));
    }
}
