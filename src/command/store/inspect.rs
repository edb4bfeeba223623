//! `batou store ls` and `cat`.

use std::path::Path;

use batou_store::{ArtifactId, Node, RelPath};

use crate::context::Context;
use crate::error::CommandError;
use crate::records::{Record, SHORTEST};
use crate::ui::line::Line;
use crate::ui::{DIM, Ui, bytes, plural, visible_name};

/// Lists the recorded releases, newest last in each environment.
pub(super) fn releases(context: &Context) -> Result<(), CommandError> {
    let records = context.records()?;
    for (project, environment) in records.environments()? {
        context.ui.section(&format!("{}/{}", visible_name(&project), visible_name(&environment)));
        for record in records.list(&project, &environment)? {
            let (id, when) = (record.id.short(), visible_name(&record.when));
            context.ui.line(&format!("  {id}  {when}  {}", plural(record.hosts.len(), "host")));
            context.ui.json(&Line::Release {
                release: record.id.into(),
                project: &project,
                environment: &environment,
                when: &record.when,
                hosts: record.hosts.keys().map(|host| &**host).collect(),
            });
        }
    }
    Ok(())
}

/// Lists the artifacts of a release, or the files of an artifact.
pub(super) fn content(context: &Context, id: &str) -> Result<(), CommandError> {
    if let Some(record) = context.records()?.find(id)? {
        artifacts(context, &record);
        return Ok(());
    }
    let store = context.store()?;
    let artifact = store.artifact(&find(context, id)?)?;
    for (path, node) in store.files(&artifact.tree)? {
        let shown = visible_name(path.as_str());
        context.ui.line(&match &node {
            Node::File { size, mode, .. } => format!("{:04o} {:>10}  {shown}", mode.bits(), bytes(*size)),
            Node::Directory { .. } => format!("{:15}  {shown}/", "folder"),
            Node::Symlink { target } => format!("{:15}  {shown} -> {}", "symlink", visible_name(target)),
        });
        context.ui.json(&line(path.as_str(), &node));
    }
    Ok(())
}

fn line<'a>(path: &'a str, node: &'a Node) -> Line<'a> {
    match node {
        Node::File { digest, size, mode } => {
            Line::File { path, size: *size, mode: mode.to_string(), digest: (*digest).into() }
        }
        Node::Directory { .. } => Line::Folder { path },
        Node::Symlink { target } => Line::Symlink { path, leads_to: target },
    }
}

fn artifacts(context: &Context, record: &Record) {
    for (host, content) in &record.hosts {
        for component in &content.manifest().components {
            let (id, name) = (component.artifact.short(), &component.name);
            context.ui.line(&format!(
                "{id}  {}{DIM}/{DIM:#}{}",
                visible_name(host),
                visible_name(name.as_str())
            ));
            context.ui.json(&Line::Artifact {
                environment: &record.release.environment,
                host,
                component: name.as_str(),
                artifact: component.artifact.into(),
                path: None,
            });
        }
    }
}

/// Prints a file of an artifact as it is.
pub(super) fn cat(context: &Context, artifact: &str, path: &str) -> Result<(), CommandError> {
    let store = context.store()?;
    let id = find(context, artifact)?;
    let absent = || CommandError::input(format!("{} has no file {}", id.short(), visible_name(path)));
    let wanted = RelPath::new(path).map_err(|error| absent().because(error))?;
    let files = store.files(&store.artifact(&id)?.tree)?;
    let Some(Node::File { digest, .. }) = files.get(&wanted) else {
        return Err(absent().hint(format!("`batou store ls {}` lists its files", id.short())));
    };
    let printed = Ui::raw(&mut store.blob(digest)?);
    printed.map_err(|error| {
        CommandError::failed(format!("{} could not be printed", visible_name(path))).because(error)
    })
}

/// The artifact with this path or id, or else the one among those of recorded releases whose id begins with
/// `wanted`.
fn find(context: &Context, wanted: &str) -> Result<ArtifactId, CommandError> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    // A path may be one of the links below result/.
    let real = if wanted.contains('/') { std::fs::canonicalize(wanted).ok() } else { None };
    let path = real.as_deref().unwrap_or(Path::new(wanted));
    let last = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let prefix = last.as_deref().unwrap_or(wanted).split('-').next().unwrap_or(wanted);
    let found =
        if prefix.len() < SHORTEST { Vec::new() } else { context.records()?.find_artifacts(prefix)? };
    let wanted = visible_name(wanted);
    match found[..] {
        [one] => Ok(one),
        [] => Err(CommandError::input(format!("{wanted} is no artifact of a built release"))
            .hint("`batou store ls` lists the releases, `batou store ls RELEASE` their artifacts")),
        _ => Err(CommandError::input(format!("{wanted} is the beginning of {} ids", found.len()))
            .hint("give more of its digits")),
    }
}
