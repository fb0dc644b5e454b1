//! The lines above the list: service and connection state, rates and latencies, tabs.

use std::{collections::BTreeMap, sync::Arc};

use pool_shared::{AttemptOutcome, HealthStatus, KeyCondition, KeyState, PoolStats, StatsStep};
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    text::{Line, Span},
    widgets::Widget,
};

use crate::top::{
    data::Recent,
    format::{compact, counted, milliseconds, percent, ratio, seconds},
    list::Tab,
    model::{ConnectionState, Model},
    state,
    theme::Tone,
};

/// Returns the label of the connection state.
pub fn connection(model: &Model) -> (String, Tone) {
    let again = match &model.connection {
        ConnectionState::Down { retry, .. } => {
            let left = i64::try_from(retry.saturating_sub(model.clock).as_secs()).unwrap_or_default();
            format!(", retry in {}", seconds(left))
        }
        ConnectionState::Waiting | ConnectionState::Up => String::new(),
    };
    match (model.stale(), &model.connection) {
        (Some(age), _) => (format!(" STALE {}{again} ", seconds(age)), Tone::Alarm),
        (None, ConnectionState::Down { .. }) => (format!(" NO RESPONSE{again} "), Tone::Alarm),
        (None, _) if model.frozen.is_some() => (" PAUSED ".to_owned(), Tone::Fair),
        (None, ConnectionState::Waiting) => ("CONNECTING".to_owned(), Tone::Muted),
        (None, ConnectionState::Up) => match model.data().health.as_ref().map(|health| health.status) {
            None | Some(HealthStatus::Ok) => ("LIVE".to_owned(), Tone::Good),
            Some(HealthStatus::Degraded) => ("DEGRADED".to_owned(), Tone::Fair),
            Some(HealthStatus::Failing) => (" FAILING ".to_owned(), Tone::Alarm),
            Some(HealthStatus::Unknown) => ("LIVE".to_owned(), Tone::Muted),
        },
    }
}

pub fn status(model: &Model, area: Rect, buffer: &mut Buffer) {
    let style = |tone| model.options.theme.style(tone);
    let span = match model.span {
        StatsStep::Minute => "last hour",
        StatsStep::Hour => "last day",
        StatsStep::Day => "last month",
    };
    let (word, tone) = connection(model);
    let paused = model.frozen.is_some() && !word.contains("PAUSED");
    let every = format!("{}s", model.schedule.interval.as_secs_f64());
    let mut right = vec![Span::styled(format!("every {every} · {span} "), style(Tone::Muted))];
    if model.options.read_only {
        right.push(Span::styled("· read-only ", style(Tone::Muted)));
    }
    if paused {
        right.push(Span::styled("PAUSED ", style(Tone::Fair)));
    }
    right.push(Span::styled(word, style(tone)));
    let right = Line::from(right);
    let width = u16::try_from(right.width()).unwrap_or(u16::MAX).min(area.width);
    let room = Rect { width: (area.width - width).saturating_sub(1), ..area };
    let mut left = vec![Span::styled(model.options.service.clone(), style(Tone::Heading))];
    left.extend(pool_name(model).map(|name| Span::raw(format!(" › {name}"))));
    let left = Line::from(left);
    // If there is no room for both, the pool's name is kept.
    let too_long = left.spans.len() > 1 && left.width() > usize::from(room.width);
    let left = if too_long { left.into_iter().skip(1).collect() } else { left };
    left.render(room, buffer);
    right.render(Rect { x: area.right() - width, width, ..area }, buffer);
}

fn pool_name(model: &Model) -> Option<&str> {
    let id = model.pool.as_ref()?;
    Some(model.data().pool(id).map_or(id.as_str(), |pool| &pool.name))
}

/// Draws the rates and latencies of the open pool, else of all pools. Parts that do not fit are
/// dropped from the end.
pub fn figures(model: &Model, area: Rect, buffer: &mut Buffer) {
    let style = |tone| model.options.theme.style(tone);
    if let Some(trouble) = model.trouble() {
        let tone = if model.stale().is_some() { Tone::Bad } else { Tone::Fair };
        Line::styled(trouble, style(tone)).render(area, buffer);
        return;
    }
    let mut left = usize::from(area.width);
    let mut spans = Vec::new();
    for (name, text, tone) in parts(model) {
        let width = name.len() + 1 + text.len() + 2;
        if width > left + 2 {
            break;
        }
        left = left.saturating_sub(width);
        spans.push(Span::styled(format!("{name} "), style(Tone::Muted)));
        spans.push(Span::styled(format!("{text}  "), style(tone)));
    }
    Line::from(spans).render(area, buffer);
}

fn parts(model: &Model) -> Vec<(&'static str, String, Tone)> {
    let data = model.data();
    let Some(overview) = &data.overview else { return Vec::new() };
    let pool = model.pool.as_ref();
    let stats = pool.and_then(|pool| overview.stats.pools.iter().find(|row| row.pool == *pool));
    let (requests, rates) = match pool {
        Some(_) => stats.map(|row| (row.requests.rates, row.activity.rates)).unwrap_or_default(),
        None => (overview.stats.requests.rates, overview.stats.activity.rates),
    };
    let plain = |name, number| (name, compact(number), Tone::Plain);
    let mut parts = Vec::new();
    if let Some(health) = &data.health {
        for (name, part) in [("store:", &health.store), ("ledger:", &health.ledger)] {
            parts.extend(part.message.clone().map(|message| (name, message, Tone::Bad)));
        }
    }
    let recents: Vec<_> = match pool {
        Some(pool) => data.recent.get(pool).into_iter().collect(),
        None => data.recent.values().collect(),
    };
    let sum = |of: fn(&PoolStats) -> u64| recents.iter().map(|recent| of(&recent.stats)).sum::<u64>();
    parts.push(rate(
        "requests",
        requests.rpm,
        sum(|stats| stats.requests.failed),
        sum(|stats| stats.requests.total),
        "failed",
    ));
    parts.push(rate(
        "attempts",
        rates.rpm,
        sum(|stats| stats.total.failures),
        sum(|stats| stats.total.attempts),
        "refused",
    ));
    for (name, lost) in [("lost", overview.stats.lost), ("lost requests", overview.stats.lost_requests)] {
        if lost > 0 {
            parts.push((name, compact(lost), Tone::Bad));
        }
    }
    let focused = model.focused().filter(|_| pool.is_some());
    if let Some(total) = focused.and_then(|recent| recent.stats.requests.latency) {
        let times = [total.p50_ms, total.p95_ms, total.p99_ms].map(milliseconds).join("/");
        parts.push(("p50/95/99", times, Tone::Plain));
    }
    if let Some(first) = focused.and_then(|recent| recent.stats.activity.latency.first_byte) {
        let times = [first.p50_ms, first.p95_ms].map(milliseconds).join("/");
        parts.push(("first byte", times, Tone::Plain));
    }
    let counted_pools = data.pools().iter().filter(|known| pool.is_none_or(|pool| known.id == *pool));
    for state in KeyState::ALL {
        let count = counted_pools.clone().filter_map(|pool| pool.states.get(&state)).sum::<u64>();
        if count > 0 {
            parts.push((state.name(), compact(count), state::tone(&KeyCondition::of(state))));
        }
    }
    parts.extend(refusals(&recents));
    parts.extend([plain("TPM", rates.tpm), plain("RPD", requests.rpd), plain("TPD", rates.tpd)]);
    parts
}

/// Returns `requests 240/min, 0.4% failed`: the rate, and the share of failures in the time range.
fn rate(name: &'static str, rpm: u64, failed: u64, all: u64, word: &str) -> (&'static str, String, Tone) {
    let tone = if failed > 0 { Tone::Bad } else { Tone::Plain };
    let share = if all > 0 { format!(", {} {word}", percent(ratio(failed, all))) } else { String::new() };
    (name, format!("{}/min{share}", compact(rpm)), tone)
}

/// Returns the failure outcomes of attempts in the time range, the most frequent first.
fn refusals(recents: &[&Arc<Recent>]) -> Vec<(&'static str, String, Tone)> {
    let mut counts: BTreeMap<AttemptOutcome, u64> = BTreeMap::new();
    for (outcome, count) in recents.iter().flat_map(|recent| &recent.stats.activity.outcomes) {
        if *outcome != AttemptOutcome::Ok {
            *counts.entry(*outcome).or_default() += count;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(outcome, count)| (outcome.name(), compact(count), Tone::Fair)).collect()
}

pub fn tabs(model: &Model, area: Rect, buffer: &mut Buffer) {
    let style = |tone| model.options.theme.style(tone);
    let mut x = area.x;
    for (tab, label) in labels() {
        let tone = if tab == model.tab { Tone::Selected } else { Tone::Plain };
        (x, _) = buffer.set_stringn(x, area.y, &label, usize::from(area.right() - x), style(tone));
    }
    let list = model.list();
    let room = Rect { x, width: area.right() - x, ..area };
    let rows = match (list.rows.len(), list.total) {
        (shown, total) if shown == total => counted(total, "row"),
        (shown, total) => format!("{} of {}", compact(shown as u64), counted(total, "row")),
    };
    let mut notes = Vec::new();
    if !model.marks.is_empty() {
        notes.push(format!("{} marked", model.marks.len()));
    }
    if !list.filter.is_empty() {
        notes.push(format!("/{}", list.filter.text()));
    }
    notes.push(rows);
    // The most important note is last; the others are dropped if there is no room.
    while notes.len() > 1 && Line::raw(notes.join("  ")).width() > usize::from(room.width) {
        let filter = notes.iter().position(|note| note.starts_with('/'));
        notes.remove(filter.unwrap_or_default());
    }
    Line::styled(notes.join("  "), style(Tone::Accent)).right_aligned().render(room, buffer);
}

/// Returns the tab at a position.
pub fn tab_at(at: Position) -> Option<Tab> {
    let mut end = 0;
    labels().find_map(|(tab, label)| {
        end += u16::try_from(label.len()).unwrap_or(u16::MAX);
        (at.x < end).then_some(tab)
    })
}

fn labels() -> impl Iterator<Item = (Tab, String)> {
    Tab::ALL.into_iter().zip(1..).map(|(tab, number)| (tab, format!(" {number} {} ", tab.title())))
}
