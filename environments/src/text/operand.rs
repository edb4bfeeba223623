//! What an expression that went wrong was made of: the names that lead to each of its values.
//!
//! An error says where an expression stands. Which values it used is read from the syntax tree there, since neither
//! engine tells: names are followed through the variables, loops and calls that are certain, and no further. Whether
//! a value was really used is for the [causes](crate::template::cause) to say.

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    /// A member of this name.
    Name(String),
    /// Some item of a list.
    Item,
}

/// A value that an expression used, by the way that leads there from a name of the scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) path: Vec<Selector>,
    /// It is made from the value there: names that follow are not members of that one.
    derived: bool,
}

impl Selector {
    pub(crate) fn name(name: &str) -> Selector {
        Selector::Name(name.to_owned())
    }

    /// Itself, and then what is selected of it.
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

    /// What is selected of it.
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
