//! Tables: rows of cells under a header, or pairs of a name and a value.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, TableStyle};

use super::view::{View, clean};

/// A column: its name and where its cells stand.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    numbers: bool,
    wide: bool,
}

/// A column of texts.
pub const fn left(name: &'static str) -> Column {
    Column { name, numbers: false, wide: false }
}

/// A column of numbers.
pub const fn right(name: &'static str) -> Column {
    Column { name, numbers: true, wide: false }
}

impl Column {
    /// A column that only `-o wide` and `-o csv` show.
    #[must_use]
    pub const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }
}

/// A cell's text and what it means.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Plain.
    Plain(String),
    /// As it should be.
    Good(String),
    /// Neither: it passes by itself, or is meant so.
    Fair(String),
    /// To look at.
    Bad(String),
}

impl Cell {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Good(text) | Self::Fair(text) | Self::Bad(text) => text,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Plain(text.into())
    }
}

/// A table. On a terminal it has a line under its header and fits the width by wrapping; in a pipe
/// it has no lines and every row is one whole line.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// The document's field that the rows come from.
    field: Option<&'static str>,
    headless: bool,
}

impl Table {
    /// A table with these columns.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new(), field: None, headless: false }
    }

    /// A table of the elements of one field of the document, a row each.
    pub fn list(field: &'static str, columns: impl IntoIterator<Item = Column>) -> Self {
        Self { field: Some(field), ..Self::new(columns) }
    }

    /// The same without a line of names above it.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.headless = true;
        self
    }

    /// A table of names and values without a header.
    pub fn pairs(pairs: impl IntoIterator<Item = (&'static str, Cell)>) -> Self {
        let mut table = Self::new([]);
        table.rows = pairs.into_iter().map(|(name, value)| vec![Cell::from(name), value]).collect();
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// Header and rows for programs. Pairs are one row under their names.
    pub(super) fn data(&self) -> (Option<Vec<String>>, Vec<Vec<String>>) {
        let texts = |row: &Vec<Cell>| row.iter().map(|cell| cell.text().to_owned()).collect::<Vec<_>>();
        let header = |name: &str| name.to_lowercase().replace(' ', "_");
        if self.columns.is_empty() {
            let pairs = self.rows.iter().filter_map(|row| Some((row.first()?.text(), row.get(1)?.text())));
            let (names, values) = pairs.map(|(name, value)| (header(name), value.to_owned())).unzip();
            return (Some(names), vec![values]);
        }
        let names = self.columns.iter().map(|column| header(column.name)).collect();
        (Some(names).filter(|_| !self.headless), self.rows.iter().map(texts).collect())
    }

    /// The first cell of each row; of pairs the first value alone.
    pub(super) fn first_column(&self) -> Vec<&str> {
        if self.columns.is_empty() {
            return self.rows.iter().take(1).filter_map(|row| row.get(1)).map(Cell::text).collect();
        }
        self.rows.iter().filter_map(|row| row.first()).map(Cell::text).collect()
    }

    fn shown<'a, T>(&'a self, cells: &'a [T], view: &View) -> impl Iterator<Item = &'a T> {
        let wide = view.wide;
        let hidden = move |index: usize| !wide && self.columns.get(index).is_some_and(|column| column.wide);
        cells.iter().enumerate().filter(move |(index, _)| !hidden(*index)).map(|(_, cell)| cell)
    }

    /// The table as text, without a line end at the end.
    pub fn render(&self, view: &View) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let columns: Vec<_> = self.shown(&self.columns, view).collect();
        let mut table = comfy_table::Table::new();
        if view.terminal && !self.columns.is_empty() && !self.headless {
            table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─')));
        } else {
            table.load_style(TableStyle::new());
        }
        table.set_content_arrangement(if view.terminal {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        if view.color {
            table.enforce_styling().style_text_only();
        } else {
            table.force_no_tty();
        }
        if !columns.is_empty() && !self.headless {
            table.set_header(columns.iter().map(|column| comfy_table::Cell::new(column.name)));
        }
        for row in &self.rows {
            table.add_row(self.shown(row, view).map(styled));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if columns.get(index).is_some_and(|column| column.numbers) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }
}

fn styled(cell: &Cell) -> comfy_table::Cell {
    // One line a row: a line end inside a value would break the table in a pipe.
    let new = |text: &str| comfy_table::Cell::new(clean(text).replace('\n', " "));
    match cell {
        Cell::Plain(text) => new(text),
        Cell::Good(text) => new(text).fg(comfy_table::Color::Green),
        Cell::Fair(text) => new(text).fg(comfy_table::Color::Yellow),
        Cell::Bad(text) => new(text).fg(comfy_table::Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([left("NAME"), right("KEYS")]);
        table.row(["prod".into(), "12".into()]);
        table.row([Cell::Good(format!("a\n{}", "long ".repeat(60).trim_end())), "3".into()]);
        table
    }

    #[test]
    fn a_pipe_gets_whole_lines_without_borders_and_numbers_on_the_right() {
        let text = table().render(&View::new(false, false));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("NAME ") && lines[0].ends_with("  KEYS"));
        assert!(lines[1].ends_with("    12"));
        assert!(lines[2].starts_with("a long long") && lines[2].ends_with("long     3"));
        assert!(!text.contains('\u{1b}') && !text.contains('─'));
    }

    #[test]
    fn colour_is_used_when_it_is_welcome() {
        assert!(table().render(&View::new(false, true)).contains('\u{1b}'));
    }

    #[test]
    fn pairs_have_no_header() {
        let text = Table::pairs([("name", "prod".into()), ("id", "pool-1".into())]);
        assert_eq!(text.render(&View::new(false, false)), "name  prod\nid    pool-1");
    }
}
