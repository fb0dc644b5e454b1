//! What happens when the clock is set.

use jiff::{SignedDuration, Timestamp};

use super::Runtime;
use crate::pool::learnt::{Fact, Subject};
use crate::pool::members::Scope;
use crate::pool::shifted;
use crate::pool::standing::{Condition, Standing};

impl Runtime {
    /// The clock was set by so much, and it is `now`. Cooldowns, windows and delays last as long as they would have, and
    /// others are told of them anew: the ledger holds the times of the wrong clock.
    pub fn shift(&mut self, by: SignedDuration, now: Timestamp) {
        for (_, began) in self.leases.values_mut() {
            *began = shifted(*began, by);
        }
        for (_, at, _) in &mut self.spent_out {
            *at = shifted(*at, by);
        }
        self.learnt.iter_mut().chain(&mut self.unheard).for_each(|learnt| learnt.shift(by));
        self.members.shift(by);
        for lane in self.lanes.values_mut() {
            lane.shift(&self.members, by, now);
        }
        self.callers.shift(by, now);
        self.tell_again(now);
    }

    fn tell_again(&mut self, now: Timestamp) {
        for scope in self.members.scopes_not_healthy() {
            let subject = self.subject_of(&scope);
            if let Some((subject, standing)) = subject.zip(self.members.standing(&scope).cloned()) {
                let Standing { condition, message, next_check, checks, .. } = standing;
                self.note(subject, None, Fact::Standing { condition, message, next_check, checks }, now);
            }
        }
        let mut told = Vec::new();
        for (model, lane) in &self.lanes {
            let of_keys = lane.key_holds.iter().map(|(key, hold)| (Scope::Key(*key), hold));
            let of_projects =
                lane.project_holds.iter().map(|(project, hold)| (Scope::Project(*project), hold));
            for (scope, hold) in
                of_keys.chain(of_projects).filter(|(_, hold)| !hold.counted && hold.until > now)
            {
                told.push((scope, model.clone(), Fact::Cooling { until: hold.until, reason: hold.reason }));
            }
        }
        for (scope, model, fact) in told {
            if let Some(subject) = self.subject_of(&scope) {
                self.note(subject, Some(&model), fact, now);
            }
        }
    }

    /// Under which name others know a scope.
    pub(super) fn subject_of(&self, scope: &Scope) -> Option<Subject> {
        match scope {
            Scope::Key(key) => self.members.id(*key).map(Subject::Key),
            Scope::Project(project) => {
                let first = self.members.members_of(*project).next();
                first.map(|key| self.project_subject(key))
            }
            Scope::Account(account) => Some(Subject::Account(account.to_string())),
        }
    }
}

impl Standing {
    /// Whether it is of no use to tell others of it.
    pub(in crate::pool) fn is_healthy(&self) -> bool {
        self.condition == Condition::Healthy
    }
}
