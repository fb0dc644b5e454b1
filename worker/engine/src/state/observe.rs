//! Applies the results of attempts to the state of the pool.

use jiff::Timestamp;
use pool_shared::KeyId;

use super::{AttemptEnd, Lease, PoolState, selector_of};
use crate::circuit_breaker::OpenReason;
use crate::health::{HealthState, KeyHealth, SUSPECT_TIMEOUT};
use crate::key_table::{ProjectChange, Scope};
use crate::observation::{CoolingReason, ObservationKind, Subject};
use crate::selector::Cooldown;
use crate::verdict::{Cause, NamedLimit, Verdict};

/// Projects that fall by a spend limit within this share a billing account.
const SAME_SPEND_LIMIT: std::time::Duration = std::time::Duration::from_mins(1);
/// Projects that are remembered for it.
const MAX_SPENT_OUT: usize = 64;

impl PoolState {
    /// Takes a lease back and applies the result of its attempt. Returns `true` if an error changed the health of the key
    /// or of its project.
    pub fn finish(&mut self, lease: &Lease, end: &AttemptEnd, now: Timestamp) -> bool {
        // An expired lease is looked up by the id of its key.
        let Some(key) = self.release(lease).or_else(|| self.table.find(&lease.key)) else { return false };
        match end {
            AttemptEnd::Success { tokens, generated } => {
                if let Some(selector) = self.selectors.get_mut(&lease.model).filter(|_| *generated) {
                    selector.access.served(key, now);
                }
                self.succeeded(key, lease, *tokens, now);
                false
            }
            AttemptEnd::Refused(verdict) => self.failed(key, lease, verdict, now),
        }
    }

    fn succeeded(&mut self, key: usize, lease: &Lease, tokens: Option<u64>, now: Timestamp) {
        let project = self.table.project_of(key);
        if let Some(selector) = self.selectors.get_mut(&lease.model) {
            selector.circuit.success(lease.began, now);
            selector.accepted(key);
            if let (Some(tokens), Some(project)) = (tokens, project)
                && let Some(tracker) = selector.trackers.get_mut(&project)
            {
                tracker.correct(lease.cost.tokens, tokens);
            }
        }
        for scope in self.table.accepted(key, lease.began, now) {
            self.health_changed(&scope, now);
        }
    }

    fn failed(&mut self, key: usize, lease: &Lease, verdict: &Verdict, now: Timestamp) -> bool {
        if let Some(name) = &verdict.project {
            self.change_project(key, name, now);
        }
        self.record_limits(key, lease, verdict, now);
        if let Some(state) = HealthState::from_cause(verdict.cause) {
            return self.apply_health_error(key, state, lease, verdict, now);
        }
        match verdict.cause {
            Cause::RequestQuota => self.project_cools_down(key, lease, verdict, CoolingReason::Requests, now),
            // A prompt that fits no minute says nothing about the project's other requests.
            Cause::TokenQuota if never_fits(lease, verdict) => {}
            Cause::TokenQuota => self.project_cools_down(key, lease, verdict, CoolingReason::Tokens, now),
            Cause::DayQuota => self.project_cools_down(key, lease, verdict, CoolingReason::Day, now),
            Cause::NoQuota => self.project_cools_down(key, lease, verdict, CoolingReason::NoQuota, now),
            Cause::NewUsers | Cause::NoAccess => self.key_cools_down(key, lease, verdict, now),
            Cause::Burst => self.apply_burst(key, lease, verdict, now),
            Cause::Overloaded => {
                selector_of(&mut self.selectors, &self.table, &lease.model, now)
                    .circuit
                    .failure(lease.began, now);
            }
            _ => {}
        }
        false
    }

    /// Records that Gemini named the key's project.
    pub(super) fn change_project(&mut self, key: usize, name: &str, now: Timestamp) {
        let Some(ProjectChange { left, joined }) = self.table.join(key, name) else { return };
        let alone = self.table.keys_of_project(left).next().is_none();
        for selector in self.selectors.values_mut() {
            if alone && let Some(cooldown) = selector.project_cooldowns.remove(&left) {
                selector.cool_down_project(&self.table, joined, cooldown, now);
            }
            if alone && let Some(tracker) = selector.trackers.remove(&left) {
                selector.trackers.entry(joined).or_insert(tracker);
            }
            selector.set_limits(&self.table, joined);
            selector.reindex(&self.table, key, now);
        }
        if let Some(id) = self.table.id(key) {
            self.record(Subject::Key(id), None, ObservationKind::Member { project: name.to_owned() }, now);
        }
    }

    fn record_limits(&mut self, key: usize, lease: &Lease, verdict: &Verdict, now: Timestamp) {
        let Some(project) = self.table.project_of(key) else { return };
        for NamedLimit { quota, value, metric, limit } in verdict.named_limits() {
            let selector = selector_of(&mut self.selectors, &self.table, &lease.model, now);
            let tracker = selector.tracker(&self.table, project, true, now);
            if tracker.is_some_and(|tracker| tracker.observe_limit(quota, value, now)) {
                let subject = self.project_subject(key);
                let fact = ObservationKind::Limit { quota, value, metric, limit };
                self.record(subject, Some(&lease.model), fact, now);
            }
        }
    }

    /// Applies an error about the health of the key or project. Returns `true` if that changed something.
    fn apply_health_error(
        &mut self,
        key: usize,
        state: HealthState,
        lease: &Lease,
        verdict: &Verdict,
        now: Timestamp,
    ) -> bool {
        if verdict.is_suspicion() {
            let health = self.table.key_health_mut(key);
            let changed = health.suspect(&verdict.answer.message, lease.began, now);
            if changed {
                self.health_changed(&Scope::Key(key), now);
            }
            return changed;
        }
        if state == HealthState::SpendWindow {
            self.record_account(key, &verdict.answer.message, now);
        }
        let scope = self.table.scope(key, verdict.cause.fault());
        if scope != Scope::Key(key) {
            self.end_suspicion(key, lease, now);
        }
        let health = self.table.health_mut(&scope);
        let changed = health.apply_error(state, &verdict.answer.message, lease.began, now);
        if changed {
            if let Some(until) = verdict.until.filter(|_| state == HealthState::SpendWindow) {
                health.next_check = Some(until);
            }
            // The request's own probe decides, unless its client leaves before or has seen a part of the response.
            if verdict.needs_probe() {
                health.next_check = now.checked_add(SUSPECT_TIMEOUT).ok();
            }
            self.health_changed(&scope, now);
        }
        changed
    }

    /// Ends the suspicion of a key whose error turned out to be about its project or billing account.
    fn end_suspicion(&mut self, key: usize, lease: &Lease, now: Timestamp) {
        let health = self.table.key_health_mut(key);
        if health.state == HealthState::Suspect && health.apply_success(lease.began, now) {
            self.health_changed(&Scope::Key(key), now);
        }
    }

    /// Two projects of which no billing account is known fall by the same spend limit within a minute: they share one.
    fn record_account(&mut self, key: usize, message: &str, now: Timestamp) {
        let Some(project) = self.table.project_of(key) else { return };
        self.spent_out.retain(|(_, at, _)| now.duration_since(*at).unsigned_abs() < SAME_SPEND_LIMIT);
        let other = self.spent_out.iter().find(|(other, _, text)| *other != project && text == message);
        let other = other.map(|(other, ..)| *other);
        self.spent_out.retain(|(known, ..)| *known != project);
        if self.table.key_set().keys.billing_account(key).is_some() || self.table.key_set().separate_billing {
            return;
        }
        if self.spent_out.len() < MAX_SPENT_OUT {
            self.spent_out.push((project, now, message.to_owned()));
        }
        let other_key = other.and_then(|other| self.table.keys_of_project(other).next());
        let Some((other, other_key)) = other.zip(other_key) else { return };
        let account = match self.table.account_of(other_key).or_else(|| self.table.account_of(key)) {
            Some(known) => std::sync::Arc::clone(known),
            None => match self.project_subject(other_key) {
                Subject::Project(name) => format!("learnt:{name}").into(),
                Subject::Key(id) => format!("learnt:{id}").into(),
                _ => return,
            },
        };
        for (project, key) in [(other, other_key), (project, key)] {
            if self.table.record_account(project, &account, now) {
                let subject = self.project_subject(key);
                self.record(
                    subject,
                    None,
                    ObservationKind::BillingAccount { account: account.to_string() },
                    now,
                );
            }
        }
        // What was taken for the other project's own limit is the account's, and ends with it.
        let health = self.table.project_health_mut(other);
        if health.state == HealthState::SpendWindow {
            health.recover(now);
            self.health_changed(&Scope::Project(other), now);
        }
    }

    fn health_changed(&mut self, scope: &Scope, now: Timestamp) {
        let Some(health) = self.table.health(scope).cloned() else { return };
        self.reindex_all(scope, now);
        let subject = self.subject_of(scope);
        let Some(subject) = subject else { return };
        let KeyHealth { state, message, next_check, checks, .. } = health;
        self.record(subject, None, ObservationKind::Health { state, message, next_check, checks }, now);
    }

    /// Updates the index of every model for the keys of a scope.
    pub(super) fn reindex_all(&mut self, scope: &Scope, now: Timestamp) {
        let keys = self.table.keys_in(scope);
        for selector in self.selectors.values_mut() {
            for key in &keys {
                selector.reindex(&self.table, *key, now);
            }
        }
    }

    fn project_cools_down(
        &mut self,
        key: usize,
        lease: &Lease,
        verdict: &Verdict,
        reason: CoolingReason,
        now: Timestamp,
    ) {
        let (Some(until), Some(project)) = (verdict.until, self.table.project_of(key)) else { return };
        let selector = selector_of(&mut self.selectors, &self.table, &lease.model, now);
        selector.cool_down_project(&self.table, project, Cooldown::reported(now, until, reason), now);
        let subject = self.project_subject(key);
        self.record(subject, Some(&lease.model), ObservationKind::Cooling { until, reason }, now);
    }

    fn key_cools_down(&mut self, key: usize, lease: &Lease, verdict: &Verdict, now: Timestamp) {
        let Some(until) = verdict.until else { return };
        let reason = match verdict.cause {
            Cause::NoAccess => CoolingReason::NoAccess,
            _ => CoolingReason::NewUsers,
        };
        let selector = selector_of(&mut self.selectors, &self.table, &lease.model, now);
        selector.cool_down_key(&self.table, key, Cooldown::reported(now, until, reason), now);
        self.record(
            Subject::Key(lease.key.clone()),
            Some(&lease.model),
            ObservationKind::Cooling { until, reason },
            now,
        );
    }

    fn apply_burst(&mut self, key: usize, lease: &Lease, verdict: &Verdict, now: Timestamp) {
        let selector = selector_of(&mut self.selectors, &self.table, &lease.model, now);
        let (cooldown, in_a_row) = selector.burst(&self.table, key, verdict.until, now);
        if in_a_row {
            selector.circuit.trip(OpenReason::Burst, now);
        }
        let fact = ObservationKind::Cooling { until: cooldown.until, reason: cooldown.reason };
        self.record(Subject::Key(lease.key.clone()), Some(&lease.model), fact, now);
    }
}

/// A cooldown for a quota of a project.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuotaCooldown {
    at: Timestamp,
    pub(crate) until: Timestamp,
    reason: CoolingReason,
}

impl PoolState {
    /// Returns the cooldown that Gemini's quotas have put a key into for a model.
    pub(crate) fn quota_cooldown(&self, key: &KeyId, model: &str, now: Timestamp) -> Option<QuotaCooldown> {
        let key = self.table.find(key)?;
        let cooldown = self.selectors.get(model)?.quota_cooldown(&self.table, key, now)?;
        Some(QuotaCooldown { at: cooldown.at, until: cooldown.until, reason: cooldown.reason })
    }

    /// Takes over a cooldown that the same key has in another pool. Returns `false` if an operator has ended it here.
    pub(crate) fn adopt(
        &mut self,
        key: &KeyId,
        model: &str,
        cooldown: QuotaCooldown,
        now: Timestamp,
    ) -> bool {
        let QuotaCooldown { at, until, reason } = cooldown;
        let Some(place) = self.table.find(key) else { return false };
        let Some(project) = self.table.project_of(place) else { return false };
        let cleared_at = self.table.cleared_at(place, true).max(self.table.cleared_at(place, false));
        if at <= cleared_at {
            return false;
        }
        let selector = selector_of(&mut self.selectors, &self.table, model, now);
        selector.cool_down_project(&self.table, project, Cooldown::reported(at, until, reason), now);
        let subject = self.project_subject(place);
        self.record(subject, Some(model), ObservationKind::Cooling { until, reason }, now);
        true
    }
}

/// Returns `true` if an error about tokens names a limit that the request alone exceeds.
fn never_fits(lease: &Lease, verdict: &Verdict) -> bool {
    verdict.limits.tokens_per_minute.is_some_and(|limit| lease.cost.tokens > limit)
}
