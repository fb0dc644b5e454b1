//! Keyboard and mouse input.

use std::time::Duration;

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use pool_shared::StatsStep;
use ratatui::layout::Position;

use super::{act, open, refresh, say};
use crate::top::{
    filter::Filter,
    keymap::{self, Action},
    layout::regions,
    list::{Sort, Tab},
    message::Command,
    model::{Mode, Model},
    theme::Tone,
    view,
};

/// The refresh intervals of `+` and `-`, in seconds.
const INTERVALS: [f64; 7] = [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// Handles a pressed key.
pub fn key(model: &mut Model, key: KeyEvent) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    // These two work in every mode.
    let anywhere = keymap::action(key).filter(|_| key.modifiers.contains(KeyModifiers::CONTROL));
    if let Some(action @ (Action::Quit | Action::Suspend)) = anywhere {
        return run(model, action);
    }
    match std::mem::replace(&mut model.mode, Mode::List) {
        Mode::List => {
            let action = keymap::action(key)?;
            run(model, action)
        }
        Mode::Help(line) => {
            model.mode = match keymap::action(key) {
                Some(Action::Up) => Mode::Help(line.saturating_sub(1)),
                Some(Action::Down) => Mode::Help(line + 1),
                Some(Action::PageUp) => Mode::Help(line.saturating_sub(10)),
                Some(Action::PageDown) => Mode::Help(line + 10),
                Some(Action::Help | Action::Back | Action::Quit) => Mode::List,
                _ => Mode::Help(line),
            };
            let longest = view::help_scroll(model.size);
            if let Mode::Help(line) = &mut model.mode {
                *line = (*line).min(longest);
            }
            None
        }
        Mode::Filter(before) => {
            filter(model, key, before);
            None
        }
        Mode::Weight(selection, typed) => act::weight(model, key, selection, typed),
        Mode::Confirm(selection, change) => act::confirm(model, key, selection, change),
    }
}

fn run(model: &mut Model, action: Action) -> Option<Command> {
    if !action.applies(model.tab) {
        return None;
    }
    match action {
        Action::Quit => return Some(Command::Quit),
        Action::Suspend => return Some(Command::Suspend),
        Action::Help => model.mode = Mode::Help(0),
        Action::Tab(tab) => go(model, tab),
        Action::NextTab => go(model, neighbour(model.tab, 1)),
        Action::PreviousTab => go(model, neighbour(model.tab, Tab::ALL.len() - 1)),
        Action::Open => go(model, Tab::Keys),
        Action::Back => back(model),
        Action::Up | Action::Down | Action::PageUp | Action::PageDown | Action::First | Action::Last => {
            motion(model, action);
        }
        Action::Filter => {
            let text = model.list().filter.text().to_owned();
            model.mode = Mode::Filter(text);
        }
        Action::Sort | Action::Reverse => sort(model, action),
        Action::Mark | Action::MarkAll | Action::Unmark => act::mark(model, action),
        Action::Enable | Action::Disable | Action::Weight | Action::Check | Action::Reset => {
            act::ask(model, action);
        }
        Action::Span => span(model),
        Action::Pause => {
            model.frozen = if model.frozen.is_some() { None } else { Some(model.live.clone()) };
            refresh(model);
        }
        Action::Refresh => model.schedule.all_due(),
        Action::Slower => interval(model, INTERVALS.into_iter().find(|next| *next > seconds(model))),
        Action::Faster => interval(model, INTERVALS.into_iter().rev().find(|next| *next < seconds(model))),
    }
    None
}

/// Opens a tab; for one that shows a pool, the one under the cursor.
fn go(model: &mut Model, tab: Tab) {
    if model.pool.is_none() && tab.needs_pool() {
        let first = || model.data().pools().first().map(|pool| pool.id.clone());
        let Some(pool) = model.focus().or_else(first) else {
            say(model, "no pools: poolctl pool create NAME --keys FILE", Tone::Fair);
            return;
        };
        model.pool = Some(pool);
    }
    if tab == Tab::Pools {
        model.pool = None;
    }
    open(model, tab);
}

fn neighbour(tab: Tab, steps: usize) -> Tab {
    let place = Tab::ALL.iter().position(|known| *known == tab).unwrap_or_default();
    Tab::ALL.get((place + steps) % Tab::ALL.len()).copied().unwrap_or_default()
}

fn back(model: &mut Model) {
    if !model.list().filter.text().is_empty() {
        model.list_mut().0.filter = Filter::default();
        refresh(model);
    } else if !model.marks.is_empty() {
        model.marks.clear();
    } else {
        // All pools, with the cursor on the one that was open.
        go(model, Tab::Pools);
    }
}

fn motion(model: &mut Model, action: Action) {
    let (list, data, pool, height) = model.list_mut();
    let page = height.max(1);
    let cursor = match action {
        Action::Up => list.cursor.saturating_sub(1),
        Action::Down => list.cursor + 1,
        Action::PageUp => list.cursor.saturating_sub(page),
        Action::PageDown => list.cursor + page,
        Action::First => 0,
        _ => usize::MAX,
    };
    let before = list.cursor;
    list.move_to(cursor, data, pool, height);
    if model.tab == Tab::Pools && model.list().cursor != before {
        model.schedule.pool_due();
    }
}

fn filter(model: &mut Model, key: KeyEvent, before: String) {
    let mut text = model.list().filter.text().to_owned();
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let text = match key.code {
        KeyCode::Enter => return,
        KeyCode::Esc => before,
        // One more than there are characters leaves the filter.
        KeyCode::Backspace => {
            if text.pop().is_some() {
                model.mode = Mode::Filter(before);
            }
            text
        }
        KeyCode::Char('u') if control => {
            model.mode = Mode::Filter(before);
            String::new()
        }
        KeyCode::Char(character) if !control => {
            model.mode = Mode::Filter(before);
            text.push(character);
            text
        }
        _ => {
            model.mode = Mode::Filter(before);
            return;
        }
    };
    model.list_mut().0.filter = Filter::new(text);
    refresh(model);
}

fn sort(model: &mut Model, action: Action) {
    let columns = model.tab.columns();
    let list = model.list_mut().0;
    if action == Action::Reverse {
        list.sort.descending = !list.sort.descending;
    } else {
        let place = columns.iter().position(|column| column.field == list.sort.field).unwrap_or_default();
        let next = columns.get((place + 1) % columns.len());
        if let Some(column) = next {
            list.sort = Sort { field: column.field, descending: column.right };
        }
    }
    refresh(model);
}

fn span(model: &mut Model) {
    model.span = match model.span {
        StatsStep::Minute => StatsStep::Hour,
        StatsStep::Hour => StatsStep::Day,
        StatsStep::Day => StatsStep::Minute,
    };
    // Data of the previous time range does not apply to this one.
    model.live.recent.clear();
    model.schedule.all_due();
    refresh(model);
}

fn seconds(model: &Model) -> f64 {
    model.schedule.interval.as_secs_f64()
}

fn interval(model: &mut Model, seconds: Option<f64>) {
    if let Some(seconds) = seconds {
        model.schedule.interval = Duration::from_secs_f64(seconds);
        model.schedule.all_due();
        say(model, format!("refresh every {seconds} s"), Tone::Plain);
    }
}

/// Handles a mouse event.
pub fn mouse(model: &mut Model, mouse: MouseEvent) {
    if model.mode != Mode::List {
        return;
    }
    let (list, data, pool, height) = model.list_mut();
    match mouse.kind {
        MouseEventKind::ScrollUp => list.move_to(list.cursor.saturating_sub(3), data, pool, height),
        MouseEventKind::ScrollDown => list.move_to(list.cursor + 3, data, pool, height),
        MouseEventKind::Down(MouseButton::Left) => click(model, Position::new(mouse.column, mouse.row)),
        // Wherever it moves, nothing changes.
        _ => return,
    }
    model.dirty = true;
}

fn click(model: &mut Model, at: Position) {
    let regions = regions(model.size);
    if regions.tabs.contains(at) {
        if let Some(tab) = view::tab_at(at) {
            go(model, tab);
        }
    } else if regions.titles.contains(at) {
        if let Some(column) = view::column_at(model, at) {
            let list = model.list_mut().0;
            let descending =
                if list.sort.field == column.field { !list.sort.descending } else { column.right };
            list.sort = Sort { field: column.field, descending };
            refresh(model);
        }
    } else if regions.rows.contains(at) {
        let (list, data, pool, height) = model.list_mut();
        let row = list.top + usize::from(at.y - regions.rows.y);
        if row < list.rows.len() {
            list.move_to(row, data, pool, height);
            if model.tab == Tab::Pools {
                model.schedule.pool_due();
            }
        }
    }
}
