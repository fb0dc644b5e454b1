//! Schemas and names of functions that Gemini rejects, told in other ways.

use super::*;

const STATES: &str = r#"{"error":{"code":400,"message":"The specified schema produces a constraint that has too many states for serving.","status":"INVALID_ARGUMENT"}}"#;
const REFERENCE: &str = r#"{"error":{"code":400,"message":"reference to undefined schema at properties.x","status":"INVALID_ARGUMENT"}}"#;
const LONG_NAME: &str = r#"{"error":{"code":400,"message":"Invalid function name. Must be alphanumeric, with a maximum length of 64.","status":"INVALID_ARGUMENT"}}"#;

fn format(schema: &Value) -> String {
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    format!(r#","response_format":{format}"#)
}

fn tool(name: &str, schema: &Value) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": schema}})
}

fn tools(tools: &[Value]) -> String {
    format!(r#","tools":{}"#, json!(tools))
}

fn sized() -> Value {
    json!({"type": "object", "properties": {"l": {"type": "array", "maxItems": 9, "items": {"type": "string"}}}})
}

#[tokio::test]
async fn what_is_refused_without_a_word_is_sent_once_more_without_sizes() {
    for extra in [format(&sized()), tools(&[tool("f", &sized())])] {
        let world = World::new(1, "").await;
        world.script(&[(400, MISTAKE), (200, ANSWER)]);
        let (reply, body) = world.chat(NEW, &extra).await;
        assert_eq!(reply.status, StatusCode::OK, "{body}");
        let sent = world.sent();
        assert!(sent[0].to_string().contains("\"maxItems\":9"));
        assert!(
            !sent[1].to_string().contains("\"maxItems\":9") && sent[1].to_string().contains("maxItems: 9")
        );
        world.counts(2, 1).await;
    }
    for extra in [format(&json!({"type": "object", "properties": {"l": {"type": "string"}}})), String::new()]
    {
        let world = World::new(1, "").await;
        world.script(&[(400, MISTAKE)]);
        assert_eq!(world.chat(NEW, &extra).await.0.status, StatusCode::BAD_REQUEST);
        world.counts(1, 0).await;
    }
    let world = World::new(1, "").await;
    world.script(&[(400, MISTAKE)]);
    assert_eq!(world.chat(NEW, &format(&sized())).await.0.status, StatusCode::BAD_REQUEST);
    world.counts(2, 0).await;
}

#[tokio::test]
async fn too_many_states_are_loosened_everywhere_and_then_told_in_words() {
    let world = World::new(1, "").await;
    world.script(&[(400, STATES)]);
    let extra = format(&sized()) + &tools(&[tool("f", &sized())]) + r#","tool_choice":"required""#;
    assert_eq!(world.chat(NEW, &extra).await.0.status, StatusCode::BAD_REQUEST);
    let sent = world.sent();
    let places = |body: &Value| {
        let answer = &body["generationConfig"]["responseJsonSchema"]["properties"]["l"];
        let function =
            &body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]["properties"]["l"];
        (answer["maxItems"].clone(), function["maxItems"].clone(), body.get("toolConfig").is_some())
    };
    assert_eq!(places(&sent[0]), (json!(9), json!(9), true));
    assert_eq!(places(&sent[1]), (Value::Null, Value::Null, false));
    assert!(sent[2]["generationConfig"].get("responseJsonSchema").is_none());
    assert_eq!(sent[2]["generationConfig"]["responseMimeType"], "application/json");
    assert!(sent[2]["systemInstruction"].to_string().contains("Respond only with JSON"));
    world.counts(3, 0).await;
    // Where there is nothing to loosen, words come at once.
    let world = World::new(1, "").await;
    world.script(&[(400, STATES), (200, ANSWER)]);
    let plain = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    assert_eq!(world.chat(NEW, &format(&plain)).await.0.status, StatusCode::OK);
    assert!(world.sent()[1].get("systemInstruction").is_some());
    world.counts(2, 1).await;
}

#[tokio::test]
async fn only_schemas_that_can_be_meant_are_told_in_the_older_way() {
    let plain = json!({"type": "object", "properties": {"q": {"type": "string"}}});
    let rich = json!({"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "string"}}}});
    let node = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
    let unknown = r#"{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"parametersJsonSchema\" at 'tools[0].function_declarations[0]': Cannot find field.","status":"INVALID_ARGUMENT"}}"#;
    for (error, schemas, expected) in [
        (REFERENCE, vec![&plain, &rich, &node], vec![false, false, true]),
        (REFERENCE, vec![&plain, &rich], vec![false, true]),
        (REFERENCE, vec![&plain], vec![true]),
        (BAD_SCHEMA, vec![&plain, &rich, &node], vec![false, true, true]),
        (unknown, vec![&plain, &rich, &node], vec![true, true, true]),
    ] {
        let world = World::new(1, "").await;
        world.script(&[(400, error), (200, ANSWER)]);
        let declared: Vec<Value> =
            schemas.iter().enumerate().map(|(place, schema)| tool(&format!("f{place}"), schema)).collect();
        let (reply, body) = world.chat(NEW, &tools(&declared)).await;
        assert_eq!(reply.status, StatusCode::OK, "{body}");
        let sent = world.sent();
        let older: Vec<bool> = sent[1]["tools"][0]["functionDeclarations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|declaration| declaration.get("parameters").is_some())
            .collect();
        assert_eq!(older, expected, "{error}");
    }
}

#[tokio::test]
async fn calls_of_a_stream_are_turned_back_into_what_was_declared() {
    let call = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"n":"2","meta":"{\"k\":\"v\"}"}}}]},"finishReason":"STOP"}]}"#;
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "enum": [1, 2]}, "meta": {"type": "object"}}});
    let world = World::new(1, "").await;
    world.script(&[(400, REFERENCE), (200, event(call))]);
    let (reply, body) = world.chat(NEW, &(tools(&[tool("f", &schema)]) + r#","stream":true"#)).await;
    assert_eq!(reply.headers["x-pool-ignored-params"], "tools.parameters");
    assert!(body.contains(r#""arguments":"{\"n\":2,\"meta\":{\"k\":\"v\"}}""#), "{body}");
    world.counts(2, 1).await;
}

#[tokio::test]
async fn names_that_are_too_long_for_a_model_are_short_from_then_on() {
    let world = World::new(1, "").await;
    world.script(&[(400, LONG_NAME), (200, ANSWER), (200, ANSWER)]);
    let schema = json!({"type": "object", "properties": {"q": {"type": "string"}}});
    let extra = tools(&[tool(&"n".repeat(100), &schema), tool("short", &schema)]);
    for _ in 0..2 {
        assert_eq!(world.chat(NEW, &extra).await.0.status, StatusCode::OK);
    }
    let names: Vec<Vec<usize>> = world
        .sent()
        .iter()
        .map(|body| {
            let declared = body["tools"][0]["functionDeclarations"].as_array().unwrap();
            declared.iter().map(|declaration| declaration["name"].as_str().unwrap().len()).collect()
        })
        .collect();
    assert_eq!(names, [vec![100, 5], vec![64, 5], vec![64, 5]]);
    world.counts(3, 2).await;
    // No long names, nothing to shorten.
    let world = World::new(1, "").await;
    world.script(&[(400, LONG_NAME)]);
    assert_eq!(world.chat(NEW, &tools(&[tool("f", &schema)])).await.0.status, StatusCode::BAD_REQUEST);
    world.counts(1, 0).await;
}

#[tokio::test]
async fn half_surrogate_pairs_are_mended_before_anything_reads_them() {
    let world = World::new(1, "").await;
    world.script(&[(200, ANSWER)]);
    let extra = r#","\udc00":1,"google":{"labels":{"l":"cut"}},"tools":[{"type":"function","function":{"name":"f",
        "parameters":{"type":"object","properties":{"a":{"type":"string","description":"cut \ud83d"}}}}}]"#;
    let (reply, body) = world.chat(NEW, extra).await;
    assert_eq!(reply.status, StatusCode::OK, "{body}");
    let sent = &world.sent()[0];
    let schema = &sent["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"];
    assert_eq!(schema["properties"]["a"]["description"], "cut \u{fffd}");
    assert_eq!(sent["labels"]["l"], "cut");
    let embedded = World::new(1, "").await;
    embedded.script(&[(200, r#"{"embeddings":[{"values":[1.0]}]}"#)]);
    let body = r#"{"model":"gemini-embedding-001","input":"cut \ud83d","\ud83d":1}"#;
    let key = &embedded.pool.client_key;
    let (reply, body) =
        embedded.host.send(&embedded.service, Method::POST, "/v1/embeddings", key, body).await;
    assert_eq!(reply.status, StatusCode::OK, "{body}");
    assert!(embedded.sent()[0].to_string().contains("cut \u{fffd}"));
}
