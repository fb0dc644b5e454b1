//! Operations of the data plane.
//!
//! What OpenAI documents is not repeated: request schemas contain what the service checks,
//! response schemas what clients rely on.

use http::Method;
use pool_worker::gateway;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::document::{Envelope, Operation};
use crate::schemas::Refer;

const ERRORS: [u16; 13] = [400, 401, 403, 404, 413, 414, 415, 429, 431, 500, 502, 503, 504];

/// Returns all operations: those of OpenAI's API under `/v1`, `/api` and the root, and
/// pass-through.
pub fn operations() -> Vec<Operation> {
    gateway::ROUTES
        .iter()
        .flat_map(|pattern| passed(pattern).unwrap_or_else(|| vec![operation(pattern)]))
        .collect()
}

/// Returns the pass-through operations of a path; none for other paths.
fn passed(pattern: &str) -> Option<Vec<Operation>> {
    let (base, envelope, details) = if let Some(base) = pattern.strip_prefix("/v1beta/openai") {
        (
            base,
            Envelope::Google,
            "Google's OpenAI-compatible endpoint (https://ai.google.dev/gemini-api/docs/openai).",
        )
    } else {
        (pattern.strip_prefix("/v1beta")?, Envelope::Gemini, "Native Gemini API (https://ai.google.dev/api).")
    };
    let google = envelope == Envelope::Google;
    // Operation id, model method, summary, and whether it has a body.
    let described: &[(&str, &str, &str, bool)] = match base {
        "/chat/completions" => &[("googleChatCompletion", "", "Create a chat completion", true)],
        "/embeddings" => &[("googleEmbeddings", "", "Create embeddings", true)],
        "/models" if google => {
            &[("googleListModels", "", "List all models that Gemini offers to a key of the pool", false)]
        }
        "/models" => {
            &[("geminiListModels", "", "List all models that Gemini offers to a key of the pool", false)]
        }
        _ if google => &[("googleGetModel", "", "One model", false)],
        _ => &[
            ("geminiGetModel", "", "One model", false),
            ("geminiGenerateContent", ":generateContent", "Create a chat completion", true),
            ("geminiStreamGenerateContent", ":streamGenerateContent", "Stream a chat completion", true),
            ("geminiCountTokens", ":countTokens", "Count the tokens of a conversation, free of charge", true),
            ("geminiEmbedContent", ":embedContent", "Create an embedding", true),
            ("geminiBatchEmbedContents", ":batchEmbedContents", "Create embeddings", true),
        ],
    };
    let one = |(id, method, summary, has_body): &(&str, &str, &'static str, bool)| {
        let kinds = if id.contains("Stream") || id.contains("Chat") { 2 } else { 1 };
        let content: [(&str, Refer); 2] = [
            ("application/json", |_| json_schema!({"type": ["object", "array"]})),
            ("text/event-stream", |_| json_schema!({"type": "string"})),
        ];
        Operation {
            method: if *has_body { Method::POST } else { Method::GET },
            path: format!("{}{method}", pattern.replace("{*id}", "{id}")),
            id: (*id).to_owned(),
            tag: "gemini",
            summary,
            details: format!(
                "{details} Only in pools with `pass_through`. Request and response are forwarded unchanged, except for the query parameter `key`."
            ),
            security: json!([{"clientKey": []}]),
            query: Vec::new(),
            body: has_body.then_some(|_| json_schema!({"type": "object"})),
            answer: (200, "Gemini's response, unchanged."),
            also: None,
            content: content.into_iter().take(kinds).collect(),
            headers: vec!["x-pool-key", "x-pool-attempts"],
            errors: ERRORS.to_vec(),
            envelope,
        }
    };
    Some(described.iter().map(one).collect())
}

fn operation(pattern: &str) -> Operation {
    let (prefix, path) = ["v1", "api"]
        .into_iter()
        .find_map(|prefix| Some((prefix, pattern.strip_prefix('/')?.strip_prefix(prefix)?)))
        .unwrap_or(("root", pattern));
    let base = Operation {
        method: Method::POST,
        path: pattern.replace("{*id}", "{id}"),
        id: String::new(),
        tag: "openai",
        summary: "",
        details: String::new(),
        security: json!([{"clientKey": []}]),
        query: Vec::new(),
        body: None,
        answer: (200, ""),
        also: None,
        content: Vec::new(),
        headers: Vec::new(),
        errors: ERRORS.to_vec(),
        envelope: Envelope::OpenAi,
    };
    let spending =
        vec!["x-pool-key", "x-pool-attempts", "x-pool-model", "x-pool-ignored-params", "x-pool-dropped"];
    let (id, operation) = match path {
        "/chat/completions" => (
            "createChatCompletion",
            Operation {
                summary: "Create a chat completion",
                body: Some(|_| refer("ChatRequest")),
                answer: (200, "The response; with `stream` server-sent events that end with `[DONE]`."),
                content: vec![
                    ("application/json", |_: &mut SchemaGenerator| refer("ChatCompletion")),
                    ("text/event-stream", |_: &mut SchemaGenerator| json_schema!({"type": "string"})),
                ],
                headers: spending,
                ..base
            },
        ),
        "/embeddings" => (
            "createEmbeddings",
            Operation {
                summary: "Create embeddings",
                body: Some(|_| refer("EmbeddingsRequest")),
                answer: (200, "One vector per text."),
                content: vec![("application/json", |_: &mut SchemaGenerator| refer("Embeddings"))],
                headers: spending,
                ..base
            },
        ),
        "/models" => (
            "listModels",
            Operation {
                method: Method::GET,
                summary: "List the models allowed for the client key",
                answer: (200, "In Google's order, aliases last."),
                content: vec![("application/json", |_: &mut SchemaGenerator| refer("ModelList"))],
                ..base
            },
        ),
        "/chat/completed" => (
            "chatCompleted",
            Operation {
                summary: "Notice that older versions of Open WebUI send after each chat; it has no effect",
                answer: (200, "Always the same response."),
                content: vec![(
                    "application/json",
                    |_: &mut SchemaGenerator| json_schema!({"type": "object", "required": ["success"], "properties": {"success": {"const": true}}}),
                )],
                ..base
            },
        ),
        _ => (
            "getModel",
            Operation {
                method: Method::GET,
                summary: "One model",
                answer: (200, "The model."),
                content: vec![("application/json", |_: &mut SchemaGenerator| refer("Model"))],
                ..base
            },
        ),
    };
    let id = if prefix == "v1" { id.to_owned() } else { format!("{id}_{prefix}") };
    Operation { id, ..operation }
}

fn refer(name: &str) -> Schema {
    json_schema!({"$ref": format!("#/components/schemas/{name}")})
}

/// Returns the schemas that they refer to.
pub fn schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    for mut part in [chat_schemas(), other_schemas()] {
        schemas.append(part.as_object_mut().unwrap());
    }
    schemas
}

fn chat_schemas() -> Value {
    let nullable = json!({"type": ["string", "null"]});
    json!({
        "OpenAiError": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": nullable,
                    "code": nullable,
                },
            }},
        },
        "GeminiStatus": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {
                "type": "object",
                "required": ["code", "message", "status"],
                "properties": {
                    "code": {"type": "integer"},
                    "message": {"type": "string"},
                    "status": {"type": "string"},
                    "details": {"type": "array", "items": {"type": "object"}},
                },
            }},
        },
        "GeminiStatuses": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/GeminiStatus"}},
        "GeminiError": {
            "description": "An array where the answer would have been one.",
            "anyOf": [{"$ref": "#/components/schemas/GeminiStatus"}, {"$ref": "#/components/schemas/GeminiStatuses"}],
        },
        "GoogleError": {
            "description": "The service's own errors are in OpenAI's envelope, Gemini's as they came.",
            "anyOf": [{"$ref": "#/components/schemas/OpenAiError"}, {"$ref": "#/components/schemas/GeminiStatuses"}],
        },
        "ChatRequest": {
            "description": "As OpenAI documents it. `null` counts as absent.",
            "type": "object",
            "required": ["model", "messages"],
            "properties": {
                "model": {"type": "string", "minLength": 1},
                "messages": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 2048,
                    "items": {
                        "type": "object",
                        "required": ["role"],
                        "properties": {"role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]}},
                        "additionalProperties": true,
                    },
                },
                "tools": {
                    "description": "512 functions at most.",
                    "type": ["array", "null"],
                    "items": {"type": "object"},
                },
                "stream": {"type": ["boolean", "null"]},
            },
            "additionalProperties": true,
        },
        "ChatCompletion": {
            "type": "object",
            "required": ["id", "object", "created", "model", "choices"],
            "properties": {
                "id": {"type": "string"},
                "object": {"const": "chat.completion"},
                "created": {"type": "integer"},
                "model": {"type": "string"},
                "choices": {"type": "array", "items": {
                    "type": "object",
                    "required": ["index", "message", "finish_reason"],
                    "properties": {
                        "index": {"type": "integer"},
                        "message": {"type": "object", "required": ["role", "content"]},
                        "finish_reason": {"type": "string"},
                    },
                }},
            },
        }
    })
}

fn other_schemas() -> Value {
    json!({
        "EmbeddingsRequest": {
            "description": "As OpenAI documents it. `null` counts as absent.",
            "type": "object",
            "required": ["model", "input"],
            "properties": {
                "model": {"type": "string", "minLength": 1},
                "input": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}]},
                "dimensions": {"type": ["integer", "null"]},
                "encoding_format": {"type": ["string", "null"]},
            },
            "additionalProperties": true,
        },
        "Embeddings": {
            "type": "object",
            "required": ["object", "data", "model", "usage"],
            "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": {
                    "type": "object",
                    "required": ["object", "index", "embedding"],
                    "properties": {
                        "object": {"const": "embedding"},
                        "index": {"type": "integer"},
                        "embedding": {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]},
                    },
                }},
            },
        },
        "ModelList": {
            "type": "object",
            "required": ["object", "data"],
            "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
            },
        },
        "Model": {
            "type": "object",
            "required": ["id", "object", "created", "owned_by"],
            "properties": {
                "id": {"type": "string"},
                "object": {"const": "model"},
                "created": {"type": "integer"},
                "owned_by": {"type": "string"},
            },
        },
    })
}
