//! Requests that end without a response: how often and how long they are retried, and their error responses.

use std::sync::Arc;

use pool_engine::{
    AttemptEnd, Cause, Cost, KeySet, KeySetEntry, Limits, Pick, PickRequest, PoolState, RetryPlan,
    SeededRandom, Step, Verdict,
};
use pool_shared::{AttemptOutcome, KeyId, Weight};

use super::*;

/// How long a request waits for a cooldown, with the jitter of the wait.
const MAX_COOLDOWN_WAIT: Duration = Duration::from_millis(2_100);

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
}

/// What a request came to.
struct Journey {
    /// (model, key) of each attempt.
    attempts: Vec<(usize, usize)>,
    waits: Vec<Duration>,
    answer: ApiError,
    unserved_for: Option<AttemptOutcome>,
}

struct Bench {
    state: PoolState,
    key_set: Arc<KeySet>,
    random: SeededRandom,
    now: i64,
}

impl Bench {
    fn new(keys: usize) -> Self {
        let key = |number: usize| KeySetEntry {
            id: KeyId::from_random(number as u64),
            weight: Weight::default(),
            project: None,
            billing_account: None,
            limits: Limits::default(),
        };
        Self {
            state: PoolState::default(),
            key_set: Arc::new(KeySet::of(1, (0..keys).map(key))),
            random: SeededRandom::new(3),
            now: 0,
        }
    }

    /// Sends a request of `tokens` tokens, whose attempts fail as told.
    fn send(&mut self, models: &[&str], tokens: u64, mut fail: impl FnMut(usize) -> Verdict) -> Journey {
        let models = models.iter().map(ToString::to_string).collect();
        let mut plan = RetryPlan::new(models, None, Cost { requests: 1, tokens }, at(self.now));
        let (mut attempts, mut waits) = (Vec::new(), Vec::new());
        loop {
            match plan.next(&self.key_set, &mut self.state, at(self.now), &self.random) {
                Step::Try { index, lease, model } => {
                    attempts.push((model, index));
                    let verdict = fail(model);
                    self.now += 100;
                    self.state.finish(&lease, &AttemptEnd::Refused(&verdict), at(self.now));
                    plan.refused(&verdict);
                }
                Step::Wait(time) => {
                    self.now += i64::try_from(time.as_millis()).unwrap() + 1;
                    waits.push(time);
                }
                Step::Hear => {}
                Step::GiveUp(answer) => {
                    let unserved_for = plan.unserved_for();
                    return Journey { attempts, waits, answer: exhausted(*answer, "prod"), unserved_for };
                }
            }
        }
    }
}

fn verdict(cause: Cause) -> Verdict {
    let answer = ApiError::server(StatusCode::BAD_GATEWAY, "told", "told");
    Verdict { until: Some(at(50_000)), ..Verdict::of(cause, answer) }
}

#[test]
fn four_attempts_are_made_each_on_another_key() {
    let journey = Bench::new(10).send(&["m"], 1, |_| verdict(Cause::RequestQuota));
    let mut keys: Vec<usize> = journey.attempts.iter().map(|(_, key)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((journey.attempts.len(), keys.len(), journey.waits.len()), (4, 4, 0));
    assert_eq!(journey.answer.code, Some("told"));
}

#[test]
fn what_no_key_can_help_ends_at_once() {
    for cause in [Cause::Caller, Cause::UnknownModel, Cause::Ours] {
        let journey = Bench::new(10).send(&["m", "n"], 1, |_| verdict(cause));
        assert_eq!((journey.attempts.len(), journey.answer.code), (1, Some("told")), "{cause:?}");
    }
}

#[test]
fn only_the_model_and_the_network_are_given_time() {
    let seconds = Duration::from_secs;
    for (cause, attempts, waits) in [
        (Cause::Overloaded, 3, vec![(0.5, 1.0), (1.0, 2.0)]),
        (Cause::Internal, 3, vec![(0.5, 1.0), (1.0, 2.0)]),
        (Cause::Network, 4, vec![(0.5, 1.0), (1.0, 2.0)]),
        (Cause::Deadline, 2, vec![]),
        (Cause::SoftFailure, 2, vec![]),
        (Cause::Location, 2, vec![]),
        (Cause::Burst, 3, vec![]),
        (Cause::InvalidKey, 4, vec![]),
    ] {
        let journey = Bench::new(10).send(&["m"], 1, |_| verdict(cause));
        assert_eq!((journey.attempts.len(), journey.waits.len()), (attempts, waits.len()), "{cause:?}");
        for (wait, (least, most)) in journey.waits.iter().zip(waits) {
            assert!(*wait >= seconds(1).mul_f64(least) && *wait <= seconds(1).mul_f64(most), "{wait:?}");
        }
    }
}

#[test]
fn a_request_that_took_too_long_is_not_tried_again() {
    let mut bench = Bench::new(10);
    let plan = &mut RetryPlan::new(vec!["m".to_owned()], None, Cost::default(), at(0));
    let Bench { state, key_set, random, .. } = &mut bench;
    let Step::Try { lease, .. } = plan.next(key_set, state, at(0), random) else { panic!() };
    state.abandon(&lease);
    plan.refused(&verdict(Cause::Internal));
    let Step::GiveUp(answer) = plan.next(key_set, state, at(59_900), random) else { panic!() };
    let answer = exhausted(*answer, "prod");
    assert_eq!(answer.code, Some("told"));
}

#[test]
fn an_overloaded_model_has_stand_ins() {
    let mut bench = Bench::new(10);
    let journey = bench.send(&["m", "n"], 1, |model| verdict([Cause::Overloaded, Cause::Caller][model]));
    assert_eq!(journey.attempts.iter().map(|(model, _)| *model).collect::<Vec<_>>(), [0, 0, 0, 1]);
    // Two more failures open its circuit: then it is not even asked.
    bench.send(&["m"], 1, |_| verdict(Cause::Overloaded));
    let journey = bench.send(&["m", "n"], 1, |_| verdict(Cause::Caller));
    assert_eq!(journey.attempts.iter().map(|(model, _)| *model).collect::<Vec<_>>(), [1]);
}

#[test]
fn without_a_stand_in_an_open_circuit_is_waited_for_and_then_told() {
    let mut bench = Bench::new(10);
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(bench.send(&["m"], 1, |_| verdict(Cause::Overloaded)));
    }
    let last = answers.pop().unwrap();
    assert_eq!((last.attempts.len(), last.answer.code), (0, Some("overloaded")));
    assert!(last.answer.retry_after_ms.is_some_and(|wait| wait > 1_000));
    assert!(answers.iter().all(|journey| journey.waits.iter().all(|wait| *wait <= Duration::from_secs(4))));
}

#[test]
fn a_used_up_model_has_stand_ins_and_without_them_the_caller_is_told_until_when() {
    let mut bench = Bench::new(2);
    let journey = bench.send(&["m", "n"], 1, |model| verdict([Cause::RequestQuota, Cause::Caller][model]));
    assert_eq!(journey.attempts.iter().map(|(model, _)| *model).collect::<Vec<_>>(), [0, 0, 1]);
    let told = bench.send(&["m"], 1, |_| verdict(Cause::Caller)).answer;
    assert_eq!((told.status.as_u16(), told.code), (429, Some("rate_limit_exceeded")));
    assert_eq!(told.retry_after_ms, Some(50_000 - u64::try_from(bench.now).unwrap()));
}

#[test]
fn the_last_attempt_goes_to_a_model_that_may_have_room() {
    let journey = Bench::new(10).send(&["m", "n"], 1, |_| verdict(Cause::RequestQuota));
    assert_eq!(journey.attempts.iter().map(|(model, _)| *model).collect::<Vec<_>>(), [0, 0, 0, 1]);
}

#[test]
fn when_only_the_day_helps_no_sdk_is_to_try_again() {
    // Also where the attempts end before it is seen that every key is used up.
    for keys in [1, 2, 4_u8] {
        let mut bench = Bench::new(keys.into());
        let used_up = || Verdict {
            answer: ApiError { should_retry: Some(false), ..verdict(Cause::DayQuota).answer },
            ..verdict(Cause::DayQuota)
        };
        let answer = bench.send(&["m"], 1, |_| used_up()).answer;
        let code = if keys < 4 { "insufficient_quota" } else { "told" };
        assert_eq!((answer.code, answer.should_retry), (Some(code), Some(false)), "{keys}");
        let left = 50_000 - 100 * u64::from(keys);
        assert_eq!(answer.retry_after_ms, Some(left), "{keys}: the reset with its jitter");
        assert!(
            answer.message.ends_with("The quota is reset at 2027-01-15T08:00:50Z."),
            "{}",
            answer.message
        );
    }
}

#[test]
fn a_pool_without_a_good_key_says_so() {
    for keys in [0, 2] {
        let answer = Bench::new(keys).send(&["m", "n"], 1, |_| verdict(Cause::LeakedKey)).answer;
        assert_eq!((answer.code, answer.should_retry), (Some("no_usable_key"), Some(false)));
        assert!(answer.message.contains("'prod'"));
    }
}

#[test]
fn keys_that_were_all_tried_are_not_why_a_request_failed() {
    for keys in 1..6 {
        let unserved_for = |cause| Bench::new(keys).send(&["m"], 1, |_| verdict(cause)).unserved_for;
        assert_eq!(unserved_for(Cause::Network), None, "{keys} keys");
        assert_eq!(unserved_for(Cause::Internal), None, "{keys} keys");
    }
    let none = Bench::new(0).send(&["m"], 1, |_| verdict(Cause::Network));
    assert_eq!(none.unserved_for, Some(AttemptOutcome::Key));
}

#[test]
fn refused_keys_are_the_operator_s_business() {
    let answer = Bench::new(10).send(&["m"], 1, |_| verdict(Cause::InvalidKey)).answer;
    assert_eq!((answer.status.as_u16(), answer.code), (503, Some("no_usable_key")));
    assert_eq!((answer.should_retry, answer.retry_after_ms), (None, Some(1_000)), "six keys are left");
}

#[test]
fn a_pool_of_dead_keys_and_a_good_one_lets_sdks_find_the_good_one() {
    for cause in [
        Cause::InvalidKey,
        Cause::LeakedKey,
        Cause::Suspended,
        Cause::Billing,
        Cause::RequestQuota,
        Cause::DayQuota,
        Cause::NoQuota,
        Cause::NewUsers,
    ] {
        let mut bench = Bench::new(13);
        for asked in 0..3 {
            let answer = bench.send(&["m"], 1, |_| verdict(cause)).answer;
            assert_eq!(
                (answer.should_retry, answer.retry_after_ms),
                (None, Some(1_000)),
                "{cause:?} {asked}"
            );
            bench.now += 1_000;
        }
        let last = bench.send(&["m"], 1, |_| verdict(Cause::Caller));
        assert_eq!((last.attempts.len(), last.answer.code), (1, Some("told")), "{cause:?}");
    }
    // With the last one rejected nothing is left to come back for, unless it comes back by itself.
    for (cause, retry_after) in [(Cause::LeakedKey, None), (Cause::Billing, None)] {
        let answer = Bench::new(4).send(&["m"], 1, |_| verdict(cause)).answer;
        assert_eq!((answer.should_retry, answer.retry_after_ms), (Some(false), retry_after), "{cause:?}");
    }
    let answer = Bench::new(4).send(&["m"], 1, |_| verdict(Cause::InvalidKey)).answer;
    assert!(answer.retry_after_ms.is_some_and(|wait| wait > 1_000), "{answer:?}");
}

#[test]
fn a_short_cooldown_is_waited_for_once_and_a_longer_one_is_told() {
    /// Two keys, which come back so much later.
    fn in_cooldown(cooldowns: [i64; 2]) -> Bench {
        let mut bench = Bench::new(2);
        for cooldown in cooldowns {
            let refusal = Verdict { until: Some(at(100 + cooldown)), ..verdict(Cause::RequestQuota) };
            let (state, key_set) = (&mut bench.state, Arc::clone(&bench.key_set));
            let request = PickRequest { model: "m", tried: &[], affinity: None, cost: Cost::default() };
            let Pick::Key { lease, .. } = state.pick(&key_set, &request, at(0), &bench.random) else {
                panic!("a key is left")
            };
            state.finish(&lease, &AttemptEnd::Refused(&refusal), at(100));
        }
        bench.now = 100;
        bench
    }
    for (cooldown, waits) in [(200, 1), (1_000, 1), (1_900, 1), (2_500, 0)] {
        let mut bench = in_cooldown([cooldown; 2]);
        let journey = bench.send(&["m"], 1, |_| verdict(Cause::Caller));
        let expected = if waits == 1 { "told" } else { "rate_limit_exceeded" };
        assert_eq!((journey.waits.len(), journey.answer.code), (waits, Some(expected)), "{cooldown}");
        assert!(journey.waits.iter().all(|wait| *wait <= MAX_COOLDOWN_WAIT));
    }
    // Once: the other key is not waited for as well.
    let journey = in_cooldown([300, 1_500]).send(&["m"], 1, |_| verdict(Cause::RequestQuota));
    assert_eq!((journey.attempts.len(), journey.waits.len()), (1, 1));
    assert_eq!(journey.answer.code, Some("rate_limit_exceeded"));
    let mut bench = Bench::new(1);
    let journey = bench.send(&["m"], 1, |_| Verdict { until: None, ..verdict(Cause::Burst) });
    assert_eq!((journey.attempts.len(), journey.waits.len()), (1, 0), "the only key was tried");
}

#[test]
fn a_prompt_that_never_fits_is_tried_on_two_projects() {
    let limits = Limits { tokens_per_minute: Some(1_000), ..Limits::default() };
    let mut bench = Bench::new(10);
    let journey = bench.send(&["m"], 5_000, |_| Verdict { limits, ..verdict(Cause::TokenQuota) });
    assert_eq!((journey.attempts.len(), journey.answer.should_retry), (2, Some(false)));
    // A small one continues to be served by the same keys.
    assert_eq!(bench.send(&["m"], 10, |_| verdict(Cause::Caller)).attempts.len(), 1);
}

#[test]
fn an_attempt_that_was_not_made_does_not_count() {
    let mut bench = Bench::new(10);
    let plan = &mut RetryPlan::new(vec!["m".to_owned(), "n".to_owned()], None, Cost::default(), at(0));
    let Bench { state, key_set, random, .. } = &mut bench;
    for _ in 0..9 {
        let Step::Try { lease, model: 0, .. } = plan.next(key_set, state, at(0), random) else { panic!() };
        state.abandon(&lease);
        plan.not_sent();
    }
    let Step::Try { lease, .. } = plan.next(key_set, state, at(0), random) else { panic!() };
    state.abandon(&lease);
    plan.skip_model();
    assert!(matches!(plan.next(key_set, state, at(0), random), Step::Try { model: 1, .. }));
}

/// Sends a request to a pool of `keys` keys, on whose attempts `end` decides: it takes note of each in the plan.
fn drive(keys: usize, mut end: impl FnMut(usize, &mut RetryPlan)) -> (Vec<usize>, ApiError) {
    let mut bench = Bench::new(keys);
    let mut plan = RetryPlan::new(vec!["m".to_owned()], None, Cost { requests: 1, tokens: 1 }, at(0));
    let mut tried = Vec::new();
    loop {
        match plan.next(&bench.key_set, &mut bench.state, at(bench.now), &bench.random) {
            Step::Try { index, lease, .. } => {
                bench.state.abandon(&lease);
                tried.push(index);
                end(tried.len(), &mut plan);
            }
            Step::Wait(time) => bench.now += i64::try_from(time.as_millis()).unwrap() + 1,
            Step::Hear => {}
            Step::GiveUp(answer) => return (tried, exhausted(*answer, "prod")),
        }
    }
}

#[test]
fn a_changed_request_may_go_to_the_same_key_and_is_one_more_than_four_attempts() {
    let (tried, answer) = drive(1, |attempt, plan| {
        let refused = verdict(Cause::Caller);
        if attempt == 1 { plan.resend(&refused) } else { plan.refused(&refused) }
    });
    assert_eq!((tried.len(), answer.code), (2, Some("told")));
    let (tried, _) = drive(10, |attempt, plan| match attempt {
        4 => plan.resend(&verdict(Cause::Caller)),
        _ => plan.refused(&verdict(Cause::InvalidKey)),
    });
    assert_eq!(tried.len(), 5);
    let (tried, answer) = drive(10, |_, plan| plan.resend(&verdict(Cause::Caller)));
    assert_eq!((tried.len(), answer.code), (5, Some("told")), "however often it is changed");
}

#[test]
fn an_unusable_answer_is_no_reason_to_pass_a_key_over() {
    let (tried, answer) = drive(1, |_, plan| plan.refused(&verdict(Cause::SoftFailure)));
    assert_eq!((tried, answer.code), (vec![0, 0], Some("told")));
    let (tried, _) = drive(1, |_, plan| plan.refused(&verdict(Cause::Overloaded)));
    assert_eq!(tried, [0]);
    for keys in 2..6 {
        let (tried, _) = drive(keys, |_, plan| plan.refused(&verdict(Cause::SoftFailure)));
        assert!(tried.len() == 2 && tried[0] != tried[1], "another key is preferred: {tried:?}");
    }
    let (tried, _) = drive(2, |attempt, plan| {
        let cause = if attempt == 1 { Cause::SoftFailure } else { Cause::InvalidKey };
        plan.refused(&verdict(cause));
    });
    assert!(
        tried.len() == 3 && tried[0] == tried[2],
        "and the same one when the other is refused: {tried:?}"
    );
}

#[test]
fn a_spend_limit_of_every_key_tells_how_long_to_wait_and_asks_no_other_model() {
    let mut bench = Bench::new(2);
    let spent = Verdict {
        until: Some(at(45_000)),
        answer: rate_limited("requests", "rate_limit_exceeded", "spend"),
        ..verdict(Cause::SpendWindow)
    };
    let journey = bench.send(&["m", "n"], 1, |_| spent.clone());
    assert!(journey.attempts.iter().all(|(model, _)| *model == 0));
    assert_eq!((journey.answer.status.as_u16(), journey.answer.should_retry), (429, None));
    assert!(journey.answer.retry_after_ms.is_some_and(|wait| wait > 40_000), "{:?}", journey.answer);
}
