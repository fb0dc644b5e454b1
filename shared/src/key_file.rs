//! Reading a file of keys, as people keep them.
//!
//! One key a line, or several separated by commas; blank lines and lines that start with `#` are
//! passed over. A line may name columns: `key,weight,tag,name`. Which of the two a line with commas
//! is follows from its second field: a whole number or nothing makes it a weight, anything else a key.

use std::collections::HashSet;

use crate::{GeminiKey, KeyImportEntry, Limits, MalformedEntry, Secret, Weight};

/// What a key file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFile {
    /// The keys to import, each once, with the line each stands on.
    pub entries: Vec<KeyImportEntry>,
    /// Keys that the file names more than once, beyond the first time.
    pub duplicate: u64,
    /// The lines on which those stand.
    pub duplicate_lines: Vec<u64>,
    /// Lines that are not keys.
    pub malformed: Vec<MalformedEntry>,
}

/// Reads the text of a key file. It never fails: every line becomes an entry, a duplicate, or a
/// malformed line with its number.
#[must_use]
pub fn parse_key_file(text: &str) -> KeyFile {
    let mut file = KeyFile::default();
    let mut seen = HashSet::new();
    for (line, content) in (1_u64..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        for entry in parse_line(content) {
            match entry {
                Ok(entry) if seen.insert(entry.key.expose().to_owned()) => {
                    file.entries.push(KeyImportEntry { line: Some(line), ..entry });
                }
                Ok(_) => {
                    file.duplicate += 1;
                    file.duplicate_lines.push(line);
                }
                Err(reason) => file.malformed.push(MalformedEntry { line, reason }),
            }
        }
    }
    file
}

fn parse_line(line: &str) -> Vec<Result<KeyImportEntry, String>> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let has_columns = fields.len() > 1
        && fields.get(1).is_some_and(|field| {
            (field.is_empty() && fields.len() > 2) || field.bytes().all(is_number) && !field.is_empty()
        });
    if has_columns {
        return vec![parse_columns(&fields)];
    }
    fields.into_iter().filter(|field| !field.is_empty()).map(entry).collect()
}

fn is_number(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'-' || byte == b'.'
}

fn parse_columns(fields: &[&str]) -> Result<KeyImportEntry, String> {
    let column = |index: usize| fields.get(index).copied().unwrap_or_default();
    if fields.len() > 4 {
        return Err(format!("{} columns, at most key,weight,tag,name expected", fields.len()));
    }
    let weight = match column(1) {
        "" => Weight::default(),
        text => text.parse().map_err(|error| format!("column 2: {error}"))?,
    };
    let tag = column(2).to_owned();
    let name = column(3).to_owned();
    Ok(KeyImportEntry { weight, tag, name, ..entry(column(0))? })
}

fn entry(text: &str) -> Result<KeyImportEntry, String> {
    let key = GeminiKey::parse(text).map_err(|error| error.to_string())?;
    Ok(KeyImportEntry {
        key: Secret::new(key.expose()),
        line: None,
        weight: Weight::default(),
        tag: String::new(),
        name: String::new(),
        project: String::new(),
        limits: Limits::default(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "AQ.Ab8RN6I-bbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn keys_come_by_line_or_by_comma_with_comments_and_blanks() {
        let file = parse_key_file(&format!("\u{feff}# mine\r\n\r\n  {A}  \n{B}, {A},\n"));
        let keys: Vec<_> = file.entries.iter().map(|entry| (entry.key.expose(), entry.line)).collect();
        assert_eq!(keys, [(A, Some(3)), (B, Some(4))]);
        assert_eq!((file.duplicate, file.malformed.len()), (1, 0));
        assert_eq!(file.duplicate_lines, [4]);
    }

    #[test]
    fn columns_give_weight_tag_and_name() {
        let file = parse_key_file(&format!("{A},3,project-1,laptop\n{B},,project-2"));
        assert_eq!(file.entries[0].weight.get(), 3);
        assert_eq!(file.entries[0].tag, "project-1");
        assert_eq!(file.entries[0].name, "laptop");
        assert_eq!((file.entries[1].weight.get(), file.entries[1].tag.as_str()), (1, "project-2"));
    }

    #[test]
    fn bad_lines_are_reported_by_number_and_lose_nothing() {
        let file = parse_key_file(&format!("short\n{A}\n{B},9999\n{B},-1\n{B}"));
        assert_eq!(file.entries.len(), 2);
        let lines: Vec<_> = file.malformed.iter().map(|entry| entry.line).collect();
        assert_eq!(lines, [1, 3, 4]);
        assert!(file.malformed[1].reason.contains("0 to 1000"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_no_reason_repeats_a_field(text in "[ -~\n,#é]{0,200}") {
            let file = parse_key_file(&text);
            for entry in &file.entries {
                prop_assert!(GeminiKey::parse(entry.key.expose()).is_ok());
            }
        }
    }
}
