//! Charts of requests, failures and tokens of the pool in focus, and bars in table cells.

use pool_shared::StatsStep;
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::Line,
    widgets::{Block, Sparkline, Widget},
};

use crate::top::{data::Point, format::compact, model::Model, theme::Tone};

/// A chart: title, value of a point and tone.
type Series = (&'static str, fn(&Point) -> u64, Tone);

const SERIES: [Series; 3] = [
    ("requests", |point| point.requests, Tone::Accent),
    ("failed", |point| point.failures, Tone::Bad),
    ("prompt tokens", |point| point.tokens, Tone::Good),
];

pub fn charts(model: &Model, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let trend = model.focused().map(super::super::data::Recent::trend).unwrap_or_default();
    let style = |tone| model.options.theme.style(tone);
    let each = match model.span {
        StatsStep::Minute => "per minute",
        StatsStep::Hour => "per hour",
        StatsStep::Day => "per day",
    };
    if area.height < 5 {
        for ((title, of, tone), y) in SERIES.into_iter().zip(area.y..area.bottom()) {
            let numbers: Vec<_> = trend.iter().map(of).collect();
            let (last, most) = (numbers.last().copied(), numbers.iter().max().copied());
            let label = format!(
                "{title:<9} now {:<5} peak {:<5} ",
                compact(last.unwrap_or_default()),
                compact(most.unwrap_or_default())
            );
            let (x, _) = buffer.set_stringn(area.x, y, label, usize::from(area.width), style(Tone::Muted));
            bars(&numbers, Rect { x, y, width: area.right() - x, height: 1 }, style(tone), buffer);
        }
        return;
    }
    let areas: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).areas(area);
    let name = model.focus().and_then(|id| Some(model.data().pool(&id)?.name.clone())).unwrap_or_default();
    for ((title, of, tone), area) in SERIES.into_iter().zip(areas) {
        let numbers: Vec<_> = trend.iter().map(of).collect();
        let most = numbers.iter().max().copied().unwrap_or_default();
        let block = Block::bordered()
            .border_style(style(Tone::Muted))
            .title(Line::raw(format!(" {name} {title} {each} ")))
            .title(Line::raw(format!(" peak {} ", compact(most))).right_aligned());
        let inner = block.inner(area);
        block.render(area, buffer);
        bars(&numbers, inner, style(tone), buffer);
    }
}

/// Draws the last numbers that fit, the newest at the right.
pub fn bars(numbers: &[u64], area: Rect, style: Style, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let shown = numbers.get(numbers.len().saturating_sub(width)..).unwrap_or_default();
    let free = u16::try_from(width - shown.len()).unwrap_or_default();
    let area = Rect { x: area.x + free, width: area.width - free, ..area };
    Sparkline::default().data(shown).style(style).render(area, buffer);
}
