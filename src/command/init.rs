//! `batou init`: a new project that works at once.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use batou_environments::{NAME_HELP, is_project_name};

use crate::context::{Context, PROJECT_FILE};
use crate::error::CommandError;
use crate::ui::line::Line;
use crate::ui::visible_name;

/// The only file that a folder may contain before it becomes a project: many repositories start with it.
const IGNORED: &str = ".gitignore";

/// The files of a new project: their paths and their content, in which `@NAME@` stands for the project's name.
const FILES: [(&str, &str); 5] = [
    (IGNORED, include_str!("../template/gitignore")),
    ("components/hello/component.toml", include_str!("../template/components/hello/component.toml")),
    ("components/hello/greeting.txt", include_str!("../template/components/hello/greeting.txt")),
    ("environments/dev/environment.toml", include_str!("../template/environments/dev/environment.toml")),
    // Written last, because it is what makes a folder a project.
    (PROJECT_FILE, include_str!("../template/batou.toml")),
];

/// Make a new project that works at once.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  batou init shop
  cd shop && batou switch dev")]
pub struct Args {
    /// The new project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// The project's name [default: the folder's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// Makes the project and says what to do next.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let directory = std::path::absolute(&args.directory).map_err(|error| unusable(&args.directory, error))?;
    let name = project_name(&directory, args.name.as_deref())?;
    refuse_existing(&directory)?;
    for (path, content) in FILES {
        let file = directory.join(path);
        if path == IGNORED && exists(&file) {
            let lines = content.split_whitespace().collect::<Vec<_>>().join("` and `");
            context.ui.notice(&format!("{} is left as it is: add `{lines}` to it", file.display()));
            continue;
        }
        write_new(&file, &content.replace("@NAME@", &name))?;
    }
    let shown = fs::canonicalize(&directory).unwrap_or(directory).display().to_string();
    context.ui.json(&Line::Project { project: &name, folder: &shown });
    context.ui.line(&format!("Made the project {name} in {}. Next:\n", visible_name(&shown)));
    if args.directory != Path::new(".") {
        context.ui.line(&format!("  cd {}", visible_name(&args.directory.display().to_string())));
    }
    context.ui.line("  batou check          find mistakes");
    context.ui.line("  batou switch dev     release it on this machine, below work/dev");
    context.ui.line("  cat work/dev/current/hello/greeting.txt");
    Ok(())
}

/// A name that is fit for paths on hosts: the one asked for, unchanged, or one made from the folder's name.
fn project_name(directory: &Path, asked: Option<&str>) -> Result<String, CommandError> {
    if let Some(name) = asked {
        if is_project_name(name) {
            return Ok(name.to_owned());
        }
        return Err(not_a_name(name).hint(NAME_HELP));
    }
    let folder = directory.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    if is_project_name(&folder) {
        return Ok(folder);
    }
    Err(not_a_name(&folder).hint("give one with --name"))
}

fn not_a_name(name: &str) -> CommandError {
    CommandError::usage(format!("`{}` is not a project's name", visible_name(name)))
}

fn refuse_existing(directory: &Path) -> Result<(), CommandError> {
    let ours = FILES.iter().map(|(path, _)| *path).filter(|path| *path != IGNORED);
    match ours.map(|path| directory.join(path)).find(|path| exists(path)) {
        Some(path) => Err(CommandError::input(format!("{} already exists", path.display()))
            .hint("a new project is made in an empty or new folder")),
        None => Ok(()),
    }
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn write_new(path: &Path, content: &str) -> Result<(), CommandError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|error| unusable(parent, error))?;
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: io::Error) -> CommandError {
    CommandError::failed(format!("{} cannot be written", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use batou_environments::{Offline, Options};

    use super::*;
    use crate::testing::SharedBuffer;
    use crate::ui::{Ui, Verbosity};

    fn init(directory: &Path, name: Option<&str>) -> Result<String, CommandError> {
        let out = SharedBuffer::default();
        let ui = Ui::to_writers(Verbosity::default(), Box::new(out.clone()), Box::new(io::sink()));
        let args = Args { directory: directory.to_owned(), name: name.map(str::to_owned) };
        run(&Context::new(None, ui), &args).map(|()| out.text())
    }

    #[test]
    fn a_new_project_evaluates_without_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("shop");
        assert!(init(&directory, None).unwrap().contains("batou switch dev"));
        let project = batou_environments::project(&directory).unwrap();
        assert_eq!(project.name, "shop");
        let options =
            Options { dns: &Offline, user: "me".to_owned(), user_home: "/home/me".to_owned(), notes: None };
        let evaluation = batou_environments::evaluate(&project, "dev", &options).unwrap();
        assert!(evaluation.warnings.is_empty(), "{:?}", evaluation.warnings);
        let units: Vec<_> = evaluation.components.iter().map(|component| component.units.len()).collect();
        assert_eq!(units, [1]);
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("components")).unwrap();
        init(folder.path(), Some("shop")).unwrap();
        let file = folder.path().join("components/hello/component.toml");
        fs::write(&file, "mine").unwrap();
        fs::remove_file(folder.path().join(PROJECT_FILE)).unwrap();
        assert_eq!(init(folder.path(), Some("shop")).unwrap_err().exit_code(), 2);
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        assert!(!folder.path().join(PROJECT_FILE).exists());
    }

    #[test]
    fn a_repository_may_already_say_what_it_ignores() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(IGNORED), "*.swp\n").unwrap();
        init(folder.path(), Some("shop")).unwrap();
        assert_eq!(fs::read(folder.path().join(IGNORED)).unwrap(), b"*.swp\n");
        assert!(folder.path().join(PROJECT_FILE).exists());
    }

    #[test]
    fn a_name_must_be_fit_for_paths() {
        let path = Path::new("/tmp/Web-Shop");
        assert_eq!(project_name(path, None).unwrap(), "web-shop");
        for bad in ["", "a b", "a/b", "-x", "..", "ä"] {
            assert_eq!(project_name(path, Some(bad)).unwrap_err().exit_code(), 2, "{bad}");
        }
        assert_eq!(project_name(path, Some("1shop.EU")).unwrap(), "1shop.EU", "as batou.toml has it");
        assert_eq!(project_name(Path::new("/tmp/1 2"), None).unwrap_err().hints(), ["give one with --name"]);
    }
}
