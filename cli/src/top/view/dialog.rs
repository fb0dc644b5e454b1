//! Dialogs over the list: the help and the confirmations.

use ratatui::{
    buffer::Buffer,
    layout::{Rect, Size},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Widget, Wrap},
};

use crate::top::{
    change::Change,
    filter, keymap,
    layout::regions,
    model::{Mode, Model, Selection},
    theme::Tone,
};

pub fn dialog(model: &Model, buffer: &mut Buffer) {
    let size = model.size;
    match &model.mode {
        Mode::List | Mode::Filter(_) => {}
        Mode::Help(line) => {
            let lines = help(model);
            let area = centred(size, 72, u16::try_from(lines.len() + 2).unwrap_or(u16::MAX));
            let line = u16::try_from(*line).unwrap_or_default();
            boxed(model, " Help   up/down: scroll   esc: close ", lines, line, area, buffer);
        }
        Mode::Weight(selection, typed) => {
            let mut lines = named(model, selection);
            lines.push(Line::from(vec![
                Span::raw(" Weight, 0 to 1000: "),
                Span::raw(typed.clone()),
                Span::styled(" ", model.options.theme.style(Tone::Selected)),
            ]));
            lines.push(muted(model, " enter: apply   esc: cancel"));
            question(model, &format!(" Set the weight of {} ", selection.title), lines, buffer);
        }
        Mode::Confirm(selection, change) => {
            let mut lines = named(model, selection);
            match change {
                Change::Check => lines.push(Line::raw(" Sends one minimal request with each key.")),
                Change::Reset => lines.push(Line::raw(" Resets cooldowns, health and observed limits.")),
                Change::Enable | Change::Disable | Change::Weight(_) => {}
            }
            lines.push(Line::from(vec![
                Span::styled(" y", model.options.theme.style(Tone::Accent)),
                Span::raw(" confirm   "),
                Span::styled("n", model.options.theme.style(Tone::Accent)),
                Span::raw(" cancel"),
            ]));
            question(model, &format!(" {} {}? ", verb(*change), selection.title), lines, buffer);
        }
    }
}

const fn verb(change: Change) -> &'static str {
    match change {
        Change::Enable => "Enable",
        Change::Disable => "Disable",
        Change::Weight(_) => "Set the weight of",
        Change::Check => "Check",
        Change::Reset => "Reset",
    }
}

fn named(model: &Model, selection: &Selection) -> Vec<Line<'static>> {
    let mut lines: Vec<_> = selection.names.iter().map(|name| Line::raw(format!("  {name}"))).collect();
    let more = selection.target.len() - selection.names.len();
    if more > 0 {
        lines.push(muted(model, &format!("  and {more} more")));
    }
    if selection.hidden > 0 {
        let text = format!(" {} marked but hidden by the filter: not included", selection.hidden);
        lines.push(Line::styled(text, model.options.theme.style(Tone::Fair)));
    }
    lines.push(Line::raw(""));
    lines
}

fn muted(model: &Model, text: &str) -> Line<'static> {
    Line::styled(text.to_owned(), model.options.theme.style(Tone::Muted))
}

fn question(model: &Model, title: &str, lines: Vec<Line<'_>>, buffer: &mut Buffer) {
    let area = centred(model.size, 56, u16::try_from(lines.len() + 2).unwrap_or(u16::MAX));
    boxed(model, title, lines, 0, area, buffer);
}

fn boxed(model: &Model, title: &str, lines: Vec<Line<'_>>, scroll: u16, area: Rect, buffer: &mut Buffer) {
    Clear.render(area, buffer);
    let block = Block::bordered().title(title).border_style(model.options.theme.style(Tone::Accent));
    Paragraph::new(lines).block(block).wrap(Wrap { trim: false }).scroll((scroll, 0)).render(area, buffer);
}

fn centred(size: Size, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(size.width), height.min(size.height));
    Rect::new((size.width - width) / 2, (size.height - height) / 2, width, height)
}

fn help(model: &Model) -> Vec<Line<'static>> {
    let style = |tone| model.options.theme.style(tone);
    let mut lines: Vec<_> = keymap::BINDINGS
        .iter()
        .filter(|binding| !(model.options.read_only && binding.action.writes()))
        .map(|binding| {
            let keys = Span::styled(format!(" {:<10}", binding.keys()), style(Tone::Accent));
            Line::from(vec![keys, Span::raw(binding.help)])
        })
        .collect();
    lines.push(Line::raw(""));
    lines.push(muted(model, " Filter syntax:"));
    lines.extend(filter::HELP.split("; ").map(|part| muted(model, &format!("   {part}"))));
    lines.push(muted(model, " To select text with the mouse, hold shift, or use --no-mouse."));
    lines
}

/// Returns the maximum scroll offset of the help at this terminal size.
pub fn help_scroll(size: Size) -> usize {
    let lines = keymap::BINDINGS.len() + filter::HELP.split("; ").count() + 3;
    let room = usize::from(regions(size).tiny.map_or(size.height, |area| area.height)).saturating_sub(2);
    lines.saturating_sub(room)
}
