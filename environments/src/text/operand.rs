//! The values that a failing expression used, each as the path of names that leads to it.
//!
//! Neither engine says which values an expression used, only where it is. So they are read from the syntax tree: names
//! are followed through variables, loops and calls as long as their meaning is certain. Whether a value was really
//! used, the [causes](crate::template::cause) say.

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    /// A member of this name.
    Name(String),
    /// Some item of a list.
    Item,
}

/// A value that an expression used, as the path that leads to it from a name of the scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) path: Vec<Selector>,
    /// It was computed from the value at the path, so that names selected from it are not members of that value.
    derived: bool,
}

impl Selector {
    pub(crate) fn name(name: &str) -> Selector {
        Selector::Name(name.to_owned())
    }

    /// A path of this selector followed by `path`.
    pub(crate) fn then(self, path: &[Selector]) -> Vec<Selector> {
        std::iter::once(self).chain(path.iter().cloned()).collect()
    }
}

impl Operand {
    pub(crate) fn at(path: Vec<Selector>) -> Operand {
        Operand { path, derived: false }
    }

    /// The name at the beginning.
    pub(crate) fn root(&self) -> Option<&str> {
        match self.path.first() {
            Some(Selector::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// A part of this value. A derived one stays as it is, since its parts are not known.
    pub(crate) fn then(&self, path: &[Selector]) -> Operand {
        let mut operand = self.clone();
        if !self.derived {
            operand.path.extend_from_slice(path);
        }
        operand
    }

    /// What is made from it.
    pub(crate) fn derived(self) -> Operand {
        Operand { derived: true, ..self }
    }
}
