//! Loads Starlark files: each once, with what it loads, and frozen, so that all runs share it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use starlark::environment::{FrozenModule, Module};
use starlark::eval::{Evaluator, ReturnFileLoader};
use starlark::syntax::AstModule;

use crate::notes::{Notes, noted};
use crate::project::Project;
use crate::starlark::builtins;
use crate::starlark::context::{CallContext, Drafts, Loading};
use crate::starlark::definition::data::DefinitionData;
use crate::starlark::definition::slot;
use crate::starlark::library;
use crate::starlark::limits;
use crate::starlark::program::{Functions, Platform};
use crate::starlark::report::diagnose;
use crate::starlark::sources::{LIBRARY, SourceTexts, is_own};
use crate::starlark::syntax;
use crate::template::cause::{self, UsedValues};
use crate::text::diagnostic::{Diagnostic, Problems, nearest};
use crate::text::source::{At, SourceText};

/// A loaded file.
#[derive(Debug, Clone)]
pub(crate) struct LoadedFile {
    pub(crate) module: FrozenModule,
    pub(crate) source: Arc<SourceText>,
    /// The file, what it loads and what they have read.
    pub(crate) causes: UsedValues,
}

/// Loads files of one project.
pub(crate) struct Loader<'a> {
    pub(crate) project: &'a Project,
    pub(crate) sources: Arc<SourceTexts>,
    pub(crate) numbers: Arc<AtomicUsize>,
    pub(crate) functions: BTreeMap<usize, Functions>,
    notes: Option<Notes<'a>>,
    /// `None` for one with mistakes, which are reported.
    loaded: BTreeMap<String, Option<LoadedFile>>,
    loading: Vec<String>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(project: &'a Project, notes: Option<Notes<'a>>) -> Loader<'a> {
        Loader {
            project,
            sources: Arc::default(),
            numbers: Arc::default(),
            functions: BTreeMap::new(),
            notes,
            loaded: BTreeMap::new(),
            loading: Vec::new(),
        }
    }

    /// A file of the project, and what it has declared.
    pub(crate) fn file(&mut self, name: &str, problems: &mut Problems) -> Option<(LoadedFile, Drafts)> {
        let source = self.read(name, None, problems)?;
        self.loading.push(name.to_owned());
        let loaded = self.evaluate(name, &source, problems);
        self.loading.pop();
        loaded
    }

    /// A file that another one loads at a place.
    fn library(&mut self, name: &str, at: &At, problems: &mut Problems) -> Option<LoadedFile> {
        if let Some(loaded) = self.loaded.get(name) {
            return loaded.clone();
        }
        if let Some(first) = self.loading.iter().position(|loading| loading == name) {
            let cycle: Vec<&str> = self.loading[first..].iter().map(String::as_str).chain([name]).collect();
            let message = format!("files load each other in a cycle: {}", cycle.join(" -> "));
            let help = "move what both need into a third file";
            problems.push(Diagnostic::error(message).at(at).help(help));
            return None;
        }
        let source = self.read(name, Some(at), problems);
        self.loading.push(name.to_owned());
        let found = source.and_then(|source| self.evaluate(name, &source, problems));
        self.loading.pop();
        let loaded = found.and_then(|(loaded, made)| {
            let Some(draft) = made.components.first() else { return Some(loaded) };
            let help = "components are declared in components/NAME/component.star; a file that others load can define \
                        functions that do so";
            let message = "a file that others load cannot declare components";
            problems.push(Diagnostic::error(message).at(&draft.at).help(help));
            None
        });
        self.loaded.insert(name.to_owned(), loaded.clone());
        loaded
    }

    fn read(&self, name: &str, at: Option<&At>, problems: &mut Problems) -> Option<Arc<SourceText>> {
        let text = match name.strip_prefix(LIBRARY) {
            Some(file) => library::file(file).map(str::to_owned).ok_or_else(|| unknown_library(file)),
            None => read_own(&self.project.root, Path::new(name)),
        };
        match text {
            Ok(text) => {
                let source = SourceText::new(name, text);
                self.sources.add(name, &source);
                Some(source)
            }
            Err((message, help)) => {
                let diagnostic = Diagnostic::error(message);
                let diagnostic = help.into_iter().fold(diagnostic, Diagnostic::help);
                problems.push(match at {
                    Some(at) => diagnostic.at(at),
                    None => diagnostic.in_file(Path::new(name)),
                });
                None
            }
        }
    }

    fn evaluate(
        &mut self,
        name: &str,
        source: &Arc<SourceText>,
        problems: &mut Problems,
    ) -> Option<(LoadedFile, Drafts)> {
        let ast = match noted(self.notes, || name.to_owned(), || self.parse(name, source)) {
            Ok(ast) => ast,
            Err(error) => {
                problems.extend(diagnose(&error, None, &self.sources, Vec::new()).into_iter().collect());
                return None;
            }
        };
        let mut causes = UsedValues::new();
        if is_own(name) {
            causes.insert(format!("file {name}"), cause::digest(source.text().as_bytes()));
        }
        let loads = self.loads(&ast, name, &mut causes, problems)?;
        let evaluated = noted(self.notes, || name.to_owned(), || self.run(name, ast, &loads, problems));
        let (module, mut made) = evaluated?;
        causes.extend(std::mem::take(&mut made.causes));
        problems.extend(std::mem::take(&mut made.problems));
        self.keep(&module, &made);
        Some((LoadedFile { module, source: Arc::clone(source), causes }, made))
    }

    fn parse(&self, name: &str, source: &SourceText) -> starlark::Result<AstModule> {
        let ast = syntax::parse(name, source.text())?;
        self.sources.parsed(name, &ast);
        Ok(ast)
    }

    /// The files that a file loads; all of them are looked at, so that the mistakes of all are shown.
    fn loads(
        &mut self,
        ast: &AstModule,
        from: &str,
        causes: &mut UsedValues,
        problems: &mut Problems,
    ) -> Option<HashMap<String, FrozenModule>> {
        let mut modules = HashMap::new();
        let mut complete = true;
        for load in ast.loads() {
            let at = self.sources.at(&load.span);
            let loaded = match resolve(load.module_id, from) {
                Ok(name) => self.library(&name, &at, problems),
                Err((message, help)) => {
                    problems.push(Diagnostic::error(message).at(&at).help(help));
                    None
                }
            };
            match loaded {
                Some(loaded) => {
                    causes.extend(loaded.causes);
                    modules.insert(load.module_id.to_owned(), loaded.module);
                }
                None => complete = false,
            }
        }
        complete.then_some(modules)
    }

    fn run(
        &self,
        name: &str,
        ast: AstModule,
        loads: &HashMap<String, FrozenModule>,
        problems: &mut Problems,
    ) -> Option<(FrozenModule, Drafts)> {
        let loading = Loading::new(&self.project.root, &self.sources, &self.numbers);
        let context = CallContext::Load(loading);
        let modules = loads.iter().map(|(name, module)| (name.as_str(), module)).collect();
        let loader = ReturnFileLoader { modules: &modules };
        let evaluated = Module::with_temp_heap(|module| {
            {
                let mut eval = Evaluator::new(&module);
                limits::bound(&mut eval);
                eval.set_loader(&loader);
                eval.extra = Some(&context);
                eval.eval_module(ast, builtins::globals())?;
            }
            module.freeze().map_err(|error| starlark::Error::new_native(Frozen(format!("{error:?}"))))
        });
        let CallContext::Load(loading) = &context else { return None };
        let made = std::mem::take(&mut *loading.made());
        match evaluated {
            Ok(module) if !made.problems.has_errors() => Some((module, made)),
            evaluated => {
                problems.extend(made.problems);
                let error =
                    evaluated.err().and_then(|error| diagnose(&error, None, &self.sources, Vec::new()));
                problems.extend(error.into_iter().map(|error| placed(error, name)).collect());
                None
            }
        }
    }

    /// Takes the code of definitions and components out of a file.
    fn keep(&mut self, module: &FrozenModule, made: &Drafts) {
        let numbers = made.definitions.iter().map(|(kind, base)| (kind.number, base.as_ref()));
        let components = made.components.iter().map(|draft| (draft.number, None::<&Arc<DefinitionData>>));
        for (number, base) in numbers.chain(components) {
            let own = module.get(&slot(number, "configure")).ok();
            let inherited =
                || self.functions.get(&base?.number).and_then(|functions| functions.configure.clone());
            let functions = Functions { configure: own.or_else(inherited), ..Functions::default() };
            self.functions.insert(number, functions);
        }
        self.keep_platforms(module, made);
    }

    fn keep_platforms(&mut self, module: &FrozenModule, made: &Drafts) {
        for name in module.names() {
            let Some(rest) = name.as_str().strip_prefix('$') else { continue };
            let Some((number, platform)) = rest.split_once(".platform.") else { continue };
            let Some(functions) = number.parse().ok().and_then(|number| self.functions.get_mut(&number))
            else {
                continue;
            };
            if let Ok(function) = module.get(&name) {
                functions.platforms.insert(platform.to_owned(), Platform::Function(function));
            }
        }
        for ((number, platform), kind) in &made.platforms {
            if let Some(functions) = self.functions.get_mut(number) {
                functions.platforms.insert(platform.clone(), Platform::Definition(Arc::clone(kind)));
            }
        }
    }
}

/// What the interpreter notices only after a while, such as a limit that is exceeded, has no place.
fn placed(diagnostic: Diagnostic, file: &str) -> Diagnostic {
    if diagnostic.location.is_some() { diagnostic } else { diagnostic.in_file(Path::new(file)) }
}

/// A value that cannot be shared by runs.
#[derive(Debug, thiserror::Error)]
#[error("a global variable cannot be kept: {0}")]
struct Frozen(String);

type LoadRefused = (String, Option<String>);

fn read_own(root: &Path, relative: &Path) -> Result<String, LoadRefused> {
    let shown = relative.display();
    let path = match root.join(relative).canonicalize() {
        Ok(path) if path.starts_with(root) => path,
        Ok(_) => {
            let help = Some("copy it into the project".to_owned());
            return Err((format!("{shown} lies outside the project"), help));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err((format!("there is no file {shown}"), None));
        }
        Err(error) => return Err((format!("cannot read {shown}: {error}"), None)),
    };
    let failed = |error: std::io::Error| (format!("cannot read {shown}: {error}"), None);
    let bytes = batou_system::fs::read_at_most(&path, limits::LARGEST).map_err(failed)?;
    // The byte order mark that some editors write before the text.
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let text = std::str::from_utf8(text);
    let help = || Some("save the file as UTF-8".to_owned());
    text.map(str::to_owned).map_err(|_| (format!("{shown} is not UTF-8"), help()))
}

fn unknown_library(file: &str) -> LoadRefused {
    let help = match nearest(file, library::names()) {
        Some(near) => format!("did you mean \"{LIBRARY}{near}\"?"),
        None => format!("there are {}", crate::text::diagnostic::listed(library::names())),
    };
    (format!("the library has no file `{file}`"), Some(help))
}

/// The name of a file as `load()` in another file means it.
fn resolve(written: &str, from: &str) -> Result<String, (String, &'static str)> {
    const HELP: &str = "write \"//lib/FILE.star\" for a file of the project, \"FILE.star\" for one beside this file, or \
                        \"@batou//FILE.star\" for one of the library";
    let refuse = |reason: &str| Err((format!("`{written}` {reason}"), HELP));
    if Path::new(written).extension().is_none_or(|extension| extension != "star") {
        return refuse("is not a Starlark file: its name must end in `.star`");
    }
    if let Some(file) = written.strip_prefix(LIBRARY) {
        return Ok(format!("{LIBRARY}{file}"));
    }
    if written.starts_with('@') {
        return refuse("names an unknown library");
    }
    let (folder, below) = match (written.strip_prefix("//"), from.strip_prefix(LIBRARY)) {
        (Some(below), _) => (PathBuf::new(), below),
        (None, Some(_)) => return Ok(format!("{LIBRARY}{}", written.trim_start_matches(':'))),
        (None, None) => {
            let folder = Path::new(from).parent().unwrap_or(Path::new(""));
            (folder.to_owned(), written.strip_prefix(':').unwrap_or(written))
        }
    };
    let plain = Path::new(below).components().all(|part| matches!(part, Component::Normal(_)));
    if below.starts_with('/') || below.is_empty() || !plain || below.contains("//") {
        return refuse("leaves the project, or is not a path");
    }
    Ok(folder.join(below).to_string_lossy().into_owned())
}

impl Loader<'_> {
    /// A number that no definition or component has.
    pub(crate) fn number(&self) -> usize {
        self.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}
