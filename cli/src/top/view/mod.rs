//! The screen, drawn from the model. Pure: nothing is fetched, no clock is looked at.
//!
//! From 100x24 on, all of it:
//!
//! ```text
//! http://127.0.0.1:8787 › prod                    every 1s · last hour · LIVE      status
//! requests 120/min, 0.4% failed  attempts 152/min, 21% refused  p50/95/99 812ms/2.1s/3s figures
//!  1 Pools  2 Keys  3 Models  4 Events  5 Client keys        4,998 of 5,000 rows    tabs
//! ┌ requests ───── 120 ┐┌ failed ─────── 3 ┐┌ tokens ────── 1.2M ┐
//! │ ▁▂▃▅▇▅▃▂▁▁▂▃▅      ││       ▁  ▁       ││ ▁▂▃▅▇▅▃▂▁▁▂▃▅      │                    charts
//! └────────────────────┘└──────────────────┘└────────────────────┘
//!   KEY        NAME      STATE           REQS▼  FAILED ...                           titles
//!   AIza…0001  first     cooling 42s       120       3 ...                           rows
//! AIza…0001: cooling for 42s: requests: gemini-3.8-flash                             detail
//!  ? help  q quit  / filter  space mark  e enable  d disable                         footer
//! ```
//!
//! From 60x12 on without frames around the charts, or without charts. Below that two lines that say
//! how things are.

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
    layout::{Rect, Size},
    text::{Line, Span},
    widgets::Widget,
};

pub use self::{dialog::help_scroll, header::tab_at, table::column_at};
use super::{
    format::counted,
    keymap,
    list::Tab,
    model::{Link, Mode, Model},
    theme::Tone,
};

/// Where everything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// Too small for a list: everything is in here.
    pub tiny: Option<Rect>,
    /// The service, and how it is heard.
    pub status: Rect,
    /// Rates and latencies.
    pub figures: Rect,
    /// The tabs.
    pub tabs: Rect,
    /// The charts; without a frame when they are two lines high.
    pub charts: Rect,
    /// The columns' titles.
    pub titles: Rect,
    /// The rows.
    pub rows: Rect,
    /// All there is to say about the row under the cursor.
    pub detail: Rect,
    /// Hints, a notice, or the filter.
    pub footer: Rect,
}

/// Divides the screen.
pub fn regions(size: Size) -> Regions {
    let Size { width, height } = size;
    if width < 60 || height < 12 {
        return Regions { tiny: Some(Rect::new(0, 0, width, height)), ..Regions::default() };
    }
    let charts = match (width, height) {
        (100.., 24..) => 7,
        (_, 18..) => 2,
        _ => 0,
    };
    let line = |y, height| Rect::new(0, y, width, height);
    let detail = u16::from(height >= 18);
    let titles = 3 + charts;
    Regions {
        tiny: None,
        status: line(0, 1),
        figures: line(1, 1),
        tabs: line(2, 1),
        charts: line(3, charts),
        titles: line(titles, 1),
        rows: line(titles + 1, height - titles - 2 - detail),
        detail: line(height - 1 - detail, detail),
        footer: line(height - 1, 1),
    }
}

/// Draws everything.
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

/// What fits on a stamp.
fn tiny(model: &Model, area: Rect, buffer: &mut Buffer) {
    let (word, tone) = header::link(model);
    let mut lines = vec![styled(model, word, tone)];
    if let Some(overview) = &model.data().overview {
        let rates = overview.stats.requests.rates;
        lines.push(Line::raw(counted(overview.pools.len(), "pool")));
        lines.push(Line::raw(format!("{} requests/min", rates.rpm)));
    }
    lines.push(styled(model, "enlarge me to 60x12".to_owned(), Tone::Muted));
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
            Span::styled("  enter keeps it, esc takes it back", style(Tone::Muted)),
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

/// What stands in the middle while there are no rows, and why.
fn placeholder(model: &Model) -> (String, Tone) {
    let records = model.records();
    let list = model.list();
    if let (Link::Down { error, .. }, None) = (&model.link, &model.data().overview) {
        return (error.clone(), Tone::Bad);
    }
    let text = if !records.known() {
        "waiting for the service ..."
    } else if list.total > 0 {
        "the filter lets nothing through; esc clears it"
    } else {
        match model.tab {
            Tab::Pools => "no pools yet: poolctl pool create NAME --keys FILE",
            Tab::Keys => "the pool has no keys yet: poolctl key import POOL --keys FILE",
            Tab::Models => "nothing was asked in this time",
            Tab::Events => "nothing went wrong lately",
            Tab::ClientKeys => "the pool has no client key: poolctl client-key create POOL",
        }
    };
    (text.to_owned(), Tone::Muted)
}

/// Replaces what an ASCII terminal cannot show, cell by cell.
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
