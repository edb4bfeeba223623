//! Plans as text. Hosts with the same changes are shown once, so that a release to hundreds of hosts can be
//! read.

use std::collections::HashMap;

use batou_agent::protocol::Drift;

use super::line::line;
use super::{ComponentPlan, ContentPlan, FilePlan, HostPlan};
use crate::cli::options::Diff;
use crate::ui::drift;
use crate::ui::line::plan::{Change, Transfer};
use crate::ui::{ADDED, CHANGED, DIM, HEADING, REMOVED, Ui, bytes, plural, visible, visible_name};

/// How many files are named of a component that is added or removed as a whole.
const LISTED: usize = 10;
/// How many consecutive names it takes to make a range.
const RANGE: usize = 4;

/// Shows what would change on all hosts: as text, or with `--json` as one object for each host.
pub fn render(plans: &[HostPlan], detail: Diff, ui: &Ui) {
    if ui.is_json() {
        for plan in plans {
            ui.json(&line(plan));
        }
        return;
    }
    for line in text(plans, detail, ui.verbosity() > 0) {
        ui.line(&line);
    }
}

/// The lines for people.
fn text(plans: &[HostPlan], detail: Diff, everything: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let (idle, busy): (Vec<_>, Vec<_>) = plans.iter().partition(|plan| plan.settled && plan.notes.is_empty());
    for group in grouped(&busy) {
        lines.push(heading(&group));
        let first = group[0];
        lines
            .extend(first.notes.iter().map(|note| format!("  {CHANGED}!{CHANGED:#} {}", visible_name(note))));
        let (lost, others) = (drift::lost(&first.drift), drift::without_lost(&first.drift));
        if !lost.is_empty() {
            let lost = lost.join(", ");
            lines.push(format!("  {CHANGED}!{CHANGED:#} gone with all data, and made again empty: {lost}"));
        }
        if !others.is_none() {
            let drifted = drift::drifted(&others);
            lines.push(format!("  {CHANGED}!{CHANGED:#} not as released, and put back: {drifted}"));
        }
        for component in &first.components {
            component_lines(component, detail, everything, &mut lines);
        }
        lines.push(String::new());
    }
    if !idle.is_empty() {
        let names: Vec<_> = idle.iter().map(|plan| plan.host.as_str()).collect();
        lines.push(format!("{HEADING}{}:{HEADING:#} nothing to do", hosts(&names)));
    } else if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Groups plans that say the same, in the order of their first host.
fn grouped<'a>(plans: &[&'a HostPlan]) -> Vec<Vec<&'a HostPlan>> {
    let mut groups: Vec<Vec<&HostPlan>> = Vec::new();
    // Comparing every plan with every other would be slow for hundreds of hosts, so only those of about the
    // same size are.
    let mut known: HashMap<_, Vec<usize>> = HashMap::new();
    for plan in plans {
        let key = (plan.settled, plan.from.is_some(), is_in_force(plan), plan.components.len());
        let candidates = known.entry(key).or_default();
        let alike = candidates.iter().copied().find(|&group| same(groups[group][0], plan));
        if let Some(group) = alike {
            groups[group].push(plan);
        } else {
            candidates.push(groups.len());
            groups.push(vec![plan]);
        }
    }
    groups
}

/// Whether the wanted manifest is the one that the host has.
fn is_in_force(plan: &HostPlan) -> bool {
    plan.from == Some(plan.to)
}

fn same(one: &HostPlan, other: &HostPlan) -> bool {
    one.components == other.components && one.notes == other.notes && one.drift == other.drift
}

fn heading(group: &[&HostPlan]) -> String {
    let names: Vec<_> = group.iter().map(|plan| plan.host.as_str()).collect();
    let first = group[0];
    let what = match (first.settled, first.components.len()) {
        (true, _) => "nothing to do".to_owned(),
        (false, 0) if is_in_force(first) && !first.drift.is_none() => {
            format!("{}, in a release of its own", to_put_right(&first.drift))
        }
        (false, 0) if is_in_force(first) => "a release to finish".to_owned(),
        (false, 0) => "the same files and steps in another order".to_owned(),
        (false, changed) if first.from.is_none() && !first.drift.is_none() => {
            format!("what it had cannot be read any more, {}", plural(changed, "component"))
        }
        (false, changed) if first.from.is_none() => {
            format!("first release, {}", plural(changed, "component"))
        }
        (false, changed) => format!("{} to change", plural(changed, "component")),
    };
    format!("{HEADING}{}:{HEADING:#} {what}{}", hosts(&names), transfer(group))
}

/// How many files are put back, and how many folders are made again without what was in them.
fn to_put_right(drift: &Drift) -> String {
    let (lost, others) = (drift::lost(drift).len(), drift::without_lost(drift));
    let again = (lost > 0).then(|| format!("{} to make again", plural(lost, "folder")));
    let back = (!others.is_none()).then(|| format!("{} to put back", drift::count(&others)));
    back.into_iter().chain(again).collect::<Vec<_>>().join(" and ")
}

fn transfer(group: &[&HostPlan]) -> String {
    let total = group.iter().fold(Transfer::default(), |total, plan| Transfer {
        objects: total.objects.saturating_add(plan.missing.objects),
        bytes: total.bytes.saturating_add(plan.missing.bytes),
    });
    if total.objects == 0 {
        return String::new();
    }
    let all = if group.len() > 1 { " in all" } else { "" };
    let objects = plural(usize::try_from(total.objects).unwrap_or(usize::MAX), "object").to_string();
    format!(", {objects} ({}) to send{all}", bytes(total.bytes))
}

fn component_lines(component: &ComponentPlan, detail: Diff, everything: bool, lines: &mut Vec<String>) {
    let whole = component.change != Change::Changed;
    let count = if whole { format!(" ({})", plural(component.files.len(), "file")) } else { String::new() };
    lines.push(format!("  {} {}{count}", sign(component.change), visible_name(&component.component)));
    if component.incomparable {
        lines.push(format!("      {DIM}what it replaces is not in the local store{DIM:#}"));
    }
    if detail != Diff::None {
        let shown = if whole && !everything { LISTED } else { usize::MAX };
        for file in component.files.iter().take(shown) {
            file_lines(file, whole, detail, lines);
        }
        if component.files.len() > shown {
            lines.push(format!(
                "      {DIM}and {} more (-v names them){DIM:#}",
                component.files.len() - shown
            ));
        }
    }
    for unit in &component.units {
        let (why, by) = (because(&unit.because), of(unit.by.as_ref()));
        lines.push(format!("      runs {} {}{by}{why}", unit.kind, visible_name(&unit.name)));
    }
}

fn file_lines(file: &FilePlan, whole: bool, detail: Diff, lines: &mut Vec<String>) {
    let mode = file.mode.map(|(old, new)| format!(", mode {:04o} -> {:04o}", old.bits(), new.bits()));
    let content = match &file.content {
        ContentPlan::Sizes(Some(old), Some(new)) => format!(", {} -> {}", bytes(*old), bytes(*new)),
        ContentPlan::Sizes(Some(one), None) | ContentPlan::Sizes(None, Some(one)) if !whole => {
            format!(", {}", bytes(*one))
        }
        ContentPlan::Kinds(old, new) => kinds(old.as_deref(), new.as_deref()),
        _ => String::new(),
    };
    let why = because(&file.causes);
    let by = of(file.by.as_ref());
    let (sign, path) = (sign(file.change), visible_name(&file.path));
    let line = format!("      {sign} {path}{}{content}{by}{why}", mode.unwrap_or_default());
    lines.push(line);
    if let (Diff::Full, ContentPlan::Diff(diff)) = (detail, &file.content) {
        lines.extend(diff.lines().map(diff_line));
    }
}

/// The sub-component that declares it, in words.
fn of(by: Option<&String>) -> String {
    by.map(|by| format!("  {DIM}of {}{DIM:#}", visible_name(by))).unwrap_or_default()
}

fn because(causes: &[String]) -> String {
    let causes: Vec<_> = causes.iter().map(|cause| visible_name(cause)).collect();
    match &causes[..] {
        [] => String::new(),
        causes => format!("  {DIM}because {} changed{DIM:#}", causes.join(", ")),
    }
}

fn kinds(old: Option<&str>, new: Option<&str>) -> String {
    match (old, new) {
        (Some(old), Some(new)) => format!(", {} -> {}", visible_name(old), visible_name(new)),
        (Some(one), None) | (None, Some(one)) => format!(", {}", visible_name(one)),
        (None, None) => String::new(),
    }
}

fn diff_line(line: &str) -> String {
    let style = match line.as_bytes().first() {
        Some(b'+') => ADDED,
        Some(b'-') => REMOVED,
        Some(b'@') => DIM,
        _ => anstyle::Style::new(),
    };
    format!("        {style}{}{style:#}", visible(line))
}

fn sign(change: Change) -> String {
    let (style, sign) = match change {
        Change::Added => (ADDED, '+'),
        Change::Changed => (CHANGED, '~'),
        Change::Removed => (REMOVED, '-'),
    };
    format!("{style}{sign}{style:#}")
}

/// Host names on one line, with long runs as a pattern: `web{01..12}, db01`.
pub fn hosts(names: &[&str]) -> String {
    let mut shown = Vec::new();
    let mut rest = names;
    while let Some(first) = rest.first() {
        let run = run_length(rest);
        match (numbered(first), numbered(rest[run - 1])) {
            (Some((stem, from)), Some((_, to))) if run >= RANGE => {
                shown.push(format!("{}{{{from}..{to}}}", visible_name(stem)));
                rest = &rest[run..];
            }
            _ => {
                shown.push(visible_name(first));
                rest = &rest[1..];
            }
        }
    }
    shown.join(", ")
}

/// How many names, starting with the first, count up by one, with numbers of the same width.
fn run_length(names: &[&str]) -> usize {
    let follows = |pair: &[&str]| {
        let (Some((stem, number)), Some((next_stem, next))) = (numbered(pair[0]), numbered(pair[1])) else {
            return false;
        };
        let value = |digits: &str| digits.parse::<u64>().ok();
        stem == next_stem
            && number.len() == next.len()
            && value(number).and_then(|value| value.checked_add(1)) == value(next)
            && value(next).is_some()
    };
    1 + names.windows(2).take_while(|pair| follows(pair)).count()
}

/// A name and the digits at its end, if it has any.
fn numbered(name: &str) -> Option<(&str, &str)> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    (digits > 0).then(|| name.split_at(name.len() - digits))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use batou_release::UnitKind;
    use batou_store::{Digest, Mode};

    use super::*;
    use crate::plan::UnitPlan;

    fn file(path: &str, change: Change, content: ContentPlan) -> FilePlan {
        FilePlan { path: path.to_owned(), change, content, mode: None, by: None, causes: Vec::new() }
    }

    fn host(name: &str) -> HostPlan {
        let mut script =
            file("tick.sh", Change::Changed, ContentPlan::Diff("@@ -1 +1 @@\n-1\n+2\x1b\n".to_owned()));
        script.by = Some("Cron > Script".to_owned());
        script.causes = vec!["attribute tick.sleep".to_owned()];
        script.mode = Some((Mode::PLAIN, Mode::EXECUTABLE));
        let tick = ComponentPlan {
            component: "tick".to_owned(),
            change: Change::Changed,
            files: vec![script, file("logo", Change::Changed, ContentPlan::Sizes(Some(10), Some(2048)))],
            units: vec![UnitPlan {
                kind: UnitKind::Step,
                name: "touch".to_owned(),
                because: vec!["etc/".to_owned(), "resource:db".to_owned()],
                by: Some("Cron > Job".to_owned()),
            }],
            incomparable: false,
        };
        let old = ComponentPlan {
            component: "old".to_owned(),
            change: Change::Removed,
            files: vec![file("a", Change::Removed, ContentPlan::Sizes(Some(1), None))],
            units: Vec::new(),
            incomparable: false,
        };
        HostPlan {
            host: name.parse().unwrap(),
            from: Some(Digest::of(b"from")),
            to: Digest::of(name.as_bytes()),
            missing: Transfer { objects: 2, bytes: 1024 },
            components: vec![tick, old],
            settled: false,
            asked: true,
            drift: Drift::default(),
            notes: Vec::new(),
        }
    }

    fn plain(plans: &[HostPlan], detail: Diff) -> String {
        let lines = text(plans, detail, false).join("\n");
        String::from_utf8(anstream::adapter::strip_bytes(lines.as_bytes()).into_vec()).unwrap()
    }

    #[test]
    fn hosts_with_the_same_changes_are_shown_once() {
        let mut settled = host("db01");
        settled.components.clear();
        settled.settled = true;
        let plans = [host("web01"), settled, host("web02")];
        insta::assert_snapshot!(plain(&plans, Diff::Full), @r"
        web01, web02: 2 components to change, 4 objects (2.0 KiB) to send in all
          ~ tick
              ~ tick.sh, mode 0444 -> 0555  of Cron > Script  because attribute tick.sleep changed
                @@ -1 +1 @@
                -1
                +2^[
              ~ logo, 10 B -> 2.0 KiB
              runs step touch  of Cron > Job  because etc/, resource:db changed
          - old (1 file)
              - a

        db01: nothing to do
        ");
    }

    #[test]
    fn less_detail_is_less() {
        insta::assert_snapshot!(plain(&[host("web01")], Diff::Short), @r"
        web01: 2 components to change, 2 objects (1.0 KiB) to send
          ~ tick
              ~ tick.sh, mode 0444 -> 0555  of Cron > Script  because attribute tick.sleep changed
              ~ logo, 10 B -> 2.0 KiB
              runs step touch  of Cron > Job  because etc/, resource:db changed
          - old (1 file)
              - a
        ");
        insta::assert_snapshot!(plain(&[host("web01")], Diff::None), @r"
        web01: 2 components to change, 2 objects (1.0 KiB) to send
          ~ tick
              runs step touch  of Cron > Job  because etc/, resource:db changed
          - old (1 file)
        ");
    }

    #[test]
    fn without_changes_it_is_told_what_is_left_to_do() {
        let mut unfinished = host("a");
        unfinished.components.clear();
        unfinished.missing = Transfer::default();
        let mut reordered = unfinished.clone();
        reordered.host = "b".parse().unwrap();
        unfinished.from = Some(unfinished.to);
        let text = plain(&[unfinished, reordered], Diff::Full);
        assert_eq!(text, "a: a release to finish\n\nb: the same files and steps in another order");
    }

    #[test]
    fn runs_of_names_are_ranges() {
        assert_eq!(hosts(&["a", "web09", "web10", "web11", "web12", "x1"]), "a, web{09..12}, x1");
        assert_eq!(hosts(&["web1", "web2", "web3"]), "web1, web2, web3");
        assert_eq!(hosts(&["web8", "web9", "web10", "web11"]), "web8, web9, web10, web11");
        assert_eq!(hosts(&["99999999999999999999", "x"]), "99999999999999999999, x");
    }

    #[test]
    fn json_has_one_object_a_host() {
        let line = serde_json::to_value(line(&host("web01"))).unwrap();
        assert_eq!(line["type"], "plan");
        assert_eq!(line["components"][0]["files"][0]["diff"], "@@ -1 +1 @@\n-1\n+2\x1b\n");
        assert_eq!(line["components"][0]["files"][1]["sizes"][1], 2048);
    }
}
