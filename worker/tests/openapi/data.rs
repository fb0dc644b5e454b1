//! The operations of the data plane. What OpenAI documents is not said again: of a request the schemas hold what the
//! service checks of every one, of an answer what clients rely on.

use http::Method;
use pool_worker::gateway;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::document::{Envelope, Operation};

const ERRORS: [u16; 12] = [400, 401, 403, 404, 413, 414, 429, 431, 500, 502, 503, 504];

/// Every operation: each stands under `/v1`, under `/api` and at the root.
pub fn operations() -> Vec<Operation> {
    gateway::ROUTES.iter().map(|pattern| operation(pattern)).collect()
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
    let spending = vec!["x-pool-key", "x-pool-attempts", "x-pool-model", "x-pool-dropped"];
    let (id, operation) = match path {
        "/chat/completions" => (
            "createChatCompletion",
            Operation {
                summary: "Answer a conversation",
                body: Some(|_| refer("ChatRequest")),
                answer: (200, "The answer; with `stream` server-sent events, the last of which is `[DONE]`."),
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
                summary: "Turn texts into vectors",
                body: Some(|_| refer("EmbeddingsRequest")),
                answer: (200, "A vector for each text."),
                content: vec![("application/json", |_: &mut SchemaGenerator| refer("Embeddings"))],
                headers: spending,
                ..base
            },
        ),
        "/models" => (
            "listModels",
            Operation {
                method: Method::GET,
                summary: "The models that the client key may use",
                answer: (200, "In Google's order, aliases last."),
                content: vec![("application/json", |_: &mut SchemaGenerator| refer("ModelList"))],
                ..base
            },
        ),
        "/chat/completed" => (
            "chatCompleted",
            Operation {
                summary: "What older versions of Open WebUI call after each chat; nothing happens",
                answer: (200, "Always the same."),
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

/// The schemas that they refer to.
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
