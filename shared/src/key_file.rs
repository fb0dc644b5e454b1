//! Reading a file of keys, as people keep them.
//!
//! One key a line, or several with separators between them (comma, semicolon, tab, `|`); blank lines and comments
//! are passed over. A line may have columns: `key,weight,tag,name`, or those that a first line names. Which of the two a
//! line is follows from its second field: a whole number or nothing makes it a weight, anything else a key. A text
//! that begins with `[` or `{` is JSON. What is around a key is no part of it ([`read_key`]).

use std::collections::HashSet;

use crate::key_json::ParsedEntry;
use crate::key_text::{is_masked, is_space};
use crate::{GeminiKey, KeyImportEntry, Limits, MalformedEntry, Secret, Weight, key_json, read_key};

/// What a key file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFile {
    /// The keys to import, each once, with the line each is on.
    pub entries: Vec<KeyImportEntry>,
    /// Keys that the file names more than once, beyond the first time.
    pub duplicate: u64,
    /// The lines on which those are.
    pub duplicate_lines: Vec<u64>,
    /// Lines that are not keys.
    pub malformed: Vec<MalformedEntry>,
    /// What is unusual about the file and was understood all the same.
    pub note: Option<&'static str>,
}

/// Reads the text of a key file. It never fails: every line becomes an entry, a duplicate, or a
/// malformed line with its number.
#[must_use]
pub fn parse_key_file(text: &str) -> KeyFile {
    let text = text.trim_start_matches('\u{feff}');
    let mut file = KeyFile::default();
    let mut seen = HashSet::new();
    let begins_like_json = text.trim_start_matches(is_space).starts_with(['[', '{']);
    let found = if text.contains("-----BEGIN ") {
        let reason = "a private key or certificate (PEM), not API keys".to_owned();
        vec![Err(MalformedEntry { line: 1, reason })]
    } else if begins_like_json {
        key_json::read(text)
    } else {
        if text.replace("\r\n", "\n").contains('\r') {
            file.note = Some("its lines end with a lone CR, as on old Macs: they were read as lines");
        }
        read_lines(text)
    };
    for found in found {
        match found {
            Ok(entry) if seen.insert(entry.key.expose().to_owned()) => file.entries.push(entry),
            Ok(entry) => {
                file.duplicate += 1;
                file.duplicate_lines.push(entry.line.unwrap_or_default());
            }
            Err(malformed) => file.malformed.push(malformed),
        }
    }
    file
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Key,
    Weight,
    Tag,
    Name,
    Project,
    BillingAccount,
    /// Something else, which is left out.
    Other,
}

const USUAL: &[Column] = &[Column::Key, Column::Weight, Column::Tag, Column::Name];

fn read_lines(text: &str) -> Vec<ParsedEntry> {
    let mut found = Vec::new();
    let mut header: Option<Vec<Column>> = None;
    let mut is_first = true;
    for (line, content) in (1_u64..).zip(lines(text)) {
        let content = content.trim_matches(is_space);
        if says_nothing(content) {
            continue;
        }
        if std::mem::take(&mut is_first) {
            header = header_of(content);
            if header.is_some() {
                continue;
            }
        }
        for entry in parse_line(content, header.as_deref()) {
            found.push(match entry {
                Ok(entry) => Ok(KeyImportEntry { line: Some(line), ..entry }),
                Err(reason) => Err(MalformedEntry { line, reason }),
            });
        }
    }
    found
}

/// Returns the lines of a text, however they end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Blank lines, comments, the fences of a code block, brackets alone, and `name:` or `name = [` before a list.
fn says_nothing(line: &str) -> bool {
    let opens_a_list = || {
        let opening = line.trim_end_matches(['[', '(', '{', '|', '>', ' ']);
        let name = opening.trim_end_matches([' ', '=', ':']);
        let is_name =
            name.chars().all(|character| character.is_ascii_alphanumeric() || "_.-\"' $".contains(character));
        (opening.len() < line.len() && opening.ends_with(['=', ':']) || line.ends_with(':')) && is_name
    };
    ["#", "//", "```"].iter().any(|start| line.starts_with(start))
        || !(line.contains(char::is_alphanumeric) || is_masked(line))
        || opens_a_list()
}

/// Returns the columns that a line names; `None` where it is no header.
fn header_of(line: &str) -> Option<Vec<Column>> {
    let fields = fields(line, separator(line));
    let columns: Vec<_> = fields.iter().map(|field| column(field)).collect();
    let is_header = columns.contains(&Column::Key)
        && fields.iter().all(|field| field.chars().count() < 20 && !field.contains(['=', ':']));
    is_header.then_some(columns)
}

fn column(name: &str) -> Column {
    let name = name.trim_matches(|character: char| is_space(character) || "\"'`".contains(character));
    let name = name.to_lowercase().replace([' ', '-'], "_");
    match name.as_str() {
        "key" | "keys" | "api_key" | "apikey" | "gemini_key" | "gemini_api_key" | "google_api_key"
        | "keystring" => Column::Key,
        "weight" => Column::Weight,
        "tag" => Column::Tag,
        "name" => Column::Name,
        "project" => Column::Project,
        "billing_account" | "billing" => Column::BillingAccount,
        _ => Column::Other,
    }
}

fn parse_line(line: &str, header: Option<&[Column]>) -> Vec<Result<KeyImportEntry, String>> {
    let line = without_list_mark(line);
    if let Some(words) = shell_array(line) {
        return words.split_whitespace().map(entry).collect();
    }
    let separator = separator(line);
    let fields = fields(line, separator);
    if let Some(columns) = header.filter(|columns| columns.len() > 1) {
        return vec![parse_columns(&fields, columns)];
    }
    let has_columns = fields.len() > 1
        && fields.get(1).is_some_and(|field| {
            (field.is_empty() && fields.len() > 2) || field.bytes().all(is_number) && !field.is_empty()
        });
    if has_columns {
        return vec![parse_columns(&fields, USUAL)];
    }
    let parts = fields.iter().flat_map(|field| field.split(SEPARATORS));
    parts.filter(|part| part.contains(char::is_alphanumeric) || is_masked(part)).map(entry).collect()
}

fn is_number(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'-' || byte == b'.'
}

/// `- key`, `* key`, `1. key`, `> key`: a line of a list.
fn without_list_mark(line: &str) -> &str {
    let mut line = line;
    loop {
        let numbered = line.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let numbered = if numbered.len() < line.len() { numbered.strip_prefix(['.', ')']) } else { None };
        let marked = line.strip_prefix(['-', '*', '+', '\u{2022}', '>']).or(numbered);
        match marked.filter(|rest| rest.starts_with(is_space)) {
            Some(rest) => line = rest.trim_start_matches(is_space),
            None => return line,
        }
    }
}

/// Returns what is between the brackets of `KEYS=(a b)`.
fn shell_array(line: &str) -> Option<&str> {
    let (_, words) = line.split_once("=(")?;
    words.trim_end_matches([';', ' ']).strip_suffix(')')
}

/// What may be between keys; the last ones are those of Chinese keyboards.
const SEPARATORS: &[char] = &[',', ';', '\t', '|', '\u{ff0c}', '\u{ff1b}', '\u{3001}'];

/// Returns what separates the fields of a line: whichever comes first.
fn separator(line: &str) -> char {
    line.trim_matches('|').chars().find(|character| SEPARATORS.contains(character)).unwrap_or(',')
}

/// Returns the fields of a line, by the rules of CSV: what is in double quotes is one field, `""` in it one quote.
fn fields(line: &str, separator: char) -> Vec<String> {
    let mut fields = Vec::new();
    // A row of a table in Markdown has separators at its ends.
    let mut rest = if separator == '|' { line.trim_matches('|') } else { line };
    loop {
        let (field, after) = match quoted_field(rest, separator) {
            Some(quoted) => quoted,
            None => match rest.split_once(separator) {
                Some((field, after)) => (field.trim_matches(is_space).to_owned(), Some(after)),
                None => (rest.trim_matches(is_space).to_owned(), None),
            },
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return fields,
        }
    }
}

/// Returns a field in double quotes that reaches up to a separator or to the end, and what comes after it.
fn quoted_field(rest: &str, separator: char) -> Option<(String, Option<&str>)> {
    let mut inside = rest.trim_start_matches(is_space).strip_prefix('"')?;
    let mut field = String::new();
    loop {
        let (part, after) = inside.split_once('"')?;
        field.push_str(part);
        if let Some(more) = after.strip_prefix('"') {
            field.push('"');
            inside = more;
            continue;
        }
        // A tab is a space, too.
        let after = after.trim_start_matches(|character| character != separator && is_space(character));
        if after.is_empty() {
            return Some((field, None));
        }
        return after.strip_prefix(separator).map(|after| (field, Some(after)));
    }
}

fn parse_columns(fields: &[String], columns: &[Column]) -> Result<KeyImportEntry, String> {
    if fields.len() > columns.len() {
        let most = columns.len();
        return Err(format!(
            "{} columns, at most {most} expected (such as key,weight,tag,name)",
            fields.len()
        ));
    }
    let get = |wanted: Column| {
        let place = columns.iter().position(|column| *column == wanted)?;
        fields.get(place).map(|field| (place + 1, field.as_str()))
    };
    let weight = match get(Column::Weight) {
        None | Some((_, "")) => Weight::default(),
        Some((place, text)) => text.parse().map_err(|error| format!("column {place}: {error}"))?,
    };
    let label = |column| get(column).map(|(_, text)| text.to_owned()).unwrap_or_default();
    let key = get(Column::Key).map(|(_, text)| text).unwrap_or_default();
    Ok(KeyImportEntry {
        weight,
        tag: label(Column::Tag),
        name: label(Column::Name),
        project: label(Column::Project),
        billing_account: label(Column::BillingAccount),
        ..entry(key)?
    })
}

fn entry(text: &str) -> Result<KeyImportEntry, String> {
    read_key(text).map(|key| KeyImportEntry::of(&key)).map_err(|error| error.to_string())
}

impl KeyImportEntry {
    /// Returns an entry for a key of which nothing else is known.
    #[must_use]
    pub fn of(key: &GeminiKey) -> Self {
        Self {
            key: Secret::new(key.expose()),
            line: None,
            weight: Weight::default(),
            tag: String::new(),
            name: String::new(),
            project: String::new(),
            billing_account: String::new(),
            limits: Limits::default(),
        }
    }
}

#[cfg(test)]
mod tests;
