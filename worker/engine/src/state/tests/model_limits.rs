//! The limits that an operator sets for models.

use pool_shared::ModelLimits;

use super::*;

fn limits(model: &str, project: &str, requests_per_minute: u64) -> ModelLimits {
    let limits = Limits { requests_per_minute: Some(requests_per_minute), ..Limits::default() };
    ModelLimits { model: model.to_owned(), project: project.to_owned(), limits }
}

fn with_limits(version: u64, projects: &[&str], model_limits: Vec<ModelLimits>) -> Arc<KeySet> {
    let mut key_set = in_projects(projects);
    let changed = Arc::get_mut(&mut key_set).unwrap();
    (changed.version, changed.model_limits) = (version, model_limits);
    key_set
}

impl Bench {
    /// Sends requests until no key is left, and counts them by key.
    fn sent_until_full(&mut self, now: i64) -> Vec<usize> {
        let mut counts = vec![0; self.key_set.keys.len()];
        for _ in 0..1_000 {
            let Pick::Key { index, lease } = self.try_pick(&[], None, 1, now) else { return counts };
            counts[index] += 1;
            self.succeed(&lease, now);
        }
        panic!("no limit holds: {counts:?}");
    }
}

/// A project that is used up by count is tried once all the same, since the count may be too strict.
const PROBE: usize = 1;

#[test]
fn limits_of_a_model_hold_for_each_project_on_its_own() {
    let mut bench = Bench::new(with_limits(1, &["p", "p", "q", ""], vec![limits("m", "", 3)]));
    let counts = bench.sent_until_full(0);
    let by_project = [counts[0] + counts[1], counts[2], counts[3]];
    assert!(by_project.iter().all(|sent| (3..=3 + PROBE).contains(sent)), "{counts:?}");
    assert_eq!(bench.usable(70), [0, 1, 2, 3], "the minute is over");
}

#[test]
fn limits_of_a_project_or_of_another_model_hold_there_only() {
    let set = vec![limits("m", "p", 2), limits("other-*", "", 1), limits("*", "", 5)];
    let mut bench = Bench::new(with_limits(1, &["p", "q"], set));
    let counts = bench.sent_until_full(0);
    assert!((2..=2 + PROBE).contains(&counts[0]) && (5..=5 + PROBE).contains(&counts[1]), "{counts:?}");
}

#[test]
fn limits_that_change_hold_at_once_and_count_what_was_sent() {
    let mut bench = Bench::new(with_limits(1, &["p"], vec![limits("m", "", 100)]));
    for _ in 0..4 {
        let (_, lease) = bench.pick(&[], 0);
        bench.succeed(&lease, 0);
    }
    bench.key_set = with_limits(2, &["p"], vec![limits("m", "", 4)]);
    assert!(bench.sent_until_full(1)[0] <= PROBE);
    bench.key_set = with_limits(3, &["p"], vec![limits("m", "", 4)]);
    assert_eq!(bench.sent_until_full(2)[0], 0, "another version with the same limits frees nothing");
    bench.key_set = with_limits(4, &["p"], Vec::new());
    assert_eq!(bench.usable(3), [0], "a cooldown by count ends with its limit");
}

#[test]
fn a_project_whose_name_becomes_known_takes_its_own_limits() {
    let mut bench =
        Bench::new(with_limits(1, &[""], vec![limits("m", "projects/7", 2), limits("m", "", 50)]));
    let (_, lease) = bench.pick(&[], 0);
    let named =
        Verdict { project: Some("projects/7".to_owned()), until: None, ..verdict(Cause::Overloaded, 0) };
    bench.state.finish(&lease, &AttemptEnd::Refused(&named), at(0));
    assert!((1..=1 + PROBE).contains(&bench.sent_until_full(1)[0]));
}
