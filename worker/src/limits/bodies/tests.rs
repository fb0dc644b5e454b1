use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::limits::BODY;

const START: Timestamp = Timestamp::UNIX_EPOCH;

#[test]
fn large_bodies_share_the_budget_and_release_it() {
    let bodies = BodyBudget::default();
    let permit = |length, minutes| {
        let mut permit = bodies.permit(2 * BODY, Some(SignedDuration::from_mins(2)));
        permit.grow(length, START + SignedDuration::from_mins(minutes)).then_some(permit)
    };
    let first = permit(BODY, 0);
    let second = permit(BODY, 1);
    assert!(first.is_some() && second.is_some());
    assert!(permit(SMALL_BODY + 1, 1).is_none());
    assert!(permit(SMALL_BODY, 1).is_some(), "a small one has its reserve");
    drop(first);
    let third = permit(BODY, 2);
    assert!(third.is_some() && permit(BODY, 2).is_none());
    // The runtime ended the second one: 2 min, and the time of its upload.
    std::mem::forget(second);
    assert!(permit(BODY, 11).is_none());
    let fourth = permit(BODY, 13);
    assert!(fourth.is_some());
    drop((third, fourth));
    assert_eq!(bodies.held(), 0);
}

#[test]
fn small_bodies_are_counted_too() {
    let bodies = BodyBudget::default();
    let max = 8 * SMALL_BODY;
    let mut permits = Vec::new();
    for _ in 0..1_000 {
        let mut permit = bodies.permit(max, None);
        if permit.grow(SMALL_BODY, START) {
            permits.push(permit);
        }
    }
    assert_eq!((permits.len(), bodies.held(), bodies.peak()), (10, 10 * SMALL_BODY, 10 * SMALL_BODY));
    drop(permits);
    assert_eq!(bodies.held(), 0);
}

#[test]
fn a_body_has_half_a_minute_and_its_rate_and_never_stalls_for_a_minute() {
    let seconds = Duration::from_secs;
    assert_eq!(time_left(seconds(0), 0), Some(seconds(30)));
    assert_eq!(time_left(seconds(29), 0), Some(seconds(1)));
    assert_eq!(time_left(seconds(30), 0), None);
    assert_eq!(time_left(seconds(30), MIN_RATE), Some(seconds(1)));
    assert_eq!(time_left(seconds(0), BODY), Some(STALL_TIMEOUT));
    assert_eq!(time_left(seconds(542), BODY), None);
}

proptest! {
    #[test]
    fn the_budget_holds_whatever_grows_and_ends(
        steps in proptest::collection::vec((0..12_usize, 0..4 * SMALL_BODY, any::<bool>()), 0..200)
    ) {
        let bodies = BodyBudget::default();
        let max = 6 * SMALL_BODY;
        let mut permits: VecDeque<_> = (0..12).map(|_| (bodies.permit(max, None), 0)).collect();
        for (at, length, ends) in steps {
            let (permit, held) = &mut permits[at];
            if ends {
                *permit = bodies.permit(max, None);
                *held = 0;
            } else if permit.grow(length, START) {
                *held = length;
            }
            let expected: usize = permits.iter().map(|(_, held)| held).sum();
            let large: usize = permits.iter().map(|(_, held)| large(*held)).sum();
            prop_assert_eq!(bodies.held(), expected);
            prop_assert!(expected <= max + max / 4 && large <= max);
        }
        drop(permits);
        prop_assert_eq!(bodies.held(), 0);
    }
}

#[test]
fn a_body_in_pieces_is_put_together() {
    let put = |pieces: &[&'static str], announced| {
        let mut whole = Whole::default();
        for piece in pieces {
            whole.push(Bytes::from_static(piece.as_bytes()), announced);
        }
        whole.into_bytes()
    };
    assert_eq!(put(&[], None), "");
    assert_eq!(put(&["one"], Some(3)), "one");
    assert_eq!(put(&["", "one", "", " two", " three"], None), "one two three");
    assert_eq!(put(&["one", " two"], Some(7)), "one two");
}
