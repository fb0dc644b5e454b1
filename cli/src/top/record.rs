//! Rows of the tabs, and the value that each row has for a column's field.

use pool_shared::{
    Activity, AttemptOutcome, ClientKey, ClientKeyStats, Counters, Event, KeyState, KeyStats, Limits,
    ModelStats, Pool, PoolStatsRow, Quantiles, RequestRates, RequestStats,
};

use crate::describe::quota_text;

use super::{
    columns::Field,
    data::{KeyRow, Recent},
    format::ratio,
    state,
    theme::Tone,
    value::Value,
};

/// A row of a tab.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A pool, its counts and its recent statistics.
    Pool(&'a Pool, Option<&'a PoolStatsRow>, Option<&'a Recent>),
    /// A key, its counts, its share of the pool's attempts and the share that its weight assigns.
    Key { row: &'a KeyRow, stats: Option<&'a KeyStats>, share: f64, due: f64 },
    /// A model and its share of the pool's attempts.
    Model(&'a ModelStats, f64),
    /// An event with the names of its pool and key.
    Event { event: &'a Event, pool: &'a str, key: &'a str },
    /// A client key and its statistics.
    ClientKey(&'a ClientKey, Option<&'a ClientKeyStats>),
}

impl<'a> Record<'a> {
    /// Returns the id that identifies the row.
    pub fn id(&self) -> &'a str {
        match self {
            Self::Pool(pool, ..) => pool.id.as_str(),
            Self::Key { row, .. } => row.key.id.as_str(),
            Self::Model(model, _) => &model.model,
            Self::Event { .. } => "",
            Self::ClientKey(key, _) => key.id.as_str(),
        }
    }

    /// Returns the requests in the time range; `None` for a key, which has attempts.
    fn requests(&self) -> Option<&'a RequestStats> {
        match self {
            Self::Pool(_, _, recent) => recent.map(|recent| &recent.stats.requests),
            Self::Model(model, _) => Some(&model.requests),
            Self::ClientKey(_, stats) => stats.map(|stats| &stats.requests),
            Self::Key { .. } | Self::Event { .. } => None,
        }
    }

    /// Returns the most recent rates of requests.
    fn request_rates(&self) -> Option<RequestRates> {
        match self {
            Self::Pool(_, stats, _) => stats.map(|stats| stats.requests.rates),
            _ => self.requests().map(|requests| requests.rates),
        }
    }

    /// Returns the counts of attempts in the time range.
    fn counters(&self) -> Option<&'a Counters> {
        match self {
            Self::Pool(_, _, recent) => recent.map(|recent| &recent.stats.total),
            Self::Key { stats, .. } => stats.map(|stats| &stats.counters),
            Self::Model(model, _) => Some(&model.counters),
            Self::Event { .. } | Self::ClientKey(..) => None,
        }
    }

    /// Returns the rates, latencies and outcomes of attempts.
    fn activity(&self) -> Option<&'a Activity> {
        match self {
            Self::Pool(_, _, recent) => recent.map(|recent| &recent.stats.activity),
            Self::Key { stats, .. } => stats.map(|stats| &stats.activity),
            Self::Model(model, _) => Some(&model.activity),
            Self::Event { .. } | Self::ClientKey(..) => None,
        }
    }

    /// Returns the most recent rates of attempts.
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

    /// Returns the value of a field; `Value::None` if the row does not have it.
    pub fn value(&self, field: Field) -> Value<'a> {
        let counted = self.counted_requests(field).or_else(|| self.counted_attempts(field));
        counted.or_else(|| self.own(field)).unwrap_or(Value::None)
    }

    /// Returns fields that count requests: of pools, models and client keys.
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

    /// Returns fields that count attempts: of pools, keys and models.
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

    /// Returns fields that only one kind of row has.
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
        // The healthy keys, if the service reports states.
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

/// Returns fields of an event's quota and client key.
fn event_field(event: &Event, field: Field) -> Option<Value<'_>> {
    let quota = event.quota.as_ref();
    Some(match field {
        Field::Quota => Value::text(quota_text(quota?)),
        Field::Metric => Value::text(quota?.metric.as_deref()?),
        Field::Limit => Value::text(quota?.limit.as_deref()?),
        // Milliseconds of days fit exactly.
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

/// Returns the tone of a verdict: only a rejected key needs action.
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
