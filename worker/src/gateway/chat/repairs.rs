//! Repairs: changes of a request after an upstream error that a changed request avoids.
//!
//! What a model does not support is remembered for a day, per pool, so that the requests of one pool do
//! not change those of another. Only a repair that helped is remembered.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use pool_shared::PoolId;

use crate::platform::TtlCache;
use pool_engine::{Cause, Verdict};
use pool_translate::gemini::ModelId;
use pool_translate::{Repair, Repairs};

/// Models and Google's services change.
const TTL: Duration = Duration::from_hours(24);
/// Models remembered for all pools; an entry takes about 150 bytes.
const MAX_MODELS: usize = 1_000;

/// Repairs that each model needs.
#[derive(Debug)]
pub struct RepairMemory(TtlCache<(PoolId, ModelId), Repairs>);

impl Default for RepairMemory {
    fn default() -> Self {
        Self(TtlCache::new(TTL, MAX_MODELS))
    }
}

impl RepairMemory {
    /// Returns the repairs to apply from the start.
    pub(super) fn of(&self, pool: &PoolId, model: &ModelId, now: Timestamp) -> Repairs {
        self.0.get(&(pool.clone(), model.clone()), now).copied().unwrap_or_default()
    }

    /// Remembers a repair that helped.
    pub(super) fn remember(&mut self, pool: &PoolId, model: &ModelId, repair: Repair, now: Timestamp) {
        let name = (pool.clone(), model.clone());
        match self.0.get_mut(&name, now) {
            Some(known) => *known = known.with(repair),
            None => self.0.insert(name, Repairs::default().with(repair), now),
        }
    }
}

/// Returns the repairs that may help after a failure; the first that changes the request is applied. One
/// per request, except that further forms of a schema or of a thinking configuration may follow.
pub(super) fn repairs_for(verdict: &Verdict, tried: Repairs, last: Option<Repair>) -> Vec<Repair> {
    let answer = &verdict.answer;
    let mut repairs: Vec<Repair> = match verdict.cause {
        // An error with a code is classified already: the client has to change its request.
        Cause::Caller if answer.status == StatusCode::BAD_REQUEST && answer.code.is_none() => {
            Repair::for_message(&answer.message, tried).collect()
        }
        Cause::SoftFailure if answer.code == Some("missing_thought_signature") => {
            [Repair::StandInSignatures].into_iter().filter(|repair| !tried.contains(*repair)).collect()
        }
        _ => Vec::new(),
    };
    // If both forms of the thinking configuration are rejected, only omitting it is left.
    for repair in &mut repairs {
        let refused_both = matches!(
            (last, *repair),
            (Some(Repair::ThinkingByLevel), Repair::ThinkingByBudget)
                | (Some(Repair::ThinkingByBudget), Repair::ThinkingByLevel)
        );
        if refused_both {
            *repair = Repair::ThinkingUnsaid;
        }
    }
    repairs.retain(|repair| last.is_none_or(|last| last.may_be_followed_by(*repair)));
    repairs
}

/// Returns `true` if an upstream error may mean that Gemini could not fetch a URL. Its texts are not
/// documented.
pub(super) fn is_about_fetching(verdict: &Verdict) -> bool {
    const SIGNS: [&str; 7] = ["fetch", "url", "uri", "robots", "download", "mime type", "invalid argument"];
    let answer = &verdict.answer;
    let message = answer.message.to_ascii_lowercase();
    verdict.cause == Cause::Caller
        && answer.status == StatusCode::BAD_REQUEST
        && answer.code.is_none()
        && SIGNS.iter().any(|sign| message.contains(sign))
}

/// Returns `true` if an upstream error says that a thought signature was not made with this key.
pub(super) fn is_about_signatures(verdict: &Verdict) -> bool {
    let answer = &verdict.answer;
    verdict.cause == Cause::Caller
        && answer.status == StatusCode::BAD_REQUEST
        && Repair::is_about_wrong_signatures(&answer.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3_600).unwrap()
    }

    #[test]
    fn it_is_kept_for_a_day_and_apart_by_pool_and_model() {
        let mut memory = RepairMemory::default();
        let (pool, model) = (PoolId::new("pool-a"), ModelId::parse("gemini-x").unwrap());
        memory.remember(&pool, &model, Repair::NoPenalties, at(0));
        memory.remember(&pool, &model, Repair::NoCallIds, at(23));
        let both = Repairs::default().with(Repair::NoPenalties).with(Repair::NoCallIds);
        assert_eq!(memory.of(&pool, &model, at(23)), both);
        assert_eq!(memory.of(&pool, &model, at(24)), Repairs::default());
        assert_eq!(memory.of(&PoolId::new("pool-b"), &model, at(5)), Repairs::default());
        assert_eq!(memory.of(&pool, &ModelId::parse("gemini-y").unwrap(), at(5)), Repairs::default());
        memory.remember(&pool, &model, Repair::NoCallIds, at(25));
        assert_eq!(memory.of(&pool, &model, at(25)), Repairs::default().with(Repair::NoCallIds));
    }

    #[test]
    fn only_what_gemini_refuses_without_a_name_for_it_is_repaired_and_once() {
        use pool_translate::ApiError;
        let none = Repairs::default();
        let told = |cause, status, code, message: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            Verdict::of(cause, ApiError::new(status, "invalid_request_error", code, message))
        };
        let schema = told(Cause::Caller, 400, None, "Invalid schema");
        let legacy = Repair::LegacyRichSchemas;
        assert_eq!(repairs_for(&schema, none, None), [legacy, Repair::SchemaInWords]);
        assert_eq!(repairs_for(&schema, none.with(legacy), Some(legacy)), [Repair::SchemaInWords]);
        assert_eq!(repairs_for(&schema, none, Some(Repair::NoPenalties)), []);
        for verdict in [
            told(Cause::Caller, 400, Some("context_length_exceeded"), "Invalid schema"),
            told(Cause::Caller, 413, None, "Invalid schema"),
            told(Cause::Location, 400, None, "Invalid schema"),
            told(Cause::InvalidKey, 400, None, "Invalid schema"),
            told(Cause::SoftFailure, 502, Some("empty_response"), "missing a thought_signature"),
        ] {
            assert_eq!(repairs_for(&verdict, none, None), [], "{verdict:?}");
        }
    }

    #[test]
    fn it_is_bounded() {
        let mut memory = RepairMemory::default();
        for number in 0..3 * MAX_MODELS {
            let model = ModelId::parse(&format!("gemini-{number}")).unwrap();
            memory.remember(&PoolId::new("pool-a"), &model, Repair::NoPenalties, at(0));
            assert!(memory.0.len() <= MAX_MODELS);
        }
    }
}
