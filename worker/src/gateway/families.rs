//! Which model lately answered under a name.
//!
//! Google answers some names by other models, from days on that it does not always document and that may differ between
//! projects. What an answer names as its `modelVersion` is remembered for a day, by pool, where it is of another family
//! than the table says; it then decides how requests are translated.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::PoolId;

use super::Context;
use crate::platform::Clock;
use crate::platform::lock;
use crate::ports::Host;
use pool_translate::Capabilities;
use pool_translate::gemini::ModelId;

const TTL: Duration = Duration::from_hours(24);
/// Names remembered at the same time, of all pools; an entry takes some 200 bytes.
const MAX_NAMES: usize = 1_000;

/// The models that answered under names of other families.
#[derive(Debug, Default)]
pub struct FamilyMemory(HashMap<(PoolId, ModelId), (Timestamp, ModelId)>);

impl FamilyMemory {
    /// Returns the model that lately answered under the name.
    pub(super) fn get(&self, pool: &PoolId, model: &ModelId, now: Timestamp) -> Option<ModelId> {
        let known = self.0.get(&(pool.clone(), model.clone()));
        known.filter(|(since, _)| is_fresh(*since, now)).map(|(_, answered_by)| answered_by.clone())
    }

    /// Takes note of the version that an answer names.
    fn observe(&mut self, pool: &PoolId, model: &ModelId, version: &str, now: Timestamp) {
        let Some(version) = version_of(version) else { return };
        let (assumed, told) = (Capabilities::of(model, now), Capabilities::of_name(version.as_str()));
        // A version without `-image` or `-tts` does not tell that the model gave up pictures or speech.
        let of_one_kind = (assumed.images, assumed.speech) == (told.images, told.speech);
        let name = (pool.clone(), model.clone());
        if assumed == told || !of_one_kind {
            self.0.remove(&name);
            return;
        }
        if self.0.len() >= MAX_NAMES {
            self.0.retain(|_, (since, _)| is_fresh(*since, now));
        }
        if self.0.len() >= MAX_NAMES {
            self.0.clear();
        }
        self.0.insert(name, (now, version));
    }
}

fn is_fresh(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since).unsigned_abs() < TTL
}

/// The version as a model of a numbered generation; other names tell nothing about the family.
fn version_of(version: &str) -> Option<ModelId> {
    let model = ModelId::parse(version).ok()?;
    let generation = ["gemini-", "gemma-"].iter().find_map(|family| model.as_str().strip_prefix(family));
    generation.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit())).then_some(model)
}

/// Takes note of the version that an answer under a name tells.
pub(super) fn observe<H: Host>(context: &Context<'_, H>, model: &ModelId, version: Option<&str>) {
    if let Some(version) = version {
        let now = context.host.clock().now();
        lock(&context.plane.families).observe(&context.pool.id, model, version, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_family_is_remembered_for_a_day_until_an_answer_says_otherwise() {
        let now: Timestamp = "2026-12-02T00:00:00Z".parse().unwrap();
        let mut memory = FamilyMemory::default();
        let pool = PoolId::new("pool-a");
        let model = |name: &str| ModelId::parse(name).unwrap();
        let pro = model("gemini-2.5-pro");
        for version in ["gemini-2.5-pro", "models/gemini-2.5-pro-002", "", "default", "gemini-exp", "a b"] {
            memory.observe(&pool, &pro, version, now);
            assert_eq!(memory.get(&pool, &pro, now), None, "{version}");
        }
        memory.observe(&pool, &pro, "models/gemini-3.8-flash", now);
        assert_eq!(memory.get(&pool, &pro, now), Some(model("gemini-3.8-flash")));
        assert_eq!(memory.get(&PoolId::new("pool-b"), &pro, now), None);
        assert_eq!(memory.get(&pool, &pro, now + TTL), None);
        memory.observe(&pool, &pro, "gemini-2.5-pro", now);
        assert_eq!(memory.get(&pool, &pro, now), None);
        // What the table says can be wrong too.
        memory.observe(&pool, &model("gemini-3.5-flash"), "gemini-3.5-flash", now);
        assert_eq!(memory.get(&pool, &model("gemini-3.5-flash"), now), Some(model("gemini-3.5-flash")));
        memory.observe(&pool, &model("gemini-3.1-flash-image"), "gemini-3.1-flash", now);
        assert_eq!(memory.get(&pool, &model("gemini-3.1-flash-image"), now), None);
    }

    #[test]
    fn it_is_bounded() {
        let mut memory = FamilyMemory::default();
        for number in 0..3 * MAX_NAMES {
            let model = ModelId::parse(&format!("gemini-2.5-pro-{number}")).unwrap();
            memory.observe(&PoolId::new("pool-a"), &model, "gemini-3.8-flash", Timestamp::UNIX_EPOCH);
            assert!(memory.0.len() <= MAX_NAMES);
        }
    }
}
