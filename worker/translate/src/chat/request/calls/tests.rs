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
        // An id that nobody gave: it can only be meant for a call that is open.
        (vec![result(Some("z"), None)], [Some(1), None]),
        (vec![result(Some("z"), None), result(Some("a"), None)], [Some(2), Some(1)]),
        (vec![result(Some("a"), None), result(Some("a"), None)], [Some(1), Some(2)]),
        // Ids and names that say nothing.
        (vec![result(Some(""), Some("")), result(Some(" "), None)], [Some(1), Some(2)]),
    ] {
        let messages: Vec<Value> = [two.clone()].into_iter().chain(results).collect();
        assert_eq!(matched(&json!(messages)), [expected.to_vec()], "{messages:?}");
    }
}

#[test]
fn an_id_belongs_to_the_nearest_turn_before() {
    let user = json!({"role": "user", "content": "x"});
    let call = calls(&[("a", "f")]);
    let messages = json!([call, user, call, result(Some("a"), None), result(None, Some("f"))]);
    assert_eq!(matched(&messages), [vec![None], vec![Some(3)]]);
    // Two messages of one turn.
    let messages = json!([call, call, result(Some("a"), None), result(None, Some("f"))]);
    assert_eq!(matched(&messages), [vec![Some(2)], vec![Some(3)]]);
    let messages = json!([result(Some("a"), None), calls(&[("a", "f")])]);
    assert_eq!(matched(&messages), [vec![None]]);
}

#[test]
fn one_id_may_stand_for_several_calls() {
    for id in ["x", "", " "] {
        let two = calls(&[(id, "f"), (id, "g")]);
        let messages = json!([two, result(Some(id), None), result(Some(id), None), result(Some(id), None)]);
        assert_eq!(matched(&messages), [vec![Some(1), Some(2)]], "{id}");
    }
    // Where results name their functions, that tells more than their order.
    let two = calls(&[("x", "f"), ("x", "g"), ("x", "f")]);
    let named = |name| result(Some("x"), Some(name));
    let messages = json!([two, named("g"), named("f"), named("f")]);
    assert_eq!(matched(&messages), [vec![Some(2), Some(1), Some(3)]]);
    let messages = json!([two, named("odd"), result(Some("x"), None), named("g")]);
    assert_eq!(matched(&messages), [vec![Some(1), Some(2), Some(3)]]);
    let mixed = calls(&[("x", "f"), ("y", "g"), ("x", "h")]);
    let messages = json!([mixed, result(Some("x"), None), result(Some("x"), None), result(Some("y"), None)]);
    assert_eq!(matched(&messages), [vec![Some(1), Some(3), Some(2)]]);
}

#[test]
fn calls_among_the_parts_count_once() {
    let part = |id: &str, name: &str| json!({"type": "tool_use", "id": id, "name": name, "input": {"a": 1}});
    let mut message = calls(&[("a", "f")]);
    message["content"] =
        json!([{"type": "text", "text": "x"}, part("a", "f"), part("b", "g"), {"type": "tool_use", "id": 5}]);
    let messages = json!([message, result(Some("b"), None), result(Some("a"), None)]);
    assert_eq!(matched(&messages), [vec![Some(2), Some(1)]]);
}

#[test]
fn calls_are_found_as_other_vendors_keep_them() {
    for part in [
        json!({"type": "tool_call", "id": "a", "name": "f", "args": {"x": 1}}),
        json!({"type": "tool-call", "toolCallId": "a", "toolName": "f", "input": {"x": 1}}),
        json!({"type": "tool-call", "toolCallId": "a", "toolName": "f", "args": {"x": 1}}),
        json!({"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{\"x\":1}"}),
        json!({"type": "tool_use", "id": "a", "name": "f", "input": "{\"x\":1}"}),
    ] {
        let text = json!([{"role": "assistant", "content": [part]}, result(Some("a"), None)]).to_string();
        let messages: Vec<Message<'_>> = serde_json::from_str(&text).unwrap();
        let history = History::of(&messages);
        let site = history.site(0).unwrap();
        let call = &site.calls[0];
        assert_eq!((call.id, call.name, &site.results[..]), (Some("a"), "f", &[Some(1)][..]), "{part}");
        let args = results::arguments(call.args.raw().unwrap());
        assert_eq!(args.get().replace(' ', ""), r#"{"x":1}"#, "{part}");
    }
    // One without a name is no call.
    let messages =
        json!([{"role": "assistant", "content": "x", "function_call": {"name": "", "arguments": ""}}]);
    assert_eq!(matched(&messages), Vec::<Vec<Option<usize>>>::new());
}

#[test]
fn an_id_may_be_a_number() {
    let messages = json!([
        {"role": "assistant", "tool_calls": [{"id": 1, "function": {"name": "f"}}, {"id": 2, "function": {"name": "g"}}]},
        {"role": "tool", "tool_call_id": 2, "content": "x"}, {"role": "tool", "tool_call_id": "1", "content": "x"}]);
    assert_eq!(matched(&messages), [vec![Some(2), Some(1)]]);
    let odd = json!([{"role": "tool", "tool_call_id": {}, "content": "x"}]).to_string();
    assert!(serde_json::from_str::<Vec<Message<'_>>>(&odd).is_err());
}

mod any_ids {
    use proptest::prelude::*;

    use super::*;

    fn ids() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "c", "a__thought__EjQKMgG+PgqFzSpLIfcv", "", " ", "strange"])
    }

    fn messages() -> impl Strategy<Value = Vec<Value>> {
        let name = || prop::sample::select(vec!["f", "g", ""]);
        let calls = prop::collection::vec((ids(), name()), 1..4).prop_map(|list| calls(&list));
        let result =
            (prop::option::of(ids()), prop::option::of(name())).prop_map(|(id, name)| result(id, name));
        let other = prop::sample::select(vec!["user", "assistant", "system"])
            .prop_map(|role| json!({"role": role, "content": "x"}));
        prop::collection::vec(prop_oneof![2 => calls, 4 => result, 1 => other], 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_result_answers_one_call_or_is_left_over_because_none_was_open(messages in messages()) {
            let text = json!(messages).to_string();
            let read: Vec<Message<'_>> = serde_json::from_str(&text).unwrap();
            let history = History::of(&read);
            let mut used = vec![0; read.len()];
            for site in &history.sites {
                prop_assert_eq!(site.calls.len(), site.results.len());
                for result in site.results.iter().flatten() {
                    prop_assert!(*result > site.message && &*read[*result].role == "tool");
                    used[*result] += 1;
                }
            }
            for (index, message) in read.iter().enumerate() {
                prop_assert_eq!(used[index], usize::from(history.is_matched(index)));
                if &*message.role == "tool" && !history.is_matched(index) {
                    // No call of the turn before it is open.
                    let before = history.sites.iter().rfind(|site| site.message < index);
                    prop_assert!(before.is_none_or(|site| site.results.iter().all(Option::is_some)), "{index} of {text}");
                }
            }
        }
    }
}

#[test]
fn thousands_of_nameless_results_find_their_calls() {
    let many: Vec<(&str, &str)> = vec![("", "f"); 20_000];
    let mut messages = vec![calls(&many)];
    messages.extend((0..20_000).map(|_| result(None, Some("f"))));
    let matched = matched(&json!(messages));
    assert!(matched[0].iter().enumerate().all(|(slot, result)| *result == Some(slot + 1)));
}
