//! Access control for arbitrary request lines and headers: without a credential a request reaches
//! no handler except the logins'.

use http::{HeaderName, Method};
use pool_shared::TokenKind;
use proptest::prelude::*;

use crate::testing::FakeHost;

/// Returns a segment of a path, as an attacker might write it.
fn segments() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "admin",
        "Admin",
        "ADMIN",
        "%61dmin",
        "admin%2f",
        "admin;x=1",
        "admin.",
        "v1",
        "api",
        "..",
        ".",
        "%2e%2e",
        "..;",
        "",
        "pools",
        "prod",
        "keys",
        "export",
        "client-keys",
        "tokens",
        "health",
        "whoami",
        "openapi.json",
        "models",
        "chat",
        "completions",
        "%00",
        "\u{e9}",
        "#",
        "@attacker.example",
        "localhost:4000",
    ])
    .prop_map(ToOwned::to_owned)
}

fn paths() -> impl Strategy<Value = String> {
    let wild =
        prop::collection::vec(segments(), 0..7).prop_map(|segments| format!("/{}", segments.join("/")));
    let known = prop::sample::select(super::ROUTES)
        .prop_map(|route| route.path.replace("{pool}", "prod").replace("{id}", "x"));
    prop_oneof![wild, known]
}

/// Invalid credentials.
fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let name = prop::sample::select(vec![
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "cookie",
        "x-forwarded-host",
        "x-original-url",
        "x-rewrite-url",
    ]);
    let unknown = |kind: TokenKind| kind.generate(&[9; TokenKind::RANDOM_BYTES]).expose().to_owned();
    let value = prop::sample::select(vec![
        String::new(),
        "Bearer".to_owned(),
        "Bearer ' OR '1'='1".to_owned(),
        "Basic YWRtaW46YWRtaW4=".to_owned(),
        format!("Bearer {}", unknown(TokenKind::AdminToken)),
        format!("Bearer {}", unknown(TokenKind::ClientKey)),
        unknown(TokenKind::AdminToken),
        format!("__Host-session={}", unknown(TokenKind::Session)),
        "/admin/v1/login".to_owned(),
    ]);
    prop::collection::vec((name, value), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nobody_unknown_gets_into_a_handler(
        path in paths(),
        method in prop::sample::select(vec!["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "TRACE", "BREW"]),
        headers in headers(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let host = FakeHost::new();
        let service = host.service();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        prop_assert!(headers.iter().all(|(name, _)| HeaderName::from_bytes(name.as_bytes()).is_ok()));
        let (reply, body) = runtime.block_on(host.ask(&service, method.clone(), &path, &headers, "{}"));
        // The open logins return 400 for an empty body, and 403 for cookies and logins from another
        // origin.
        let is_login = matches!(path.as_str(), "/admin/v1/login" | "/admin/v1/session");
        // The admin page is public, and not served by a handler.
        let is_page = crate::router::is_page(&method, &path);
        let has_cookie = headers.iter().any(|(name, _)| *name == "cookie");
        let refused = match reply.status.as_u16() {
            401 | 404 | 405 => true,
            200 | 302 => is_page,
            400 => is_login,
            403 => is_login || has_cookie,
            _ => false,
        };
        prop_assert!(refused, "{} {body}", reply.status);
    }
}
