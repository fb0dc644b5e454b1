//! Adjusts the state of a pool after a clock change.

use jiff::{SignedDuration, Timestamp};

use super::PoolState;
use crate::health::{HealthState, KeyHealth};
use crate::key_table::Scope;
use crate::observation::{ObservationKind, Subject};
use crate::shifted;

impl PoolState {
    /// Adjusts all times after the clock was set by `by` to `now`. Cooldowns, windows and delays keep their remaining
    /// length. They are published again, because the ledger holds the times of the wrong clock.
    pub fn shift(&mut self, by: SignedDuration, now: Timestamp) {
        for (_, began) in self.leases.values_mut() {
            *began = shifted(*began, by);
        }
        for (_, at, _) in &mut self.spent_out {
            *at = shifted(*at, by);
        }
        self.observations.iter_mut().chain(&mut self.deferred).for_each(|observation| observation.shift(by));
        self.table.shift(by);
        for selector in self.selectors.values_mut() {
            selector.shift(&self.table, by, now);
        }
        self.rate_limiter.shift(by, now);
        self.republish(now);
    }

    fn republish(&mut self, now: Timestamp) {
        for scope in self.table.unhealthy_scopes() {
            let subject = self.subject_of(&scope);
            if let Some((subject, health)) = subject.zip(self.table.health(&scope).cloned()) {
                let KeyHealth { state, message, next_check, checks, .. } = health;
                self.record(
                    subject,
                    None,
                    ObservationKind::Health { state, message, next_check, checks },
                    now,
                );
            }
        }
        let mut told = Vec::new();
        for (model, selector) in &self.selectors {
            let of_keys = selector.key_cooldowns.iter().map(|(key, cooldown)| (Scope::Key(*key), cooldown));
            let of_projects = selector
                .project_cooldowns
                .iter()
                .map(|(project, cooldown)| (Scope::Project(*project), cooldown));
            for (scope, cooldown) in
                of_keys.chain(of_projects).filter(|(_, cooldown)| !cooldown.counted && cooldown.until > now)
            {
                told.push((
                    scope,
                    model.clone(),
                    ObservationKind::Cooling { until: cooldown.until, reason: cooldown.reason },
                ));
            }
        }
        for (scope, model, fact) in told {
            if let Some(subject) = self.subject_of(&scope) {
                self.record(subject, Some(&model), fact, now);
            }
        }
    }

    /// Returns the subject under which other instances know a scope.
    pub(super) fn subject_of(&self, scope: &Scope) -> Option<Subject> {
        match scope {
            Scope::Key(key) => self.table.id(*key).map(Subject::Key),
            Scope::Project(project) => {
                let first = self.table.keys_of_project(*project).next();
                first.map(|key| self.project_subject(key))
            }
            Scope::Account(account) => Some(Subject::Account(account.to_string())),
        }
    }
}

impl KeyHealth {
    /// Returns `true` if the state is healthy, so that it need not be published.
    pub(crate) fn is_healthy(&self) -> bool {
        self.state == HealthState::Healthy
    }
}
