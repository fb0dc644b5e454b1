//! The update function: from a message to the next state and commands. Pure.

mod act;
mod input;
#[cfg(test)]
mod tests;

use std::time::Duration;

use pool_shared::ErrorCode;

use super::{
    data::{Keys, Recent},
    list::Tab,
    message::{Command, Fetch, FetchedData, Message},
    model::{ConnectionState, Mode, Model, Notice},
    poll,
    theme::Tone,
};
use crate::error::{CliError, Code};

/// How long a notice is shown.
const NOTICE_TTL: Duration = Duration::from_secs(8);

/// Updates the state and returns the commands to run.
pub fn update(model: &mut Model, message: Message) -> Vec<Command> {
    let mut commands = Vec::new();
    match message {
        Message::Tick { now, clock } => tick(model, now, clock),
        Message::Key(key) => {
            model.dirty = true;
            commands.extend(input::key(model, key));
        }
        Message::Mouse(mouse) => input::mouse(model, mouse),
        Message::Resize(size) => {
            model.size = size;
            refresh(model);
        }
        Message::Resumed => model.dirty = true,
        Message::Fetched { fetch, took, result } => match result {
            Ok(answer) => {
                model.schedule.completed(&fetch, took, model.clock);
                if fetch.is_overview() {
                    model.took = took;
                }
                commands.extend(take(model, &fetch, answer));
            }
            Err(error) => commands.extend(failed(model, &fetch, error)),
        },
        Message::Acted(result) => {
            model.schedule.all_due();
            match result {
                Ok(text) => say(model, text, Tone::Good),
                Err(error) => say(model, first_line(&error), Tone::Bad),
            }
        }
    }
    commands.extend(poll::due(model).into_iter().map(Command::Fetch));
    commands
}

/// Advances the clock. Countdowns change once per second, so the screen is redrawn at most as
/// often.
fn tick(model: &mut Model, now: jiff::Timestamp, clock: Duration) {
    model.dirty |= now.as_second() != model.now.as_second();
    (model.now, model.clock) = (now, clock);
    model.notice.take_if(|notice| notice.until <= clock);
}

fn take(model: &mut Model, fetch: &Fetch, answer: FetchedData) -> Option<Command> {
    match (fetch, answer) {
        (Fetch::Overview | Fetch::OverviewOf(_), FetchedData::Overview(overview)) => {
            if matches!(model.connection, ConnectionState::Down { .. }) {
                say(model, "connection restored", Tone::Good);
                model.schedule.all_due();
            }
            (model.connection, model.heard) = (ConnectionState::Up, Some(model.now));
            model.live.take_overview(*overview);
            if let Some(error) = find_pool(model) {
                return Some(Command::Fail(error));
            }
        }
        (Fetch::Focus { step, .. } | Fetch::Sweep { step, .. }, FetchedData::Recent(mut stats)) => {
            if !matches!(fetch, Fetch::Focus { keys: true, .. }) {
                // These may be thousands of rows, and are not shown.
                stats.keys = Vec::new();
            }
            model.live.take_recent(Recent { step: *step, stats: *stats });
        }
        (Fetch::Keys { pool, .. }, FetchedData::Keys(keys)) => {
            model.live.take_keys(Keys::new(pool.clone(), keys));
        }
        (Fetch::Events(_), FetchedData::Events(list)) => model.live.take_events(list),
        (Fetch::ClientKeys(pool), FetchedData::ClientKeys(keys)) => {
            model.live.client_keys = Some((pool.clone(), keys.into()));
        }
        (Fetch::Health, FetchedData::Health(health)) => model.live.health = Some((*health).into()),
        // The runtime pairs each fetch with its own data.
        _ => {}
    }
    model.dirty = true;
    if model.frozen.is_none() && listed(fetch, model.tab) {
        refresh(model);
    }
    None
}

/// Returns `true` if the data of a fetch changes the list of a tab. Avoids sorting thousands of
/// rows.
const fn listed(fetch: &Fetch, tab: Tab) -> bool {
    match fetch {
        Fetch::Overview | Fetch::OverviewOf(_) => matches!(tab, Tab::Pools),
        Fetch::Focus { .. } | Fetch::Sweep { .. } => matches!(tab, Tab::Pools | Tab::Keys | Tab::Models),
        Fetch::Keys { .. } => matches!(tab, Tab::Keys | Tab::Events),
        Fetch::Events(_) => matches!(tab, Tab::Events),
        Fetch::ClientKeys(_) => matches!(tab, Tab::ClientKeys),
        Fetch::Health => false,
    }
}

/// Resolves the pool to show: initially that of the command line, none once it is deleted.
fn find_pool(model: &mut Model) -> Option<CliError> {
    let pools = model.live.pools();
    if let Some(name) = model.options.pool.clone() {
        let found = pools.iter().find(|pool| pool.name == name || pool.id.as_str() == name);
        let Some(pool) = found else {
            let names = pools.iter().map(|pool| pool.name.as_str());
            let error = CliError::new(Code::Service(ErrorCode::NotFound), format!("pool {name} not found"));
            return Some(match crate::ctx::nearest(&name, names) {
                Some(name) => error.hint(format!("did you mean {name}?")),
                None => error.hint("poolctl pool list"),
            });
        };
        model.pool = Some(pool.id.clone());
        model.options.pool = None;
        refresh(model);
    } else if let Some(id) = &model.pool
        && !pools.iter().any(|pool| pool.id == *id)
    {
        model.pool = None;
        open(model, Tab::Pools);
        say(model, "the pool was deleted", Tone::Fair);
    } else if model.pool.is_none() && model.tab.needs_pool() {
        let only = pools.first().map(|pool| pool.id.clone());
        model.pool = only;
        let tab = if model.pool.is_none() { Tab::Pools } else { model.tab };
        open(model, tab);
    }
    None
}

fn failed(model: &mut Model, fetch: &Fetch, error: CliError) -> Option<Command> {
    // An invalid token ends the dashboard at the start, as it does any other command.
    let hopeless = matches!(error.code(), Code::Service(ErrorCode::Unauthorized | ErrorCode::Forbidden));
    if model.heard.is_none() && hopeless {
        return Some(Command::Fail(error));
    }
    let unreachable = matches!(error.code(), Code::Unreachable | Code::Timeout);
    if matches!(fetch, Fetch::OverviewOf(_)) && error.code() == Code::Service(ErrorCode::NotFound) {
        return gone(model, fetch, error);
    }
    if fetch.is_overview() || unreachable {
        let before = match model.connection {
            ConnectionState::Down { failures, .. } => failures,
            ConnectionState::Waiting | ConnectionState::Up => 0,
        };
        // Fetches that were running when the connection was lost count as one failure.
        let failures = if fetch.is_overview() { before + 1 } else { before.max(1) };
        let retry = model.schedule.failed(fetch, failures, model.clock);
        model.connection = ConnectionState::Down { error: error.to_string(), failures, retry };
    } else {
        model.schedule.completed(fetch, Duration::ZERO, model.clock);
        if error.code() != Code::Service(ErrorCode::NotFound) {
            say(model, first_line(&error), Tone::Bad);
        }
    }
    model.dirty = true;
    None
}

/// Handles a pool that does not exist or was deleted.
fn gone(model: &mut Model, fetch: &Fetch, error: CliError) -> Option<Command> {
    if model.heard.is_none() || model.options.only.is_some() {
        return Some(Command::Fail(error));
    }
    model.schedule.completed(fetch, Duration::ZERO, model.clock);
    model.schedule.all_due();
    model.pool = None;
    open(model, Tab::Pools);
    say(model, "the pool was deleted", Tone::Fair);
    None
}

/// Opens a tab.
fn open(model: &mut Model, tab: Tab) {
    if model.tab != tab {
        model.tab = tab;
        model.marks.clear();
    }
    model.mode = Mode::List;
    model.schedule.pool_due();
    refresh(model);
}

/// Rebuilds the open list.
fn refresh(model: &mut Model) {
    let (list, data, pool, height) = model.list_mut();
    list.refresh(data, pool, height);
    model.dirty = true;
}

fn say(model: &mut Model, text: impl Into<String>, tone: Tone) {
    model.notice = Some(Notice { text: text.into(), tone, until: model.clock + NOTICE_TTL });
    model.dirty = true;
}

fn first_line(error: &CliError) -> String {
    error.to_string().lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
