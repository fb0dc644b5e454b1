use super::*;

#[test]
fn compact_touches_nothing_inside_strings() {
    for (json, expected) in [
        (r#"{"a":1}"#, r#"{"a":1}"#),
        (
            "{\n  \"a b\": \"x  \\\" : y\\\\\",\n \"é\" :[ 1.0 , 2e5 ]\r\n}",
            r#"{"a b":"x  \" : y\\","é":[1.0,2e5]}"#,
        ),
        (r#"{"é":"ÿ Ā 🌍 " , "b":1}"#, r#"{"é":"ÿ Ā 🌍 ","b":1}"#),
    ] {
        assert_eq!(compact(json), expected);
    }
}

#[test]
fn code_and_its_output_lose_one_newline() {
    let fence = |fence: fn(&RawValue) -> String, json: &str| fence(serde_json::from_str(json).unwrap());
    assert_eq!(fence(code_fence, r#"{"language":"PYTHON","code":"a\n\n"}"#), "\n```python\na\n\n```\n");
    assert_eq!(fence(code_fence, r#"{"code":"a"}"#), "\n```python\na\n```\n");
    let failed = r#"{"outcome":"OUTCOME_FAILED","output":"no\n"}"#;
    assert_eq!(fence(output_fence, failed), "\n```output\nFAILED\nno\n```\n");
}
