//! Routes of the data plane.
//!
//! The OpenAI-compatible routes exist under `/v1`, `/api` and the root, so that Open WebUI and SDKs work
//! with any of the three as base URL. `/v1beta` has the native Gemini API, and `/v1beta/openai` the routes
//! of Google's OpenAI-compatible endpoint.

use std::sync::OnceLock;

use http::Method;
use matchit::Router;
use percent_encoding::percent_decode_str;

use crate::reply;
use pool_translate::ApiError;

/// The meaning of a path and a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST chat/completions`
    ChatCompletions,
    /// `POST embeddings`
    Embeddings,
    /// `GET models`
    Models,
    /// `GET models/{id}`
    Model(String),
    /// `POST /api/chat/completed`, which Open WebUI's older versions call after each chat.
    ChatCompleted,
    /// Forwarded to Gemini unchanged.
    PassThrough(PassThroughRoute),
}

/// A route whose requests are forwarded to Gemini unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassThroughRoute {
    /// Which of Gemini's APIs.
    pub dialect: ApiDialect,
    /// What is requested.
    pub target: PassThroughTarget,
}

/// What a pass-through route requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassThroughTarget {
    /// `GET models`
    Models,
    /// `GET models/{id}`
    Model(String),
    /// `POST models/{id}:{method}`
    Method(String, &'static str),
    /// `POST` to a path without a model, which the body names.
    OfBody(&'static str),
}

impl PassThroughTarget {
    /// Returns `true` if the model generates content.
    pub(super) fn generates(&self) -> bool {
        matches!(
            self,
            Self::Method(_, "generateContent" | "streamGenerateContent") | Self::OfBody("chat/completions")
        )
    }
}

/// The API that a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiDialect {
    /// OpenAI's.
    OpenAi,
    /// Gemini's own.
    Gemini,
}

impl ApiDialect {
    /// Returns the dialect of a path, with or without a route.
    pub(crate) fn of(path: &str) -> Self {
        let below =
            |prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if below("/v1beta") && !below("/v1beta/openai") { Self::Gemini } else { Self::OpenAi }
    }

    /// Returns an error response in the API's envelope.
    pub(super) fn error<S>(self, error: &ApiError) -> reply::Reply<S> {
        match self {
            Self::OpenAi => reply::Reply::error(error),
            Self::Gemini => reply::Reply::gemini_error(error),
        }
    }
}

/// Methods that work with any key. Methods that create a file, a cache or a batch are excluded: these
/// belong to the project of one key.
const METHODS: [&str; 5] =
    ["generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    ChatCompletions,
    Embeddings,
    Models,
    Model,
    ChatCompleted,
    GeminiModels,
    GeminiModel,
    GoogleOf(&'static str),
    GoogleModels,
    GoogleModel,
}

/// Every path pattern of the data plane.
pub const ROUTES: &[&str] = &[
    "/v1/chat/completions",
    "/api/chat/completions",
    "/chat/completions",
    "/v1/embeddings",
    "/api/embeddings",
    "/embeddings",
    "/v1/models",
    "/api/models",
    "/models",
    "/v1/models/{*id}",
    "/api/models/{*id}",
    "/models/{*id}",
    "/api/chat/completed",
    "/v1beta/models",
    "/v1beta/models/{*id}",
    "/v1beta/openai/chat/completions",
    "/v1beta/openai/embeddings",
    "/v1beta/openai/models",
    "/v1beta/openai/models/{*id}",
];

fn endpoint_of(pattern: &str) -> Endpoint {
    if let Some(path) = pattern.strip_prefix("/v1beta/openai") {
        return match path {
            "/chat/completions" => Endpoint::GoogleOf("chat/completions"),
            "/embeddings" => Endpoint::GoogleOf("embeddings"),
            "/models" => Endpoint::GoogleModels,
            _ => Endpoint::GoogleModel,
        };
    }
    if let Some(path) = pattern.strip_prefix("/v1beta") {
        return if path == "/models" { Endpoint::GeminiModels } else { Endpoint::GeminiModel };
    }
    let path = pattern.strip_prefix("/v1").or_else(|| pattern.strip_prefix("/api")).unwrap_or(pattern);
    match path {
        "/chat/completions" => Endpoint::ChatCompletions,
        "/embeddings" => Endpoint::Embeddings,
        "/models" => Endpoint::Models,
        "/chat/completed" => Endpoint::ChatCompleted,
        _ => Endpoint::Model,
    }
}

/// Returns the router from patterns to endpoints, each with its pattern.
fn router() -> &'static Router<(Endpoint, &'static str)> {
    static ROUTER: OnceLock<Router<(Endpoint, &'static str)>> = OnceLock::new();
    ROUTER.get_or_init(|| {
        let mut router = Router::new();
        for pattern in ROUTES {
            // The patterns are constant and do not conflict: a test looks each of them up.
            let _ = router.insert(*pattern, (endpoint_of(pattern), *pattern));
        }
        router
    })
}

/// Returns the route at a path, its one method, and its pattern.
fn at(path: &str) -> Option<(Route, Method, &'static str)> {
    let found = router().at(path).ok()?;
    let (endpoint, pattern) = *found.value;
    let id = || {
        let id = found.params.get("id").unwrap_or_default();
        percent_decode_str(id).decode_utf8_lossy().into_owned()
    };
    let passed = |dialect, target| Route::PassThrough(PassThroughRoute { dialect, target });
    let (route, method) = match endpoint {
        Endpoint::ChatCompletions => (Route::ChatCompletions, Method::POST),
        Endpoint::Embeddings => (Route::Embeddings, Method::POST),
        Endpoint::Models => (Route::Models, Method::GET),
        Endpoint::ChatCompleted => (Route::ChatCompleted, Method::POST),
        Endpoint::Model => (Route::Model(id()), Method::GET),
        Endpoint::GeminiModels => (passed(ApiDialect::Gemini, PassThroughTarget::Models), Method::GET),
        Endpoint::GeminiModel => {
            let (target, method) = of_model(id())?;
            (passed(ApiDialect::Gemini, target), method)
        }
        Endpoint::GoogleOf(path) => {
            (passed(ApiDialect::OpenAi, PassThroughTarget::OfBody(path)), Method::POST)
        }
        Endpoint::GoogleModels => (passed(ApiDialect::OpenAi, PassThroughTarget::Models), Method::GET),
        Endpoint::GoogleModel => (passed(ApiDialect::OpenAi, PassThroughTarget::Model(id())), Method::GET),
    };
    Some((route, method, pattern))
}

/// Parses what follows `/v1beta/models/`: a model, or a model and a method.
fn of_model(id: String) -> Option<(PassThroughTarget, Method)> {
    let Some((model, method)) = id.rsplit_once(':') else {
        return Some((PassThroughTarget::Model(id), Method::GET));
    };
    let method = METHODS.into_iter().find(|known| *known == method)?;
    Some((PassThroughTarget::Method(model.to_owned(), method), Method::POST))
}

/// APIs that are not offered, by the first segment of their paths.
const NOT_OFFERED: [(&str, &str); 18] = [
    ("messages", "Anthropic's Messages API"),
    ("responses", "OpenAI's Responses API"),
    ("completions", "OpenAI's legacy Completions API"),
    ("audio", "OpenAI's Audio API"),
    ("images", "OpenAI's Images API"),
    ("videos", "OpenAI's Videos API"),
    ("moderations", "OpenAI's Moderations API"),
    ("files", "OpenAI's Files API"),
    ("uploads", "OpenAI's Uploads API"),
    ("batches", "OpenAI's Batch API"),
    ("fine_tuning", "OpenAI's Fine-tuning API"),
    ("assistants", "OpenAI's Assistants API"),
    ("threads", "OpenAI's Assistants API"),
    ("vector_stores", "OpenAI's Vector stores API"),
    ("conversations", "OpenAI's Conversations API"),
    ("realtime", "OpenAI's Realtime API"),
    ("rerank", "A Rerank API"),
    ("interactions", "Gemini's Interactions API"),
];

/// Returns the known API that a path without a route belongs to.
fn not_offered(path: &str) -> Option<&'static str> {
    let mut below = ["/v1beta/openai/", "/v1beta/", "/v1/", "/api/", "/"].into_iter();
    let rest = below.find_map(|prefix| path.strip_prefix(prefix))?;
    let first = rest.split('/').next()?;
    NOT_OFFERED.into_iter().find(|(name, _)| *name == first).map(|(_, api)| api)
}

/// Returns the one method of a path; `None` for an unknown path.
pub(super) fn allowed_method(path: &str) -> Option<Method> {
    at(path).map(|(_, method, _)| method)
}

/// Finds the route of a request, and its pattern: 404 for an unknown path, 405 for a wrong method.
pub(crate) fn find(method: &Method, path: &str) -> Result<(Route, &'static str), ApiError> {
    match at(path) {
        Some((route, taken, pattern)) if *method == taken => Ok((route, pattern)),
        Some(_) => Err(ApiError::method_not_allowed(method.as_str(), path)),
        None => Err(match not_offered(path) {
            Some(api) => ApiError::api_not_offered(api),
            None => ApiError::not_found(method.as_str(), path),
        }),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn every_pattern_is_found_with_its_own_method_only() {
        for pattern in ROUTES {
            let path = pattern.replace("{*id}", "gemini-3.8-flash");
            let (right, wrong) = match allowed_method(&path).unwrap() {
                Method::GET => (Method::GET, Method::POST),
                _ => (Method::POST, Method::GET),
            };
            assert!(find(&right, &path).is_ok(), "{path}");
            assert_eq!(find(&wrong, &path).unwrap_err().status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }

    #[test]
    fn a_model_id_may_hold_slashes_and_be_encoded() {
        let (route, pattern) = find(&Method::GET, "/v1/models/models%2Fgemini-3.8-flash").unwrap();
        assert_eq!(pattern, "/v1/models/{*id}");
        assert_eq!(route, Route::Model("models/gemini-3.8-flash".to_owned()));
        let (route, _) = find(&Method::GET, "/models/models/x").unwrap();
        assert_eq!(route, Route::Model("models/x".to_owned()));
    }

    #[test]
    fn a_method_of_a_model_follows_a_colon() {
        for path in
            ["/v1beta/models/gemini-3.8-flash:countTokens", "/v1beta/models/gemini-3.8-flash%3AcountTokens"]
        {
            let (route, pattern) = find(&Method::POST, path).unwrap();
            assert_eq!(pattern, "/v1beta/models/{*id}");
            let target = PassThroughTarget::Method("gemini-3.8-flash".to_owned(), "countTokens");
            assert_eq!(route, Route::PassThrough(PassThroughRoute { dialect: ApiDialect::Gemini, target }));
            assert_eq!(find(&Method::GET, path).unwrap_err().status, StatusCode::METHOD_NOT_ALLOWED);
        }
        for path in [
            "/v1beta/models/gemini-3.8-flash:batchGenerateContent",
            "/v1beta/models/gemini-3.8-flash:generatecontent",
            "/v1beta/models/gemini-3.8-flash:",
            "/v1beta/files",
            "/v1beta/cachedContents",
            "/v1beta/openai",
            "/v1beta/openai/files",
            "/upload/v1beta/files",
        ] {
            assert_eq!(find(&Method::POST, path).unwrap_err().status, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn a_path_determines_the_dialect() {
        for (path, dialect) in [
            ("/v1beta/models", ApiDialect::Gemini),
            ("/v1beta/files", ApiDialect::Gemini),
            ("/v1beta", ApiDialect::Gemini),
            ("/v1beta/openaix", ApiDialect::Gemini),
            ("/v1beta/openai/models", ApiDialect::OpenAi),
            ("/v1beta/openai", ApiDialect::OpenAi),
            ("/v1betas", ApiDialect::OpenAi),
            ("/v1/models", ApiDialect::OpenAi),
            ("/models", ApiDialect::OpenAi),
        ] {
            assert_eq!(ApiDialect::of(path), dialect, "{path}");
        }
    }

    #[test]
    fn an_api_that_is_not_offered_is_named_with_what_is() {
        for (path, api) in [
            ("/v1/messages", "Anthropic's Messages API"),
            ("/v1/messages/count_tokens", "Anthropic's Messages API"),
            ("/messages", "Anthropic's Messages API"),
            ("/v1/responses", "OpenAI's Responses API"),
            ("/api/responses/resp_1/cancel", "OpenAI's Responses API"),
            ("/v1/audio/speech", "OpenAI's Audio API"),
            ("/v1beta/interactions", "Gemini's Interactions API"),
            ("/v1beta/openai/images/generations", "OpenAI's Images API"),
        ] {
            for method in [Method::POST, Method::GET] {
                let error = find(&method, path).unwrap_err();
                assert_eq!((error.status, error.code), (StatusCode::NOT_FOUND, Some("api_not_offered")));
                assert!(error.message.starts_with(api), "{path}: {}", error.message);
                assert!(error.message.contains("/v1/chat/completions"), "{path}: {}", error.message);
            }
        }
        // No route is hidden by a name.
        for pattern in ROUTES {
            assert!(not_offered(pattern).is_none() || allowed_method(pattern).is_some(), "{pattern}");
        }
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in [
            "/",
            "/v1",
            "/v1/",
            "//v1/models",
            "/v1/chat",
            "/V1/models",
            "/v1/models/",
            "/v1/message",
            "/v1/messagesx",
        ] {
            assert_eq!(find(&Method::GET, path).unwrap_err().status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
