//! Tables: rows of cells under a header, or pairs of a name and a value.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, TableStyle};
use unicode_width::UnicodeWidthStr;

use super::{
    fit::{GAP, Measured, fit, shorten},
    view::{View, clean},
};

/// Default rank of a column: see [`Column::rank`].
const DEFAULT_RANK: u8 = 1;

/// A column: its name and alignment.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    numbers: bool,
    wide: bool,
    text: bool,
    rank: u8,
}

/// Creates a column of ids, states or model names, which are never shortened.
pub const fn left(name: &'static str) -> Column {
    Column { name, numbers: false, wide: false, text: false, rank: DEFAULT_RANK }
}

/// Creates a column of free text, which is shortened on a narrow terminal.
pub const fn text(name: &'static str) -> Column {
    Column { text: true, ..left(name) }
}

/// Creates a column of numbers.
pub const fn right(name: &'static str) -> Column {
    Column { numbers: true, ..left(name) }
}

impl Column {
    /// Sets the rank: a narrow terminal drops the columns with the highest rank first. The default
    /// is 1; the first column is never dropped.
    #[must_use]
    pub const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// Makes the column visible only with `-o wide` and `-o csv`.
    #[must_use]
    pub const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }
}

/// A cell's text and its meaning.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Plain.
    Plain(String),
    /// Good.
    Good(String),
    /// Neutral: temporary or intended.
    Fair(String),
    /// Needs action.
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

/// A table. On a terminal it has a line under its header, and each row is one line that fits the
/// width (see [`fit`]). In a pipe it has no line, and nothing is shortened.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// The field of the document that has the rows.
    field: Option<&'static str>,
    headless: bool,
    /// Whether the last column wraps.
    wrapped: bool,
}

impl Table {
    /// Creates a table with these columns.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
            field: None,
            headless: false,
            wrapped: false,
        }
    }

    /// Creates a table of the elements of a field of the document.
    pub fn list(field: &'static str, columns: impl IntoIterator<Item = Column>) -> Self {
        Self { field: Some(field), ..Self::new(columns) }
    }

    /// Removes the header.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.headless = true;
        self
    }

    /// Makes the last column wrap on a terminal.
    #[must_use]
    pub fn wrapped(mut self) -> Self {
        self.wrapped = true;
        self
    }

    /// Creates a table of names and values without a header.
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

    /// Returns header and rows for machine-readable formats. Pairs become one row under their
    /// names.
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

    /// Returns the first cell of each row; of pairs only the first value.
    pub(super) fn first_column(&self) -> Vec<&str> {
        if self.columns.is_empty() {
            return self.rows.iter().take(1).filter_map(|row| row.get(1)).map(Cell::text).collect();
        }
        self.rows.iter().filter_map(|row| row.first()).map(Cell::text).collect()
    }

    /// Returns the width of each column; `None` for hidden columns.
    fn widths(&self, view: &View) -> Vec<Option<usize>> {
        let shown: Vec<_> =
            (0..self.columns.len()).filter(|index| view.wide || !self.is_wide(*index)).collect();
        let measured: Vec<_> = shown.iter().filter_map(|index| self.measured(*index)).collect();
        let fitted = match view.width.filter(|_| !self.wrapped) {
            Some(total) => fit(&measured, total),
            None => measured.iter().map(|column| Some(column.width)).collect(),
        };
        let mut widths = vec![None; self.columns.len()];
        for (index, width) in shown.into_iter().zip(fitted) {
            if let Some(place) = widths.get_mut(index) {
                *place = width;
            }
        }
        widths
    }

    fn is_wide(&self, index: usize) -> bool {
        self.columns.get(index).is_some_and(|column| column.wide)
    }

    fn measured(&self, index: usize) -> Option<Measured> {
        let column = self.columns.get(index)?;
        let cells = self.rows.iter().filter_map(|row| row.get(index));
        let header = if self.headless { 0 } else { column.name.width() };
        let width = cells.map(|cell| one_line(cell.text()).width()).fold(header, usize::max);
        Some(Measured { width, header, text: column.text, rank: column.rank })
    }

    /// Renders the table, without a final line end.
    pub fn render(&self, view: &View) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut table = comfy_table::Table::new();
        if view.terminal && !self.columns.is_empty() && !self.headless {
            table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─')));
        } else {
            table.load_style(TableStyle::new());
        }
        if view.color {
            table.enforce_styling().style_text_only();
        } else {
            table.force_no_tty();
        }
        if self.columns.is_empty() {
            for row in &self.rows {
                table.add_row(row.iter().map(|cell| styled(cell, None)));
            }
        } else {
            self.fill(&mut table, &self.widths(view));
        }
        // Only wrapping columns and values of pairs wrap; other rows already fit.
        match view.width.filter(|_| self.wrapped || self.columns.is_empty()) {
            Some(width) => {
                let width = u16::try_from(width).unwrap_or(u16::MAX);
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
                keep_all_but_the_last(&mut table);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        let last = table.column_count().saturating_sub(1);
        for column in table.column_iter_mut() {
            column.set_padding((0, if column.index < last { GAP_PADDING } else { 0 }));
        }
        table.trim_fmt()
    }

    /// Adds the visible columns, each cell within its width.
    fn fill(&self, table: &mut comfy_table::Table, widths: &[Option<usize>]) {
        let kept = || widths.iter().enumerate().filter_map(|(index, width)| Some((index, (*width)?)));
        let columns: Vec<_> = kept().filter_map(|(index, _)| self.columns.get(index)).collect();
        if !self.headless {
            table.set_header(columns.iter().map(|column| comfy_table::Cell::new(column.name)));
        }
        for row in &self.rows {
            table.add_row(
                kept().filter_map(|(index, width)| row.get(index).map(|cell| styled(cell, Some(width)))),
            );
        }
        for (column, shown) in table.column_iter_mut().zip(columns) {
            if shown.numbers {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
}

/// Reduces only the width of the last column, which wraps.
fn keep_all_but_the_last(table: &mut comfy_table::Table) {
    let last = table.column_count().saturating_sub(1);
    for column in table.column_iter_mut().filter(|column| column.index < last) {
        column.set_constraint(comfy_table::ColumnConstraint::ContentWidth);
    }
}

/// Returns the padding right of a cell, as comfy-table counts it.
#[allow(clippy::cast_possible_truncation, reason = "2")]
const GAP_PADDING: u16 = GAP as u16;

/// Replaces line ends, because a row is one line.
fn one_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

fn styled(cell: &Cell, width: Option<usize>) -> comfy_table::Cell {
    let new = |text: &str| {
        let text = one_line(text);
        comfy_table::Cell::new(match width {
            Some(width) => shorten(&text, width),
            None => text,
        })
    };
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

    fn keys() -> Table {
        let columns = [
            left("ID"),
            left("FINGERPRINT").rank(5),
            left("STATE"),
            text("WHY"),
            right("WEIGHT").rank(3),
            text("NAME").rank(2),
        ];
        let mut table = Table::new(columns);
        for number in 10..13 {
            table.row([
                format!("key-00000000000000{number}").into(),
                "0badcafe".into(),
                Cell::Bad("suspended".into()),
                "Consumer has been suspended, until tomorrow at noon".into(),
                "1".into(),
                "the laptop of the back office".into(),
            ]);
        }
        table
    }

    #[test]
    fn on_a_terminal_a_row_is_a_line_with_and_without_colour() {
        for color in [false, true] {
            for columns in [Some(30), Some(60), Some(80), Some(0), None, Some(200)] {
                let view = View::new(true, color).sized(columns);
                let text = anstyle_free(&keys().render(&view));
                let widest = text.lines().map(UnicodeWidthStr::width).max().unwrap();
                assert_eq!(text.lines().count(), 5, "a header, a line and three rows:\n{text}");
                assert!(widest <= view.width.unwrap(), "{columns:?}:\n{text}");
                assert!(text.contains("key-0000000000000011"), "ids are whole:\n{text}");
            }
        }
        let narrow = keys().render(&View::new(true, false).sized(Some(60)));
        assert!(narrow.contains("suspended  Consumer") && narrow.contains('…'), "{narrow}");
        assert!(!narrow.contains("FINGERPRINT") && narrow.contains("NAME"), "{narrow}");
    }

    fn anstyle_free(text: &str) -> String {
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').map_or("", |(_, rest)| rest);
        }
        plain + rest
    }

    #[test]
    fn sentences_wrap_within_their_own_column() {
        let mut table = Table::new([left("CHECK"), left("FOUND")]).wrapped();
        table.row(["service".into(), "one two three four five six seven".into()]);
        let text = table.render(&View::new(true, false).sized(Some(24)));
        assert!(text.lines().count() > 3 && text.lines().all(|line| line.width() <= 24), "{text}");
        assert!(text.contains("\n         "), "the second line begins below the first:\n{text}");
    }

    #[test]
    fn pairs_have_no_header() {
        let text = Table::pairs([("name", "prod".into()), ("id", "pool-1".into())]);
        assert_eq!(text.render(&View::new(false, false)), "name  prod\nid    pool-1");
    }
}
