//! Where a value of an expression comes from, and the values that a failing expression is about.
//!
//! Neither engine says which values an expression used, only where it is. So they are read from the syntax tree: names
//! are followed through variables, loops and calls as long as their meaning is certain. Advice that points at the wrong
//! line is worse than none, so whatever cannot be told exactly is [`Origin::Unknown`], and spoils all that depends on
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
}

/// The way to a value from a name of the scope.
pub(crate) type ValuePath = Vec<Selector>;

/// Where the value of an expression comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is the value at this path.
    Value(ValuePath),
    /// It is the value at one of these paths.
    OneOf(Vec<ValuePath>),
    /// A text that holds this value and nothing else.
    Text(Box<Origin>),
    /// A list that is written there, by its items.
    List(Vec<Origin>),
    /// A map that is written there, by its members.
    Map(Vec<(String, Origin)>),
    /// It is written there, and no value takes part in it.
    Own,
    /// It cannot be told.
    Unknown,
}

/// What a value has to do with a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
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
    pub(crate) role: Role,
    /// Code handed it on, so that whoever failed did not read it itself.
    pub(crate) handed_on: bool,
}

impl Selector {
    pub(crate) fn name(name: &str) -> Selector {
        Selector::Name(name.to_owned())
    }
}

impl Origin {
    /// A name of the scope.
    pub(crate) fn name(name: &str) -> Origin {
        Origin::Value(vec![Selector::name(name)])
    }

    /// A part of this value.
    pub(crate) fn then(&self, selector: &Selector) -> Origin {
        let longer = |path: &ValuePath| path.iter().chain([selector]).cloned().collect();
        match (self, selector) {
            (Origin::Value(path), _) => Origin::Value(longer(path)),
            (Origin::OneOf(paths), _) => Origin::OneOf(paths.iter().map(longer).collect()),
            (Origin::List(items), Selector::Index(index)) => {
                items.get(*index).cloned().unwrap_or(Origin::Own)
            }
            (Origin::List(items), Selector::Item) => Origin::one_of(items.iter().cloned()),
            (Origin::Map(members), Selector::Name(name)) => {
                let found = members.iter().rev().find(|(known, _)| known == name);
                found.map_or(Origin::Own, |(_, origin)| origin.clone())
            }
            (Origin::Map(members), Selector::Item) => {
                Origin::one_of(members.iter().map(|(_, origin)| origin.clone()))
            }
            (Origin::Own, _) => Origin::Own,
            _ => Origin::Unknown,
        }
    }

    /// One of several, and it is not known which.
    pub(crate) fn one_of(origins: impl IntoIterator<Item = Origin>) -> Origin {
        let mut all: Vec<Origin> = Vec::new();
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
                Origin::Value(path) => paths.push(path),
                Origin::OneOf(more) => paths.extend(more),
                _ => return Origin::Unknown,
            }
        }
        if paths.is_empty() { Origin::Unknown } else { Origin::OneOf(paths) }
    }

    /// It as the operand of a mistake; `None` if it is not exactly a value.
    pub(crate) fn operand(&self, role: Role) -> Option<Operand> {
        match self {
            Origin::Value(path) => Some(Operand { paths: vec![path.clone()], role, handed_on: false }),
            Origin::OneOf(paths) => Some(Operand { paths: paths.clone(), role, handed_on: false }),
            _ => None,
        }
    }

    /// The same as operands of which each is wrong; none if one of them is not exactly a value.
    pub(crate) fn causes<'a>(origins: impl IntoIterator<Item = &'a Origin>) -> Vec<Operand> {
        let operands: Option<Vec<_>> =
            origins.into_iter().map(|origin| origin.operand(Role::Cause)).collect();
        operands.unwrap_or_default()
    }
}

/// The operands of `left + right` and the like, which need not be numbers. `kinds` are what both are, and `literal`
/// says which of them stand there as they are.
///
/// Of a number and something else, it is the other one that surprises. But beside a text that the author wrote, a number
/// of the environment is no mistake.
pub(crate) fn of_sum(sides: [&Origin; 2], number: [bool; 2], literal: [bool; 2]) -> Vec<Operand> {
    let [left, right] = sides;
    let (other, other_is_literal, counted) = match number {
        [true, false] => (right, literal[0], left),
        [false, true] => (left, literal[1], right),
        [false, false] | [true, true] => return Origin::causes(sides),
    };
    let Some(wrong) = other.operand(Role::Cause) else { return Vec::new() };
    match (other_is_literal, counted.operand(Role::Part)) {
        (true, _) => vec![wrong],
        (false, Some(part)) => vec![wrong, part],
        (false, None) => Vec::new(),
    }
}

/// The operands of an operation that takes numbers only: those that are none.
pub(crate) fn of_numbers(sides: [&Origin; 2], number: [bool; 2]) -> Vec<Operand> {
    Origin::causes(sides.into_iter().zip(number).filter(|(_, number)| !number).map(|(side, _)| side))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Origin {
        Origin::name(name)
    }

    #[test]
    fn a_part_is_known_only_where_it_is_certain() {
        let list = Origin::List(vec![value("a"), Origin::Own]);
        let map = Origin::Map(vec![("k".to_owned(), value("a"))]);
        let deep = Origin::Value(vec![Selector::name("a"), Selector::Item]);
        for (whole, selector, part) in [
            (value("a"), Selector::Item, deep),
            (list.clone(), Selector::Index(0), value("a")),
            (list.clone(), Selector::Index(1), Origin::Own),
            (list, Selector::Item, Origin::Unknown),
            (Origin::List(vec![value("a")]), Selector::Item, value("a")),
            (map.clone(), Selector::name("k"), value("a")),
            (map.clone(), Selector::name("other"), Origin::Own),
            (map, Selector::Item, value("a")),
            (Origin::Unknown, Selector::Item, Origin::Unknown),
            (Origin::Text(Box::new(value("a"))), Selector::Index(0), Origin::Unknown),
        ] {
            assert_eq!(whole.then(&selector), part, "{whole:?} {selector:?}");
        }
    }

    #[test]
    fn of_several_all_must_be_values() {
        assert_eq!(Origin::one_of([value("a"), value("a")]), value("a"));
        assert_eq!(Origin::one_of([value("a"), Origin::Own]), Origin::Unknown);
        assert_eq!(Origin::one_of([Origin::Own, Origin::Own]), Origin::Own);
        let both = Origin::one_of([value("a"), value("b")]);
        assert_eq!(both.operand(Role::Cause).map(|operand| operand.paths.len()), Some(2));
        assert_eq!(Origin::one_of([]), Origin::Unknown);
    }

    #[test]
    fn beside_a_wrong_literal_no_value_is_named() {
        let (a, b, own) = (value("a"), value("b"), Origin::Own);
        let names = |operands: Vec<Operand>| {
            operands.into_iter().map(|operand| (operand.paths[0].clone(), operand.role)).collect::<Vec<_>>()
        };
        let at = |name: &str, role| (vec![Selector::name(name)], role);
        let cause = |name| at(name, Role::Cause);
        let none = Vec::new();
        // A text beside the number 1, a number beside a written text, and something unknown.
        assert_eq!(names(of_sum([&a, &own], [false, true], [false, true])), [cause("a")]);
        assert_eq!(names(of_sum([&a, &own], [true, false], [false, true])), none);
        assert_eq!(names(of_sum([&a, &Origin::Unknown], [false, true], [false, false])), none);
        assert_eq!(names(of_sum([&a, &b], [true, false], [false; 2])), [cause("b"), at("a", Role::Part)]);
        assert_eq!(names(of_sum([&a, &b], [false; 2], [false; 2])), [cause("a"), cause("b")]);
        assert_eq!(names(of_numbers([&a, &own], [false, true])), [cause("a")]);
        assert_eq!(names(of_numbers([&a, &own], [true, false])), none);
        assert_eq!(names(of_numbers([&a, &own], [false, false])), none);
        assert_eq!(names(of_numbers([&a, &Origin::Unknown], [false, true])), [cause("a")]);
    }
}
