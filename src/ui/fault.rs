//! What is wrong with the files in which hosts keep what they know about their releases, in words.

use batou_agent::protocol::RecordFault;

/// What is wrong with a record of a host, on which this generation is in force.
pub fn problem(fault: RecordFault, generation: Option<u64>) -> String {
    let although = generation.map_or_else(
        || "although it has had releases".to_owned(),
        |number| format!("although generation {number} is in force"),
    );
    match fault {
        RecordFault::JournalMissing => format!("its journal is missing, {although}"),
        RecordFault::JournalEmpty => format!("its journal is empty, {although}"),
        RecordFault::JournalUnreadable { line } => {
            format!("its journal cannot be read from line {line} on, {although}")
        }
        RecordFault::JournalSilent => format!("its journal tells of no release that was kept, {although}"),
        RecordFault::JournalOlder { sequence } => format!(
            "its journal is an older copy: it ends with release {sequence}, and a newer one is in force{}",
            generation.map_or(String::new(), |number| format!(" (generation {number})"))
        ),
        RecordFault::Manifest => match generation {
            Some(number) => {
                format!(
                    "the file generations/{number}/manifest.json, which is in force, is damaged or missing"
                )
            }
            None => "the manifest that is in force is damaged or missing".to_owned(),
        },
        RecordFault::Running => {
            "the file running.json, which says what an interrupted release left running, is damaged"
                .to_owned()
        }
        RecordFault::Intent => {
            "the file intent.json, which says which release was interrupted, is damaged".to_owned()
        }
        RecordFault::Activated => {
            "the file activated.json, which says which steps have run, is damaged".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_what_is_in_force() {
        assert_eq!(
            problem(RecordFault::JournalMissing, Some(12)),
            "its journal is missing, although generation 12 is in force"
        );
        assert_eq!(
            problem(RecordFault::JournalEmpty, None),
            "its journal is empty, although it has had releases"
        );
        assert_eq!(
            problem(RecordFault::JournalOlder { sequence: 3 }, Some(5)),
            "its journal is an older copy: it ends with release 3, and a newer one is in force (generation 5)"
        );
    }
}
