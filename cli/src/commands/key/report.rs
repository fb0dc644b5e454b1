//! What became of an import.

use pool_shared::{KeyFile, KeyImportReport};

use crate::{
    error::Outcome,
    output::{Sheet, Table, View},
};

/// So many malformed lines are shown to a person; JSON has all of them.
const SHOWN: usize = 20;

/// Adds what was found in the file already, before anything was sent.
pub fn add_local(report: &mut KeyImportReport, file: &KeyFile) {
    report.duplicate += file.duplicate;
    report.malformed.extend(file.malformed.iter().cloned());
    report.malformed.sort_by_key(|entry| entry.line);
}

/// Lines that are not keys make an import a partial one; duplicates do not.
pub fn outcome(report: &KeyImportReport) -> Outcome {
    if report.malformed.is_empty() { Outcome::Done } else { Outcome::Partial }
}

/// The report for a person.
pub fn human(report: &KeyImportReport, view: &View) -> Sheet {
    let malformed = report.malformed.len();
    let counts = Table::pairs([
        ("added", view.count(report.added).into()),
        ("duplicate", view.count(report.duplicate).into()),
        ("malformed", view.count(malformed as u64).into()),
    ]);
    let mut lines = Vec::new();
    for entry in report.malformed.iter().take(SHOWN) {
        lines.push(format!("  {} {}", view.bad(&format!("line {}:", entry.line)), entry.reason));
    }
    if malformed > SHOWN {
        lines.push(format!("  ... and {} more", view.count((malformed - SHOWN) as u64)));
    }
    Sheet::from(counts).text(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use pool_shared::{MalformedEntry, parse_key_file};

    use super::*;

    #[test]
    fn local_findings_join_the_service_s_by_line() {
        let mut report = KeyImportReport {
            added: 1,
            duplicate: 2,
            malformed: vec![MalformedEntry { line: 2, reason: "said the service".into() }],
        };
        let key = "AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        add_local(&mut report, &parse_key_file(&format!("x\n{key}\n{key}\ny")));
        assert_eq!(report.duplicate, 3);
        assert_eq!(report.malformed.iter().map(|entry| entry.line).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(outcome(&report), Outcome::Partial);
    }

    #[test]
    fn a_person_sees_the_first_lines_and_a_count() {
        let malformed = (1..=25).map(|line| MalformedEntry { line, reason: "bad".into() }).collect();
        let view = View::new(false, false);
        let text = human(&KeyImportReport { malformed, ..Default::default() }, &view).render(&view);
        assert!(text.contains("line 20: bad") && !text.contains("line 21:"), "{text}");
        assert!(text.ends_with("... and 5 more"));
    }
}
