//! The browser page as a client of any kind gets it. What it does in a browser is the matter of `tests/page`.

use pool_shared::ErrorCode;
use reqwest::Method;

use super::answer::Answer;
use super::harness::{Harness, send};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

async fn get(harness: &Harness, path: &str) -> Answer {
    send(harness.request(Method::GET, path)).await
}

fn is_closed_to_others(answer: &Answer) {
    for (name, value) in [
        ("cache-control", "no-cache"),
        ("content-security-policy", POLICY),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("strict-transport-security", "max-age=31536000"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("access-control-allow-origin", ""),
        ("set-cookie", ""),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("permissions-policy").contains("camera=()"));
}

pub async fn the_page_and_all_that_it_loads_are_files_of_the_service(harness: &Harness) {
    let page = get(harness, "/admin/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    is_closed_to_others(&page);
    let mut waiting = vec![page];
    let mut names: Vec<String> = Vec::new();
    while let Some(file) = waiting.pop() {
        let signs = ["from \"./", "src=\"", "href=\"", "src: \""];
        let loaded = signs.iter().flat_map(|sign| file.body.split(sign).skip(1));
        for name in loaded.filter_map(|rest| rest.split('"').next()) {
            if names.iter().any(|known| known == name) {
                continue;
            }
            names.push(name.to_owned());
            let file = get(harness, &format!("/admin/{name}")).await;
            let kind = match name.rsplit_once('.') {
                Some((_, "js")) => "text/javascript; charset=utf-8",
                Some((_, "css")) => "text/css; charset=utf-8",
                _ => "image/svg+xml",
            };
            assert_eq!((file.status, file.header("content-type")), (200, kind), "{name}");
            is_closed_to_others(&file);
            let elsewhere = file.body.replace("http://www.w3.org/2000/svg", "").contains("://");
            assert!(!elsewhere && !file.body.is_empty(), "{name} names an address");
            waiting.push(file);
        }
    }
    assert!(names.len() > 15 && names.iter().any(|name| name == "app.js"), "{names:?}");
}

pub async fn a_copy_of_a_file_is_good_until_the_file_changes(harness: &Harness) {
    let file = get(harness, "/admin/app.js").await;
    let ask = |tag: &str| harness.request(Method::GET, "/admin/app.js").header("if-none-match", tag);
    let tag = file.header("etag").trim_start_matches("W/").to_owned();
    let again = send(ask(&tag)).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    is_closed_to_others(&again);
    assert_eq!(send(ask("\"older\"")).await.body, file.body);
    let head = send(harness.request(Method::HEAD, "/admin/app.js")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-type"), file.header("content-type"));
}

pub async fn the_bare_address_leads_to_the_page(harness: &Harness) {
    for path in ["/", "/admin"] {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let url = format!("{}{path}", harness.url());
        let answer = Answer::read(client.build().unwrap().get(url).send().await.unwrap()).await;
        assert_eq!((answer.status, answer.header("location")), (302, "/admin/"), "{path}");
        is_closed_to_others(&answer);
    }
    send(harness.request(Method::POST, "/")).await.openai_error(404, Some("unknown_url"));
}

pub async fn other_files_and_methods_are_refused(harness: &Harness) {
    for path in ["/admin/nothing.js", "/admin/index.html/", "/admin//app.js", "/admin/v2/pools"] {
        let error = get(harness, path).await.admin_error(404, ErrorCode::NotFound);
        assert!(error.message.contains("no such route"), "{path}: {}", error.message);
    }
    for (method, path) in [
        (Method::POST, "/admin/"),
        (Method::PUT, "/admin/app.js"),
        (Method::DELETE, "/admin"),
        (Method::OPTIONS, "/admin/"),
    ] {
        let answer = send(harness.request(method, path)).await;
        answer.admin_error(405, ErrorCode::MethodNotAllowed);
        assert_eq!(answer.header("allow"), "GET, HEAD", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}
