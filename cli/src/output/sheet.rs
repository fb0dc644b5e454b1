//! A result as a person sees it: texts and tables below one another.

use super::{Table, View};

/// What a command shows. Its first table is also what `-o csv` and `-o name` are made of.
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
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text; an empty one does not show.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Text(text.into()));
        self
    }

    /// Adds a table; one without rows does not show.
    #[must_use]
    pub fn table(mut self, table: Table) -> Self {
        self.blocks.push(Block::Table(table));
        self
    }

    /// Says what `-o name` writes instead of the first column of the first table.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The table that programs get.
    pub(super) fn main(&self) -> Option<&Table> {
        self.blocks.iter().find_map(|block| match block {
            Block::Table(table) => Some(table),
            Block::Text(_) => None,
        })
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The whole as text, an empty line between its blocks.
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
