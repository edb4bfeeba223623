//! `batou store export` and `import`.

use std::path::Path;

use serde::Serialize;

use crate::archive;
use crate::context::Context;
use crate::error::CommandError;
use crate::outfile;
use crate::records::Record;
use crate::ui::visible_name;

#[derive(Serialize)]
struct Moved<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    release: String,
    project: &'a str,
    environment: &'a str,
    file: String,
}

/// Builds an environment, or finds a built release, and writes it into a file.
pub(super) fn export(context: &Context, name: &str, output: &Path) -> Result<(), CommandError> {
    let place = outfile::place(output)?;
    let record = context.release(name)?;
    archive::export(context.store()?, &record, &place)?;
    show(context, "exported", &record, output);
    Ok(())
}

/// Reads a release from a file, and records it.
pub(super) fn import(context: &Context, file: &Path) -> Result<(), CommandError> {
    let record = archive::import(context.store()?, file)?;
    context.records()?.save(&record)?;
    show(context, "imported", &record, file);
    Ok(())
}

fn show(context: &Context, kind: &'static str, record: &Record, file: &Path) {
    let release = &record.release;
    let moved = Moved {
        kind,
        release: record.id.to_string(),
        project: &release.project,
        environment: &release.environment,
        file: file.display().to_string(),
    };
    context.ui.json(&moved);
    let (project, environment) = (visible_name(&release.project), visible_name(&release.environment));
    context.ui.line(&format!("{kind} release {} of {project}/{environment}", record.id.short()));
}
