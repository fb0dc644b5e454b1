//! A pool's keys with what is known of them, by the places that a roster gave them.
//!
//! In: rosters, and what attempts and operators tell. Out: which keys are blocked or busy. Only what Gemini has spoken of takes room, beyond
//! some bytes a key.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pool_shared::KeyId;

use super::Limits;
use super::projects::Projects;
use super::roster::Roster;
use super::shifted;
use super::standing::{Condition, Standing};
use super::verdict::Fault;
use super::weight_tree::WeightTree;

/// All keys of a pool.
#[derive(Debug, Default)]
pub(super) struct Members {
    roster: Arc<Roster>,
    projects: Projects,
    /// How keys and projects stand of which Gemini said something.
    key_standings: BTreeMap<usize, Standing>,
    project_standings: BTreeMap<usize, Standing>,
    /// By the names of billing accounts: they are few.
    account_standings: BTreeMap<Arc<str>, Standing>,
    /// The billing accounts of projects as far as they were learnt, and when.
    learnt_accounts: BTreeMap<usize, (Arc<str>, Timestamp)>,
    /// When an operator last cleared what was learnt of keys and projects.
    cleared_keys: BTreeMap<usize, Timestamp>,
    cleared_projects: BTreeMap<usize, Timestamp>,
    /// The weights of all keys, usable or not: the ground that sticky choices are made on.
    pub(super) shares: WeightTree,
    running: Vec<u32>,
    /// Running attempts on all keys.
    pub(super) in_flight: u32,
}

/// Whose health an upstream error speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// One key.
    Key(usize),
    /// The keys of a project.
    Project(usize),
    /// The keys of a billing account.
    Account(Arc<str>),
}

/// Billing accounts that are remembered: names that others told may be of no key here.
const MAX_ACCOUNTS: usize = 1_000;

/// The projects that a key has left and joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    pub(super) left: usize,
    pub(super) joined: usize,
}

fn recovers(standing: Option<&mut Standing>, began: Timestamp, now: Timestamp) -> bool {
    standing.is_some_and(|standing| standing.accept(began, now))
}

/// Makes a subject healthy as of `at`, unless something was learnt of it since.
fn clear(
    standings: &mut BTreeMap<usize, Standing>,
    cleared: &mut BTreeMap<usize, Timestamp>,
    subject: usize,
    at: Timestamp,
) {
    let last = cleared.entry(subject).or_insert(at);
    *last = at.max(*last);
    let standing = standings.entry(subject).or_default();
    if standing.heard_at <= at {
        *standing = Standing { heard_at: at, ..Standing::default() };
    }
}

impl Members {
    /// Lays out a roster, keeping what `before` knew of its keys.
    pub(super) fn new(roster: &Arc<Roster>, before: &Self) -> Self {
        let keys = &roster.keys;
        let mut members = Self {
            roster: Arc::clone(roster),
            projects: Projects::new(keys.len()),
            shares: WeightTree::new(keys.weights().to_vec()),
            running: vec![0; keys.len()],
            account_standings: before.account_standings.clone(),
            ..Self::default()
        };
        for key in 0..keys.len() {
            let known = before.place_of(roster, key);
            let known_project = known.and_then(|known| before.projects.of(known));
            let learnt = known_project.and_then(|project| before.projects.name(project));
            let project = match keys.project(key).or(learnt) {
                Some(name) => members.projects.join(key, name, keys.limits(key)),
                None => key,
            };
            if let Some(standing) = known_project.and_then(|project| before.project_standings.get(&project)) {
                members.project_standings.entry(project).or_default().absorb(standing.clone());
            }
            if let Some(standing) = known.and_then(|known| before.key_standings.get(&known)) {
                members.key_standings.insert(key, standing.clone());
            }
            if let Some(account) = known_project.and_then(|project| before.learnt_accounts.get(&project)) {
                members.learnt_accounts.insert(project, account.clone());
            }
            if let Some(at) = known_project.and_then(|project| before.cleared_projects.get(&project)) {
                members.cleared_projects.insert(project, *at);
            }
            if let Some(at) = known.and_then(|known| before.cleared_keys.get(&known)) {
                members.cleared_keys.insert(key, *at);
            }
        }
        members
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.roster.keys.len()
    }

    /// The place of a key.
    pub(super) fn find(&self, id: &KeyId) -> Option<usize> {
        self.roster.find(id)
    }

    /// The place here of a key of another roster: mostly the same one.
    pub(super) fn place_of(&self, roster: &Roster, key: usize) -> Option<usize> {
        let (own, other) = (&self.roster.keys, &roster.keys);
        if key < own.len() && own.id_text(key) == other.id_text(key) {
            return Some(key);
        }
        if own.is_empty() { None } else { self.find(&other.id(key)?) }
    }

    /// The keys as the config has them.
    pub(super) const fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// A key's id.
    pub(super) fn id(&self, key: usize) -> Option<KeyId> {
        self.roster.keys.id(key)
    }

    /// A key's share of the traffic.
    pub(super) fn weight(&self, key: usize) -> u16 {
        self.roster.keys.weight(key)
    }

    /// Running attempts on a key.
    pub(super) fn running(&self, key: usize) -> u32 {
        self.running.get(key).copied().unwrap_or_default()
    }

    /// The project of a name.
    pub(super) fn find_project(&self, name: &str) -> Option<usize> {
        self.projects.find(name)
    }

    /// The project of a key.
    pub(super) fn project_of(&self, key: usize) -> Option<usize> {
        self.projects.of(key)
    }

    /// A project's name; none when nobody knows it.
    pub(super) fn project_name(&self, project: usize) -> Option<&Arc<str>> {
        self.projects.name(project)
    }

    /// The limits that the operator set for a project.
    pub(super) fn limits_of(&self, project: usize) -> Limits {
        self.projects.limits(project, &self.roster)
    }

    /// The keys of a project.
    pub(super) fn members_of(&self, project: usize) -> impl Iterator<Item = usize> + use<'_> {
        self.projects.members(project)
    }

    /// How a key stands, if Gemini has spoken of it.
    pub(super) fn key_standing(&self, key: usize) -> Option<&Standing> {
        self.key_standings.get(&key)
    }

    /// How a project stands, if Gemini has spoken of it.
    pub(super) fn project_standing(&self, project: usize) -> Option<&Standing> {
        self.project_standings.get(&project)
    }

    /// The billing account of a key: as the operator named it, else as it was learnt of the key's project.
    pub(super) fn account_of(&self, key: usize) -> Option<&Arc<str>> {
        let learnt = || Some(&self.learnt_accounts.get(&self.project_of(key)?)?.0);
        self.roster.keys.billing_account(key).or_else(learnt)
    }

    /// Whose health an error speaks of that came to a key.
    pub(super) fn scope(&self, key: usize, fault: Fault) -> Scope {
        let project = || self.project_of(key).map_or(Scope::Key(key), Scope::Project);
        match fault {
            Fault::Account => self.account_of(key).cloned().map_or_else(project, Scope::Account),
            Fault::Project => project(),
            _ => Scope::Key(key),
        }
    }

    /// The keys in a scope.
    pub(super) fn keys_in(&self, scope: &Scope) -> Vec<usize> {
        match scope {
            Scope::Key(key) => vec![*key],
            Scope::Project(project) => self.members_of(*project).collect(),
            Scope::Account(account) => {
                (0..self.len()).filter(|key| self.account_of(*key) == Some(account)).collect()
            }
        }
    }

    /// The health of a scope, if Gemini has spoken of it.
    pub(super) fn standing(&self, scope: &Scope) -> Option<&Standing> {
        match scope {
            Scope::Key(key) => self.key_standing(*key),
            Scope::Project(project) => self.project_standing(*project),
            Scope::Account(account) => self.account_standings.get(account),
        }
    }

    /// The health of a scope, to be changed.
    pub(super) fn standing_mut(&mut self, scope: &Scope) -> &mut Standing {
        match scope {
            Scope::Key(key) => self.key_standing_mut(*key),
            Scope::Project(project) => self.project_standing_mut(*project),
            Scope::Account(account) => {
                if self.account_standings.len() >= MAX_ACCOUNTS
                    && !self.account_standings.contains_key(account)
                {
                    self.account_standings.clear();
                }
                self.account_standings.entry(Arc::clone(account)).or_default()
            }
        }
    }

    /// Puts a project into a billing account, unless the operator named one for a key of it. Returns `true` if that is
    /// new.
    pub(super) fn learn_account(&mut self, project: usize, account: &Arc<str>, at: Timestamp) -> bool {
        let is_set = self.members_of(project).any(|key| self.roster.keys.billing_account(key).is_some());
        let known = self.learnt_accounts.get(&project);
        if is_set || known.is_some_and(|(known, since)| known == account || *since > at) {
            return false;
        }
        self.learnt_accounts.insert(project, (Arc::clone(account), at));
        true
    }

    /// The health of a key, of its project and of its billing account, as far as Gemini has spoken of them.
    pub(super) fn standings_of(&self, key: usize) -> impl Iterator<Item = &Standing> {
        let project = self.projects.of(key).and_then(|project| self.project_standings.get(&project));
        let account = if self.account_standings.is_empty() { None } else { self.account_of(key) };
        let account = account.and_then(|account| self.account_standings.get(account));
        [self.key_standings.get(&key), project, account].into_iter().flatten()
    }

    /// When Gemini last said something of a key, of its project or of its billing account.
    pub(super) fn heard_at(&self, key: usize) -> Timestamp {
        self.standings_of(key).map(|standing| standing.heard_at).max().unwrap_or(Timestamp::MIN)
    }

    /// How a key stands, to be changed.
    pub(super) fn key_standing_mut(&mut self, key: usize) -> &mut Standing {
        self.key_standings.entry(key).or_default()
    }

    /// How a project stands, to be changed.
    pub(super) fn project_standing_mut(&mut self, project: usize) -> &mut Standing {
        self.project_standings.entry(project).or_default()
    }

    /// An operator cleared what was learnt of a key up to `at`: it is healthy.
    pub(super) fn clear_key(&mut self, key: usize, at: Timestamp) {
        clear(&mut self.key_standings, &mut self.cleared_keys, key, at);
    }

    /// Does so with a project.
    pub(super) fn clear_project(&mut self, project: usize, at: Timestamp) {
        self.learnt_accounts.retain(|other, (_, since)| *other != project || *since > at);
        clear(&mut self.project_standings, &mut self.cleared_projects, project, at);
    }

    /// Up to when what was learnt of a key, or of its project, does not hold any more.
    pub(super) fn cleared_at(&self, key: usize, about_project: bool) -> Timestamp {
        let at = match self.project_of(key) {
            Some(project) if about_project => self.cleared_projects.get(&project),
            _ => self.cleared_keys.get(&key),
        };
        at.copied().unwrap_or(Timestamp::MIN)
    }

    /// The keys, and the first keys of the projects, of whose standings this is true.
    pub(super) fn that_stand(&self, so: impl Fn(&Standing) -> bool) -> Vec<usize> {
        let keys = self.key_standings.iter().filter(|(_, standing)| so(standing)).map(|(key, _)| *key);
        let projects = self.project_standings.iter().filter(|(_, standing)| so(standing));
        let accounts = self.account_standings.iter().filter(|(_, standing)| so(standing));
        let first_of =
            |(account, _): (&Arc<str>, _)| (0..self.len()).find(|key| self.account_of(*key) == Some(account));
        let projects = projects.filter_map(|(project, _)| self.members_of(*project).next());
        keys.chain(projects).chain(accounts.filter_map(first_of)).collect()
    }

    /// Takes in the success of an attempt on a key. Returns the scopes that recovered by it.
    pub(super) fn accepted(&mut self, key: usize, began: Timestamp, now: Timestamp) -> Vec<Scope> {
        let mut scopes = vec![Scope::Key(key)];
        scopes.extend(self.project_of(key).map(Scope::Project));
        scopes.extend(self.account_of(key).cloned().map(Scope::Account));
        scopes.retain(|scope| match scope {
            Scope::Key(key) => recovers(self.key_standings.get_mut(key), began, now),
            Scope::Project(project) => recovers(self.project_standings.get_mut(project), began, now),
            Scope::Account(account) => recovers(self.account_standings.get_mut(account), began, now),
        });
        scopes
    }

    /// Until when a key cannot be used whatever the model, and by which state: its own, its project's or its billing
    /// account's.
    pub(super) fn blocked(&self, key: usize, now: Timestamp) -> Option<(Timestamp, Condition)> {
        let blocked = self
            .standings_of(key)
            .filter_map(|standing| standing.blocked_until(now).map(|until| (until, standing.condition)));
        blocked.max_by_key(|(until, _)| *until)
    }

    /// The scopes whose health is not good.
    pub(super) fn scopes_not_healthy(&self) -> Vec<Scope> {
        let keys = self.key_standings.iter().map(|(key, standing)| (Scope::Key(*key), standing));
        let projects =
            self.project_standings.iter().map(|(project, standing)| (Scope::Project(*project), standing));
        let accounts = self
            .account_standings
            .iter()
            .map(|(account, standing)| (Scope::Account(Arc::clone(account)), standing));
        let all = keys.chain(projects).chain(accounts);
        all.filter(|(_, standing)| !standing.is_healthy()).map(|(scope, _)| scope).collect()
    }

    /// The clock was set: times move with it.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        let standings = self.key_standings.values_mut().chain(self.project_standings.values_mut());
        for standing in standings.chain(self.account_standings.values_mut()) {
            standing.heard_at = shifted(standing.heard_at, by);
            standing.next_check = standing.next_check.map(|check| shifted(check, by));
        }
        let cleared = self.cleared_keys.values_mut().chain(self.cleared_projects.values_mut());
        cleared.for_each(|at| *at = shifted(*at, by));
        self.learnt_accounts.values_mut().for_each(|(_, at)| *at = shifted(*at, by));
    }

    /// Puts a key into the project that Gemini named, if that is news: nothing learnt changes what the operator set.
    pub(super) fn join(&mut self, key: usize, name: &str) -> Option<Joined> {
        let left = self.projects.of(key).filter(|_| self.roster.keys.project(key).is_none())?;
        let left_name = self.projects.name(left);
        if left_name.is_some_and(|left| **left == *name) {
            return None;
        }
        // What was known of the nameless project was about this key alone.
        let is_nameless = left_name.is_none();
        let limits = if is_nameless { self.limits_of(left) } else { Limits::default() };
        let joined = self.projects.join(key, &name.into(), limits);
        if is_nameless && let Some(standing) = self.project_standings.remove(&left) {
            self.project_standings.entry(joined).or_default().absorb(standing);
        }
        if is_nameless && let Some(account) = self.learnt_accounts.remove(&left) {
            self.learnt_accounts.entry(joined).or_insert(account);
        }
        Some(Joined { left, joined })
    }

    /// Counts a running attempt.
    pub(super) fn attempt_began(&mut self, key: usize) {
        if let Some(running) = self.running.get_mut(key) {
            *running += 1;
            self.in_flight += 1;
        }
    }

    /// Counts its end.
    pub(super) fn attempt_ended(&mut self, key: usize) {
        if let Some(running) = self.running.get_mut(key)
            && *running > 0
        {
            *running -= 1;
            self.in_flight -= 1;
        }
    }
}
