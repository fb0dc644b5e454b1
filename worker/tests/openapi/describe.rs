//! Builder of the admin API's operations. Access comes from the table of routes.

use http::Method;
use pool_shared::{KeyState, bounds};
use pool_worker::admin::{Access, ROUTES};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::document::{Envelope, Operation};
use crate::schemas::of;

/// A route's description beyond its row in the table.
pub struct Described {
    method: Method,
    path: &'static str,
    pub operation: Operation,
}

impl Described {
    pub fn takes<T: JsonSchema>(mut self) -> Self {
        self.operation.body = Some(of::<T>);
        self
    }

    pub fn gives<T: JsonSchema>(self, what: &'static str) -> Self {
        self.gives_with::<T>(200, what)
    }

    pub fn creates<T: JsonSchema>(self, what: &'static str) -> Self {
        self.gives_with::<T>(201, what)
    }

    pub fn gives_with<T: JsonSchema>(mut self, status: u16, what: &'static str) -> Self {
        self.operation.answer = (status, what);
        self.operation.content = vec![("application/json", of::<T>)];
        self
    }

    pub fn also(mut self, status: u16, what: &'static str) -> Self {
        self.operation.also = Some((status, what));
        self
    }

    pub fn may_answer(mut self, status: u16) -> Self {
        self.operation.errors.push(status);
        self
    }

    pub fn query(mut self, name: &str, what: &str, schema: Value) -> Self {
        let mut parameter = json!({"name": name, "in": "query", "description": what});
        parameter["schema"] = schema;
        self.operation.query.push(parameter);
        self
    }

    pub fn page(self) -> Self {
        let schema = json!({"type": "integer", "minimum": 1, "maximum": bounds::PAGE, "default": 100});
        self.query("limit", "Maximum number of entries.", schema)
    }

    pub fn cursor(self, what: &str) -> Self {
        self.query("cursor", what, json!({"type": "string", "pattern": bounds::patterns::CURSOR}))
    }

    pub fn cookie(mut self) -> Self {
        self.operation.headers.push("set-cookie");
        self
    }

    pub fn details(mut self, text: &str) -> Self {
        text.clone_into(&mut self.operation.details);
        self
    }

    /// Adds the route's access and the errors of all such routes.
    pub fn complete(self) -> Operation {
        let Self { method, path, mut operation } = self;
        let route = ROUTES.iter().find(|route| route.method == method && route.path == path);
        let access = route.map_or(Access::Full, |route| route.access);
        operation.security = security(access);
        operation.errors.extend([400, 414, 431, 500, 503]);
        match access {
            Access::Open => {}
            Access::Token | Access::Full | Access::Scoped(_) => operation.errors.extend([401, 403]),
        }
        let changes = method != Method::GET && matches!(access, Access::Full | Access::Scoped(_));
        if changes && !path.ends_with("/keys/check") {
            operation.errors.push(429);
        }
        if access == Access::Full {
            add(&mut operation.details, "Requires a token with all scopes.");
        }
        if path.contains('{') || operation.query.iter().any(|parameter| parameter["name"] == "pool") {
            operation.errors.push(404);
        }
        if operation.body.is_some() {
            operation.errors.extend([413, 415]);
        }
        operation.errors.sort_unstable();
        operation.errors.dedup();
        operation
    }
}

fn add(details: &mut String, sentence: &str) {
    if !details.is_empty() {
        details.push(' ');
    }
    details.push_str(sentence);
}

/// Returns the accepted credentials.
fn security(access: Access) -> Value {
    match access {
        Access::Open => json!([]),
        Access::Token | Access::Full => json!([{"adminToken": []}, {"session": []}]),
        Access::Scoped(scopes) => {
            let mut any: Vec<_> = scopes.iter().map(|scope| json!({"adminToken": [scope.name()]})).collect();
            any.push(json!({"session": []}));
            any.into()
        }
    }
}

fn on(method: Method, path: &'static str, id: &str, summary: &'static str) -> Described {
    let operation = Operation {
        method: method.clone(),
        path: path.to_owned(),
        id: id.to_owned(),
        tag: "admin",
        summary,
        details: String::new(),
        security: Value::Null,
        query: Vec::new(),
        body: None,
        answer: (204, "Done."),
        also: None,
        content: Vec::new(),
        headers: Vec::new(),
        errors: Vec::new(),
        envelope: Envelope::Admin,
    };
    Described { method, path, operation }
}

pub fn get(path: &'static str, id: &str, summary: &'static str) -> Described {
    on(Method::GET, path, id, summary)
}

pub fn post(path: &'static str, id: &str, summary: &'static str) -> Described {
    on(Method::POST, path, id, summary)
}

pub fn patch(path: &'static str, id: &str, summary: &'static str) -> Described {
    on(Method::PATCH, path, id, summary)
}

pub fn delete(path: &'static str, id: &str, summary: &'static str) -> Described {
    on(Method::DELETE, path, id, summary)
}

/// Returns the schema of an RFC 3339 timestamp.
pub fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

pub fn text() -> Value {
    json!({"type": "string"})
}

/// Returns the schema of a comma-separated list of key states.
pub fn states() -> Value {
    let names: Vec<_> = KeyState::ALL.iter().map(|state| state.name()).collect();
    let any = format!("({})", names.join("|"));
    json!({"type": "string", "pattern": format!("^({any}(,{any})*)?$")})
}

/// Returns the schema of any object, for the document itself.
pub fn any_object(_: &mut SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object"})
}

pub fn any_text(_: &mut SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string"})
}
