//! Observations and events that the ledger passes on.

use super::*;

#[test]
fn what_one_learnt_is_told_to_the_others_once() {
    let mut world = World::new();
    let (mut one, mut two) = (buffer(1), buffer(2));
    let soon = world.now + Duration::from_mins(1);
    one.add_observation(learnt("key 1", soon));
    one.add_observation(learnt("key 2", world.now + Duration::from_hours(1)));
    one.add_moved(pool("a"));
    let own = world.send(&mut one);
    assert_eq!((own.learnt, own.moved, own.cursor), (vec![], vec![], 1), "nobody is told his own news");

    two.add(&attempt("a", "k", world.now));
    let updates = world.send(&mut two);
    let ids =
        |updates: &LedgerUpdates| updates.learnt.iter().map(|record| record.id.clone()).collect::<Vec<_>>();
    assert_eq!(
        (ids(&updates), &updates.moved),
        (vec!["key 1".to_owned(), "key 2".to_owned()], &vec![pool("a")])
    );
    assert_eq!(updates.learnt[0].body.0.get(), r#"{"about":"key 1"}"#);
    two.add(&attempt("a", "k", world.now));
    let updates = world.send(&mut two);
    assert_eq!((ids(&updates), updates.moved.len()), (vec![], 0), "and nothing twice");

    // A new writer receives what still holds, also from a restarted ledger.
    world.now = soon;
    world.roll_up();
    world.restart();
    let mut three = buffer(3);
    three.add(&attempt("a", "k", world.now));
    assert_eq!(ids(&world.send(&mut three)), ["key 2"]);
    // A cursor of a ledger that is gone is ignored.
    let mut four = buffer(4);
    four.add(&attempt("a", "k", world.now));
    let report = Report { known: 1_000, ..Report::clone(&four.take(world.now).unwrap()) };
    assert_eq!(ids(&world.report(report)), ["key 2"]);
}

#[test]
fn the_last_thousand_events_are_kept_and_can_be_followed() {
    let mut world = World::new();
    let mut buffer = buffer(1);
    for round in 0..11 {
        for number in 0..100 {
            buffer.add_event(event(&format!("{round}-{number}")));
        }
        world.send(&mut buffer);
        world.roll_up();
    }
    world.restart();
    let (all, last) = world.events(None, 5_000);
    assert_eq!((all.len(), all[0].as_str(), last), (1_000, "1-0", 1_100));
    let (some, cursor) = world.events(Some(1_090), 4);
    assert_eq!((some[0].as_str(), some.len(), cursor), ("10-90", 4, 1_094));
    let (rest, cursor) = world.events(Some(cursor), 100);
    assert_eq!((rest[0].as_str(), rest.len(), cursor), ("10-94", 6, 1_100));
    assert_eq!(world.events(Some(cursor), 100), (vec![], 1_100));
}
