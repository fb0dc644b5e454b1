//! Generator of malformed requests: invalid requests to every route, and bytes that are not HTTP.

use fastrand::Rng;
use pool_shared::TokenKind;
use pool_worker::admin::ROUTES;
use pool_worker::gateway;
use serde_json::{Value, json};

/// Marker in everything that could be logged: paths, queries, headers, bodies, credentials.
pub const CANARY: &str = "hush-do-not-log-me";

/// Valid credentials.
#[derive(Clone)]
pub struct Credentials {
    pub admin: String,
    pub client_key: String,
}

/// The generator.
pub struct Maker<'c> {
    pub credentials: &'c Credentials,
}

/// A request with correct framing.
pub struct Request {
    pub bytes: Vec<u8>,
    pub is_head: bool,
}

const ODD_METHODS: [&str; 10] =
    ["PUT", "HEAD", "OPTIONS", "TRACE", "BREW", "get", "PROPFIND", "GET", "POST", "DELETE"];
const ODD_SEGMENTS: [&str; 16] = [
    "..",
    ".",
    "%2e%2e",
    "%2f",
    "%00",
    ";a=b",
    "%ff",
    "",
    "hush-do-not-log-me",
    "%E2%80%AE",
    "..;",
    "'--",
    "{id}",
    "*",
    "a:b",
    "%25",
];

impl Maker<'_> {
    /// Returns a well-framed request.
    pub fn well_framed(&self, rng: &mut Rng) -> Request {
        let (mut method, mut path, is_admin) = route(rng);
        if rng.u8(..4) == 0 {
            pick(rng, &ODD_METHODS).clone_into(&mut method);
        }
        if rng.u8(..3) == 0 {
            path = odd_path(rng, &path);
        }
        if rng.u8(..4) == 0 {
            path = format!("{path}?{}", odd_query(rng));
        }
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", host(rng)).into_bytes();
        // A valid credential only with harmless requests: none that ends it or deletes an existing
        // pool.
        let may_be_right =
            !["/logout", "/revoke-all"].iter().any(|end| path.contains(end)) && method != "DELETE";
        self.credential(rng, &mut head, is_admin, may_be_right);
        odd_headers(rng, &mut head);
        let body =
            if method == "POST" || method == "PATCH" || rng.u8(..10) == 0 { body(rng) } else { Vec::new() };
        head.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        head.extend_from_slice(&body);
        Request { bytes: head, is_head: method == "HEAD" }
    }

    fn credential(&self, rng: &mut Rng, head: &mut Vec<u8>, is_admin: bool, may_be_right: bool) {
        let Credentials { admin, client_key } = self.credentials;
        let right = if is_admin { admin } else { client_key };
        let other = if is_admin { client_key } else { admin };
        let unknown = TokenKind::AdminToken.generate(&[rng.u8(..); TokenKind::RANDOM_BYTES]);
        let value: Vec<u8> = match rng.u8(..10) {
            0 => return,
            1..=4 if may_be_right => format!("Bearer {right}").into(),
            5 => format!("Bearer {other}").into(),
            6 => format!("Bearer {}", unknown.expose()).into(),
            7 => format!("Bearer {}{CANARY}", right.get(..right.len() - 3).unwrap()).into(),
            8 => format!("Bearer ' OR '1'='1' -- {CANARY}{}", rng.u32(..)).into(),
            _ => [b"Bearer \xff\xfe".as_slice(), CANARY.as_bytes()].concat(),
        };
        let name = match rng.u8(..6) {
            0 => "x-api-key",
            1 => "x-goog-api-key",
            2 => "cookie",
            _ => "authorization",
        };
        for _ in 0..=rng.u8(..8) / 7 {
            header(head, name, &value);
        }
    }

    /// Returns bytes that are not HTTP, or have incorrect framing.
    pub fn badly_framed(&self, rng: &mut Rng) -> Vec<u8> {
        let (method, path, is_admin) = route(rng);
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", host(rng)).into_bytes();
        self.credential(rng, &mut head, is_admin, false);
        let body = body(rng);
        let with = |fields: String, body: &[u8]| [&head, fields.as_bytes(), b"\r\n\r\n", body].concat();
        let length = body.len();
        match rng.u8(..20) {
            0 => with(format!("content-length: {}", length + 1 + rng.usize(..1_000_000)), &body),
            1 => with(format!("content-length: {}", length / 2), &body),
            2 => with(format!("content-length: {length}\r\ncontent-length: {}", length + 1), &body),
            3 => with("content-length: 99999999999999999999999999".to_owned(), &body),
            4 => with("content-length: -1".to_owned(), &body),
            5 => with(format!("content-length: {length}\r\ntransfer-encoding: chunked"), &body),
            6 => with("transfer-encoding: chunked".to_owned(), b"5\r\n{\"a\":\r\nfffffffffffffffff\r\n"),
            7 => with("transfer-encoding: chunked".to_owned(), b"-1\r\n\r\n0\r\n\r\n"),
            8 => with(
                "transfer-encoding: chunked".to_owned(),
                &[b"5;x=".as_slice(), &vec![b'y'; 20_000], b"\r\n"].concat(),
            ),
            9 => with("transfer-encoding: gzip, chunked, identity".to_owned(), &body),
            10 => with(format!("no colon {CANARY}"), &body),
            11 => with(format!("x y: z\r\n folded: {CANARY}"), &body),
            12 => with(format!("x: \0{CANARY}"), &body),
            13 => head.get(..rng.usize(..head.len())).unwrap().to_vec(),
            14 => (0..rng.usize(1..2_000)).map(|_| rng.u8(..)).collect(),
            15 => {
                format!("{method} /{}{CANARY} HTTP/1.1\r\n\r\n", "a".repeat(rng.usize(9_000..100_000))).into()
            }
            16 => format!("{method} {path} HTTP/{}.{}\r\n\r\n", rng.u8(..4), rng.u8(..12)).into(),
            17 => format!("CONNECT {CANARY}:443 HTTP/1.1\r\nhost: x\r\n\r\n").into(),
            18 => [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &body].concat(),
            _ => {
                let many = format!("x-many: {CANARY}\r\n").repeat(rng.usize(100..400));
                with(many + "connection: close", &[])
            }
        }
    }
}

/// Returns a route's method and path, and whether it belongs to the admin API.
fn route(rng: &mut Rng) -> (String, String, bool) {
    if rng.bool() {
        let route = &ROUTES[rng.usize(..ROUTES.len())];
        let pool = if rng.u8(..4) == 0 { "hush-do-not-log-me" } else { "prod" };
        // Existing objects must not be deleted.
        let pool = if route.method == "DELETE" { "nothing" } else { pool };
        (
            route.method.to_string(),
            route.path.replace("{pool}", pool).replace("{id}", "ck-hush-do-not-log-me"),
            true,
        )
    } else {
        let path = pick(rng, gateway::ROUTES).replace("{*id}", "models%2Fhush-do-not-log-me");
        (if path.contains("models") { "GET" } else { "POST" }.to_owned(), path, false)
    }
}

fn odd_path(rng: &mut Rng, path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').skip(1).collect();
    for _ in 0..=rng.u8(..3) {
        segments.insert(rng.usize(..=segments.len()), pick(rng, &ODD_SEGMENTS));
    }
    let path = format!("/{}", segments.join("/"));
    match rng.u8(..6) {
        0 => format!("http://localhost:4000{path}"),
        1 => format!("/{path}"),
        2 => path.replacen("admin", "%61dmin", 1),
        3 => path.to_uppercase(),
        _ => path,
    }
}

fn odd_query(rng: &mut Rng) -> String {
    match rng.u8(..6) {
        0 => format!("key={CANARY}&key={CANARY}"),
        1 => "limit=99999999999999999999&cursor=-1&since=never".to_owned(),
        2 => format!("state={CANARY}&enabled=perhaps&search=%00%ff"),
        3 => "x=".to_owned() + &"y".repeat(rng.usize(8_000..9_000)),
        4 => "&&&===%%%".to_owned(),
        _ => "until=2000-01-01T00:00:00Z&step=week&after=1-2-3".to_owned(),
    }
}

fn host(rng: &mut Rng) -> &'static str {
    pick(rng, &["127.0.0.1", "pool.example", "localhost:4000/#@attacker.example", "..", "[::1]:1", "a b", ""])
}

fn odd_headers(rng: &mut Rng, head: &mut Vec<u8>) {
    match rng.u8(..12) {
        0 => header(head, "x-long", &vec![b'h'; rng.usize(1_000..70_000)]),
        1 => (0..rng.u8(10..80)).for_each(|number| header(head, &format!("x-{number}"), CANARY.as_bytes())),
        2 => header(head, "x-bytes", b"\x80\xff\xfe\xc3\x28"),
        3 => header(head, "content-encoding", b"gzip"),
        4 => header(head, "content-type", b"application/x-www-form-urlencoded; charset=hush-do-not-log-me"),
        5 => header(head, "expect", b"100-continue"),
        6 => header(head, "origin", b"https://attacker.example"),
        7 => header(head, "x-forwarded-for", CANARY.as_bytes()),
        8 => header(head, "upgrade", b"websocket"),
        _ => {}
    }
}

fn header(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

/// Returns a body that every route rejects: it has an unknown field, an invalid value, or no end.
fn body(rng: &mut Rng) -> Vec<u8> {
    let mut body = bad_json(rng).to_string().into_bytes();
    match rng.u8(..10) {
        0 => body.truncate(rng.usize(..body.len())),
        1 => {
            let at = rng.usize(..body.len());
            body[at] = rng.u8(..);
            body.push(b'}');
        }
        2 => body = "[".repeat(rng.usize(65..5_000)).into(),
        3 => body = format!("{}\"{CANARY}\"", "{\"a\":".repeat(rng.usize(65..500))).into(),
        4 => body = (0..rng.usize(..500)).map(|_| rng.u8(..)).collect(),
        5 if rng.u8(..10) == 0 => body.splice(0..0, vec![b' '; rng.usize(10_000..40_000)]).for_each(drop),
        _ => {}
    }
    body
}

fn bad_json(rng: &mut Rng) -> Value {
    let wrong = match rng.u8(..9) {
        0 => json!(null),
        1 => json!(-1),
        2 => json!(1e300),
        3 => json!(u64::MAX),
        4 => json!([CANARY]),
        5 => json!({CANARY: CANARY}),
        6 => json!("\u{0}\u{7f}é🌍"),
        7 => json!(CANARY.repeat(20)),
        _ => json!([[[{}]]]),
    };
    let mut body = match rng.u8(..10) {
        0 => json!({"password": CANARY, "name": wrong}),
        1 => {
            json!({"name": wrong, "description": wrong, "aliases": wrong, "translation": wrong, "import": wrong})
        }
        2 => json!({"keys": [{"key": CANARY, "weight": wrong}], "ids": wrong}),
        3 => json!({"ids": [CANARY], "set": wrong, "limit": wrong, "cursor": wrong}),
        4 => json!({"name": CANARY, "scopes": wrong, "expires_in_s": wrong, "pool": CANARY}),
        5 => json!({"limits": wrong, "allowed_networks": [CANARY], "grace_s": wrong}),
        6 => json!({"model": "hush-do-not-log-me", "messages": wrong}),
        7 => json!({"model": "gemini-3.8-flash", "messages": [{"role": CANARY, "content": wrong}]}),
        8 => {
            json!({"model": "gemini-3.8-flash", "messages": [{"role": "user", "content": [{"type": CANARY}]}], "tools": wrong})
        }
        _ => json!({"model": "gemini-embedding-001", "input": {"x": wrong}}),
    };
    body[CANARY] = CANARY.into();
    body
}

fn pick<'v>(rng: &mut Rng, values: &[&'v str]) -> &'v str {
    values[rng.usize(..values.len())]
}
