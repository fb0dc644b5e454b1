//! Tables: rows of cells under a header, or pairs of a name and a value.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, TableStyle};

use super::view::{View, clean};

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A cell's text and what it means.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Plain.
    Plain(String),
    /// As it should be.
    Good(String),
    /// To look at.
    Bad(String),
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Plain(text.into())
    }
}

/// A table. On a terminal it has a line under its header and fits the width by wrapping; in a pipe
/// it has no lines and every row is one whole line.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(columns: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
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

    /// The table as text, without a line end at the end.
    pub fn render(&self, view: &View) -> String {
        let mut table = comfy_table::Table::new();
        if view.terminal && !self.columns.is_empty() {
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
        if !self.columns.is_empty() {
            table.set_header(self.columns.iter().map(|(name, _)| comfy_table::Cell::new(*name)));
        }
        for row in &self.rows {
            table.add_row(row.iter().map(styled));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.columns.get(index).is_some_and(|(_, align)| *align == Align::Right) {
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
        Cell::Bad(text) => new(text).fg(comfy_table::Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([("NAME", Align::Left), ("KEYS", Align::Right)]);
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
