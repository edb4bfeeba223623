//! All components that a project declares in Starlark.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use batou_system::fs::is_taken;
use starlark::values::OwnedFrozenValue;

use crate::notes::Notes;
use crate::project::Project;
use crate::starlark::builtins;
use crate::starlark::component::StarlarkComponent;
use crate::starlark::context::{Draft, Drafts};
use crate::starlark::definition;
use crate::starlark::limits;
use crate::starlark::loader::{LoadedFile, Loader};
use crate::starlark::program::{Functions, StarlarkProgram};
use crate::starlark::sources::SourceTexts;
use crate::starlark::spec;
use crate::starlark::stop::Stop;
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::{At, Text};

/// Loads every `components/*/component.star`; the components by name. All mistakes in all files are reported.
pub(crate) fn load(
    project: &Project,
    notes: Option<Notes<'_>>,
    problems: &mut Problems,
) -> BTreeMap<String, Arc<StarlarkComponent>> {
    let files = files(project);
    if files.is_empty() {
        return BTreeMap::new();
    }
    std::thread::scope(|threads| {
        let worker = || {
            let mut found = Problems::default();
            let declared = load_files(project, &files, notes, &mut found);
            (declared, found)
        };
        let thread = std::thread::Builder::new().stack_size(limits::STACK).spawn_scoped(threads, worker);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok((declared, found))) => {
                problems.extend(found);
                declared
            }
            // A panic is not the project's mistake: it is passed on to the caller, as if there were no thread.
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => {
                problems.push(Diagnostic::no_thread(&error));
                BTreeMap::new()
            }
        }
    })
}

/// `components/NAME/component.star`, by name.
fn files(project: &Project) -> Vec<String> {
    let entries = std::fs::read_dir(project.root.join("components")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut files: Vec<String> = names
        .map(|name| format!("components/{name}/component.star"))
        .filter(|file| is_taken(project.root.join(file)))
        .collect();
    files.sort();
    files
}

fn load_files(
    project: &Project,
    files: &[String],
    notes: Option<Notes<'_>>,
    problems: &mut Problems,
) -> BTreeMap<String, Arc<StarlarkComponent>> {
    let mut loader = Loader::new(project, notes);
    let mut drafts: Vec<(String, LoadedFile, Draft)> = Vec::new();
    for file in files {
        let Some((parsed, made)) = loader.file(file, problems) else { continue };
        let found = match components(&mut loader, file, &parsed, made) {
            Ok(found) => found,
            Err(found) => {
                problems.extend(found);
                continue;
            }
        };
        drafts.extend(found.into_iter().map(|draft| (file.clone(), parsed.clone(), draft)));
    }
    let program = Arc::new(StarlarkProgram {
        root: project.root.clone(),
        sources: loader.sources,
        functions: loader.functions,
    });
    unique(project, drafts, &program, problems)
}

fn unique(
    project: &Project,
    drafts: Vec<(String, LoadedFile, Draft)>,
    program: &Arc<StarlarkProgram>,
    problems: &mut Problems,
) -> BTreeMap<String, Arc<StarlarkComponent>> {
    let mut declared: BTreeMap<String, Arc<StarlarkComponent>> = BTreeMap::new();
    for (file, parsed, draft) in drafts {
        let name = draft.name.value.clone();
        let toml = format!("components/{name}/component.toml");
        let earlier = declared.get(&name).map(|earlier| {
            let line = earlier.at.source.position(earlier.at.span.start).0;
            format!("{}:{line}", earlier.file)
        });
        let other = earlier.or_else(|| is_taken(project.root.join(&toml)).then_some(toml));
        if let Some(other) = other {
            let message = format!("the component `{name}` is declared twice");
            let help = format!("it is also declared in {other}: rename or remove one of the two");
            problems.push(Diagnostic::error(message).at(&draft.name.at).help(help));
            continue;
        }
        declared.insert(name, Arc::new(finished(file, &parsed, draft, program)));
    }
    declared
}

fn finished(
    file: String,
    parsed: &LoadedFile,
    draft: Draft,
    program: &Arc<StarlarkProgram>,
) -> StarlarkComponent {
    StarlarkComponent {
        name: draft.name.value,
        folder: Path::new(&file).parent().unwrap_or(Path::new("")).to_owned(),
        file,
        at: draft.at,
        attributes: draft.attributes,
        features: draft.features,
        doc: draft.doc,
        causes: parsed.causes.clone(),
        number: draft.number,
        program: Arc::clone(program),
    }
}

/// What a file declares: by `component()`, or else by its globals.
fn components(
    loader: &mut Loader<'_>,
    file: &str,
    parsed: &LoadedFile,
    made: Drafts,
) -> Result<Vec<Draft>, Problems> {
    if !made.components.is_empty() {
        return Ok(made.components);
    }
    let mut problems = Problems::default();
    match simple(loader, file, parsed, &mut problems) {
        Ok(draft) if !problems.has_errors() => Ok(vec![draft]),
        Ok(_) => Err(problems),
        Err(stop) => {
            if let Stop::Mistake { message, help, at } = stop {
                let at = at.unwrap_or_else(|| At::new(&parsed.source, 0..0));
                let diagnostic = Diagnostic::error(message).at(&at);
                problems.push(help.into_iter().fold(diagnostic, Diagnostic::help));
            }
            Err(problems)
        }
    }
}

/// The component of a file that has `configure` as a global.
fn simple(
    loader: &mut Loader<'_>,
    file: &str,
    parsed: &LoadedFile,
    problems: &mut Problems,
) -> Result<Draft, Stop> {
    let global = |name: &str| parsed.module.get(name).ok();
    let sources = Arc::clone(&loader.sources);
    let place = |name: &str| sources.global(&parsed.source, name);
    let Some(configure) = global("configure") else {
        return Err(Stop::mistake("the file declares no component")
            .help("define def configure(c): …, or call component(\"NAME\", configure = …)"));
    };
    let at = place("configure");
    definition::check_function(configure.value(), "configure").map_err(|stop| stop.at(&at))?;
    let name = Path::new(file).parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    builtins::check_name(&name).map_err(|stop| stop.at(&at).help("rename the folder"))?;
    let attributes = match global("attributes") {
        Some(given) => attributes(&given, &place("attributes"), &sources, problems)?,
        None => BTreeMap::new(),
    };
    let features = global("features");
    let features = features.as_ref().map(OwnedFrozenValue::value);
    let features = builtins::texts(features, "features", &place("features"), &sources)?;
    let doc = global("doc").and_then(|doc| doc.unpack_str().map(str::to_owned));
    let number = loader.number();
    loader.functions.insert(number, Functions { configure: Some(configure), ..Functions::default() });
    let name = Text { value: name.into_owned(), at: at.clone(), literal: false };
    Ok(Draft { name, number, at, attributes, features, doc })
}

fn attributes(
    given: &OwnedFrozenValue,
    at: &At,
    sources: &SourceTexts,
    problems: &mut Problems,
) -> Result<BTreeMap<String, crate::component::attribute::AttributeDeclaration>, Stop> {
    starlark::environment::Module::with_temp_heap(|module| {
        let value = module.heap().access_owned_frozen_value(given);
        spec::declarations(value, at, sources, problems, module.heap())
    })
}
