//! Sending a request once more, changed, after Gemini refused it for something that can be changed.
//!
//! In: what became of an attempt. Out: the one change to try. What a model turned out not to know is
//! remembered for a day, by pool: what callers of one pool write never changes what those of
//! another get. What must never happen here: a change that did not help being remembered.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use pool_shared::PoolId;

use pool_engine::{Cause, Verdict};
use pool_translate::gemini::ModelId;
use pool_translate::{Repair, Repairs};

/// Models learn, and Google's services change.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// Models remembered at once, of all pools; an entry takes some 150 bytes.
const MOST_MODELS: usize = 1_000;

/// What each model turned out not to know.
#[derive(Debug, Default)]
pub struct RepairMemory(HashMap<(PoolId, ModelId), (Timestamp, Repairs)>);

impl RepairMemory {
    /// What to leave out from the start.
    pub(super) fn of(&self, pool: &PoolId, model: &ModelId, now: Timestamp) -> Repairs {
        let known = self.0.get(&(pool.clone(), model.clone()));
        known.filter(|(since, _)| is_fresh(*since, now)).map(|(_, repairs)| *repairs).unwrap_or_default()
    }

    /// Remembers a repair that helped.
    pub(super) fn remember(&mut self, pool: &PoolId, model: &ModelId, repair: Repair, now: Timestamp) {
        if self.0.len() >= MOST_MODELS {
            self.0.retain(|_, (since, _)| is_fresh(*since, now));
        }
        if self.0.len() >= MOST_MODELS {
            self.0.clear();
        }
        let known = self.0.entry((pool.clone(), model.clone())).or_insert((now, Repairs::default()));
        if !is_fresh(known.0, now) {
            *known = (now, Repairs::default());
        }
        known.1 = known.1.with(repair);
    }
}

fn is_fresh(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since).unsigned_abs() < KEPT_FOR
}

/// The changes that may help against a failure, of which the first is to be made that changes anything. One for each
/// request; only where schemas are told in another way and that does not help either, and where thinking is refused form
/// by form, more follow.
pub(super) fn repairs_for(verdict: &Verdict, tried: Repairs, last: Option<Repair>) -> Vec<Repair> {
    let answer = &verdict.answer;
    let mut repairs: Vec<Repair> = match verdict.cause {
        // What has a code is understood, and is the caller's to change.
        Cause::Caller if answer.status == StatusCode::BAD_REQUEST && answer.code.is_none() => {
            Repair::for_message(&answer.message, tried).collect()
        }
        Cause::SoftFailure if answer.code == Some("missing_thought_signature") => {
            [Repair::StandInSignatures].into_iter().filter(|repair| !tried.contains(*repair)).collect()
        }
        _ => Vec::new(),
    };
    // Where both ways to steer thinking are refused, nothing is left but not to.
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

/// Whether a refusal may say that Gemini did not fetch what it was given by URL. Its texts are not documented.
pub(super) fn is_about_fetching(verdict: &Verdict) -> bool {
    const SIGNS: [&str; 7] = ["fetch", "url", "uri", "robots", "download", "mime type", "invalid argument"];
    let answer = &verdict.answer;
    let message = answer.message.to_ascii_lowercase();
    verdict.cause == Cause::Caller
        && answer.status == StatusCode::BAD_REQUEST
        && answer.code.is_none()
        && SIGNS.iter().any(|sign| message.contains(sign))
}

/// Whether a refusal says that a thought signature is not one that this key's model has made.
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
        use pool_translate::openai::ApiError;
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
        for number in 0..3 * MOST_MODELS {
            let model = ModelId::parse(&format!("gemini-{number}")).unwrap();
            memory.remember(&PoolId::new("pool-a"), &model, Repair::NoPenalties, at(0));
            assert!(memory.0.len() <= MOST_MODELS);
        }
    }
}
