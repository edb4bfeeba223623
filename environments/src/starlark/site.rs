//! A call as it is written, so that a mistake in one of its arguments is shown there.

use std::ops::Range;
use std::sync::Arc;

use starlark::eval::Evaluator;

use crate::starlark::places::{Argument, CallSites};
use crate::starlark::sources::SourceTexts;
use crate::text::source::{At, SourceText};

/// A call, and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The whole call.
    pub(crate) at: At,
    places: Arc<CallSites>,
}

impl Site {
    /// The call that is being made.
    pub(crate) fn of(eval: &Evaluator<'_, '_, '_>, sources: &SourceTexts) -> Site {
        let at = match eval.call_stack_top_location() {
            Some(span) => sources.at(&span),
            None => At::new(&SourceText::new("", ""), 0..0),
        };
        Site { places: sources.places(&at.source), at }
    }

    /// The place of a positional argument; of the call, if it is not written there.
    pub(crate) fn positional(&self, index: usize) -> At {
        let found = self.arguments().iter().filter(|argument| argument.name.is_none()).nth(index);
        self.part(found.map(|argument| &argument.value))
    }

    /// The place of a named argument's value.
    pub(crate) fn value(&self, name: &str) -> At {
        self.part(self.named(name).map(|(_, value)| value))
    }

    /// The place of a named argument's name.
    pub(crate) fn key(&self, name: &str) -> At {
        self.part(self.named(name).map(|(name, _)| name))
    }

    /// The place of an argument that may be given either way.
    pub(crate) fn either(&self, index: usize, name: &str) -> At {
        match self.named(name) {
            Some((_, value)) => self.part(Some(value)),
            None => self.positional(index),
        }
    }

    fn arguments(&self) -> &[Argument] {
        self.places.arguments(&self.at.span)
    }

    /// Where a named argument's name and value stand.
    fn named(&self, name: &str) -> Option<(&Range<usize>, &Range<usize>)> {
        self.arguments().iter().find_map(|argument| match &argument.name {
            Some((found, place)) if found == name => Some((place, &argument.value)),
            _ => None,
        })
    }

    fn part(&self, part: Option<&Range<usize>>) -> At {
        part.map_or_else(|| self.at.clone(), |range| At::new(&self.at.source, range.clone()))
    }
}
