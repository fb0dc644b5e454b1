//! Marks of rows, and actions on the marked rows after a confirmation.

use crossterm::event::{KeyCode, KeyEvent};
use pool_shared::{KeyId, PoolId, Weight};

use super::say;
use crate::top::{
    change::{Change, Target},
    columns::Field,
    format::counted,
    keymap::Action,
    list::Tab,
    message::Command,
    model::{Mode, Model, Selection},
    record::Record,
    theme::Tone,
};

/// Maximum number of names in a confirmation.
const MAX_NAMES: usize = 6;

/// Marks or unmarks rows.
pub fn mark(model: &mut Model, action: Action) {
    match action {
        Action::MarkAll => {
            let records = model.records();
            let ids: Vec<_> = model.list().rows.iter().filter_map(|place| records.get(*place)).collect();
            let ids: Vec<_> = ids.iter().map(|row| row.id().to_owned()).collect();
            model.marks.extend(ids);
        }
        Action::Unmark => model.marks.clear(),
        _ => {
            let Some(id) = model.list().current(&model.records()).map(|row| row.id().to_owned()) else {
                return;
            };
            if !model.marks.remove(&id) {
                model.marks.insert(id);
            }
            let (list, data, pool, height) = model.list_mut();
            list.move_to(list.cursor + 1, data, pool, height);
        }
    }
}

/// Opens the confirmation of an action.
pub fn ask(model: &mut Model, action: Action) {
    if model.options.read_only {
        say(model, "actions are disabled by --read-only", Tone::Fair);
        return;
    }
    let Some(selection) = select(model) else { return };
    model.mode = match action {
        Action::Enable => Mode::Confirm(selection, Change::Enable),
        Action::Disable => Mode::Confirm(selection, Change::Disable),
        Action::Check => Mode::Confirm(selection, Change::Check),
        Action::Reset => Mode::Confirm(selection, Change::Reset),
        _ => Mode::Weight(selection, String::new()),
    };
}

/// Returns the marked rows that the filter shows, or the selected row if none is marked.
fn select(model: &mut Model) -> Option<Selection> {
    let records = model.records();
    let list = model.list();
    let rows: Vec<Record> = if model.marks.is_empty() {
        list.current(&records).into_iter().collect()
    } else {
        let rows = list.rows.iter().filter_map(|place| records.get(*place));
        rows.filter(|row| model.marks.contains(row.id())).collect()
    };
    let hidden = model.marks.len().saturating_sub(rows.len());
    if rows.is_empty() {
        if hidden > 0 {
            say(model, "all marked rows are hidden by the filter", Tone::Fair);
        }
        return None;
    }
    let (target, title) = match (model.tab, &model.pool) {
        (Tab::Keys, Some(pool)) => {
            let name = model.data().pool(pool).map_or(pool.as_str(), |pool| &pool.name);
            let ids = rows.iter().map(|row| KeyId::new(row.id())).collect();
            (
                Target::Keys { pool: pool.clone(), ids },
                format!("{} in pool {name}", counted(rows.len(), "key")),
            )
        }
        (Tab::Pools, _) => {
            let ids = rows.iter().map(|row| PoolId::new(row.id())).collect();
            (Target::Pools(ids), counted(rows.len(), "pool"))
        }
        _ => return None,
    };
    let name = |row: &Record| {
        let name = row.value(Field::Name).exact();
        match (row.value(Field::Key).exact(), name.is_empty()) {
            (key, true) => key,
            (key, false) if key.is_empty() => name,
            (key, false) => format!("{key} {name}"),
        }
    };
    Some(Selection { target, title, names: rows.iter().take(MAX_NAMES).map(name).collect(), hidden })
}

/// Handles a key in a confirmation.
pub fn confirm(model: &mut Model, key: KeyEvent, selection: Selection, change: Change) -> Option<Command> {
    match key.code {
        KeyCode::Char('y' | 'Y') => Some(start(model, selection, change)),
        KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc | KeyCode::Enter => {
            say(model, "cancelled", Tone::Plain);
            None
        }
        _ => {
            model.mode = Mode::Confirm(selection, change);
            None
        }
    }
}

/// Handles a key in the input of a weight.
pub fn weight(model: &mut Model, key: KeyEvent, selection: Selection, mut typed: String) -> Option<Command> {
    match key.code {
        KeyCode::Enter => {
            if let Ok(weight) = typed.parse::<Weight>() {
                return Some(start(model, selection, Change::Weight(weight)));
            }
        }
        KeyCode::Esc => {
            say(model, "cancelled", Tone::Plain);
            return None;
        }
        KeyCode::Backspace => {
            typed.pop();
        }
        // The maximum weight has four digits.
        KeyCode::Char(digit @ '0'..='9') if typed.len() < 4 => typed.push(digit),
        _ => {}
    }
    model.mode = Mode::Weight(selection, typed);
    None
}

fn start(model: &mut Model, selection: Selection, change: Change) -> Command {
    model.marks.clear();
    say(model, format!("{}: running", selection.title), Tone::Plain);
    Command::Act(selection.target, change)
}
