use serde_json::{Value, json};

use super::*;

fn matched(messages: &Value) -> Vec<Vec<Option<usize>>> {
    let text = messages.to_string();
    let messages: Vec<Message<'_>> = serde_json::from_str(&text).unwrap();
    History::of(&messages).sites.into_iter().map(|site| site.results).collect()
}

fn calls(calls: &[(&str, &str)]) -> Value {
    let call = |(id, name): &(&str, &str)| json!({"id": id, "function": {"name": name, "arguments": "{}"}});
    json!({"role": "assistant", "tool_calls": calls.iter().map(call).collect::<Vec<_>>()})
}

fn result(id: Option<&str>, name: Option<&str>) -> Value {
    json!({"role": "tool", "tool_call_id": id, "name": name, "content": "x"})
}

#[test]
fn by_id_then_by_name_then_by_place() {
    let two = calls(&[("a", "f"), ("b", "g")]);
    for (results, expected) in [
        (vec![result(Some("b"), None), result(Some("a"), None)], [Some(2), Some(1)]),
        (vec![result(None, Some("g")), result(None, Some("f"))], [Some(2), Some(1)]),
        (vec![result(None, None), result(None, None)], [Some(1), Some(2)]),
        (vec![result(Some("a"), None), result(None, None)], [Some(1), Some(2)]),
        // An id that nobody gave, but a function that was called.
        (vec![result(Some("z"), Some("g"))], [None, Some(1)]),
        (vec![result(Some("z"), None)], [None, None]),
        // The first of two results for one call counts.
        (vec![result(Some("a"), None), result(Some("a"), None)], [Some(1), None]),
    ] {
        let messages: Vec<Value> = [two.clone()].into_iter().chain(results).collect();
        assert_eq!(matched(&json!(messages)), [expected.to_vec()], "{messages:?}");
    }
}

#[test]
fn an_id_belongs_to_the_nearest_turn_before() {
    let messages =
        json!([calls(&[("a", "f")]), calls(&[("a", "f")]), result(Some("a"), None), result(None, Some("f"))]);
    assert_eq!(matched(&messages), [vec![None], vec![Some(2)]]);
    let messages = json!([result(Some("a"), None), calls(&[("a", "f")])]);
    assert_eq!(matched(&messages), [vec![None]]);
}

#[test]
fn thousands_of_nameless_results_find_their_calls() {
    let many: Vec<(&str, &str)> = vec![("", "f"); 20_000];
    let mut messages = vec![calls(&many)];
    messages.extend((0..20_000).map(|_| result(None, Some("f"))));
    let matched = matched(&json!(messages));
    assert!(matched[0].iter().enumerate().all(|(slot, result)| *result == Some(slot + 1)));
}
