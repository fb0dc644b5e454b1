use http::StatusCode;
use pool_shared::Weight;
use proptest::prelude::*;

use super::*;
use crate::circuit_breaker::OpenReason;
use crate::observation::CoolingReason;
use crate::random::SeededRandom;
use crate::verdict::Verdict;
use crate::verdict::{BlockReason, Cause, Evidence, Fault, Refusal, classify};
use crate::{KeySetEntry, Limits};
use pool_translate::ApiError;
use pool_translate::gemini::ErrorBody;

const MODEL: &str = "m";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn id(number: usize) -> KeyId {
    KeyId::from_random(number as u64)
}

fn keys(weights: &[u16]) -> Vec<KeySetEntry> {
    let key = |(number, weight): (usize, &u16)| KeySetEntry {
        id: id(number),
        weight: Weight::try_from(u32::from(*weight)).unwrap(),
        project: None,
        billing_account: None,
        limits: Limits::default(),
    };
    weights.iter().enumerate().map(key).collect()
}

fn key_set(weights: &[u16]) -> Arc<KeySet> {
    Arc::new(KeySet::of(1, keys(weights)))
}

fn in_projects(projects: &[&str]) -> Arc<KeySet> {
    let mut keys = keys(&vec![1; projects.len()]);
    for (key, project) in keys.iter_mut().zip(projects) {
        key.project = (!project.is_empty()).then(|| (*project).to_owned());
    }
    Arc::new(KeySet::of(1, keys))
}

fn verdict(cause: Cause, seconds: i64) -> Verdict {
    let answer = ApiError::server(StatusCode::BAD_GATEWAY, "x", "x");
    Verdict { until: Some(at(seconds)), ..Verdict::of(cause, answer) }
}

/// A runtime with its roster and randomness.
struct Bench {
    state: PoolState,
    key_set: Arc<KeySet>,
    random: SeededRandom,
}

impl Bench {
    fn new(key_set: Arc<KeySet>) -> Self {
        Self { state: PoolState::default(), key_set, random: SeededRandom::new(7) }
    }

    fn try_pick(&mut self, tried: &[usize], affinity: Option<u64>, tokens: u64, now: i64) -> Pick {
        let cost = Cost { requests: 1, tokens };
        let request = PickRequest { model: MODEL, tried, affinity, cost };
        self.state.pick(&self.key_set, &request, at(now), &self.random)
    }

    fn pick(&mut self, tried: &[usize], now: i64) -> (usize, Lease) {
        match self.try_pick(tried, None, 1, now) {
            Pick::Key { index, lease } => (index, lease),
            other => panic!("{other:?}"),
        }
    }

    /// Picks until `index` comes, giving the others back.
    fn lease(&mut self, index: usize, now: i64) -> Lease {
        loop {
            let (picked, lease) = self.pick(&[], now);
            if picked == index {
                return lease;
            }
            self.state.abandon(&lease);
        }
    }

    fn fail(&mut self, index: usize, verdict: &Verdict, now: i64) {
        let lease = self.lease(index, now);
        self.state.finish(&lease, &AttemptEnd::Refused(verdict), at(now));
    }

    fn succeed(&mut self, lease: &Lease, now: i64) {
        self.state.finish(lease, &AttemptEnd::Success { tokens: None, generated: true }, at(now));
    }

    fn state(&self, index: usize, now: i64) -> KeyState {
        self.state.state(&id(index), at(now)).unwrap()
    }

    /// Returns the keys that picks give, each once.
    fn usable(&mut self, now: i64) -> Vec<usize> {
        let mut tried = Vec::new();
        while let Pick::Key { index, lease } = self.try_pick(&tried, None, 1, now) {
            self.state.abandon(&lease);
            tried.push(index);
        }
        tried.sort_unstable();
        tried
    }
}

#[test]
fn a_longer_cooldown_of_a_key_replaces_a_shorter_one_and_not_the_other_way_round() {
    let mut bench = Bench::new(key_set(&[1; 10]));
    bench.state.register_keys(&Arc::clone(&bench.key_set), at(0));
    for (until, expected) in [(100, 100), (300, 300), (200, 300)] {
        let lease = bench.state.check(&id(0), MODEL, Cost::default(), at(1)).unwrap();
        bench.state.finish(&lease, &AttemptEnd::Refused(&verdict(Cause::NewUsers, until)), at(2));
        let cooling = vec![(MODEL.to_owned(), at(expected), CoolingReason::NewUsers)];
        assert_eq!(bench.state.state(&id(0), at(3)), Some(KeyState::Cooling(cooling)), "{until}");
    }
}

#[test]
fn shares_follow_the_weights_within_chance() {
    let weights = [1_u16, 2, 3, 0, 10, 4];
    let total: u16 = weights.iter().sum();
    let mut bench = Bench::new(key_set(&weights));
    let draws = 20_000;
    let mut counts = [0_u32; 6];
    let mut running = std::collections::VecDeque::new();
    for _ in 0..draws {
        let (index, lease) = bench.pick(&[], 0);
        counts[index] += 1;
        running.push_back(lease);
        if running.len() > 40 {
            let ended = running.pop_front().unwrap();
            bench.succeed(&ended, 0);
        }
    }
    assert_eq!(counts[3], 0, "weight 0 is a reserve");
    let chi_square: f64 =
        weights.iter().zip(counts).filter(|(weight, _)| **weight > 0).fold(0.0, |sum, (weight, count)| {
            let expected = f64::from(draws) * f64::from(*weight) / f64::from(total);
            sum + (f64::from(count) - expected).powi(2) / expected
        });
    // Four degrees of freedom: above 18.5 in one run of a thousand.
    assert!(chi_square < 18.5, "{chi_square} {counts:?}");
}

#[test]
fn weight_zero_comes_when_nothing_else_is_left() {
    let mut bench = Bench::new(key_set(&[0, 5, 0]));
    let (first, _lease) = bench.pick(&[], 0);
    let (second, _lease) = bench.pick(&[1], 0);
    assert_eq!((first, second == 1), (1, false));
    bench.fail(1, &verdict(Cause::RequestQuota, 60), 0);
    assert_eq!(bench.usable(1), [0, 2]);
    assert_eq!(bench.pick(&[], 61).0, 1);
}

#[test]
fn a_slow_key_does_not_gather_the_running_attempts() {
    let mut bench = Bench::new(key_set(&[1; 10]));
    for _ in 0..2_000 {
        let (index, lease) = bench.pick(&[], 0);
        // Key 0 never answers.
        if index != 0 {
            bench.succeed(&lease, 0);
        }
    }
    let stuck = bench.state.table.running(0);
    assert!(stuck < 60, "{stuck} of 200 that its share would be");
}

#[test]
fn a_refused_project_rests_for_the_model_and_comes_back() {
    let mut bench = Bench::new(in_projects(&["a", "a", "b"]));
    bench.fail(0, &verdict(Cause::RequestQuota, 30), 0);
    assert_eq!(bench.usable(29), [2]);
    assert!(matches!(bench.state(1, 29), KeyState::Cooling(_)));
    let other_model = PickRequest { model: "other", tried: &[2], affinity: None, cost: Cost::default() };
    assert!(matches!(bench.state.pick(&bench.key_set, &other_model, at(1), &bench.random), Pick::Key { .. }));
    assert_eq!(bench.usable(30), [0, 1, 2]);
    assert_eq!(bench.state(1, 30), KeyState::Healthy);
}

#[test]
fn projects_are_learnt_from_refusals_unless_the_operator_named_them() {
    let mut bench = Bench::new(in_projects(&["", "", "set"]));
    for key in 0..3 {
        let named = Verdict { project: Some("projects/9".to_owned()), ..verdict(Cause::Overloaded, 0) };
        bench.fail(key, &named, 0);
    }
    bench.fail(1, &verdict(Cause::DayQuota, 3_600), 1);
    assert_eq!(bench.usable(2), [2]);
    assert!(matches!(bench.state(0, 2), KeyState::Cooling(_)));
}

#[test]
fn when_all_rest_the_first_return_is_told() {
    let mut bench = Bench::new(key_set(&[1, 1, 1]));
    bench.fail(0, &verdict(Cause::DayQuota, 7_200), 0);
    bench.fail(1, &verdict(Cause::RequestQuota, 40), 0);
    bench.fail(2, &verdict(Cause::LeakedKey, 0), 0);
    let Pick::AllCooling { soonest, all_until_reset } = bench.try_pick(&[], None, 1, 1) else { panic!() };
    assert_eq!((soonest, all_until_reset), (at(40), false));
    bench.fail(1, &verdict(Cause::DayQuota, 3_600), 40);
    let Pick::AllCooling { soonest, all_until_reset } = bench.try_pick(&[], None, 1, 41) else { panic!() };
    assert_eq!((soonest, all_until_reset), (at(3_600), true));
}

#[test]
fn when_none_is_left_that_is_told_apart() {
    let mut bench = Bench::new(key_set(&[1, 1]));
    let (index, _lease) = bench.pick(&[], 0);
    assert!(matches!(bench.try_pick(&[index, 1 - index], None, 1, 0), Pick::AllTried));
    bench.fail(0, &verdict(Cause::LeakedKey, 0), 0);
    bench.fail(1, &verdict(Cause::Suspended, 0), 0);
    assert!(matches!(bench.try_pick(&[], None, 1, 1), Pick::NoneLeft { .. }));
    assert!(matches!(Bench::new(key_set(&[])).try_pick(&[], None, 1, 0), Pick::NoneLeft { .. }));
}

#[test]
fn a_known_limit_is_kept_without_another_refusal() {
    let mut bench = Bench::new(in_projects(&["a", "a", "b"]));
    let limits = Limits { requests_per_minute: Some(3), ..Limits::default() };
    bench.fail(0, &Verdict { limits, ..verdict(Cause::RequestQuota, 10) }, 0);
    let mut used = [0; 3];
    for second in 20..40 {
        let (index, lease) = bench.pick(&[], second);
        bench.succeed(&lease, second);
        used[index] += 1;
    }
    assert_eq!(used[0] + used[1], 3);
}

#[test]
fn a_limit_that_an_operator_set_is_kept_from_the_start() {
    let mut keys = keys(&[1]);
    keys[0].limits = Limits { requests_per_minute: Some(2), ..Limits::default() };
    let mut bench = Bench::new(Arc::new(KeySet::of(1, keys)));
    for _ in 0..2 {
        let (_, lease) = bench.pick(&[], 0);
        bench.succeed(&lease, 0);
    }
    // Once in a while the count itself is put to the test; that is the third.
    let (_, lease) = bench.pick(&[], 1);
    bench.succeed(&lease, 1);
    assert!(matches!(bench.try_pick(&[], None, 1, 2), Pick::AllCooling { all_until_reset: false, .. }));
}

#[test]
fn a_prompt_that_never_fits_cools_nobody() {
    let mut bench = Bench::new(key_set(&[1]));
    let limits = Limits { tokens_per_minute: Some(1_000), ..Limits::default() };
    let Pick::Key { lease, .. } = bench.try_pick(&[], None, 5_000, 0) else { panic!() };
    let refused = Verdict { limits, ..verdict(Cause::TokenQuota, 60) };
    bench.state.finish(&lease, &AttemptEnd::Refused(&refused), at(0));
    assert_eq!(bench.state(0, 1), KeyState::Healthy);
    assert_eq!(bench.usable(1), [0]);
}

#[test]
fn sticky_requests_keep_their_key_and_come_back_to_it() {
    let mut bench = Bench::new(key_set(&[1; 50]));
    let key_of = |bench: &mut Bench, affinity, now| match bench.try_pick(&[], Some(affinity), 1, now) {
        Pick::Key { index, lease } => {
            bench.succeed(&lease, now);
            index
        }
        other => panic!("{other:?}"),
    };
    let homes: Vec<usize> = (0..100).map(|affinity| key_of(&mut bench, affinity, 0)).collect();
    assert!(homes.iter().collect::<std::collections::HashSet<_>>().len() > 25, "they spread");
    bench.fail(homes[0], &verdict(Cause::RequestQuota, 60), 1);
    for affinity in 0..100_usize {
        let now = key_of(&mut bench, affinity as u64, 2);
        assert_eq!(now == homes[affinity], homes[affinity] != homes[0]);
        assert_eq!(key_of(&mut bench, affinity as u64, 2), now);
    }
    assert_eq!(key_of(&mut bench, 0, 61), homes[0]);
}

#[test]
fn three_bursts_in_a_row_are_not_the_keys() {
    let mut bench = Bench::new(key_set(&[1; 20]));
    let burst = Verdict { until: None, ..verdict(Cause::Burst, 0) };
    for _ in 0..3 {
        let (_, lease) = bench.pick(&[], 0);
        bench.state.finish(&lease, &AttemptEnd::Refused(&burst), at(0));
    }
    assert!(matches!(bench.try_pick(&[], None, 1, 0), Pick::Open { reason: OpenReason::Burst, .. }));
    let rested = (0..20).filter(|key| bench.state(*key, 1) != KeyState::Healthy).count();
    assert_eq!((rested, (0..20).all(|key| bench.state(key, 2) == KeyState::Healthy)), (3, true));
}

#[test]
fn an_invalid_key_is_tried_again_before_it_is_given_up() {
    let mut bench = Bench::new(key_set(&[1, 1]));
    bench.fail(0, &verdict(Cause::InvalidKey, 0), 0);
    assert_eq!((bench.usable(1), bench.state(0, 1)), (vec![1], KeyState::Unhealthy(HealthState::Suspect)));
    assert_eq!(bench.state.due_rechecks(at(599)), []);
    assert_eq!(bench.state.due_rechecks(at(600)), [id(0)]);
    let lease = bench.state.check(&id(0), "m", Cost::default(), at(600)).unwrap();
    bench.state.finish(&lease, &AttemptEnd::Refused(&verdict(Cause::InvalidKey, 0)), at(601));
    assert_eq!(bench.state(0, 602), KeyState::Unhealthy(HealthState::Invalid));
    assert_eq!(bench.usable(1_000_000), [1]);
    assert_eq!(bench.state.due_rechecks(at(86_400)), [], "a final state is checked daily");
    assert_eq!(bench.state.due_rechecks(at(601 + 86_400)), [id(0)]);
}

#[test]
fn what_can_heal_is_tried_again_by_one_key_of_the_project() {
    let mut bench = Bench::new(in_projects(&["a", "a", "b"]));
    bench.fail(0, &verdict(Cause::Billing, 0), 0);
    assert_eq!(bench.usable(100_000), [2]);
    assert_eq!(bench.state.due_rechecks(at(3_600)), [id(0)]);
    let lease = bench.state.check(&id(0), "m", Cost::default(), at(3_600)).unwrap();
    bench.succeed(&lease, 3_601);
    assert_eq!((bench.usable(3_601), bench.state.due_rechecks(at(100_000))), (vec![0, 1, 2], vec![]));
}

#[test]
fn knowledge_outlives_the_snapshot_and_an_older_one_can_still_pick() {
    let mut bench = Bench::new(key_set(&[1, 1, 1]));
    bench.fail(2, &verdict(Cause::DayQuota, 9_999), 0);
    bench.fail(1, &verdict(Cause::LeakedKey, 0), 0);
    let newer = KeySet::of(2, keys(&[1; 4]).into_iter().skip(1));
    let older = std::mem::replace(&mut bench.key_set, Arc::new(newer));
    // Key 0 is gone, key 3 is new; 1 and 2 moved to places 0 and 1.
    assert_eq!(bench.usable(1), [2]);
    assert_eq!(bench.state(2, 1), KeyState::Cooling(vec![(MODEL.to_owned(), at(9_999), CoolingReason::Day)]));
    bench.key_set = older;
    assert!(
        matches!(bench.try_pick(&[], None, 1, 2), Pick::AllTried),
        "it has neither key 3 nor a usable one"
    );
    assert_eq!(bench.state.version, Some(2));
}

#[test]
fn attempts_that_never_end_are_forgotten() {
    let mut bench = Bench::new(key_set(&[1]));
    let (_, lost) = bench.pick(&[], 0);
    let (_, lease) = bench.pick(&[], 601);
    assert_eq!(bench.state.table.in_flight, 1);
    bench.state.abandon(&lost);
    bench.state.abandon(&lease);
    assert_eq!(bench.state.table.in_flight, 0);
}

#[test]
fn what_one_isolate_learns_the_others_know() {
    let key_set = in_projects(&["", "", "b", "b"]);
    let (mut one, mut other) = (Bench::new(key_set.clone()), Bench::new(key_set));
    other.usable(0);
    let named = Verdict { project: Some("projects/9".to_owned()), ..verdict(Cause::DayQuota, 5_000) };
    one.fail(0, &named, 0);
    one.fail(2, &verdict(Cause::Suspended, 0), 0);
    let observations = one.state.drain_observations(at(1));
    let told = serde_json::to_string(&observations).unwrap();
    other.state.merge(&serde_json::from_str::<Vec<Observation>>(&told).unwrap(), at(1));
    assert_eq!((one.usable(2), other.usable(2)), (vec![1], vec![1]));
    assert_eq!(other.state(3, 2), KeyState::Unhealthy(HealthState::Suspended));
    assert_eq!(other.state.drain_observations(at(2)), [], "what was heard is not passed on");
    let lease = one.state.check(&id(3), "m", Cost::default(), at(100)).unwrap();
    one.succeed(&lease, 101);
    other.state.merge(&one.state.drain_observations(at(102)), at(102));
    assert_eq!(other.usable(103), [1, 2, 3]);
}

#[test]
fn what_others_use_counts() {
    let (mut one, mut other) = (Bench::new(in_projects(&["a"])), Bench::new(in_projects(&["a"])));
    let limits = Limits { requests_per_minute: Some(2), ..Limits::default() };
    one.fail(0, &Verdict { limits, ..verdict(Cause::RequestQuota, 1) }, 0);
    other.usable(0);
    other.state.merge(&one.state.drain_observations(at(1)), at(1));
    for _ in 0..2 {
        let (_, lease) = one.pick(&[], 70);
        one.succeed(&lease, 70);
    }
    other.state.merge(&one.state.drain_observations(at(71)), at(71));
    let (_, lease) = other.pick(&[], 72);
    other.succeed(&lease, 72);
    assert!(
        matches!(other.try_pick(&[], None, 1, 73), Pick::AllCooling { .. }),
        "the probe was all there was"
    );
}

#[test]
fn models_that_nobody_uses_make_room() {
    let mut bench = Bench::new(key_set(&[1, 1]));
    for number in 0..100 {
        let model = format!("model-{number}");
        let request = PickRequest { model: &model, tried: &[], affinity: None, cost: Cost::default() };
        let pick = bench.state.pick(&bench.key_set, &request, at(number), &bench.random);
        assert!(matches!(pick, Pick::Key { .. }));
    }
    assert_eq!(bench.state.selectors.len(), MAX_SELECTORS);
}

const CAUSES: [Cause; 22] = [
    Cause::SpendWindow,
    Cause::InvalidKey,
    Cause::LeakedKey,
    Cause::Suspended,
    Cause::Blocked(BlockReason::App),
    Cause::Billing,
    Cause::RequestQuota,
    Cause::TokenQuota,
    Cause::DayQuota,
    Cause::NoQuota,
    Cause::Burst,
    Cause::NewUsers,
    Cause::NoAccess,
    Cause::Overloaded,
    Cause::Internal,
    Cause::Deadline,
    Cause::SoftFailure,
    Cause::Location,
    Cause::Network,
    Cause::UnknownModel,
    Cause::Caller,
    Cause::Ours,
];

proptest! {
    #[test]
    fn only_a_verdict_on_a_key_changes_how_a_key_stands(
        ends in proptest::collection::vec((0_usize..CAUSES.len(), any::<u64>()), 1..60)
    ) {
        let mut separate = key_set(&[1; 8]);
        Arc::get_mut(&mut separate).unwrap().separate_billing = true;
        let mut bench = Bench::new(separate);
        let mut blamed = std::collections::HashSet::new();
        for (second, (cause, seed)) in (0_i64..).zip(ends) {
            bench.random = SeededRandom::new(seed);
            let Pick::Key { index, lease } = bench.try_pick(&[], None, 1, second) else { continue };
            let cause = CAUSES[cause];
            // A burst rests a key for some seconds; it is no word on the key.
            if matches!(cause.fault(), Fault::Key | Fault::Project | Fault::Account) || cause == Cause::Burst {
                blamed.insert(index);
            }
            bench.state.finish(&lease, &AttemptEnd::Refused(&verdict(cause, second + 100)), at(second));
            for key in 0..8 {
                prop_assert!(blamed.contains(&key) || bench.state(key, second) == KeyState::Healthy);
            }
        }
        for observation in bench.state.drain_observations(at(60)) {
            let Subject::Key(key) = observation.subject else { panic!("{observation:?}") };
            prop_assert!(blamed.iter().any(|index| id(*index) == key));
        }
    }

    #[test]
    fn a_key_in_cooldown_is_not_selected_while_another_is_available(
        projects in proptest::collection::vec(0_usize..4, 1..12),
        steps in proptest::collection::vec((0_i64..20, 0_u8..6, 1_i64..90), 1..120),
        seed in any::<u64>(),
    ) {
        let names: Vec<String> = projects.iter().map(|project| format!("p{project}")).collect();
        let mut bench = Bench::new(in_projects(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        bench.random = SeededRandom::new(seed);
        let mut rests = [i64::MIN; 4];
        let mut now = 0;
        for (wait, end, rest) in steps {
            now += wait;
            let free = projects.iter().any(|project| rests[*project] <= now);
            match bench.try_pick(&[], None, 1, now) {
                Pick::Key { index, lease } => {
                    prop_assert!(rests[projects[index]] <= now, "it rests");
                    if end == 0 {
                        rests[projects[index]] = now + rest;
                        let refused = verdict(Cause::RequestQuota, now + rest);
                        bench.state.finish(&lease, &AttemptEnd::Refused(&refused), at(now));
                    } else {
                        bench.succeed(&lease, now);
                    }
                }
                Pick::AllCooling { soonest, .. } => {
                    prop_assert!(!free);
                    let first = projects.iter().map(|project| rests[*project]).min().unwrap();
                    prop_assert_eq!(soonest, at(first));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

#[test]
fn a_real_refusal_goes_all_the_way() {
    let body = br#"{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[
            {"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"50"}]},
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"2s"}]}}"#;
    let body = ErrorBody::parse(body);
    let refusal =
        Refusal { status: StatusCode::TOO_MANY_REQUESTS, retry_after: None, body: &body, sent: None };
    let mut bench = Bench::new(key_set(&[1]));
    bench.fail(0, &classify(&refusal, at(0), 0), 0);
    let Pick::AllCooling { soonest, all_until_reset } = bench.try_pick(&[], None, 1, 3) else { panic!() };
    assert_eq!((soonest, all_until_reset), (crate::next_quota_day(at(0)), true));
}

/// Everything that can be learnt of keys 0 and 1, which share a project, by one instance.
fn learn_much(bench: &mut Bench, causes: &[Cause]) {
    for (number, cause) in causes.iter().enumerate() {
        // A key that is in cooldown already is tried by its lease, as a check does.
        let lease =
            bench.state.check(&id(number % 2), MODEL, Cost { requests: 1, tokens: 1 }, at(1)).unwrap();
        let mut verdict = verdict(*cause, 80_000);
        verdict.limits.requests_per_day = Some(1);
        bench.state.finish(&lease, &AttemptEnd::Refused(&verdict), at(2));
    }
}

fn cleared(subjects: &[Subject], seconds: i64) -> Vec<Observation> {
    let fact = |subject: &Subject| Observation {
        subject: subject.clone(),
        model: None,
        at: at(seconds),
        fact: ObservationKind::Cleared,
    };
    subjects.iter().map(fact).collect()
}

proptest! {
    #[test]
    fn clearing_a_key_and_its_project_ends_everything_learnt_in_any_order_of_the_news(
        causes in proptest::collection::vec(proptest::sample::select(vec![
            Cause::InvalidKey, Cause::LeakedKey, Cause::Suspended, Cause::Billing, Cause::RequestQuota,
            Cause::TokenQuota, Cause::DayQuota, Cause::NoQuota, Cause::Burst, Cause::NewUsers,
            Cause::Blocked(BlockReason::ServiceDisabled), Cause::Blocked(BlockReason::Referrer),
        ]), 1..12),
        order in proptest::collection::vec(any::<u32>(), 64),
        named in any::<bool>(),
    ) {
        let key_set = in_projects(if named { &["p", "p"] } else { &["", ""] });
        let (mut here, mut there) = (Bench::new(Arc::clone(&key_set)), Bench::new(Arc::clone(&key_set)));
        here.state.register_keys(&key_set, at(0));
        there.state.register_keys(&key_set, at(0));
        learn_much(&mut here, &causes);
        let mut told = here.state.drain_observations(at(3));
        let subjects = [Subject::Key(id(0)), Subject::Key(id(1)), Subject::Project("p".to_owned())];
        let changed = cleared(&subjects, 3);
        here.state.merge(&changed, at(3));
        told.extend(changed);
        let mut places: Vec<_> = told.into_iter().zip(order.iter().cycle()).collect();
        places.sort_by_key(|(_, place)| **place);
        let told: Vec<_> = places.into_iter().map(|(fact, _)| fact).collect();
        for some in told.chunks(3) {
            there.state.merge(some, at(4));
        }
        for bench in [&mut here, &mut there] {
            for key in [id(0), id(1)] {
                prop_assert_eq!(bench.state.state(&key, at(4)), Some(KeyState::Healthy));
            }
            for _ in 0..8 {
                let picked = bench.try_pick(&[], None, 1, 5);
                prop_assert!(matches!(picked, Pick::Key { .. }), "{:?}", picked);
            }
        }
    }
}

#[test]
fn what_is_learnt_after_a_key_was_cleared_holds() {
    let mut bench = Bench::new(key_set(&[1]));
    bench.state.register_keys(&Arc::clone(&bench.key_set), at(0));
    bench.state.merge(&cleared(&[Subject::Key(id(0))], 10), at(10));
    bench.fail(0, &verdict(Cause::RequestQuota, 60), 11);
    // News of before that comes late ends nothing.
    bench.state.merge(&cleared(&[Subject::Key(id(0))], 9), at(12));
    assert!(matches!(bench.try_pick(&[], None, 1, 12), Pick::AllCooling { .. }));
    assert!(matches!(bench.try_pick(&[], None, 1, 61), Pick::Key { .. }));
}

fn in_accounts(keys_of: &[(&str, &str)]) -> Arc<KeySet> {
    let mut keys = keys(&vec![1; keys_of.len()]);
    for (key, (project, account)) in keys.iter_mut().zip(keys_of) {
        key.project = (!project.is_empty()).then(|| (*project).to_owned());
        key.billing_account = (!account.is_empty()).then(|| (*account).to_owned());
    }
    Arc::new(KeySet::of(1, keys))
}

impl Bench {
    fn check_and_refuse(&mut self, index: usize, verdict: &Verdict, now: i64) {
        self.state.register_keys(&Arc::clone(&self.key_set), at(now));
        let lease = self.state.check(&id(index), MODEL, Cost::default(), at(now)).unwrap();
        self.state.finish(&lease, &AttemptEnd::Refused(verdict), at(now));
    }

    fn spend(&mut self, index: usize, now: i64) {
        let spent = Verdict { until: None, ..verdict(Cause::SpendWindow, 0) };
        self.check_and_refuse(index, &spent, now);
    }
}

#[test]
fn a_spend_limit_and_billing_hold_for_the_whole_billing_account_and_every_model() {
    let key_set = in_accounts(&[("p", "acme"), ("q", "acme"), ("r", "other"), ("s", "")]);
    for (cause, comes_back) in [(Cause::SpendWindow, true), (Cause::Billing, false)] {
        let mut bench = Bench::new(Arc::clone(&key_set));
        bench.check_and_refuse(0, &Verdict { until: None, ..verdict(cause, 0) }, 0);
        assert_eq!(bench.usable(1), [2, 3], "{cause:?}");
        let (told, mut elsewhere) = (bench.state.drain_observations(at(1)), Bench::new(Arc::clone(&key_set)));
        // A newcomer hears of the account before it knows the keys.
        elsewhere.state.merge(&told, at(1));
        assert_eq!(elsewhere.usable(1), [2, 3], "{cause:?}");
        let usable = if comes_back { vec![0, 1, 2, 3] } else { vec![2, 3] };
        assert_eq!((bench.usable(61), elsewhere.usable(61)), (usable.clone(), usable), "{cause:?}");
        // One key finds out for all of them.
        let due = bench.state.due_rechecks(at(3_700));
        assert_eq!(due.len(), 1, "{cause:?}");
        let lease = bench.state.check(&id(1), MODEL, Cost::default(), at(3_700)).unwrap();
        bench.succeed(&lease, 3_701);
        assert_eq!(bench.usable(3_702), [0, 1, 2, 3], "{cause:?}");
    }
}

#[test]
fn a_suspicion_of_a_key_ends_when_the_project_or_account_is_to_blame() {
    for cause in [Cause::SpendWindow, Cause::Billing, Cause::Suspended] {
        let mut bench = Bench::new(in_accounts(&[("p", "acme"), ("p", "acme")]));
        let said = Verdict { evidence: Evidence::Text, ..verdict(cause, 0) };
        bench.check_and_refuse(0, &said, 0);
        assert_eq!(bench.usable(1), [1], "{cause:?}: the key alone is suspect");
        bench.check_and_refuse(0, &Verdict { until: None, ..verdict(cause, 0) }, 0);
        assert_eq!(bench.usable(1), Vec::<usize>::new(), "{cause:?}");
        let told = bench.state.drain_observations(at(1));
        let last = told.iter().rev().find(|observation| observation.subject == Subject::Key(id(0))).unwrap();
        let healthy = matches!(last.fact, ObservationKind::Health { state: HealthState::Healthy, .. });
        assert!(healthy, "{cause:?}: {last:?}");
    }
}

#[test]
fn the_end_that_gemini_names_of_a_spend_limit_holds() {
    let mut bench = Bench::new(in_accounts(&[("p", "acme"), ("q", "acme")]));
    bench.check_and_refuse(0, &verdict(Cause::SpendWindow, 500), 0);
    let Pick::AllCooling { soonest, all_until_reset } = bench.try_pick(&[], None, 1, 1) else { panic!() };
    assert_eq!((soonest, all_until_reset), (at(500), false));
}

#[test]
fn projects_that_fall_by_one_spend_limit_within_a_minute_share_an_account_from_then_on() {
    let key_set = in_accounts(&[("p", ""), ("q", ""), ("r", ""), ("s", "set")]);
    let mut bench = Bench::new(Arc::clone(&key_set));
    for (key, now) in [(0, 0), (1, 30), (2, 120), (3, 130)] {
        bench.spend(key, now);
    }
    let told = bench.state.drain_observations(at(131));
    let mut elsewhere = Bench::new(Arc::clone(&key_set));
    elsewhere.state.register_keys(&key_set, at(131));
    elsewhere.state.merge(&told, at(131));
    for bench in [&mut bench, &mut elsewhere] {
        // All are back; the next error of p takes q with it, and neither r, which fell too late, nor s.
        assert_eq!(bench.usable(1_000), [0, 1, 2, 3]);
        bench.spend(0, 1_001);
        assert_eq!(bench.usable(1_002), [2, 3]);
    }
    // One that is seen to work shows that the account has something left, whichever fell first.
    for (first, second) in [(0, 1), (1, 0)] {
        let mut bench = Bench::new(Arc::clone(&key_set));
        bench.spend(first, 0);
        bench.spend(second, 1);
        assert_eq!(bench.usable(2), [2, 3]);
        let lease = bench.state.check(&id(second), MODEL, Cost::default(), at(3)).unwrap();
        bench.succeed(&lease, 4);
        assert_eq!(bench.usable(5), [0, 1, 2, 3]);
    }
    // An operator who clears a key forgets what was learnt of its account too.
    bench.state.merge(&cleared(&[Subject::Key(id(1)), Subject::Project("q".to_owned())], 1_003), at(1_003));
    assert_eq!(bench.usable(1_004), [1, 2, 3]);
    // Where accounts are kept apart, nothing is learnt.
    let mut apart = in_accounts(&[("p", ""), ("q", "")]);
    Arc::get_mut(&mut apart).unwrap().separate_billing = true;
    let mut apart = Bench::new(apart);
    apart.spend(0, 0);
    apart.spend(1, 1);
    apart.spend(0, 1_001);
    assert_eq!(apart.usable(1_002), [1]);
}

proptest! {
    #[test]
    fn whatever_lasts_goes_on_as_long_when_the_clock_is_set(
        ends in proptest::collection::vec((0..CAUSES.len(), 0_usize..4, 1_i64..90), 1..12),
        sets in proptest::collection::vec(-400_000_i64..400_000, 1..4),
    ) {
        let key_set = in_accounts(&[("p", ""), ("p", ""), ("", "acme"), ("", "")]);
        let (mut set, mut even) = (Bench::new(Arc::clone(&key_set)), Bench::new(Arc::clone(&key_set)));
        set.state.register_keys(&key_set, at(0));
        even.state.register_keys(&key_set, at(0));
        let (mut now, mut off) = (0, 0);
        let mut sets = sets.into_iter();
        for (cause, key, rest) in ends {
            now += 1;
            let cause = CAUSES[cause];
            for (bench, now) in [(&mut set, now + off), (&mut even, now)] {
                let lease = bench.state.check(&id(key), MODEL, Cost { requests: 1, tokens: 1 }, at(now)).unwrap();
                let refused = verdict(cause, now + rest);
                bench.state.finish(&lease, &AttemptEnd::Refused(&refused), at(now));
            }
            if let Some(by) = sets.next() {
                off += by;
                set.state.shift(jiff::SignedDuration::from_secs(by), at(now + off));
            }
        }
        for wait in [0, 1, 5, 30, 59, 60, 61, 100, 599, 600, 601, 3_600, 90_000] {
            // Up to midnight is another time by another clock.
            let states = |bench: &Bench, now: i64, off: i64| -> Vec<_> {
                (0..4).map(|key| match bench.state(key, now) {
                    KeyState::Cooling(rests) => rests
                        .into_iter()
                        .filter(|(.., reason)| *reason != CoolingReason::Day)
                        .map(|(_, until, _)| until.as_second() - off)
                        .collect(),
                    KeyState::Unhealthy(_) => vec![-1],
                    KeyState::Healthy => Vec::new(),
                }).collect()
            };
            prop_assert_eq!(states(&set, now + wait + off, off), states(&even, now + wait, 0), "after {} s", wait);
        }
    }
}

#[test]
fn what_a_clock_that_was_ahead_has_told_lasts_no_longer_than_gemini_said() {
    let mut ahead = Bench::new(key_set(&[1]));
    let hours = 4 * 3_600;
    ahead.fail(0, &verdict(Cause::RequestQuota, hours + 30), hours);
    let mut told = ahead.state.drain_observations(at(hours));
    let mut restarted = Bench::new(key_set(&[1]));
    restarted.state.merge(&told, at(0));
    let Pick::AllCooling { soonest, .. } = restarted.try_pick(&[], None, 1, 0) else { panic!() };
    assert!(soonest <= at(34), "{soonest}");
    // Once the clock is right, what is told has its times.
    ahead.state.shift(jiff::SignedDuration::from_secs(-hours), at(0));
    told = ahead.state.drain_observations(at(0));
    assert_eq!(told[0].fact, ObservationKind::Cooling { until: at(30), reason: CoolingReason::Requests });
    assert!(matches!(ahead.try_pick(&[], None, 1, 31), Pick::Key { .. }));
}

mod model_limits;
