//! Limits of models: observed ones, and configured ones.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use pool_shared::{KeyId, LearntLimit, ModelLimits, PoolId, PoolLimits, bounds};

use super::{AdminError, Context, HandlerResult, Query, ok};
use crate::ports::AdminHost;
use crate::store::{ConfigStore, KeyFilter, Page, StateFilter};
use pool_engine::{Observation, ObservationKind, Subject};

/// Default number of observed limits in a response.
const DEFAULT_LIMIT: u32 = 1_000;

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn pool_limits(&self, reference: &str, query: &Query) -> HandlerResult {
        let limit = query.limit(DEFAULT_LIMIT)? as usize;
        let pool = self.pool(reference).await?;
        self.admin.state.reporter.flush_once(self.host).await;
        let observations = self.observations(Some(&pool.id)).await?.into_iter().map(|(_, learnt)| learnt);
        let mut learnt = learnt_limits(observations, query.get("model"));
        let total = learnt.len() as u64;
        learnt.truncate(limit);
        self.mask(&pool.id, &mut learnt).await?;
        ok(&PoolLimits { set: pool.settings.model_limits, learnt, total })
    }

    /// Adds the masked keys. Disabled and removed keys have only their ids.
    async fn mask(&self, pool: &PoolId, learnt: &mut [LearntLimit]) -> Result<(), AdminError> {
        let ids: HashSet<KeyId> = learnt.iter().filter_map(|limit| limit.key_id.clone()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let states = StateFilter {
            disabled: false,
            healthy: false,
            chosen: ids.into_iter().collect(),
            unhealthy: Vec::new(),
        };
        let filter = KeyFilter { states: Some(states), ..KeyFilter::default() };
        let page = self.host.store().keys(pool, &filter, Page { after: 0, limit: bounds::PAGE }).await?;
        let masked: HashMap<KeyId, String> = page.keys.into_iter().map(|key| (key.id, key.masked)).collect();
        for limit in learnt {
            limit.masked = limit.key_id.as_ref().and_then(|id| masked.get(id)).cloned();
        }
        Ok(())
    }
}

/// Returns the observed limits, latest first, without those that an operator has cleared.
fn learnt_limits(observations: impl Iterator<Item = Observation>, model: Option<&str>) -> Vec<LearntLimit> {
    let (mut cleared, mut limits) = (BTreeMap::<Subject, Timestamp>::new(), Vec::new());
    for Observation { subject, model: of, at, fact } in observations {
        match (fact, of) {
            (ObservationKind::Cleared, _) => {
                let last = cleared.entry(subject).or_insert(at);
                *last = at.max(*last);
            }
            (ObservationKind::Limit { quota, value, metric, limit }, Some(of))
                if model.is_none_or(|model| model == of) =>
            {
                let (project, key_id) = match &subject {
                    Subject::Project(name) => (Some(name.clone()), None),
                    Subject::Key(id) => (None, Some(id.clone())),
                    _ => continue,
                };
                let learnt = LearntLimit {
                    model: of,
                    quota,
                    value,
                    metric,
                    limit,
                    project,
                    key_id,
                    masked: None,
                    learnt_at: at,
                };
                limits.push((subject, learnt));
            }
            _ => {}
        }
    }
    limits.retain(|(subject, limit)| cleared.get(subject).is_none_or(|at| *at < limit.learnt_at));
    let mut limits: Vec<_> = limits.into_iter().map(|(_, limit)| limit).collect();
    limits.sort_by(|one, other| {
        let rank = |limit: &LearntLimit| (Reverse(limit.learnt_at), limit.model.clone(), limit.quota.name());
        rank(one).cmp(&rank(other))
    });
    limits
}

/// Validates configured limits.
pub(super) fn check_model_limits(limits: &[ModelLimits]) -> Result<(), AdminError> {
    if limits.len() > bounds::MODELS {
        return Err(AdminError::Invalid(format!("at most {} limits of models", bounds::MODELS)));
    }
    for (at, ModelLimits { model, project, limits }) in limits.iter().enumerate() {
        let wrong = if !is_pattern(model) {
            "has no valid model id or pattern"
        } else if project.chars().count() > bounds::KEY_TEXT || project.chars().any(char::is_control) {
            "has no valid project"
        } else if limits.is_empty() {
            "has no limit"
        } else {
            continue;
        };
        return Err(AdminError::Invalid(format!("model_limits[{at}] {wrong}")));
    }
    Ok(())
}

/// Returns `true` for a model id, or a pattern with wildcards.
pub(super) fn is_pattern(model: &str) -> bool {
    !model.is_empty()
        && model.len() <= bounds::MODEL
        && model.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*._-/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use pool_shared::{Limits, Quota};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn observations(subject: Subject, model: &str, seconds: i64, value: u64) -> Observation {
        let quota = Quota::RequestsPerDay;
        let fact = ObservationKind::Limit { quota, value, metric: Some("requests".to_owned()), limit: None };
        Observation { subject, model: Some(model.to_owned()), at: at(seconds), fact }
    }

    #[test]
    fn limits_are_the_latest_first_and_end_with_what_was_cleared() {
        let (key, project) = (Subject::Key(KeyId::new("key-1")), Subject::Project("projects/1".to_owned()));
        let cleared =
            Observation { subject: key.clone(), model: None, at: at(5), fact: ObservationKind::Cleared };
        let facts = [
            observations(key.clone(), "a", 1, 250),
            observations(project, "a", 2, 20),
            observations(key, "b", 6, 9),
            cleared,
        ];
        let seen = |model| -> Vec<_> {
            let limits = learnt_limits(facts.iter().cloned(), model);
            limits.into_iter().map(|limit| (limit.model, limit.value, limit.project, limit.key_id)).collect()
        };
        let by_project = ("a".to_owned(), 20, Some("projects/1".to_owned()), None);
        assert_eq!(seen(None), [("b".to_owned(), 9, None, Some(KeyId::new("key-1"))), by_project.clone()]);
        assert_eq!(seen(Some("a")), [by_project]);
    }

    #[test]
    fn set_limits_are_checked() {
        let limits = Limits { requests_per_day: Some(1), ..Limits::default() };
        let entry = |model: &str, project: &str| ModelLimits {
            model: model.to_owned(),
            project: project.to_owned(),
            limits,
        };
        assert!(check_model_limits(&[entry("gemini-*", ""), entry("gemini-*", "projects/1")]).is_ok());
        let none = ModelLimits { limits: Limits::default(), ..entry("a", "") };
        for wrong in [entry("", ""), entry("a b", ""), entry("a", "x\ny"), none] {
            assert!(check_model_limits(std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
        }
    }
}
