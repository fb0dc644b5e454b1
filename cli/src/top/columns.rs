//! The tabs' columns: the one table that says what each shows, on the screen and in a file.

use pool_shared::{
    Activity, AttemptOutcome, ClientKey, ClientKeyStats, Counters, Event, KeyState, KeyStats, Limits,
    ModelStats, Pool, PoolStatsRow, Quantiles, RequestRates, RequestStats,
};

use crate::describe::quota_text;

use super::{
    data::{KeyRow, Recent},
    format::ratio,
    state,
    theme::Tone,
    value::Value,
};

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Name,
    State,
    Keys,
    Weight,
    Share,
    Due,
    Trend,
    Rpm,
    RpmNow,
    Tpm,
    Rpd,
    Tpd,
    Requests,
    Failures,
    ErrorRate,
    Attempts,
    AttemptRate,
    Refused,
    RefusedRate,
    PromptTokens,
    CompletionTokens,
    P50,
    P95,
    P99,
    FirstByte,
    FirstByte95,
    LastUsed,
    Tag,
    Project,
    Reason,
    Id,
    At,
    Pool,
    Key,
    Model,
    Verdict,
    Count,
    Message,
    Quota,
    Metric,
    Limit,
    Retry,
    UnknownText,
    ClientKey,
    Hint,
    Created,
    Expires,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What it shows.
    pub field: Field,
    /// Its title on the screen; what programs call it is the same in lower case.
    pub title: &'static str,
    /// How wide it is.
    pub width: u16,
    /// Which columns go first where there is no room: those with the largest number.
    pub rank: u8,
    /// Whether it takes what room is left.
    pub grows: bool,
    /// Whether its cells stand at the right.
    pub right: bool,
}

const fn text(field: Field, title: &'static str, width: u16, rank: u8) -> Column {
    Column { field, title, width, rank, grows: false, right: false }
}

const fn number(field: Field, title: &'static str, width: u16, rank: u8) -> Column {
    Column { right: true, ..text(field, title, width, rank) }
}

const fn grows(column: Column) -> Column {
    Column { grows: true, ..column }
}

/// Of the pools.
pub const POOLS: &[Column] = &[
    grows(text(Field::Name, "POOL", 12, 0)),
    text(Field::State, "STATE", 5, 1),
    number(Field::Keys, "KEYS", 9, 2),
    number(Field::Rpm, "RPM", 6, 1),
    number(Field::RpmNow, "NOW", 5, 9),
    number(Field::ErrorRate, "ERR", 5, 2),
    number(Field::AttemptRate, "ATT/M", 6, 5),
    number(Field::RefusedRate, "REF", 5, 5),
    number(Field::P50, "P50", 6, 4),
    number(Field::P95, "P95", 6, 3),
    number(Field::P99, "P99", 6, 7),
    number(Field::FirstByte, "TTFB", 6, 6),
    number(Field::Tpm, "TPM", 6, 5),
    number(Field::Rpd, "RPD", 6, 5),
    number(Field::Tpd, "TPD", 6, 8),
    number(Field::Requests, "REQS", 6, 10),
    number(Field::Failures, "FAILED", 6, 10),
    number(Field::Attempts, "ATTS", 6, 10),
    number(Field::Refused, "REFUSED", 7, 10),
    text(Field::Trend, "TREND", 20, 6),
];

/// Of a pool's keys.
pub const KEYS: &[Column] = &[
    text(Field::Key, "KEY", 10, 0),
    grows(text(Field::Name, "NAME", 8, 4)),
    text(Field::Tag, "TAG", 8, 9),
    text(Field::State, "STATE", 16, 1),
    number(Field::Weight, "WEIGHT", 6, 3),
    number(Field::Share, "SHARE", 5, 3),
    number(Field::Due, "DUE", 5, 3),
    number(Field::Attempts, "ATTS", 6, 2),
    number(Field::Refused, "REFUSED", 7, 2),
    number(Field::Rpm, "RPM", 7, 4),
    number(Field::Rpd, "RPD", 8, 5),
    number(Field::Tpm, "TPM", 9, 6),
    number(Field::Tpd, "TPD", 9, 8),
    number(Field::P50, "P50", 6, 7),
    number(Field::P95, "P95", 6, 7),
    number(Field::P99, "P99", 6, 9),
    number(Field::FirstByte, "TTFB", 6, 8),
    number(Field::LastUsed, "USED", 6, 6),
    text(Field::Reason, "REASON", 24, 10),
    text(Field::Id, "ID", 20, 11),
];

/// Of a pool's models.
pub const MODELS: &[Column] = &[
    grows(text(Field::Model, "MODEL", 20, 0)),
    number(Field::Share, "SHARE", 5, 4),
    number(Field::Requests, "REQS", 6, 1),
    number(Field::Failures, "FAILED", 6, 2),
    number(Field::ErrorRate, "ERR", 5, 3),
    number(Field::Attempts, "ATTS", 6, 4),
    number(Field::RefusedRate, "REF", 5, 4),
    number(Field::Rpm, "RPM", 6, 2),
    number(Field::Rpd, "RPD", 6, 5),
    number(Field::Tpm, "TPM", 6, 5),
    number(Field::Tpd, "TPD", 6, 7),
    number(Field::PromptTokens, "IN", 6, 8),
    number(Field::CompletionTokens, "OUT", 6, 8),
    number(Field::P50, "P50", 6, 4),
    number(Field::P95, "P95", 6, 3),
    number(Field::P99, "P99", 6, 6),
    number(Field::FirstByte, "TTFB", 6, 6),
    number(Field::FirstByte95, "TTFB95", 6, 9),
];

/// Of the events.
pub const EVENTS: &[Column] = &[
    number(Field::At, "AGO", 6, 0),
    text(Field::Pool, "POOL", 10, 4),
    text(Field::Key, "KEY", 10, 2),
    text(Field::Model, "MODEL", 20, 3),
    text(Field::Verdict, "VERDICT", 15, 1),
    number(Field::Count, "COUNT", 5, 3),
    text(Field::Quota, "QUOTA", 9, 5),
    number(Field::Retry, "RETRY", 6, 8),
    text(Field::ClientKey, "CLIENT KEY", 19, 9),
    text(Field::UnknownText, "TEXT", 7, 10),
    text(Field::Metric, "METRIC", 40, 11),
    text(Field::Limit, "LIMIT", 40, 11),
    grows(text(Field::Message, "MESSAGE", 16, 1)),
];

/// Of a pool's client keys.
pub const CLIENT_KEYS: &[Column] = &[
    grows(text(Field::Name, "NAME", 16, 0)),
    text(Field::Hint, "ENDS IN", 7, 1),
    text(Field::Id, "ID", 19, 2),
    number(Field::Requests, "REQS", 6, 2),
    number(Field::ErrorRate, "ERR", 5, 3),
    number(Field::Rpm, "RPM", 6, 3),
    number(Field::Rpd, "RPD", 6, 4),
    number(Field::Created, "AGE", 7, 1),
    number(Field::Expires, "EXPIRES", 7, 1),
];

/// A row of a tab.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A pool, its counts and what it did lately.
    Pool(&'a Pool, Option<&'a PoolStatsRow>, Option<&'a Recent>),
    /// A key, its counts, its part of the pool's requests and the part that its weight makes due.
    Key { row: &'a KeyRow, stats: Option<&'a KeyStats>, share: f64, due: f64 },
    /// A model, and its part of the pool's requests.
    Model(&'a ModelStats, f64),
    /// An event with the names of its pool and key.
    Event { event: &'a Event, pool: &'a str, key: &'a str },
    /// A client key, and what was sent with it.
    ClientKey(&'a ClientKey, Option<&'a ClientKeyStats>),
}

impl<'a> Record<'a> {
    /// What tells the row from others, also when it has moved.
    pub fn id(&self) -> &'a str {
        match self {
            Self::Pool(pool, ..) => pool.id.as_str(),
            Self::Key { row, .. } => row.key.id.as_str(),
            Self::Model(model, _) => &model.model,
            Self::Event { .. } => "",
            Self::ClientKey(key, _) => key.id.as_str(),
        }
    }

    /// What clients sent in the span that is looked at; none for a key, which serves attempts.
    fn requests(&self) -> Option<&'a RequestStats> {
        match self {
            Self::Pool(_, _, recent) => recent.map(|recent| &recent.stats.requests),
            Self::Model(model, _) => Some(&model.requests),
            Self::ClientKey(_, stats) => stats.map(|stats| &stats.requests),
            Self::Key { .. } | Self::Event { .. } => None,
        }
    }

    /// Rates of requests, from where they are the most recent.
    fn request_rates(&self) -> Option<RequestRates> {
        match self {
            Self::Pool(_, stats, _) => stats.map(|stats| stats.requests.rates),
            _ => self.requests().map(|requests| requests.rates),
        }
    }

    /// Counts of attempts in the span that is looked at.
    fn counters(&self) -> Option<&'a Counters> {
        match self {
            Self::Pool(_, _, recent) => recent.map(|recent| &recent.stats.total),
            Self::Key { stats, .. } => stats.map(|stats| &stats.counters),
            Self::Model(model, _) => Some(&model.counters),
            Self::Event { .. } | Self::ClientKey(..) => None,
        }
    }

    /// What goes with them.
    fn activity(&self) -> Option<&'a Activity> {
        match self {
            Self::Pool(_, _, recent) => recent.map(|recent| &recent.stats.activity),
            Self::Key { stats, .. } => stats.map(|stats| &stats.activity),
            Self::Model(model, _) => Some(&model.activity),
            Self::Event { .. } | Self::ClientKey(..) => None,
        }
    }

    /// Rates, from where they are the most recent.
    fn rates(&self) -> Option<&'a pool_shared::Rates> {
        match self {
            Self::Pool(_, stats, _) => stats.map(|stats| &stats.activity.rates),
            _ => self.activity().map(|activity| &activity.rates),
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Self::Key { row, .. } => row.key.limits,
            _ => Limits::default(),
        }
    }

    /// The value of a field. `None` too where the row has no such field.
    pub fn value(&self, field: Field) -> Value<'a> {
        let counted = self.counted_requests(field).or_else(|| self.counted_attempts(field));
        counted.or_else(|| self.own(field)).unwrap_or(Value::None)
    }

    /// What pools, models and client keys count of requests.
    fn counted_requests(&self, field: Field) -> Option<Value<'a>> {
        let rate = |of: fn(&RequestRates) -> u64| self.request_rates().map(|rates| Value::Count(of(&rates)));
        let requests = self.requests()?;
        let time = |of: fn(&Quantiles) -> f64| {
            let latency = requests.latency.as_ref();
            Some(latency.map_or(Value::None, |quantiles| Value::Milliseconds(of(quantiles))))
        };
        match field {
            Field::Requests => Some(Value::Count(requests.total)),
            Field::Failures => Some(Value::Bad(requests.failed)),
            Field::ErrorRate => Some(Value::Ratio(ratio(requests.failed, requests.total))),
            Field::Rpm => rate(|rates| rates.rpm),
            Field::RpmNow => rate(|rates| rates.rpm_now),
            Field::Rpd => rate(|rates| rates.rpd),
            Field::P50 => time(|quantiles| quantiles.p50_ms),
            Field::P95 => time(|quantiles| quantiles.p95_ms),
            Field::P99 => time(|quantiles| quantiles.p99_ms),
            _ => None,
        }
    }

    /// What pools, keys and models count of attempts.
    fn counted_attempts(&self, field: Field) -> Option<Value<'a>> {
        let count = |of: fn(&Counters) -> u64| self.counters().map(|counters| Value::Count(of(counters)));
        let limited = |of: fn(&pool_shared::Rates) -> u64, limit: fn(&Limits) -> Option<u64>| {
            self.rates().map(|rates| Value::Limited(of(rates), limit(&self.limits())))
        };
        let time = |quantiles: Option<Quantiles>, of: fn(&Quantiles) -> f64| {
            quantiles.map(|quantiles| Value::Milliseconds(of(&quantiles)))
        };
        let total = self.activity().and_then(|activity| activity.latency.total);
        let first_byte = self.activity().and_then(|activity| activity.latency.first_byte);
        match field {
            Field::Attempts => count(|counters| counters.attempts),
            Field::AttemptRate => self.rates().map(|rates| Value::Count(rates.rpm)),
            Field::Refused => self.counters().map(|counters| Value::Bad(counters.failures)),
            Field::RefusedRate => {
                self.counters().map(|counters| Value::Ratio(ratio(counters.failures, counters.attempts)))
            }
            Field::PromptTokens => count(|counters| counters.prompt_tokens),
            Field::CompletionTokens => count(|counters| counters.completion_tokens),
            Field::Rpm => limited(|rates| rates.rpm, |limits| limits.requests_per_minute),
            Field::RpmNow => limited(|rates| rates.rpm_now, |limits| limits.requests_per_minute),
            Field::Tpm => limited(|rates| rates.tpm, |limits| limits.tokens_per_minute),
            Field::Rpd => limited(|rates| rates.rpd, |limits| limits.requests_per_day),
            Field::Tpd => limited(|rates| rates.tpd, |limits| limits.tokens_per_day),
            Field::P50 => time(total, |quantiles| quantiles.p50_ms),
            Field::P95 => time(total, |quantiles| quantiles.p95_ms),
            Field::P99 => time(total, |quantiles| quantiles.p99_ms),
            Field::FirstByte => time(first_byte, |quantiles| quantiles.p50_ms),
            Field::FirstByte95 => time(first_byte, |quantiles| quantiles.p95_ms),
            _ => None,
        }
    }

    /// What one kind of row has.
    fn own(&self, field: Field) -> Option<Value<'a>> {
        match *self {
            Self::Pool(pool, _, recent) => pool_field(pool, recent, field),
            Self::Key { row, stats, share, due } => match field {
                Field::Share => Some(Value::Ratio(share)),
                Field::Due => Some(Value::Ratio(due)),
                Field::LastUsed => stats.and_then(|stats| stats.last_used).map(Value::At),
                _ => key_field(row, field),
            },
            Self::Model(model, share) => match field {
                Field::Model => Some(Value::text(&model.model)),
                Field::Share => Some(Value::Ratio(share)),
                _ => None,
            },
            Self::Event { event, pool, key } => match field {
                Field::At => Some(Value::At(event.at)),
                Field::Pool => Some(Value::text(pool)),
                Field::Key => Some(Value::text(key)),
                Field::Model => Some(Value::text(&event.model)),
                Field::Verdict => {
                    Some(Value::Text(event.verdict.label().into(), verdict_tone(event.verdict)))
                }
                Field::Count => Some(Value::Count(event.count)),
                Field::Message => Some(Value::text(&event.message)),
                _ => event_field(event, field),
            },
            Self::ClientKey(key, _) => match field {
                Field::Name => Some(Value::text(&key.name)),
                Field::Hint => Some(Value::text(&key.hint)),
                Field::Id => Some(Value::text(key.id.as_str())),
                Field::Created => Some(Value::At(key.created_at)),
                Field::Expires => key.expires_at.map(Value::Until),
                _ => None,
            },
        }
    }
}

fn pool_field<'a>(pool: &'a Pool, recent: Option<&Recent>, field: Field) -> Option<Value<'a>> {
    Some(match field {
        Field::Name => Value::text(&pool.name),
        Field::State if pool.enabled => Value::Text("on".into(), Tone::Good),
        Field::State => Value::Text("off".into(), Tone::Muted),
        // What is healthy, where the service says so.
        Field::Keys => {
            let healthy = pool.states.get(&KeyState::Healthy).copied().unwrap_or_default();
            Value::OutOf(if pool.states.is_empty() { pool.enabled_keys } else { healthy }, pool.keys)
        }
        Field::Id => Value::text(pool.id.as_str()),
        Field::Message => Value::text(&pool.description),
        Field::Trend => Value::Trend(recent?.trend().iter().map(|point| point.requests).collect()),
        _ => return None,
    })
}

/// What Gemini's error says of a quota, and whom an event is about beside the key.
fn event_field(event: &Event, field: Field) -> Option<Value<'_>> {
    let quota = event.quota.as_ref();
    Some(match field {
        Field::Quota => Value::text(quota_text(quota?)),
        Field::Metric => Value::text(quota?.metric.as_deref()?),
        Field::Limit => Value::text(quota?.limit.as_deref()?),
        // Whole milliseconds of days are exact.
        #[allow(clippy::cast_precision_loss, reason = "far less than 2^52 milliseconds")]
        Field::Retry => Value::Milliseconds(quota?.retry_after_ms? as f64),
        Field::UnknownText => Value::Text(event.unknown_text.then_some("unknown")?.into(), Tone::Fair),
        Field::ClientKey => Value::text(event.client_key.as_ref()?.as_str()),
        _ => return None,
    })
}

fn key_field(row: &KeyRow, field: Field) -> Option<Value<'_>> {
    let key = &row.key;
    Some(match field {
        Field::Key => Value::text(&key.masked),
        Field::Name => Value::text(&key.name),
        Field::Tag => Value::text(&key.tag),
        Field::Project => Value::text(&key.project),
        Field::State => Value::State(&row.state),
        Field::Reason => Value::text(state::reason(&row.state)),
        Field::Weight => Value::Count(u64::from(u32::from(key.weight))),
        Field::Id => Value::text(key.id.as_str()),
        _ => return None,
    })
}

/// Only a refused key asks for somebody to look at it.
const fn verdict_tone(verdict: AttemptOutcome) -> Tone {
    match verdict {
        AttemptOutcome::Ok => Tone::Good,
        AttemptOutcome::Key => Tone::Bad,
        AttemptOutcome::Quota | AttemptOutcome::Model | AttemptOutcome::Internal | AttemptOutcome::Egress => {
            Tone::Fair
        }
        _ => Tone::Plain,
    }
}
