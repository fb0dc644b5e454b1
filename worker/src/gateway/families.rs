//! Model families observed behind model names.
//!
//! Google routes some names to other models, from dates that it does not always document and that may
//! differ between projects. The `modelVersion` of a response is remembered for a day, per pool, if it is
//! of another family than the table of capabilities says. It then decides how requests are converted.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::PoolId;

use super::Context;
use crate::platform::Clock;
use crate::platform::{TtlCache, lock};
use crate::ports::Host;
use pool_translate::Capabilities;
use pool_translate::gemini::ModelId;

const TTL: Duration = Duration::from_hours(24);
/// Names remembered for all pools; an entry takes about 200 bytes.
const MAX_NAMES: usize = 1_000;

/// Models that responded under names of other families.
#[derive(Debug)]
pub struct FamilyMemory(TtlCache<(PoolId, ModelId), ModelId>);

impl Default for FamilyMemory {
    fn default() -> Self {
        Self(TtlCache::new(TTL, MAX_NAMES))
    }
}

impl FamilyMemory {
    /// Returns the model that recently responded under the name.
    pub(super) fn get(&self, pool: &PoolId, model: &ModelId, now: Timestamp) -> Option<ModelId> {
        self.0.get(&(pool.clone(), model.clone()), now).cloned()
    }

    /// Observes the `modelVersion` of a response.
    fn observe(&mut self, pool: &PoolId, model: &ModelId, version: &str, now: Timestamp) {
        let Some(version) = version_of(version) else { return };
        let (assumed, reported) = (Capabilities::of(model, now), Capabilities::of_name(version.as_str()));
        // A version without `-image` or `-tts` does not mean that the model lost images or speech.
        let of_one_kind = (assumed.images, assumed.speech) == (reported.images, reported.speech);
        let name = (pool.clone(), model.clone());
        if assumed == reported || !of_one_kind {
            self.0.remove(&name);
            return;
        }
        self.0.insert(name, version, now);
    }
}

/// Parses a version of a numbered generation; other names do not reveal the family.
fn version_of(version: &str) -> Option<ModelId> {
    let model = ModelId::parse(version).ok()?;
    let generation = ["gemini-", "gemma-"].iter().find_map(|family| model.as_str().strip_prefix(family));
    generation.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit())).then_some(model)
}

/// Observes the `modelVersion` of a response to a request for `model`.
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
