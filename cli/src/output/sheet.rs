//! Sheet: a result as a sequence of texts and tables.

use super::{Table, View};

/// The text form of a result. Its first table is also the source of `-o csv` and `-o name`.
#[derive(Default)]
pub struct Sheet {
    blocks: Vec<Block>,
    name: Option<String>,
}

enum Block {
    Text(String),
    Table(Table),
}

impl Sheet {
    /// Creates an empty sheet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text; an empty one is skipped.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Text(text.into()));
        self
    }

    /// Adds a table; one without rows is skipped.
    #[must_use]
    pub fn table(mut self, table: Table) -> Self {
        self.blocks.push(Block::Table(table));
        self
    }

    /// Sets the output of `-o name`, instead of the first column of the first table.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Returns the table of machine-readable formats.
    pub(super) fn main(&self) -> Option<&Table> {
        self.blocks.iter().find_map(|block| match block {
            Block::Table(table) => Some(table),
            Block::Text(_) => None,
        })
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Renders the sheet, with an empty line between blocks.
    pub fn render(&self, view: &View) -> String {
        let texts = self.blocks.iter().map(|block| match block {
            Block::Text(text) => text.clone(),
            Block::Table(table) => table.render(view),
        });
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
    }
}

impl From<String> for Sheet {
    fn from(text: String) -> Self {
        Self::new().text(text)
    }
}

impl From<Table> for Sheet {
    fn from(table: Table) -> Self {
        Self::new().table(table)
    }
}
