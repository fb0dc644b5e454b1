//! Rendering of the list: columns that fit, and visible rows. Other rows are not formatted.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Paragraph, Widget, Wrap},
};

use super::{chart, placeholder};
use crate::top::{
    columns::{Column, Field},
    list::{Tab, title},
    model::Model,
    theme::Tone,
    value::Value,
};

/// Width of the mark before the first column.
const MARGIN: u16 = 2;
const GAP: u16 = 1;
/// `suspended (rechecked 23h)`
const MAX_STATE_WIDTH: u16 = 25;

/// A column and its position.
struct Placed {
    column: &'static Column,
    x: u16,
    width: u16,
}

/// Drops the least important columns until the others fit, and gives the spare width to one. The
/// state column is as wide as the visible states.
fn placed(model: &Model, width: u16) -> Vec<Placed> {
    let state = widest_state(model).min(MAX_STATE_WIDTH);
    let width_of =
        |column: &Column| if column.field == Field::State { column.width.max(state) } else { column.width };
    let mut kept: Vec<_> = model.tab.columns().iter().collect();
    let needed = |kept: &[&Column]| kept.iter().map(|column| width_of(column) + GAP).sum::<u16>() + MARGIN;
    while kept.len() > 1 && needed(&kept) > width {
        let last = kept.iter().enumerate().max_by_key(|(place, column)| (column.rank, *place));
        let Some((place, _)) = last else { break };
        kept.remove(place);
    }
    let mut spare = width.saturating_sub(needed(&kept));
    let mut x = MARGIN;
    kept.into_iter()
        .map(|column| {
            let more = if column.grows { std::mem::take(&mut spare) } else { 0 };
            let placed = Placed { column, x, width: width_of(column) + more };
            x += placed.width + GAP;
            placed
        })
        .collect()
}

/// Returns the width of the visible states.
fn widest_state(model: &Model) -> u16 {
    let (list, records) = (model.list(), model.records());
    let in_view = list.rows.iter().skip(list.top).take(usize::from(model.size.height));
    let widths = in_view.filter_map(|row| {
        let value = records.get(*row)?.value(Field::State);
        let width = Line::raw(value.shown(model.now).0.into_owned()).width();
        u16::try_from(width).ok()
    });
    widths.max().unwrap_or_default()
}

/// Returns the column at a position.
pub fn column_at(model: &Model, at: Position) -> Option<&'static Column> {
    let mut columns = placed(model, model.size.width).into_iter();
    columns.find(|placed| at.x < placed.x + placed.width + GAP).map(|placed| placed.column)
}

pub fn titles(model: &Model, area: Rect, buffer: &mut Buffer) {
    let style = model.options.theme.style(Tone::Heading);
    for Placed { column, x, width } in placed(model, area.width) {
        write(&title(column, model.list().sort), column.right, Rect { x, width, ..area }, style, buffer);
    }
}

pub fn rows(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.options.theme;
    let list = model.list();
    if list.rows.is_empty() {
        let (text, tone) = placeholder(model);
        let middle = Rect { x: area.x + 2, y: area.y + 1, width: area.width - 4, height: area.height - 1 };
        Paragraph::new(text).style(theme.style(tone)).wrap(Wrap { trim: false }).render(middle, buffer);
        return;
    }
    let columns = placed(model, area.width);
    let records = model.records();
    let in_view = list.rows.iter().enumerate().skip(list.top);
    for ((place, row), y) in in_view.zip(area.y..area.bottom()) {
        let Some(record) = records.get(*row) else { continue };
        if model.marks.contains(record.id()) {
            buffer.set_string(area.x, y, "●", theme.style(Tone::Accent));
        }
        for Placed { column, x, width } in &columns {
            let cell = Rect { x: *x, y, width: *width, height: 1 };
            let value = record.value(column.field);
            if let (Field::Trend, Value::Trend(numbers)) = (column.field, &value) {
                chart::bars(numbers, cell, theme.style(Tone::Accent), buffer);
                continue;
            }
            let (text, tone) = value.shown(model.now);
            write(&text, column.right, cell, theme.style(tone), buffer);
        }
        if place == list.cursor {
            let line = Rect { y, height: 1, ..area };
            buffer.set_style(line, theme.style(Tone::Selected));
        }
    }
}

/// Draws details of the selected row: the reason of a key's state, or an event's full message.
pub fn detail(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(record) = model.list().current(&model.records()) else { return };
    let fields: &[Field] = match model.tab {
        Tab::Keys => &[Field::Key, Field::Name, Field::Tag, Field::Project, Field::State, Field::Reason],
        Tab::Events => &[
            Field::Key,
            Field::Model,
            Field::Verdict,
            Field::Quota,
            Field::Retry,
            Field::ClientKey,
            Field::UnknownText,
            Field::Message,
        ],
        Tab::Pools => &[Field::Name, Field::Id, Field::Message],
        Tab::Models | Tab::ClientKeys => return,
    };
    let values: Vec<_> = fields.iter().map(|field| record.value(*field)).collect();
    let mut spans = vec![Span::raw(" ")];
    for (text, tone) in values.iter().map(|value| value.shown(model.now)) {
        if !text.is_empty() {
            spans.push(Span::styled(text, model.options.theme.style(tone)));
            spans.push(Span::styled(" · ", model.options.theme.style(Tone::Muted)));
        }
    }
    spans.pop();
    Line::from(spans).render(area, buffer);
}

/// Writes a cell; a text that is too long ends in `…`.
fn write(text: &str, right: bool, area: Rect, style: Style, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let line = Line::styled(text, style);
    let line = if right { line.right_aligned() } else { line };
    if line.width() <= width {
        line.render(area, buffer);
    } else if let Some(last) = area.width.checked_sub(1) {
        Line::styled(text, style).render(Rect { width: last, ..area }, buffer);
        buffer.set_string(area.x + last, area.y, "…", style);
    }
}
