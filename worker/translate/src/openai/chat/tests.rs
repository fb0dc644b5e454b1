use super::*;

#[test]
fn the_three_refusals_of_an_incomplete_request() {
    let refused = |body: &str| {
        let error = ChatRequest::parse(body.as_bytes()).unwrap_err();
        (error.param.unwrap_or_default(), error.code.unwrap_or_default())
    };
    assert_eq!(refused(r#"{"messages":[]}"#), ("model".into(), "missing_required_parameter"));
    assert_eq!(refused(r#"{"model":"m"}"#), ("messages".into(), "missing_required_parameter"));
    assert_eq!(refused(r#"{"model":"m","messages":[]}"#), ("messages".into(), "empty_array"));
    assert_eq!(
        refused(r#"{"model":"m","messages":[{"content":"x"}]}"#),
        ("messages[0].role".into(), "missing_required_parameter")
    );
    assert_eq!(
        refused(r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":7}]}]}"#),
        ("messages[0].content[0].text".into(), "invalid_type")
    );
    assert_eq!(refused(r#"{"model":"m","messages":{}}"#), ("messages".into(), "invalid_type"));
}

#[test]
fn googles_extensions_are_found_wherever_they_stand() {
    let extensions = |extra: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{extra}}}"#);
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        let caches = request.google().filter_map(|google| google.cached_content.as_deref());
        let first = caches.map(ToOwned::to_owned).next();
        (first, request.unknown.len())
    };
    let found = (Some("c".to_owned()), 0);
    assert_eq!(extensions(r#""cachedContent":"c""#), found);
    assert_eq!(extensions(r#""google":{"cached_content":"c"},"cached_content":"d""#), found);
    assert_eq!(
        extensions(r#""extra_body":{"google":{"cachedContent":"c"}},"google":{"cached_content":"d"}"#),
        found
    );
    assert_eq!(extensions(r#""extra_body":{},"cache":"c""#), (None, 1));
}

#[test]
fn affinity_prefers_the_cache_key() {
    let parse = |extra: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{extra}}}"#);
        ChatRequest::parse(body.as_bytes()).unwrap().affinity().map(ToOwned::to_owned)
    };
    assert_eq!(parse(r#","user":"u","prompt_cache_key":"k""#).as_deref(), Some("k"));
    assert_eq!(parse(r#","user":"u""#).as_deref(), Some("u"));
    assert_eq!(parse(r#","user":"""#), None);
}
