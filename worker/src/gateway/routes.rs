//! The data plane's routes. Each stands under `/v1`, under `/api` and at the root, so that Open WebUI
//! and SDKs work with any of the three as their base URL.

use std::sync::OnceLock;

use http::Method;
use matchit::Router;
use percent_encoding::percent_decode_str;

use crate::openai::ApiError;

/// What a path and a method ask for.
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    ChatCompletions,
    Embeddings,
    Models,
    Model,
    ChatCompleted,
}

impl Endpoint {
    const fn method(self) -> Method {
        match self {
            Self::ChatCompletions | Self::Embeddings | Self::ChatCompleted => Method::POST,
            Self::Models | Self::Model => Method::GET,
        }
    }
}

/// Every path that the data plane answers on.
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
];

fn endpoint_of(pattern: &str) -> Endpoint {
    let path = pattern.strip_prefix("/v1").or_else(|| pattern.strip_prefix("/api")).unwrap_or(pattern);
    match path {
        "/chat/completions" => Endpoint::ChatCompletions,
        "/embeddings" => Endpoint::Embeddings,
        "/models" => Endpoint::Models,
        "/chat/completed" => Endpoint::ChatCompleted,
        _ => Endpoint::Model,
    }
}

/// What each pattern asks for, beside the pattern itself.
fn router() -> &'static Router<(Endpoint, &'static str)> {
    static ROUTER: OnceLock<Router<(Endpoint, &'static str)>> = OnceLock::new();
    ROUTER.get_or_init(|| {
        let mut router = Router::new();
        for pattern in ROUTES {
            // The patterns are fixed and do not clash: a test looks each of them up.
            let _ = router.insert(*pattern, (endpoint_of(pattern), *pattern));
        }
        router
    })
}

/// The one method that a path takes; none for an unknown path.
pub(super) fn allowed_method(path: &str) -> Option<Method> {
    router().at(path).ok().map(|found| found.value.0.method())
}

/// Finds the route of a request, and its pattern: 404 for an unknown path, 405 for a wrong method.
pub(crate) fn find(method: &Method, path: &str) -> Result<(Route, &'static str), ApiError> {
    let found = router().at(path).map_err(|_| ApiError::not_found(method.as_str(), path))?;
    let (endpoint, pattern) = *found.value;
    if *method != endpoint.method() {
        return Err(ApiError::method_not_allowed(method.as_str(), path));
    }
    let route = match endpoint {
        Endpoint::ChatCompletions => Route::ChatCompletions,
        Endpoint::Embeddings => Route::Embeddings,
        Endpoint::Models => Route::Models,
        Endpoint::ChatCompleted => Route::ChatCompleted,
        Endpoint::Model => {
            let id = found.params.get("id").unwrap_or_default();
            Route::Model(percent_decode_str(id).decode_utf8_lossy().into_owned())
        }
    };
    Ok((route, pattern))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn every_pattern_is_found_with_its_own_method_only() {
        for pattern in ROUTES {
            let path = pattern.replace("{*id}", "gemini-3.5-flash");
            let (right, wrong) = match endpoint_of(pattern).method() {
                Method::GET => (Method::GET, Method::POST),
                _ => (Method::POST, Method::GET),
            };
            assert!(find(&right, &path).is_ok(), "{path}");
            assert_eq!(find(&wrong, &path).unwrap_err().status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }

    #[test]
    fn a_model_id_may_hold_slashes_and_be_encoded() {
        let (route, pattern) = find(&Method::GET, "/v1/models/models%2Fgemini-3.5-flash").unwrap();
        assert_eq!(pattern, "/v1/models/{*id}");
        assert_eq!(route, Route::Model("models/gemini-3.5-flash".to_owned()));
        let (route, _) = find(&Method::GET, "/models/models/x").unwrap();
        assert_eq!(route, Route::Model("models/x".to_owned()));
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in
            ["/", "/v1", "/v1/", "//v1/models", "/v1/chat", "/v1/responses", "/V1/models", "/v1/models/"]
        {
            assert_eq!(find(&Method::GET, path).unwrap_err().status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
