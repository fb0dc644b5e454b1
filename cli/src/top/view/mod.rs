//! Rendering of the model to the screen. Pure: no fetches and no clock.

mod chart;
mod dialog;
mod header;
#[cfg(test)]
mod picture;
mod table;
#[cfg(test)]
mod tests;

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};

pub use self::{dialog::help_scroll, header::tab_at, table::column_at};
use super::{
    format::counted,
    keymap,
    layout::regions,
    list::Tab,
    model::{ConnectionState, Mode, Model},
    theme::Tone,
};

/// Draws the screen.
pub fn view(model: &Model, frame: &mut Frame) {
    let regions = regions(model.size);
    let buffer = frame.buffer_mut();
    if let Some(area) = regions.tiny {
        tiny(model, area, buffer);
    } else {
        header::status(model, regions.status, buffer);
        header::figures(model, regions.figures, buffer);
        header::tabs(model, regions.tabs, buffer);
        chart::charts(model, regions.charts, buffer);
        table::titles(model, regions.titles, buffer);
        table::rows(model, regions.rows, buffer);
        table::detail(model, regions.detail, buffer);
        footer(model, regions.footer, buffer);
    }
    dialog::dialog(model, buffer);
    if model.options.ascii {
        to_ascii(buffer);
    }
}

/// Draws a few summary lines on a terminal that is too small.
fn tiny(model: &Model, area: Rect, buffer: &mut Buffer) {
    let (word, tone) = header::connection(model);
    let mut lines = vec![styled(model, word, tone)];
    if let Some(overview) = &model.data().overview {
        let rates = overview.stats.requests.rates;
        lines.push(Line::raw(counted(overview.pools.len(), "pool")));
        lines.push(Line::raw(format!("{} requests/min", rates.rpm)));
    }
    lines.push(styled(model, "terminal too small (60x12 needed)".to_owned(), Tone::Muted));
    for (line, y) in lines.iter().zip(area.y..area.bottom()) {
        buffer.set_line(area.x, y, line, area.width);
    }
}

fn footer(model: &Model, area: Rect, buffer: &mut Buffer) {
    let style = |tone| model.options.theme.style(tone);
    let filter = model.list().filter.text();
    let line = match (&model.mode, &model.notice) {
        (Mode::Filter(_), _) => Line::from(vec![
            Span::styled("/", style(Tone::Accent)),
            Span::raw(filter.to_owned()),
            Span::styled(" ", style(Tone::Selected)),
            Span::styled("  enter: apply   esc: clear", style(Tone::Muted)),
        ]),
        (_, Some(notice)) => Line::styled(format!(" {}", notice.text), style(notice.tone)),
        _ => {
            let mut spans = Vec::new();
            for binding in keymap::BINDINGS {
                let useful = !binding.hint.is_empty() && binding.action.applies(model.tab);
                if useful && !(model.options.read_only && binding.action.writes()) {
                    spans.push(Span::styled(format!(" {}", binding.key()), style(Tone::Accent)));
                    spans.push(Span::styled(format!(" {} ", binding.hint), style(Tone::Muted)));
                }
            }
            Line::from(spans)
        }
    };
    line.render(area, buffer);
}

fn styled(model: &Model, text: String, tone: Tone) -> Line<'static> {
    Line::styled(text, model.options.theme.style(tone))
}

/// Returns the text that is shown in place of rows.
fn placeholder(model: &Model) -> (String, Tone) {
    let records = model.records();
    let list = model.list();
    if let (ConnectionState::Down { error, .. }, None) = (&model.connection, &model.data().overview) {
        return (error.clone(), Tone::Bad);
    }
    let text = if !records.known() {
        "waiting for the service ..."
    } else if list.total > 0 {
        "no rows match; esc clears the filter"
    } else {
        match model.tab {
            Tab::Pools => "no pools yet: poolctl pool create NAME --keys FILE",
            Tab::Keys => "the pool has no keys yet: poolctl key import POOL --keys FILE",
            Tab::Models => "no requests in this time range",
            Tab::Events => "no recent errors",
            Tab::ClientKeys => "the pool has no client key: poolctl client-key create POOL",
        }
    };
    (text.to_owned(), Tone::Muted)
}

/// Replaces characters that are not ASCII.
fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if symbol.is_ascii() {
            continue;
        }
        let ascii = match symbol {
            "…" | "·" | "▁" => ".",
            "›" => ">",
            "▲" => "^",
            "▼" => "v",
            "●" => "*",
            "│" => "|",
            "─" => "-",
            "┌" | "┐" | "└" | "┘" => "+",
            "▂" | "▃" => ":",
            "▄" | "▅" => "=",
            "▆" | "▇" => "%",
            "█" => "#",
            _ => "?",
        };
        cell.set_symbol(ascii);
    }
}
