//! Output formats, and the text of a result in the machine-readable ones.

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::{Sheet, Table};

/// Output format; see `poolctl help formats`.
// The variants have no doc comments, because clap would add them to every command's help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Jsonl,
    Yaml,
    Csv,
    Name,
}

impl Format {
    /// Returns `true` for the table formats, which also get notes about next steps.
    pub fn is_human(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }

    /// Returns `true` if errors and warnings are JSON objects too.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }

    /// Returns the name on the command line and in `POOLCTL_OUTPUT`.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Returns one compact document per line: the elements of the list in the sheet's table, else the
/// whole document.
pub(super) fn jsonl(value: &Value, sheet: &Sheet) -> String {
    let list = sheet.main().and_then(Table::field).and_then(|field| value.get(field));
    match list {
        Some(Value::Array(elements)) => elements.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
        _ => value.to_string(),
    }
}

/// Returns the sheet's table as CSV, else the document's fields as one row.
pub(super) fn csv(value: &Value, sheet: &Sheet) -> Result<String, csv::Error> {
    let (header, rows) = if let Some(table) = sheet.main() {
        table.data()
    } else {
        let mut fields = Vec::new();
        flatten(value, String::new(), &mut fields);
        let (header, row) = fields.into_iter().unzip();
        (Some(header), vec![row])
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    if let Some(header) = header {
        writer.write_record(header)?;
    }
    for row in rows {
        writer.write_record(row)?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the names: the first column of the sheet's table, else the document's first field with a
/// name or id.
pub(super) fn names(value: &Value, sheet: &Sheet) -> String {
    if let Some(name) = sheet.name() {
        return name.to_owned();
    }
    if let Some(table) = sheet.main() {
        return table.first_column().join("\n");
    }
    let mut fields = Vec::new();
    flatten(value, String::new(), &mut fields);
    let named = |name: &str| {
        let dotted = format!(".{name}");
        fields.iter().find(|(field, _)| *field == name || field.ends_with(&dotted))
    };
    let found = ["name", "id"].iter().find_map(|name| named(name)).or_else(|| fields.first());
    found.map(|(_, text)| text.clone()).unwrap_or_default()
}

/// Returns every scalar of a document with its path, as `pool.name`; lists of scalars are joined by
/// spaces.
fn flatten(value: &Value, path: String, into: &mut Vec<(String, String)>) {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    };
    match value {
        Value::Object(fields) => flatten_fields(fields, &path, into),
        Value::Array(elements) => {
            let words: Option<Vec<_>> = elements.iter().map(text).collect();
            let words = words.map_or_else(|| elements.len().to_string(), |words| words.join(" "));
            into.push((path, words));
        }
        scalar => into.push((path, text(scalar).unwrap_or_default())),
    }
}

fn flatten_fields(fields: &Map<String, Value>, path: &str, into: &mut Vec<(String, String)>) {
    for (name, value) in fields {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        flatten(value, path, into);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::{Cell, Table, View, left};

    fn sheet() -> Sheet {
        let mut table = Table::list("pools", [left("NAME"), left("BASE URL").wide()]);
        table.row(["prod", "https://a, \"b\""].map(Cell::from));
        table.row(["test", ""].map(Cell::from));
        table.into()
    }

    #[test]
    fn a_list_is_a_line_an_element_or_a_row_each() {
        let value = json!({"pools": [{"name": "prod"}, {"name": "test"}], "total": 2});
        assert_eq!(jsonl(&value, &sheet()), "{\"name\":\"prod\"}\n{\"name\":\"test\"}");
        let csv = csv(&value, &sheet()).unwrap();
        assert_eq!(csv, "name,base_url\nprod,\"https://a, \"\"b\"\"\"\ntest,\n");
        assert_eq!(names(&value, &sheet()), "prod\ntest");
    }

    #[test]
    fn a_document_without_a_table_is_one_row_of_its_fields() {
        let value = json!({"deleted": {"id": "pool-1", "name": "prod"}, "tags": ["a", "b"], "rows": [{}]});
        let sheet = Sheet::from("deleted".to_owned());
        assert_eq!(csv(&value, &sheet).unwrap(), "deleted.id,deleted.name,tags,rows\npool-1,prod,a b,1\n");
        assert_eq!(names(&value, &sheet), "prod");
        assert_eq!(jsonl(&value, &sheet), value.to_string());
        assert_eq!(names(&value, &sheet.named("chosen")), "chosen");
    }

    #[test]
    fn only_wide_shows_the_wide_columns_of_a_table() {
        let show = |wide| {
            let mut table = Table::list("x", [left("A"), left("B").wide()]);
            table.row(["1", "2"].map(Cell::from));
            let view = View::new(false, false);
            table.render(&if wide { view.wide() } else { view })
        };
        assert_eq!((show(false).as_str(), show(true).as_str()), ("A\n1", "A  B\n1  2"));
    }
}
