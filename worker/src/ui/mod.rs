//! The browser page: the small fallback of `poolctl`, on `/admin/`.
//!
//! In: a method, a path, and the tag of what a browser has already. Out: a file that was compiled in, the same bytes
//! with the same headers on every host. What must never happen here: a question to the store or to anything else that
//! may fail, text of a request in a response that is HTML, or a page that may load anything of another origin. What the
//! page shows comes from the admin API; its cookie is that API's matter.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, StatusCode};
use sha2::{Digest, Sha256};

use crate::reply::{Reply, ReplyBody};

/// Where the page lies.
const HOME: &str = "/admin/";
/// The file that is shown there.
const INDEX: &str = "index.html";

/// What the page may do: load and call its own origin, and nothing else. No text of it can become a script: browsers
/// that know trusted types reject every place where one could, and no policy can be made.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// One file of the page.
struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

/// Makes the table of files, each under its own name.
macro_rules! assets {
    ($($name:literal: $kind:expr;)+) => {
        &[$(Asset { name: $name, kind: $kind, text: include_str!(concat!("assets/", $name)) }),+]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: &[Asset] = assets! {
    "index.html": HTML;
    "style.css": CSS;
    "icon.svg": SVG;
    "theme.js": SCRIPT;
    "app.js": SCRIPT;
    "api.js": SCRIPT;
    "chart.js": SCRIPT;
    "client_keys.js": SCRIPT;
    "counts.js": SCRIPT;
    "dashboard.js": SCRIPT;
    "dom.js": SCRIPT;
    "format.js": SCRIPT;
    "import.js": SCRIPT;
    "key_text.js": SCRIPT;
    "keys.js": SCRIPT;
    "login.js": SCRIPT;
    "overview.js": SCRIPT;
    "poll.js": SCRIPT;
    "pool.js": SCRIPT;
    "pool_forms.js": SCRIPT;
    "settings.js": SCRIPT;
    "text.js": SCRIPT;
    "widgets.js": SCRIPT;
};

/// What lies at a path.
enum Found {
    /// The page is elsewhere.
    Moved,
    /// A file, and the tag of its bytes.
    File(&'static Asset, &'static str),
}

fn find(path: &str) -> Option<Found> {
    if matches!(path, "/" | "/admin") {
        return Some(Found::Moved);
    }
    let name = match path.strip_prefix(HOME)? {
        "" => INDEX,
        name => name,
    };
    let (asset, tag) = ASSETS.iter().zip(tags()).find(|(asset, _)| asset.name == name)?;
    Some(Found::File(asset, tag))
}

/// Why a request gets no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotServed {
    /// There is no such file.
    Unknown,
    /// The file can only be read.
    Method,
}

/// Serves a request for a file. `held` is the value of `If-None-Match`.
pub(crate) fn answer<S>(method: &Method, path: &str, held: Option<&str>) -> Result<Reply<S>, NotServed> {
    let found = find(path).ok_or(NotServed::Unknown)?;
    if !is_read(method) {
        return Err(NotServed::Method);
    }
    Ok(secured(match found {
        Found::Moved => Reply::empty(StatusCode::FOUND).header("location", HOME),
        Found::File(_, tag) if held.is_some_and(|held| names(held, tag)) => {
            Reply::empty(StatusCode::NOT_MODIFIED).header("etag", tag)
        }
        Found::File(asset, tag) => {
            let body = ReplyBody::Whole(Bytes::from_static(asset.text.as_bytes()));
            let reply = Reply { body, ..Reply::empty(StatusCode::OK) };
            reply.header("content-type", asset.kind).header("etag", tag)
        }
    }))
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Returns the files' tags, in the order of the table.
fn tags() -> &'static [String] {
    static TAGS: OnceLock<Vec<String>> = OnceLock::new();
    TAGS.get_or_init(|| {
        let hash = |asset: &Asset| URL_SAFE_NO_PAD.encode(Sha256::digest(asset.text));
        ASSETS.iter().map(|asset| format!("\"{}\"", hash(asset))).collect()
    })
}

/// Returns `true` if an `If-None-Match` names a tag. What compresses on the way makes a weak tag (`W/…`) of a strong one.
fn names(held: &str, tag: &str) -> bool {
    held.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// Kept by browsers, and asked for anew each time whether it is still so: a new version shows at once.
fn secured<S>(reply: Reply<S>) -> Reply<S> {
    reply
        .header("cache-control", "no-cache")
        .header("content-security-policy", CONTENT_SECURITY_POLICY)
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin")
        .header(
            "permissions-policy",
            "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
        )
        .header("referrer-policy", "no-referrer")
        .header("strict-transport-security", "max-age=31536000")
        .header("x-content-type-options", "nosniff")
        .header("x-frame-options", "DENY")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_in_the_table() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ui/assets");
        let files = std::fs::read_dir(folder).unwrap();
        let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(files, ASSETS.iter().map(|asset| asset.name.to_owned()).collect());
        assert!(ASSETS.iter().any(|asset| asset.name == INDEX));
    }

    /// Returns what a file loads: `from "./x.js"`, `src="x"`, `href="x"`, and elements made with `src: "x"`.
    fn loaded(text: &str) -> Vec<&str> {
        let after = |sign| text.split(sign).skip(1).filter_map(|rest: &str| rest.split('"').next());
        let names = ["from \"", "src=\"", "href=\"", "src: \""].into_iter().flat_map(after);
        names.map(|name| name.strip_prefix("./").unwrap_or(name)).collect()
    }

    #[test]
    fn whatever_a_file_loads_is_in_the_table_and_every_file_is_loaded() {
        let mut reached = BTreeSet::from([INDEX]);
        for asset in ASSETS {
            for name in loaded(asset.text) {
                assert!(ASSETS.iter().any(|other| other.name == name), "{} loads {name}", asset.name);
                reached.insert(name);
            }
        }
        assert_eq!(reached.len(), ASSETS.len(), "{reached:?}");
    }

    #[test]
    fn no_file_can_make_html_of_text_or_leave_its_origin() {
        for asset in ASSETS {
            for banned in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "style=",
                "<style",
                "javascript:",
                " onclick=",
                "srcdoc",
                "import(",
                "setAttribute(\"on",
            ] {
                assert!(!asset.text.contains(banned), "{} has {banned}", asset.name);
            }
            let rest = asset.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!rest.contains("://") && !rest.contains("\"//"), "{} names an address", asset.name);
        }
        let index = ASSETS.iter().find(|asset| asset.name == INDEX).unwrap().text;
        let scripts = index.matches("<script").count();
        assert!(
            scripts == index.matches("<script ").count() && scripts == index.matches("\"></script>").count()
        );
    }

    #[test]
    fn a_tag_is_known_however_it_comes_back() {
        let tag = tags()[0].as_str();
        assert!(tags().iter().collect::<BTreeSet<_>>().len() == ASSETS.len());
        for held in [tag.to_owned(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            assert!(names(&held, tag), "{held}");
        }
        assert!(!names("\"x\"", tag) && !names("", tag));
    }
}
