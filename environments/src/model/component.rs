//! A component of the project: its declaration, the files beside it, and its templates. A component.toml is loaded
//! once, however many hosts have the component.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::Environment;

use crate::component::declarations::{self, Declarations};
use crate::component::interface::{self, Interface};
use crate::component::item::{self, Item};
use crate::component::templates::Templates;
use crate::file::{self, TableReader};
use crate::project::Project;
use crate::starlark::StarlarkComponent;
use crate::template::cause::UsedValues;
use crate::text::diagnostic::Problems;
use crate::text::source::SourceText;

/// A loaded component. A Starlark component has declarations of its own for each host, made by its code.
pub(crate) struct LoadedComponent {
    pub(crate) name: String,
    /// The folder of its declaration, relative to the project.
    pub(crate) folder: PathBuf,
    pub(crate) interface: Arc<Interface>,
    pub(crate) declarations: Declarations,
    /// Finds the component's templates, and keeps included ones compiled. Files are rendered by a clone, which is
    /// dropped.
    pub(crate) engine: Arc<Environment<'static>>,
    pub(crate) files: Vec<crate::component::files::ComponentFile>,
    pub(crate) templates: Arc<Templates>,
    /// The code that makes its declarations, if it is a Starlark component.
    pub(crate) code: Option<Arc<StarlarkComponent>>,
    /// What its code used to decide what it declares: causes of every file that the code makes.
    pub(crate) causes: UsedValues,
}

impl LoadedComponent {
    /// The text of one of its templates, for showing a mistake in it.
    pub(crate) fn source(&self, template: &str) -> Option<Arc<SourceText>> {
        self.templates.known(template).map(|known| known.source)
    }

    /// The cause for a file of the component's folder: its name and the digest of its content. A text made by code has
    /// none: it changes with what the code has read, its own file included.
    pub(crate) fn cause_of(&self, template: &str) -> Option<(String, String)> {
        let known = self.templates.known(template)?;
        let made = self.code.is_some() && known.is_inline();
        (!made).then(|| self.templates.cause(template, &known))
    }
}

/// Loads a component.toml; `None` if it cannot be used.
pub(crate) fn load(
    project: &Project,
    name: &str,
    engine: &Environment<'static>,
    problems: &mut Problems,
) -> Option<LoadedComponent> {
    let folder = Path::new("components").join(name);
    let (table, at) = file::load(&project.root, &folder.join("component.toml"), problems)?;
    let mut own = Problems::default();
    let mut reader = TableReader::new(&table, &at, "component.toml", &mut own);
    let interface = Arc::new(interface::read(&mut reader));
    let items = item::items(&mut reader, &folder);
    declarations::later(&mut reader);
    reader.finish();
    let declarations = declarations::check(&items, &mut own);
    let templates = Templates::new(project, folder.clone());
    let files = crate::component::files::load(&declarations, &templates, &mut own);
    let failed = own.has_errors();
    problems.extend(own);
    if failed {
        return None;
    }
    let engine = Arc::new(templates.attach(engine.clone()));
    let causes = UsedValues::new();
    let name = name.to_owned();
    Some(LoadedComponent {
        name,
        folder,
        interface,
        declarations,
        engine,
        files,
        templates,
        code: None,
        causes,
    })
}

impl LoadedComponent {
    /// A Starlark component, before its code has declared anything.
    pub(crate) fn of_code(
        project: &Project,
        declared: &Arc<StarlarkComponent>,
        engine: &Environment<'static>,
        problems: &mut Problems,
    ) -> LoadedComponent {
        let features = Some(declared.features.clone());
        let interface = Interface { attributes: declared.attributes.clone(), features };
        interface.check_features(problems);
        let templates = Templates::new(project, declared.folder.clone());
        LoadedComponent {
            name: declared.name.clone(),
            folder: declared.folder.clone(),
            interface: Arc::new(interface),
            declarations: Declarations::default(),
            engine: Arc::new(templates.attach(engine.clone())),
            files: Vec::new(),
            templates,
            code: Some(Arc::clone(declared)),
            causes: UsedValues::new(),
        }
    }

    /// The same component with other declarations.
    fn with(&self, declarations: Declarations) -> LoadedComponent {
        LoadedComponent {
            name: self.name.clone(),
            folder: self.folder.clone(),
            interface: Arc::clone(&self.interface),
            declarations,
            engine: Arc::clone(&self.engine),
            files: Vec::new(),
            templates: Arc::clone(&self.templates),
            code: self.code.clone(),
            causes: UsedValues::new(),
        }
    }

    /// With what its code has declared so far, as far as other components see it. Mistakes are left to
    /// [`LoadedComponent::whole`].
    pub(crate) fn connected(&self, items: &[Item]) -> LoadedComponent {
        self.with(declarations::connected(items, &mut Problems::default()))
    }

    /// With everything that its code has declared, and what the code used to decide that.
    pub(crate) fn whole(
        &self,
        items: &[Item],
        causes: UsedValues,
        problems: &mut Problems,
    ) -> LoadedComponent {
        let mut component = self.with(declarations::check(items, problems));
        component.files =
            crate::component::files::load(&component.declarations, &component.templates, problems);
        component.causes = causes;
        component
    }
}
