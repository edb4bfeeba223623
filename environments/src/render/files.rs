//! The files and symlinks of a component on a host.

use std::collections::BTreeMap;

use minijinja::{Environment, Error, Template};

use super::instance::InstanceRender;
use super::rendered::{Content, Entry};
use crate::component::files::{Body, ComponentFile};
use crate::component::item::Caller;
use crate::template;
use crate::template::cause::{self, UsedValues};
use crate::template::layered::layered;
use crate::text::diagnostic::Diagnostic;
use crate::text::source::Text;

/// A compiled template that many instances may use, or the error in it, which each of them reports.
pub(super) type Compiled<'a> = Result<Template<'a, 'a>, Error>;

impl<'a> InstanceRender<'a> {
    /// Adds the files of a template, or the files without a template.
    pub(super) fn add_files(&mut self, template: Option<&'a str>, compiled: Option<&Compiled<'_>>) {
        for file in self.files.remove(&template).unwrap_or_default() {
            let (entry, mut used) = cause::collect(|| self.within(&file.by).file(file, compiled));
            if file.made {
                self.add_causes_of_code(&mut used);
            }
            self.add(&file.path, entry, used, &file.by);
        }
    }

    /// Adds the files of templates that no other instance has: code may make one for each host.
    pub(super) fn add_own_files(&mut self, engine: &Environment<'_>, users: &BTreeMap<&'a str, usize>) {
        let component = self.component;
        for name in component.files.iter().filter_map(|file| file.body.template()) {
            let own = users.get(name) == Some(&1) && self.files.contains_key(&Some(name));
            let Some(source) = component.source(name).filter(|_| own) else { continue };
            let compiled = template::compile(engine, name, &source);
            self.add_files(Some(name), Some(&compiled));
        }
    }

    fn add_causes_of_code(&self, used: &mut UsedValues) {
        for (name, digest) in &self.component.causes {
            used.entry(name.clone()).or_insert_with(|| digest.clone());
        }
    }

    pub(super) fn add_symlinks(&mut self) {
        for symlink in &self.component.declarations.symlinks {
            let target = || self.within(&symlink.by).target(&symlink.to, &symlink.by);
            let (target, mut used) = cause::collect(target);
            self.add_causes_of_code(&mut used);
            self.add(&symlink.path, target.map(|target| Entry::Symlink { target }), used, &symlink.by);
        }
    }

    fn add(&mut self, path: &str, entry: Option<Entry>, used: UsedValues, by: &Caller) {
        self.incomplete |= entry.is_none();
        if !by.breadcrumb.is_empty() {
            self.rendered.breadcrumbs.insert(path.to_owned(), by.breadcrumb.clone());
        }
        if let Some(entry) = entry {
            self.rendered.entries.insert(path.to_owned(), entry);
            self.rendered.causes.insert(path.to_owned(), used);
        }
    }

    fn file(&mut self, file: &ComponentFile, compiled: Option<&Compiled<'_>>) -> Option<Entry> {
        let content = match &file.body {
            Body::Directory => return Some(Entry::Directory),
            Body::Source(path) => Content::Source(path.clone()),
            Body::Constant(name) => {
                self.own_cause(name);
                Content::Bytes(self.component.source(name)?.text().as_bytes().to_vec())
            }
            Body::Template(name) | Body::Inline(name, _) => {
                self.own_cause(name);
                Content::Bytes(self.template(compiled?, name, file)?)
            }
        };
        Some(Entry::File { content, mode: file.mode })
    }

    fn own_cause(&self, name: &str) {
        if let Some((name, digest)) = self.component.cause_of(name) {
            cause::record(name, digest);
        }
    }

    fn template(&mut self, compiled: &Compiled<'_>, name: &str, file: &ComponentFile) -> Option<Vec<u8>> {
        let inline = file.body.inline();
        let scope = layered(&self.scope, file.by.variables.as_ref());
        let error = match compiled {
            Ok(template) => match template::render(template, &scope) {
                Ok(bytes) => return Some(bytes),
                Err(error) => &{ error },
            },
            Err(error) => error,
        };
        self.explain(error, (name, inline), &scope);
        None
    }

    fn target(&mut self, text: &Text, by: &Caller) -> Option<String> {
        let scope = layered(&self.scope, by.variables.as_ref());
        let target = self.text_in(text, &scope)?;
        if !is_target(&target) {
            let message =
                "a symlink's target must be a path of at most 4,095 bytes, without control characters";
            self.report_text(Diagnostic::error(message), text, &scope, is_target);
            return None;
        }
        Some(target)
    }
}

/// Whether a symlink may have this target.
fn is_target(target: &str) -> bool {
    !target.is_empty() && target.len() <= 4095 && !target.chars().any(char::is_control)
}
