//! `batou store export` and `import`.

use std::path::Path;

use crate::archive;
use crate::context::Context;
use crate::error::CommandError;
use crate::outfile;
use crate::records::Record;
use crate::ui::line::Line;
use crate::ui::line::archive::ArchivedRelease;
use crate::ui::visible_name;

/// Builds an environment, or finds a built release, and writes it to a file.
pub(super) fn export(context: &Context, name: &str, output: &Path) -> Result<(), CommandError> {
    let place = outfile::place(output)?;
    let record = context.release(name)?;
    let store = context.store()?;
    context.mending(&context.needed_of(&record), || archive::export(store, &record, &place))?;
    context.ui.json(&Line::Exported(line(&record, output)));
    show(context, "exported", &record);
    Ok(())
}

/// Reads a release from a file, and records it.
pub(super) fn import(context: &Context, file: &Path) -> Result<(), CommandError> {
    let record = archive::import(context.store()?, file)?;
    context.records()?.save(&record)?;
    context.ui.json(&Line::Imported(line(&record, file)));
    show(context, "imported", &record);
    Ok(())
}

fn show(context: &Context, done: &str, record: &Record) {
    let release = &record.release;
    let (project, environment) = (visible_name(&release.project), visible_name(&release.environment));
    context.ui.line(&format!("{done} release {} of {project}/{environment}", record.id.short()));
}

fn line<'a>(record: &'a Record, file: &Path) -> ArchivedRelease<'a> {
    ArchivedRelease {
        release: record.id.into(),
        project: &record.release.project,
        environment: &record.release.environment,
        file: file.display().to_string(),
    }
}
