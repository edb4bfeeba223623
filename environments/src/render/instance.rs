//! One component on one host while it is rendered: its texts, and the mistakes in them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use batou_release::show_artifact;
use minijinja::Error;
use minijinja::value::Value;

use super::rendered::Rendered;
use crate::component::files::ComponentFile;
use crate::component::item::Caller;
use crate::model::component::LoadedComponent;
use crate::template;
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::{At, SourceText, Text};
use crate::values::LazyValues;
use crate::values::scope::Scope;

/// The rendering of one component on one host.
pub(crate) struct InstanceRender<'a> {
    pub(crate) values: &'a Arc<LazyValues>,
    pub(crate) index: usize,
    pub(crate) component: &'a LoadedComponent,
    /// What is still to be rendered, by template.
    pub(super) files: BTreeMap<Option<&'a str>, Vec<&'a ComponentFile>>,
    pub(super) scope: Value,
    /// The sub-component whose declaration is rendered.
    part: String,
    pub(super) rendered: Rendered,
    pub(super) problems: Problems,
    pub(super) incomplete: bool,
}

impl<'a> InstanceRender<'a> {
    /// With all its files to render.
    pub(super) fn new(values: &'a Arc<LazyValues>, index: usize) -> Self {
        let component = values.instance(index).component.as_ref();
        let mut files: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for file in &component.files {
            files.entry(file.body.template()).or_default().push(file);
        }
        InstanceRender {
            values,
            index,
            component,
            files,
            scope: Scope::value(values, index),
            part: String::new(),
            rendered: Rendered {
                host: values.model.host(index).name.clone(),
                component: component.name.clone(),
                entries: BTreeMap::new(),
                causes: BTreeMap::new(),
                breadcrumbs: BTreeMap::new(),
                units: Vec::new(),
                after: BTreeSet::new(),
            },
            problems: Problems::default(),
            incomplete: false,
        }
    }

    /// Reports an error of the engine.
    pub(super) fn explain(&mut self, error: &Error, (name, inline): (&str, Option<&Text>), scope: &Value) {
        let line = error.line();
        let place = |template: Option<&str>, part: Option<Range<usize>>| match (inline, template) {
            (Some(text), template) if template.is_none_or(|template| template == name) => match part {
                Some(part) => text.at.within(&text.value, part),
                None => text.at.clone(),
            },
            (_, template) => self.place(template.unwrap_or(name), part, line),
        };
        if let Some(diagnostic) = template::explain(error, (Some(name), scope), place) {
            self.report(*diagnostic);
        }
    }

    /// The place in one of the component's own template files.
    fn place(&self, template: &str, part: Option<Range<usize>>, line: Option<usize>) -> At {
        match self.component.source(template) {
            Some(source) => template::place_in(&source, part, line),
            None => template::place_in(
                &SourceText::new(self.component.templates.relative(template), ""),
                None,
                None,
            ),
        }
    }

    /// What a text renders to.
    pub(crate) fn text_in(&mut self, text: &Text, scope: &Value) -> Option<String> {
        if text.literal {
            return self.without_nul(text.value.clone(), text, scope);
        }
        match template::evaluate(&self.component.engine, &text.value, &text.at, scope) {
            Ok(value) => self.without_nul(value.to_string(), text, scope),
            Err(mistake) => {
                if let Some(diagnostic) = mistake {
                    self.report(*diagnostic);
                }
                None
            }
        }
    }

    /// Refuses a NUL character, which commands, paths and variables cannot contain.
    fn without_nul(&mut self, value: String, text: &Text, scope: &Value) -> Option<String> {
        if value.contains('\0') {
            let diagnostic = Diagnostic::error("the text contains a NUL character");
            self.report_text(diagnostic, text, scope, |text| !text.contains('\0'));
            return None;
        }
        Some(value)
    }

    /// Lets the messages that follow name a sub-component.
    pub(super) fn within(&mut self, by: &Caller) -> &mut Self {
        self.part = by.within();
        self
    }

    /// Reports a mistake in what a text renders to: one of its values, if the text is valid with others.
    pub(super) fn report_text(
        &mut self,
        diagnostic: Diagnostic,
        text: &Text,
        scope: &Value,
        is_valid: impl Fn(&str) -> bool,
    ) {
        let operands =
            if text.literal { Vec::new() } else { template::operands_in(&text.value, scope, is_valid) };
        self.report(diagnostic.at(&text.at).made_of(operands));
    }

    pub(crate) fn report(&mut self, mut diagnostic: Diagnostic) {
        diagnostic.message = show_artifact(&diagnostic.message).into_owned();
        let subject = self.values.model.subject(self.index);
        let diagnostic = self.values.advise(diagnostic, self.index);
        self.problems.push(diagnostic.about(format!("{subject}{}", self.part)));
    }
}
