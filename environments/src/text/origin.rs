//! Where a value of an expression comes from, and the values that a failing expression is about.
//!
//! Neither engine says which values an expression used, only where it is. So they are read from the syntax tree: names
//! are followed through variables, loops and calls as long as their meaning is certain. Advice that points at the wrong
//! line is worse than none, so whatever cannot be told exactly is [`ValueOrigin::Unknown`], and spoils all that depends on
//! it. Whether a value was really used, the [causes](crate::template::cause) say.

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    /// A member of this name.
    Name(String),
    /// The item of a list at this place, counted from 0.
    Index(usize),
    /// Some item of a list or a table.
    Item,
    /// The value itself if it is neither a list nor a table, which code could have changed.
    Scalar,
}

/// The way to a value from a name of the scope.
pub(crate) type ValuePath = Vec<Selector>;

/// Where the value of an expression comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueOrigin {
    /// It is the value at this path.
    Value(ValuePath),
    /// It is the value at one of these paths.
    OneOf(Vec<ValuePath>),
    /// A text that holds this value and nothing else.
    Text(Box<ValueOrigin>),
    /// A list that is written there, by its items.
    List(Vec<ValueOrigin>),
    /// A map that is written there, by its members.
    Map(Vec<(String, ValueOrigin)>),
    /// It is written there, and no value takes part in it.
    Own,
    /// It cannot be told.
    Unknown,
}

/// What a value has to do with a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperandRole {
    /// It is wrong. If nobody set it, the mistake is the component's own.
    Cause,
    /// It takes part, and is named if it was set.
    Part,
}

/// A value that a mistake is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operand {
    /// The paths that may lead to it; only one of them does.
    pub(crate) paths: Vec<ValuePath>,
    pub(crate) role: OperandRole,
    /// Code handed it on, so that whoever failed did not read it itself.
    pub(crate) handed_on: bool,
}

impl Selector {
    pub(crate) fn name(name: &str) -> Selector {
        Selector::Name(name.to_owned())
    }
}

impl ValueOrigin {
    /// A name of the scope.
    pub(crate) fn name(name: &str) -> ValueOrigin {
        ValueOrigin::Value(vec![Selector::name(name)])
    }

    /// A part of this value.
    pub(crate) fn then(&self, selector: &Selector) -> ValueOrigin {
        let longer = |path: &ValuePath| path.iter().chain([selector]).cloned().collect();
        let ends = |path: &ValuePath| path.last() == Some(&Selector::Scalar);
        match (self, selector) {
            (ValueOrigin::Value(path), _) if ends(path) => ValueOrigin::Unknown,
            (ValueOrigin::OneOf(paths), _) if paths.iter().any(ends) => ValueOrigin::Unknown,
            (ValueOrigin::Value(path), _) => ValueOrigin::Value(longer(path)),
            (ValueOrigin::OneOf(paths), _) => ValueOrigin::OneOf(paths.iter().map(longer).collect()),
            (ValueOrigin::List(items), Selector::Index(index)) => {
                items.get(*index).cloned().unwrap_or(ValueOrigin::Own)
            }
            (ValueOrigin::List(items), Selector::Item) => ValueOrigin::one_of(items.iter().cloned()),
            (ValueOrigin::Map(members), Selector::Name(name)) => {
                let found = members.iter().rev().find(|(known, _)| known == name);
                found.map_or(ValueOrigin::Own, |(_, origin)| origin.clone())
            }
            (ValueOrigin::Map(members), Selector::Item) => {
                ValueOrigin::one_of(members.iter().map(|(_, origin)| origin.clone()))
            }
            (ValueOrigin::Own, _) => ValueOrigin::Own,
            _ => ValueOrigin::Unknown,
        }
    }

    /// What a loop goes through: the items of a list, the keys of a map.
    pub(crate) fn item(&self) -> ValueOrigin {
        match self {
            ValueOrigin::Map(_) => ValueOrigin::Own,
            list => list.then(&Selector::Item),
        }
    }

    /// The same where code may have changed it, if it can be changed.
    pub(crate) fn scalar(self) -> ValueOrigin {
        let ended = |mut path: ValuePath| {
            if path.last() != Some(&Selector::Scalar) {
                path.push(Selector::Scalar);
            }
            path
        };
        match self {
            ValueOrigin::Value(path) => ValueOrigin::Value(ended(path)),
            ValueOrigin::OneOf(paths) => ValueOrigin::OneOf(paths.into_iter().map(ended).collect()),
            ValueOrigin::Own => ValueOrigin::Own,
            _ => ValueOrigin::Unknown,
        }
    }

    /// Whether no value of an environment takes part in it.
    pub(crate) fn is_own(&self) -> bool {
        match self {
            ValueOrigin::Own => true,
            ValueOrigin::List(items) => items.iter().all(ValueOrigin::is_own),
            ValueOrigin::Map(members) => members.iter().all(|(_, origin)| origin.is_own()),
            _ => false,
        }
    }

    /// One of several, and it is not known which.
    pub(crate) fn one_of(origins: impl IntoIterator<Item = ValueOrigin>) -> ValueOrigin {
        let mut all: Vec<ValueOrigin> = Vec::new();
        for origin in origins {
            if !all.contains(&origin) {
                all.push(origin);
            }
        }
        if all.len() == 1 {
            return all.remove(0);
        }
        let mut paths = Vec::new();
        for origin in all {
            match origin {
                ValueOrigin::Value(path) => paths.push(path),
                ValueOrigin::OneOf(more) => paths.extend(more),
                _ => return ValueOrigin::Unknown,
            }
        }
        if paths.is_empty() { ValueOrigin::Unknown } else { ValueOrigin::OneOf(paths) }
    }

    /// It as the operand of a mistake; `None` if it is not exactly a value.
    pub(crate) fn operand(&self, role: OperandRole) -> Option<Operand> {
        match self {
            ValueOrigin::Value(path) => Some(Operand { paths: vec![path.clone()], role, handed_on: false }),
            ValueOrigin::OneOf(paths) => Some(Operand { paths: paths.clone(), role, handed_on: false }),
            _ => None,
        }
    }

    /// The same as operands of which each is wrong; none if one of them is not exactly a value.
    pub(crate) fn causes<'a>(origins: impl IntoIterator<Item = &'a ValueOrigin>) -> Vec<Operand> {
        let operands: Option<Vec<_>> =
            origins.into_iter().map(|origin| origin.operand(OperandRole::Cause)).collect();
        operands.unwrap_or_default()
    }

    /// The operands of an item that is not there: the list or map, and the key.
    pub(crate) fn of_item(owner: &ValueOrigin, key: &ValueOrigin) -> Vec<Operand> {
        ValueOrigin::causes([owner, key].into_iter().filter(|origin| !origin.is_own()))
    }
}

/// The operands of `left + right` and the like, which need not be numbers. `kinds` are what both are, and `literal`
/// says which of them stand there as they are.
///
/// Of a number and something else, it is the other one that surprises. But beside a text that the author wrote, a number
/// of the environment is no mistake.
pub(crate) fn of_sum(sides: [&ValueOrigin; 2], number: [bool; 2], literal: [bool; 2]) -> Vec<Operand> {
    let [left, right] = sides;
    let (other, other_is_literal, counted) = match number {
        [true, false] => (right, literal[0], left),
        [false, true] => (left, literal[1], right),
        [false, false] | [true, true] => return ValueOrigin::causes(sides),
    };
    let Some(wrong) = other.operand(OperandRole::Cause) else { return Vec::new() };
    match (other_is_literal, counted.operand(OperandRole::Part)) {
        (true, _) => vec![wrong],
        (false, Some(part)) => vec![wrong, part],
        (false, None) => Vec::new(),
    }
}

/// The operands of an operation that takes numbers only: those that are none.
pub(crate) fn of_numbers(sides: [&ValueOrigin; 2], number: [bool; 2]) -> Vec<Operand> {
    ValueOrigin::causes(sides.into_iter().zip(number).filter(|(_, number)| !number).map(|(side, _)| side))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> ValueOrigin {
        ValueOrigin::name(name)
    }

    #[test]
    fn a_part_is_known_only_where_it_is_certain() {
        let list = ValueOrigin::List(vec![value("a"), ValueOrigin::Own]);
        let map = ValueOrigin::Map(vec![("k".to_owned(), value("a"))]);
        let deep = ValueOrigin::Value(vec![Selector::name("a"), Selector::Item]);
        for (whole, selector, part) in [
            (value("a"), Selector::Item, deep),
            (list.clone(), Selector::Index(0), value("a")),
            (list.clone(), Selector::Index(1), ValueOrigin::Own),
            (list, Selector::Item, ValueOrigin::Unknown),
            (ValueOrigin::List(vec![value("a")]), Selector::Item, value("a")),
            (map.clone(), Selector::name("k"), value("a")),
            (map.clone(), Selector::name("other"), ValueOrigin::Own),
            (map, Selector::Item, value("a")),
            (ValueOrigin::Unknown, Selector::Item, ValueOrigin::Unknown),
            (ValueOrigin::Text(Box::new(value("a"))), Selector::Index(0), ValueOrigin::Unknown),
        ] {
            assert_eq!(whole.then(&selector), part, "{whole:?} {selector:?}");
        }
    }

    #[test]
    fn of_several_all_must_be_values() {
        assert_eq!(ValueOrigin::one_of([value("a"), value("a")]), value("a"));
        assert_eq!(ValueOrigin::one_of([value("a"), ValueOrigin::Own]), ValueOrigin::Unknown);
        assert_eq!(ValueOrigin::one_of([ValueOrigin::Own, ValueOrigin::Own]), ValueOrigin::Own);
        let both = ValueOrigin::one_of([value("a"), value("b")]);
        assert_eq!(both.operand(OperandRole::Cause).map(|operand| operand.paths.len()), Some(2));
        assert_eq!(ValueOrigin::one_of([]), ValueOrigin::Unknown);
    }

    #[test]
    fn beside_a_wrong_literal_no_value_is_named() {
        let (a, b, own) = (value("a"), value("b"), ValueOrigin::Own);
        let names = |operands: Vec<Operand>| {
            operands.into_iter().map(|operand| (operand.paths[0].clone(), operand.role)).collect::<Vec<_>>()
        };
        let at = |name: &str, role| (vec![Selector::name(name)], role);
        let cause = |name| at(name, OperandRole::Cause);
        let none = Vec::new();
        // A text beside the number 1, a number beside a written text, and something unknown.
        assert_eq!(names(of_sum([&a, &own], [false, true], [false, true])), [cause("a")]);
        assert_eq!(names(of_sum([&a, &own], [true, false], [false, true])), none);
        assert_eq!(names(of_sum([&a, &ValueOrigin::Unknown], [false, true], [false, false])), none);
        assert_eq!(
            names(of_sum([&a, &b], [true, false], [false; 2])),
            [cause("b"), at("a", OperandRole::Part)]
        );
        assert_eq!(names(of_sum([&a, &b], [false; 2], [false; 2])), [cause("a"), cause("b")]);
        assert_eq!(names(of_numbers([&a, &own], [false, true])), [cause("a")]);
        assert_eq!(names(of_numbers([&a, &own], [true, false])), none);
        assert_eq!(names(of_numbers([&a, &own], [false, false])), none);
        assert_eq!(names(of_numbers([&a, &ValueOrigin::Unknown], [false, true])), [cause("a")]);
    }
}
