//! Merges the observations of other instances.

use jiff::Timestamp;

use super::{Cost, MAX_OBSERVATIONS, PoolState, selector_of};
use crate::health::KeyHealth;
use crate::key_table::Scope;
use crate::observation::{Observation, ObservationKind, Subject};
use crate::selector::{Cooldown, recovery_jitter};

impl PoolState {
    /// Merges observations of other instances. They are not published again: their authors reported them.
    /// Before the pool's keys are known they are deferred.
    pub fn merge(&mut self, observations: &[Observation], now: Timestamp) {
        let rate_limiter = &mut self.rate_limiter;
        let observations = observations.iter().filter(|one| !rate_limiter.merge(one, now));
        if self.version.is_none() {
            let room = MAX_OBSERVATIONS.saturating_sub(self.deferred.len());
            self.deferred.extend(observations.take(room).cloned());
            return;
        }
        let observations: Vec<_> = observations.collect();
        let waiting = std::mem::take(&mut self.observations);
        for observation in observations {
            self.merge_one(&observation.as_of(now), now);
        }
        self.observations = waiting;
    }

    fn merge_one(&mut self, observation: &Observation, now: Timestamp) {
        if let Subject::Account(account) = &observation.subject {
            self.merge_account(account, observation, now);
            return;
        }
        // A project that has no key here is nothing to this pool.
        let key = match &observation.subject {
            Subject::Key(id) => self.table.find(id),
            Subject::Project(name) => {
                self.table.find_project(name).and_then(|project| self.table.keys_of_project(project).next())
            }
            Subject::Account(_) | Subject::Caller(_) | Subject::ClientKey(_) => return,
        };
        let (Some(key), about_project) = (key, matches!(observation.subject, Subject::Project(_))) else {
            return;
        };
        let is_cleared = observation.at <= self.table.cleared_at(key, about_project);
        match (&observation.fact, observation.model.as_deref()) {
            (ObservationKind::Cleared, _) => self.clear_one(key, about_project, observation.at, now),
            (
                ObservationKind::Cooling { .. }
                | ObservationKind::Limit { .. }
                | ObservationKind::BillingAccount { .. },
                _,
            ) if is_cleared => {}
            (ObservationKind::Member { project }, _) => self.change_project(key, project, now),
            (ObservationKind::BillingAccount { account }, _) => {
                let Some(project) = self.table.project_of(key) else { return };
                if self.table.record_account(project, &account.as_str().into(), observation.at) {
                    self.reindex_all(&Scope::Project(project), now);
                }
            }
            (ObservationKind::Health { .. }, _) => {
                let scope = match self.table.project_of(key) {
                    Some(project) if about_project => Scope::Project(project),
                    _ => Scope::Key(key),
                };
                self.merge_health(&scope, observation, now);
            }
            (ObservationKind::Cooling { until, reason }, Some(model)) if *until > now => {
                let cooldown =
                    Cooldown::reported(observation.at, *until + recovery_jitter(self.salt, *until), *reason);
                let selector = selector_of(&mut self.selectors, &self.table, model, now);
                match self.table.project_of(key) {
                    Some(project) if about_project => {
                        selector.cool_down_project(&self.table, project, cooldown, now);
                    }
                    _ => selector.cool_down_key(&self.table, key, cooldown, now),
                }
            }
            (ObservationKind::Limit { quota, value, .. }, Some(model)) => {
                let Some(project) = self.table.project_of(key) else { return };
                let selector = selector_of(&mut self.selectors, &self.table, model, now);
                if let Some(tracker) = selector.tracker(&self.table, project, true, now) {
                    tracker.observe_limit(*quota, *value, observation.at);
                }
            }
            (ObservationKind::Spent { requests, tokens }, Some(model)) => {
                let Some(project) = self.table.project_of(key) else { return };
                let tracker =
                    self.selectors.get_mut(model).and_then(|selector| selector.trackers.get_mut(&project));
                if let Some(tracker) = tracker {
                    let cost = Cost { requests: *requests, tokens: *tokens };
                    tracker.record_remote(cost, observation.at, now);
                }
            }
            (
                ObservationKind::Cooling { .. }
                | ObservationKind::Limit { .. }
                | ObservationKind::Spent { .. }
                | ObservationKind::Used,
                _,
            ) => {}
        }
    }

    /// Clears what was observed up to `at` of a key or of its project. A nameless project is its only key's.
    fn clear_one(&mut self, key: usize, about_project: bool, at: Timestamp, now: Timestamp) {
        let project = self.table.project_of(key);
        let project = project.filter(|project| about_project || self.table.project_name(*project).is_none());
        if !about_project {
            self.table.clear_key(key, at);
        }
        if let Some(project) = project {
            self.table.clear_project(project, at);
        }
        for selector in self.selectors.values_mut() {
            if !about_project {
                selector.clear_key(&self.table, key, at, now);
            }
            if let Some(project) = project {
                selector.clear_project(&self.table, project, at, now);
            }
        }
    }

    /// Merges an observation of a billing account, whose keys may become known later.
    fn merge_account(&mut self, account: &str, observation: &Observation, now: Timestamp) {
        let scope = Scope::Account(account.into());
        match observation.fact {
            ObservationKind::Cleared => {
                let cleared = KeyHealth { observed_at: observation.at, ..KeyHealth::default() };
                if self.table.health_mut(&scope).merge(cleared) {
                    self.reindex_all(&scope, now);
                }
            }
            _ => self.merge_health(&scope, observation, now),
        }
    }

    fn merge_health(&mut self, scope: &Scope, observation: &Observation, now: Timestamp) {
        let ObservationKind::Health { state, message, next_check, checks } = &observation.fact else {
            return;
        };
        let health = KeyHealth {
            state: *state,
            message: message.clone(),
            observed_at: observation.at,
            next_check: *next_check,
            checks: *checks,
        };
        if self.table.health_mut(scope).merge(health) {
            self.reindex_all(scope, now);
        }
    }
}
