//! The report of an import: a summary, and line by line as CSV.

use std::{collections::BTreeMap, path::Path};

use pool_shared::{GeminiKey, KeyFile, KeyImportReport, KeyVerdict};
use serde::Serialize;

use crate::{
    error::{CliError, Outcome},
    key_check::{summary, verdict_name},
    output::{Sheet, Table, View},
};

/// Maximum number of invalid lines in the summary; JSON has all of them.
const MAX_SHOWN: usize = 20;

/// The results of the checks.
#[derive(Debug, Default, Serialize)]
pub struct Probed {
    /// Number of keys by verdict.
    pub verdicts: BTreeMap<KeyVerdict, u64>,
    /// Rejected keys.
    pub refused: Vec<Refused>,
}

/// A rejected key.
#[derive(Debug, Serialize)]
pub struct Refused {
    /// The line of the file.
    pub line: u64,
    /// First and last four characters.
    pub masked: String,
    /// The verdict.
    pub verdict: KeyVerdict,
    /// Gemini's error message, without secrets.
    pub message: String,
}

/// Adds the duplicates and invalid lines that were found in the file.
pub fn add_local(report: &mut KeyImportReport, file: &KeyFile) {
    report.duplicate += file.duplicate;
    report.malformed.extend(file.malformed.iter().cloned());
    report.malformed.sort_by_key(|entry| entry.line);
}

/// Returns [`Outcome::Partial`] if there are invalid lines; duplicates are ignored.
pub fn outcome(report: &KeyImportReport) -> Outcome {
    if report.malformed.is_empty() { Outcome::Done } else { Outcome::Partial }
}

/// Renders the report.
fn human(report: &KeyImportReport, view: &View) -> Sheet {
    let malformed = report.malformed.len();
    let counts = Table::pairs([
        ("added", view.count(report.added).into()),
        ("duplicate", view.count(report.duplicate).into()),
        ("invalid", view.count(malformed as u64).into()),
    ]);
    let mut lines = Vec::new();
    for entry in report.malformed.iter().take(MAX_SHOWN) {
        lines.push(format!("  {} {}", view.bad(&format!("line {}:", entry.line)), entry.reason));
    }
    if malformed > MAX_SHOWN {
        lines.push(format!("  ... and {} more", view.count((malformed - MAX_SHOWN) as u64)));
    }
    if !report.no_longer_accepted.is_empty() {
        lines.push(format!(
            "  {} stored keys that are no longer accepted, because they contain more than a key: {}",
            view.bad("warning:"),
            report.no_longer_accepted.join(", ")
        ));
    }
    for (pool, keys) in &report.also_in {
        let (keys, verb) =
            if *keys == 1 { ("1 key".to_owned(), "is") } else { (format!("{keys} keys"), "are") };
        lines.push(format!("  {keys} {verb} also in pool {pool}"));
    }
    Sheet::from(counts).text(lines.join("\n"))
}

/// Renders the report with the results of the checks.
pub fn with_checks(report: &KeyImportReport, probed: Option<&Probed>, view: &View) -> Sheet {
    let sheet = human(report, view);
    match probed {
        None => sheet,
        Some(probed) => {
            sheet.text(format!("checked: {}", summary(&probed.verdicts))).text(refused(&probed.refused, view))
        }
    }
}

/// Renders the rejected keys.
pub fn refused(refused: &[Refused], view: &View) -> String {
    let mut lines: Vec<_> = refused
        .iter()
        .take(MAX_SHOWN)
        .map(|key| {
            let line = view.bad(&format!("line {}:", key.line));
            format!("  {line} {} {}, skipped: {}", key.masked, verdict_name(key.verdict), key.message)
        })
        .collect();
    if refused.len() > MAX_SHOWN {
        lines.push(format!("  ... and {} more", view.count((refused.len() - MAX_SHOWN) as u64)));
    }
    lines.join("\n")
}

/// The result of each line of a key file, for `--report`.
pub struct LineReport(BTreeMap<u64, Line>);

#[derive(Default)]
struct Line {
    masked: String,
    outcome: &'static str,
    verdict: &'static str,
    message: String,
}

impl LineReport {
    /// Creates the report of a file before any request.
    pub fn of(file: &KeyFile) -> Self {
        let mut lines: BTreeMap<u64, Line> = BTreeMap::new();
        for line in &file.duplicate_lines {
            lines.insert(
                *line,
                Line { outcome: "duplicate", message: "duplicate in the file".into(), ..Line::default() },
            );
        }
        for entry in &file.malformed {
            lines.insert(
                entry.line,
                Line { outcome: "malformed", message: entry.reason.clone(), ..Line::default() },
            );
        }
        for entry in &file.entries {
            let masked = GeminiKey::parse(entry.key.expose()).map(|key| key.masked()).unwrap_or_default();
            lines.insert(
                entry.line.unwrap_or_default(),
                Line { masked, outcome: "not_sent", ..Line::default() },
            );
        }
        Self(lines)
    }

    /// Returns the number of invalid lines.
    pub fn malformed(&self) -> usize {
        self.0.values().filter(|line| line.outcome == "malformed").count()
    }

    /// Sets the result of a line's check.
    pub fn checked(&mut self, line: u64, verdict: &'static str, message: &str) {
        if let Some(line) = self.0.get_mut(&line) {
            line.verdict = verdict;
            message.clone_into(&mut line.message);
        }
    }

    /// These lines were sent in one request, which had this report. The service counts a request's
    /// keys and does not say which of them were there, unless all were or none was.
    pub fn sent(&mut self, lines: &[u64], report: &KeyImportReport) {
        let outcome = match (report.added, report.duplicate) {
            (_, 0) => "added",
            (0, _) => "duplicate",
            _ => "added_or_duplicate",
        };
        for line in lines {
            if let Some(line) = self.0.get_mut(line) {
                line.outcome = outcome;
            }
        }
        for entry in &report.malformed {
            let line = self.0.entry(entry.line).or_default();
            line.outcome = "malformed";
            line.message.clone_from(&entry.reason);
        }
    }

    /// Writes the report as CSV: `line,key,outcome,verdict,message`.
    pub fn write(&self, path: &Path) -> Result<(), CliError> {
        let write = || -> Result<(), csv::Error> {
            let mut writer = csv::Writer::from_path(path)?;
            writer.write_record(["line", "key", "outcome", "verdict", "message"])?;
            for (number, Line { masked, outcome, verdict, message }) in &self.0 {
                writer.write_record([number.to_string().as_str(), masked, outcome, verdict, message])?;
            }
            Ok(writer.flush()?)
        };
        write().map_err(|error| CliError::file("write", path, &error))
    }
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
            ..KeyImportReport::default()
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
