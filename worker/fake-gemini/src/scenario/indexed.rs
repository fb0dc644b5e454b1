//! Indexed scenario for look-ups by requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Account, KeySpec, Limits, Scenario, Script};

/// A scenario with its indexes.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub scenario: Scenario,
    keys: HashMap<String, usize>,
    limits: HashMap<String, Vec<usize>>,
    common_limits: Vec<usize>,
    uses_left: Vec<AtomicU32>,
}

impl Indexed {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let keys = scenario.keys.iter().enumerate();
        let keys = keys.map(|(index, spec)| (spec.key.clone(), index)).collect();
        let mut limits: HashMap<String, Vec<usize>> = HashMap::new();
        let mut common_limits = Vec::new();
        for (index, entry) in scenario.limits.iter().enumerate() {
            match &entry.project {
                Some(project) => limits.entry(project.clone()).or_default().push(index),
                None => common_limits.push(index),
            }
        }
        let uses_left = scenario.scripts.iter();
        let uses_left = uses_left.map(|script| AtomicU32::new(script.times.unwrap_or(0))).collect();
        Self { scenario, keys, limits, common_limits, uses_left }
    }

    pub(crate) fn key(&self, key: &str) -> Option<&KeySpec> {
        self.keys.get(key).and_then(|index| self.scenario.keys.get(*index))
    }

    pub(crate) fn offers(&self, model: &str) -> bool {
        self.scenario.models.iter().any(|offered| offered == model)
    }

    /// Returns the model that serves a name.
    pub(crate) fn answering<'a>(&'a self, model: &'a str) -> &'a str {
        self.scenario.routes.get(model).map_or(model, String::as_str)
    }

    /// Returns the billing account of a project and its index.
    pub(crate) fn account(&self, project: &str) -> Option<(usize, &Account)> {
        let accounts = self.scenario.accounts.iter().enumerate();
        accounts.into_iter().find(|(_, account)| account.projects.iter().any(|one| one == project))
    }

    pub(crate) fn limits(&self, project: &str, model: &str) -> Option<&Limits> {
        let own = self.limits.get(project).into_iter().flatten();
        own.chain(&self.common_limits)
            .filter_map(|index| self.scenario.limits.get(*index))
            .find(|entry| entry.model.as_deref().is_none_or(|named| named == model))
    }

    /// Returns the first script that matches, and uses it up by one.
    pub(crate) fn script(&self, model: &str, header: Option<&str>, body: &str) -> Option<&Script> {
        self.scenario.scripts.iter().zip(&self.uses_left).find_map(|(script, uses_left)| {
            let fits = script.model.as_deref().is_none_or(|named| named == model)
                && script.header.as_deref().is_none_or(|named| header == Some(named))
                && script.marker.as_deref().is_none_or(|marker| body.contains(marker));
            let take =
                || uses_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            (fits && (script.times.is_none() || take().is_ok())).then_some(script)
        })
    }
}
