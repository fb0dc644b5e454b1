//! Row filter: words that a row must or must not contain, in any field or in one.

use super::{columns::Field, record::Record};

/// Syntax, for `?` and `--help`.
pub const HELP: &str = "word: rows that contain it; !word: rows that do not; state:cooling, tag:, name:, key:, model:, pool:, verdict:";

/// Fields that a word without a field name is searched in.
const ANYWHERE: &[Field] = &[
    Field::Name,
    Field::State,
    Field::Tag,
    Field::Project,
    Field::Id,
    Field::Key,
    Field::Model,
    Field::Pool,
    Field::Verdict,
    Field::Message,
    Field::Reason,
    Field::Hint,
];

const FIELDS: &[(&str, Field)] = &[
    ("state", Field::State),
    ("tag", Field::Tag),
    ("name", Field::Name),
    ("project", Field::Project),
    ("id", Field::Id),
    ("key", Field::Key),
    ("model", Field::Model),
    ("pool", Field::Pool),
    ("verdict", Field::Verdict),
];

/// A parsed filter and its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: Option<Field>,
    word: String,
    negated: bool,
}

impl Filter {
    /// Parses a filter. Every text is valid: an unknown field name is part of the word.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let term = |word: &str| {
            let (negated, word) = word.strip_prefix('!').map_or((false, word), |word| (true, word));
            let field = word.split_once(':').and_then(|(name, word)| {
                let (_, field) = FIELDS.iter().find(|(known, _)| *known == name)?;
                Some((*field, word))
            });
            let (field, word) = field.map_or((None, word), |(field, word)| (Some(field), word));
            Term { field, word: word.to_lowercase(), negated }
        };
        // An incomplete term matches every row.
        let terms = text.split_whitespace().map(term).filter(|term| !term.word.is_empty()).collect();
        Self { text, terms }
    }

    /// Returns the text as typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns `true` if it matches every row.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Returns `true` if a row matches.
    pub fn matches(&self, record: &Record) -> bool {
        self.terms.iter().all(|term| {
            let one;
            let fields = match term.field {
                Some(field) => {
                    one = [field];
                    &one[..]
                }
                None => ANYWHERE,
            };
            fields.iter().any(|field| contains(record, *field, &term.word)) != term.negated
        })
    }
}

fn contains(record: &Record, field: Field, word: &str) -> bool {
    let value = record.value(field);
    !value.is_none() && value.exact().to_lowercase().contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::{data::Keys, fixture};

    #[test]
    fn words_fields_and_their_opposites() {
        let mut off = fixture::key(2);
        (off.enabled, off.tag) = (false, "Team-B".to_owned());
        let keys = Keys::new(fixture::pool("prod").id, vec![fixture::key(1), off]);
        let passing = |text: &str| {
            let filter = Filter::new(text);
            let record = |row| Record::Key { row, stats: None, share: 0.0, due: 0.0 };
            keys.rows.iter().map(|row| filter.matches(&record(row))).collect::<Vec<_>>()
        };
        for (text, expected) in [
            ("", [true, true]),
            ("team-b", [false, true]),
            ("!team-b", [true, false]),
            ("state:disabled", [false, true]),
            ("!state:disabled", [true, false]),
            ("state:", [true, true]),
            ("!", [true, true]),
            ("tag:team disabled", [false, true]),
            ("name:team", [false, false]),
            ("unknown:field", [false, false]),
        ] {
            assert_eq!(passing(text), expected, "{text}");
        }
    }
}
