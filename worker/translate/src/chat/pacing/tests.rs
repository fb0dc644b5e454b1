use pool_shared::PacingUnit::{Batches, Characters};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn pacing(by: PacingUnit) -> Pacing {
    Pacing { by, ..Pacing::default() }
}

fn chunk(delta: &Value) -> String {
    let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": null});
    format!("data: {}\n\n", json!({"id": "x", "choices": [choice], "usage": null}))
}

fn text(text: &str) -> Bytes {
    chunk(&json!({"content": text})).into()
}

fn rest(pacer: &mut Pacer) -> Vec<PacedPiece> {
    std::iter::from_fn(|| pacer.next_piece()).collect()
}

fn total(pieces: &[PacedPiece]) -> Duration {
    pieces.iter().map(|piece| piece.wait).sum()
}

fn value(event: &[u8]) -> Option<Value> {
    serde_json::from_slice(event.strip_prefix(b"data: ")?).ok()
}

fn content(event: &[u8]) -> String {
    value(event).unwrap()["choices"][0]["delta"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn a_grapheme_is_never_cut() {
    // A flag, a family, a letter with two accents, a syllable of three letters, a line's end.
    let graphemes = ["🇩🇪", "👨‍👩‍👧", "e\u{301}\u{302}", "각", "\r\n", "\"", "ä"];
    let mut pacer = Pacer::new(pacing(Characters));
    pacer.push(&text(&graphemes.concat()), USUAL_GAP);
    let pieces = rest(&mut pacer);
    let sent: Vec<String> = pieces.iter().map(|piece| content(&piece.events)).collect();
    assert_eq!(sent, graphemes);
    for piece in &pieces {
        let mut event = value(&piece.events).unwrap();
        event["choices"][0]["delta"]["content"] = json!("");
        assert_eq!(event, value(&text("")).unwrap(), "everything else is in each piece");
    }
}

#[test]
fn little_text_flows_and_much_of_it_keeps_up() {
    let mut little = Pacer::new(pacing(Characters));
    little.push(&text("twenty letters here!"), USUAL_GAP);
    let pieces = rest(&mut little);
    assert_eq!((pieces.len(), pieces[0].wait), (20, USUAL_GAP / 20));

    for by in [Characters, Batches] {
        for length in [1, 100, 10_000] {
            let mut pacer = Pacer::new(pacing(by));
            pacer.push(&text(&"x".repeat(length)), USUAL_GAP);
            let pieces = rest(&mut pacer);
            let range = 2 * MILLISECOND..=20 * MILLISECOND;
            assert!(pieces.iter().all(|piece| range.contains(&piece.wait)), "{by:?} {length}");
            assert!(total(&pieces) <= USUAL_GAP + 2 * MILLISECOND, "{by:?} {length}: {:?}", total(&pieces));
        }
    }
    let mut slow = Pacer::new(pacing(Characters));
    for _ in 0..20 {
        slow.push(&text("a few words"), Duration::from_mins(1));
        let pieces = rest(&mut slow);
        assert!(total(&pieces) <= MAX_GAP && pieces.iter().all(|piece| piece.wait <= 20 * MILLISECOND));
    }
}

#[test]
fn batches_are_larger_than_characters() {
    let pieces = |by| {
        let mut pacer = Pacer::new(pacing(by));
        pacer.push(&text(&"x".repeat(60)), USUAL_GAP);
        rest(&mut pacer).len()
    };
    assert_eq!((pieces(Characters), pieces(Batches)), (60, 20));
}

#[test]
fn the_end_comes_soon() {
    let slowest = Pacing { by: Characters, min_delay_ms: 200, max_delay_ms: 200 };
    for pacing in [pacing(Characters), pacing(Batches), slowest] {
        let mut pacer = Pacer::new(pacing);
        for _ in 0..10 {
            pacer.push(&text(&"x".repeat(500)), MAX_GAP);
        }
        pacer.push(&Bytes::from_static(b"data: [DONE]\n\n"), MAX_GAP);
        pacer.end();
        let pieces = rest(&mut pacer);
        assert!(total(&pieces) <= LAST_WORDS + 2 * MILLISECOND * 10, "{pacing:?}: {:?}", total(&pieces));
        let last = pieces.last().unwrap();
        assert_eq!(last.wait, Duration::ZERO);
        assert!(last.events.ends_with(b"data: [DONE]\n\n"));
    }
}

#[test]
fn what_is_more_than_text_goes_out_as_it_is() {
    let call =
        json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{\"a\":\"long\"}"}}]});
    let with_logprobs = chunk(&json!({"content": "long"})).replace(
        r#""logprobs":null"#,
        r#""logprobs":{"content":[{"token":"long","logprob":-1,"bytes":null,"top_logprobs":[]}]}"#,
    );
    for event in [
        chunk(&call),
        chunk(&json!({"role": "assistant", "content": "long"})),
        chunk(&json!({"content": "long", "extra_content": {"google": {"thought_signature": "x"}}})),
        with_logprobs,
        "data: {\"error\":{\"message\":\"content\"}}\n\n".to_owned(),
        "data: {\"choices\":[],\"usage\":{}}\n\n".to_owned(),
        ": keep-alive\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ] {
        let mut pacer = Pacer::new(pacing(Characters));
        pacer.push(&event.clone().into(), USUAL_GAP);
        assert_eq!(rest(&mut pacer), [PacedPiece { events: event.into(), wait: Duration::ZERO }]);
    }
    let mut pacer = Pacer::new(pacing(Characters));
    pacer.push(&chunk(&json!({"reasoning_content": "long"})).into(), USUAL_GAP);
    assert_eq!(rest(&mut pacer).len(), 4, "thoughts are text too");
}

#[test]
fn no_more_is_read_than_fits() {
    let mut pacer = Pacer::new(pacing(Batches));
    let mut pushed = 0;
    while !pacer.is_full() {
        pacer.push(&text(&"x".repeat(1_000)), USUAL_GAP);
        pushed += 1;
    }
    assert!((50..=65).contains(&pushed), "{pushed}");
    rest(&mut pacer);
    assert!(!pacer.is_full() && pacer.bytes == 0 && pacer.graphemes == 0);
}

/// Returns the text of each kind, and every other event, in their order.
fn put_together(stream: &[u8]) -> (String, String, Vec<String>) {
    let (mut content, mut reasoning, mut others) = (String::new(), String::new(), Vec::new());
    for event in std::str::from_utf8(stream).unwrap().split_terminator("\n\n") {
        let delta = value(event.as_bytes()).unwrap_or_default()["choices"][0]["delta"].clone();
        match (delta["content"].as_str(), delta["reasoning_content"].as_str()) {
            (Some(text), None) if delta["role"].is_null() => content.push_str(text),
            (None, Some(text)) => reasoning.push_str(text),
            // Where it is in the text counts too.
            _ => others.push(format!("{} {} {event}", content.len(), reasoning.len())),
        }
    }
    (content, reasoning, others)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_puts_together_the_same_answer(
        parts in prop::collection::vec((0..4, "\\PC{0,40}|[a\u{301}👨\u{200d}👧\r\n\"\\\\]{0,40}"), 0..12),
        pushes in prop::collection::vec((1usize..5, 0u64..3_000, 0usize..30), 1..12),
        by in prop::sample::select(vec![Characters, Batches]),
        delays in (1u16..200, 1u16..200),
    ) {
        let mut events = vec![chunk(&json!({"role": "assistant", "content": ""}))];
        events.extend(parts.iter().map(|(kind, text)| match kind {
            0 => chunk(&json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})),
            1 => chunk(&json!({"reasoning_content": text})),
            _ => chunk(&json!({"content": text})),
        }));
        events.push("data: [DONE]\n\n".to_owned());
        let mut pacer = Pacer::new(Pacing { by, min_delay_ms: delays.0, max_delay_ms: delays.1 });
        let mut paced = Vec::new();
        let mut waited = Vec::new();
        let mut take = |piece: PacedPiece| {
            waited.push(piece.wait);
            paced.extend_from_slice(&piece.events);
        };
        // In bursts of several events, with some pieces taken between them.
        let mut coming = events.iter();
        for (burst, after, taken) in pushes.into_iter().cycle() {
            let burst: String = coming.by_ref().take(burst).map(String::as_str).collect();
            if burst.is_empty() {
                break;
            }
            pacer.push(&burst.into(), Duration::from_millis(after));
            (0..taken).map_while(|_| pacer.next_piece()).for_each(&mut take);
        }
        pacer.end();
        rest(&mut pacer).into_iter().for_each(take);
        prop_assert_eq!(put_together(&paced), put_together(events.concat().as_bytes()));
        prop_assert!(waited.iter().all(|wait| *wait <= Duration::from_millis(delays.1.into())));
        prop_assert_eq!((pacer.bytes, pacer.graphemes), (0, 0));
    }
}
