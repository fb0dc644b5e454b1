//! Frame of the document: operations, errors and security schemes.

use http::Method;
use pool_shared::ErrorBody;
use pool_worker::host::native::NativeHost;
use pool_worker::limits;
use pool_worker::platform::Platform;
use serde_json::{Map, Value, json};

use crate::schemas::{self, Refer, Schemas};
use crate::{admin, data};

/// An operation.
pub struct Operation {
    pub method: Method,
    /// Path with `{name}` parameters.
    pub path: String,
    pub id: String,
    pub tag: &'static str,
    pub summary: &'static str,
    pub details: String,
    pub security: Value,
    pub query: Vec<Value>,
    pub body: Option<Refer>,
    /// The success response, by status.
    pub answer: (u16, &'static str),
    /// Another status with the same content.
    pub also: Option<(u16, &'static str)>,
    /// Schemas by content type.
    pub content: Vec<(&'static str, Refer)>,
    pub headers: Vec<&'static str>,
    /// Statuses of its errors.
    pub errors: Vec<u16>,
    pub envelope: Envelope,
}

/// Error format.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    Admin,
    OpenAi,
    /// Gemini's own.
    Gemini,
    /// That of Google's OpenAI-compatible endpoint.
    Google,
}

impl Envelope {
    const fn name(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::OpenAi => "OpenAi",
            Self::Gemini => "Gemini",
            Self::Google => "Google",
        }
    }
}

/// Returns the meaning of an error status and its headers.
fn meaning(status: u16, envelope: Envelope) -> (&'static str, &'static [&'static str]) {
    match (status, envelope) {
        (400, _) => ("The request is invalid.", &[]),
        (401, Envelope::Admin) => ("The token or password is missing, wrong, expired or revoked.", &[]),
        (401, _) => ("The client key is missing, wrong, expired or revoked.", &[]),
        (403, Envelope::Admin) => {
            ("The token lacks the scope, or the request is from a page of another origin.", &[])
        }
        (403, _) => (
            "The pool is disabled or does not allow such requests, or the client key is not allowed to send them.",
            &[],
        ),
        (404, Envelope::Admin) => ("No such pool, key or token.", &[]),
        (404, _) => ("The model does not exist or is not allowed for the client key.", &[]),
        (409, _) => ("Conflict with an existing resource, such as a duplicate name.", &[]),
        (413, _) => ("The body exceeds the size limit.", &[]),
        (414, _) => ("The path or query exceeds the size limit.", &[]),
        (415, _) => ("The body is compressed or not JSON.", &[]),
        (429, Envelope::Admin) => (
            "Too many login attempts, or too many changes with the token in the last minute.",
            &["retry-after"],
        ),
        (429, _) => {
            ("A rate limit of the client key or the quota of the pool's keys is exceeded.", &["retry-after"])
        }
        (431, _) => ("The headers exceed the size limit.", &[]),
        (500, _) => ("An internal error of the service or of Gemini.", &[]),
        (502, _) => ("Gemini's response is unusable.", &[]),
        (503, Envelope::Admin) => {
            ("The deployment is incomplete, or the store, the ledger or Gemini is unavailable.", &[])
        }
        (503, _) => (
            "No key of the pool is available, Gemini is overloaded, or the store is unavailable.",
            &["retry-after"],
        ),
        (504, _) => ("Gemini timed out.", &[]),
        _ => ("", &[]),
    }
}

/// Returns the whole document.
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut operations = admin::operations();
    operations.extend(data::operations());
    operations.extend(admin::probes());
    let bodies: Vec<_> =
        operations.iter().map(|operation| operation.body.map(|body| schemas.request(body))).collect();
    let mut paths: Map<String, Value> = Map::new();
    let mut written = Vec::new();
    for operation in &operations {
        written.push(described(operation, &mut schemas));
    }
    schemas.answer(schemas::of::<ErrorBody>);
    let (mut components, renamed) = schemas.finish();
    components.extend(data::schemas());
    for ((operation, mut body), mut object) in operations.iter().zip(bodies).zip(written) {
        if let Some(schema) = &mut body {
            schemas::rename(schema, &renamed);
            object["requestBody"] =
                json!({"required": true, "content": {"application/json": {"schema": schema}}});
        }
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_lowercase()] = object;
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pool service",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": format!(
                "Many Gemini API keys as isolated, OpenAI-compatible pools. Bodies have at most {} bytes ({} before \
                 authentication of admin requests; {} in chats and embeddings on the native server) and {} levels of \
                 JSON, the path and the query {} bytes each, all headers together {}. The admin API rejects duplicate \
                 query parameters.",
                limits::BODY, limits::UNAUTHENTICATED_BODY, <NativeHost as Platform>::BODY_BYTES, limits::JSON_DEPTH, limits::PATH, limits::HEADERS
            ),
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "admin", "description": "The control plane."},
            {"name": "probes", "description": "Liveness and readiness, open to everybody."},
            {"name": "openai", "description": "The data plane, for OpenAI's clients."},
            {"name": "gemini", "description": "What goes to Gemini as it came, in pools with `pass_through`."},
        ],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": refusals(&operations),
            "headers": headers(),
            "securitySchemes": security_schemes(),
        },
    });
    tidy(&mut document);
    document
}

fn described(operation: &Operation, schemas: &mut Schemas) -> Value {
    let mut parameters = path_parameters(operation);
    parameters.extend(operation.query.iter().cloned());
    let mut object = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": operation.security,
    });
    if !operation.details.is_empty() {
        object["description"] = operation.details.as_str().into();
    }
    if !parameters.is_empty() {
        object["parameters"] = parameters.into();
    }
    let (status, what) = operation.answer;
    let mut success =
        json!({"description": what, "headers": named(operation.headers.iter().chain(&["x-request-id"]))});
    if !operation.content.is_empty() {
        let content = operation
            .content
            .iter()
            .map(|(kind, refer)| ((*kind).to_owned(), json!({"schema": schemas.answer(*refer)})));
        success["content"] = content.collect::<Map<_, _>>().into();
    }
    let mut responses = Map::new();
    if let Some((status, what)) = operation.also {
        let mut also = success.clone();
        also["description"] = what.into();
        responses.insert(status.to_string(), also);
    }
    responses.insert(status.to_string(), success);
    for status in &operation.errors {
        let reference = format!("#/components/responses/{}{status}", operation.envelope.name());
        responses.insert(status.to_string(), json!({"$ref": reference}));
    }
    object["responses"] = responses.into();
    object
}

/// Returns the error responses by format and status.
fn refusals(operations: &[Operation]) -> Value {
    let mut refusals = Map::new();
    for operation in operations {
        for status in &operation.errors {
            let (what, headers) = meaning(*status, operation.envelope);
            let schema = match operation.envelope {
                Envelope::Admin => "ErrorBody",
                Envelope::OpenAi => "OpenAiError",
                Envelope::Gemini => "GeminiError",
                Envelope::Google => "GoogleError",
            };
            let refusal = json!({
                "description": what,
                "headers": named(headers.iter().chain(&["x-request-id"])),
                "content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}},
            });
            refusals.insert(format!("{}{status}", operation.envelope.name()), refusal);
        }
    }
    refusals.sort_keys();
    refusals.into()
}

/// Returns the parameters of a path in order.
fn path_parameters(operation: &Operation) -> Vec<Value> {
    let names = operation.path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let described = names.map(|(name, _)| {
        let what = match (name, operation.envelope) {
            ("pool", _) => "The pool's id or name.",
            (_, Envelope::OpenAi) => "The model's name; it may hold slashes.",
            (_, Envelope::Gemini | Envelope::Google) => "The model's name.",
            _ => "The id.",
        };
        json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": what,
            "schema": {"type": "string", "minLength": 1},
        })
    });
    described.collect()
}

fn named<'n>(names: impl Iterator<Item = &'n &'static str>) -> Value {
    let reference =
        |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    names.map(reference).collect::<Map<_, _>>().into()
}

fn headers() -> Value {
    let text = |what: &str| json!({"description": what, "schema": {"type": "string"}});
    json!({
        "x-request-id": {
            "description": "The request's id, also in the service's log.",
            "required": true,
            "schema": {"type": "string", "minLength": 1},
        },
        "retry-after": {
            "description": "Seconds after which a retry may succeed, if known.",
            "schema": {"type": "string", "pattern": "^[0-9]+$"},
        },
        "set-cookie": text("The browser session, or its end."),
        "x-pool-key": text("The id of the key that served the response."),
        "x-pool-attempts": text("Number of attempts."),
        "x-pool-model": text("The model that responded instead of the requested one."),
        "x-pool-ignored-params": text("Ignored parameters, separated by commas."),
        "x-pool-dropped": text("Former name of `x-pool-ignored-params`."),
    })
}

fn security_schemes() -> Value {
    json!({
        "adminToken": {
            "type": "http",
            "scheme": "bearer",
            "description": "An admin token. The names beside it are scopes; a full token has all of them.",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "__Host-session",
            "description": "A browser session, which has all scopes. It is valid only for the service's own pages: a change needs \
                            the service's `Origin` and `Sec-Fetch-Site: same-origin`. On http://127.0.0.1 and localhost \
                            the cookie is named `session`.",
        },
        "clientKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "A pool's client key. The headers `x-api-key` and `x-goog-api-key` are also accepted.",
        },
    })
}

/// Removes rustdoc links from descriptions.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`").replace("crate::", "").replace('\n', " ");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
