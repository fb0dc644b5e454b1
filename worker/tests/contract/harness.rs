//! Test harness of one case: a service, a mock Gemini server, an HTTP client and an admin token.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pool_fake_gemini::{Answer as GeminiAnswer, Behaviour, FakeGemini, KeySpec, Scenario};
use pool_shared::{
    ADMIN_PREFIX, AdminTokenCreated, EXAMPLE_MODEL, Key, KeyList, LoginResponse, PoolCreated, PoolStats,
    Scope,
};
use reqwest::{Client, Method, RequestBuilder};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::answer::Answer;
use super::events::Events;
use crate::host::Host;
use crate::support::ADMIN_PASSWORD;

/// A chat model that every mock Gemini server offers.
pub const MODEL: &str = EXAMPLE_MODEL;
/// An embedding model that every mock Gemini server offers.
pub const EMBEDDING_MODEL: &str = "gemini-embedding-001";
/// Deadline of every request, its response included.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

/// The service of one case and everything around it.
pub struct Harness {
    // Dropped first, so that the service stops before the server and the folder that it uses.
    host: Option<Host>,
    /// The mock Gemini server.
    pub gemini: FakeGemini,
    /// The service's data folder.
    pub data: TempDir,
    client: Client,
    /// An admin token.
    pub token: String,
}

/// A pool's id and client key.
pub struct Pool {
    pub id: String,
    pub client_key: String,
}

impl From<PoolCreated> for Pool {
    fn from(created: PoolCreated) -> Self {
        Self { id: created.pool.id.to_string(), client_key: created.client_key.expose().to_owned() }
    }
}

impl Harness {
    pub async fn start() -> Self {
        let gemini = FakeGemini::start(Scenario::default()).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let host = Host::start(gemini.url(), data.path()).await;
        let client = Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build().unwrap();
        let mut harness = Self { host: Some(host), gemini, data, client, token: String::new() };
        harness.token = harness.log_in().await;
        harness
    }

    /// Stops the service and keeps its state.
    pub async fn stop_host(&mut self) {
        if let Some(host) = self.host.take() {
            host.stop().await;
        }
    }

    /// Starts the service again on its stored state.
    pub async fn start_host(&mut self) {
        self.host = Some(Host::start(self.gemini.url(), self.data.path()).await);
    }

    /// Restarts the service with other master keys.
    pub async fn restart_with_master_key(&mut self, master_key: &str, previous: Option<&str>) {
        self.stop_host().await;
        let (gemini, data) = (self.gemini.url(), self.data.path());
        self.host = Some(Host::start_with_master_key(gemini, data, master_key, previous).await);
    }

    /// Restarts the service with a master key that does not fit its data. Returns the reason if the
    /// start fails.
    pub async fn restart_with_other_master_key(&mut self, master_key: &str) -> Option<String> {
        self.stop_host().await;
        let (gemini, data) = (self.gemini.url(), self.data.path());
        match Host::try_start_with_master_key(gemini, data, master_key).await {
            Ok(host) => {
                self.host = Some(host);
                None
            }
            Err(reason) => Some(reason),
        }
    }

    /// Replaces the service with another deployment.
    #[allow(dead_code, reason = "only one of the suites changes its deployment")]
    pub fn put_host(&mut self, host: Host) {
        self.host = Some(host);
    }

    /// Returns the service's base URL: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.host.as_ref().expect("the service was stopped").url()
    }

    /// Returns the log lines of a stopped service that contain a text.
    pub fn logged(&self, text: &str) -> Vec<Value> {
        let files = files_below(self.data.path()).into_iter();
        let logs = files.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        let logs: String = logs.map(|path| fs::read_to_string(path).unwrap()).collect();
        let lines = logs.lines().filter(|line| line.contains(text));
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }

    /// Creates an admin token with these scopes, limited to one pool or valid for all.
    pub async fn scoped_token(&self, scopes: &[Scope], pool: Option<&Pool>) -> String {
        let body = json!({"name": "scoped", "scopes": scopes, "pool": pool.map(|pool| &pool.id)});
        let created: AdminTokenCreated = self.post("/tokens", &body).await.json(201);
        created.secret.expose().to_owned()
    }

    /// Opens a session as the browser page does. Returns its cookie.
    pub async fn open_session(&self) -> String {
        let request = self.as_own_page(self.request(Method::POST, "/admin/v1/session"), "");
        let answer = send(request.json(&json!({"password": ADMIN_PASSWORD}))).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let cookie = answer.header("set-cookie");
        assert!(cookie.ends_with("; Path=/; Max-Age=28800; HttpOnly; SameSite=Strict"), "{cookie}");
        assert!(cookie.starts_with("session=pses_"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Adds the headers that a browser sends from the service's own page.
    pub fn as_own_page(&self, request: RequestBuilder, cookie: &str) -> RequestBuilder {
        request.header("origin", self.url()).header("sec-fetch-site", "same-origin").header("cookie", cookie)
    }

    /// Returns a request without headers or body.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let host = self.host.as_ref().expect("the service was stopped");
        self.client.request(method, format!("{}{path}", host.url()))
    }

    // ---- the admin API ----

    /// Returns an authenticated request to the admin API; `path` follows `/admin/v1`.
    pub fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("{ADMIN_PREFIX}{path}")).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.admin(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.admin(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.admin(Method::POST, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        send(self.admin(Method::PATCH, path).json(body)).await
    }

    pub async fn log_in(&self) -> String {
        let login: LoginResponse = self.post("/login", &json!({"password": ADMIN_PASSWORD})).await.json(200);
        login.token.expose().to_owned()
    }

    /// Creates a pool of keys with these behaviours, in this order and of equal weight.
    pub async fn pool(&self, keys: &[(&str, Behaviour)]) -> Pool {
        let weighted: Vec<_> = keys.iter().map(|(name, behaviour)| (*name, *behaviour, 1)).collect();
        self.weighted_pool("prod", &weighted).await
    }

    /// Creates a pool of one key and one reserve key.
    pub async fn pool_with_reserve(&self, first: Behaviour, reserve: Behaviour) -> Pool {
        self.weighted_pool("prod", &[("first", first, 1), ("reserve", reserve, 0)]).await
    }

    /// Creates a pool of keys with behaviours and weights. The service uses the same key names.
    pub async fn weighted_pool(&self, name: &str, keys: &[(&str, Behaviour, u32)]) -> Pool {
        for (key, behaviour, _) in keys {
            self.gemini.set_behaviour(&gemini_key(key), *behaviour).unwrap();
        }
        let entry = |(key, _, weight): &(&str, Behaviour, u32)| json!({"key": gemini_key(key), "name": key, "weight": weight});
        let entries: Vec<Value> = keys.iter().map(entry).collect();
        let body = json!({"name": name, "import": {"keys": entries}});
        let created: PoolCreated = self.post("/pools", &body).await.json(201);
        assert_eq!(created.import.added, keys.len() as u64);
        created.into()
    }

    /// Makes Gemini respond to this key with a stream that outlasts every test.
    pub fn answer_without_end(&self, key: &str) {
        let words = "word ".repeat(10_000);
        let endless = Scenario {
            between_frames_ms: 20,
            answer: GeminiAnswer { frames: 10_000, text: Some(words), thought_tokens: 0 },
            ..Scenario::default()
        };
        self.gemini.set_scenario(endless.key(KeySpec::new(gemini_key(key), Behaviour::Ok))).unwrap();
    }

    /// Lists all keys of a pool that has at most 1,000.
    pub async fn keys(&self, pool: &Pool) -> Vec<Key> {
        let list: KeyList = self.get(&format!("/pools/{}/keys?limit=1000", pool.id)).await.json(200);
        list.keys
    }

    pub async fn pool_stats(&self, pool: &Pool) -> PoolStats {
        self.get(&format!("/pools/{}/stats", pool.id)).await.json(200)
    }

    // ---- the data plane ----

    /// Returns a POST request with the pool's client key.
    pub fn call(&self, pool: &Pool, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).bearer_auth(&pool.client_key).json(body)
    }

    pub async fn chat(&self, pool: &Pool, text: &str) -> Answer {
        send(self.call(pool, "/v1/chat/completions", &prompt(text))).await
    }

    pub async fn embed(&self, pool: &Pool, body: &Value) -> Answer {
        send(self.call(pool, "/v1/embeddings", body)).await
    }

    /// Opens a chat stream that includes its usage.
    pub async fn stream(&self, pool: &Pool, text: &str) -> Events {
        let mut body = prompt(text);
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        Events::new(self.call(pool, "/v1/chat/completions", &body).send().await.unwrap())
    }

    /// Returns Gemini's counts of generations and embeddings for a key.
    pub fn tally(&self, key: &str) -> pool_fake_gemini::Tally {
        self.gemini.counts().key(&gemini_key(key))
    }
}

/// Returns the Gemini key of a short name.
pub fn gemini_key(name: &str) -> String {
    format!("AIzaSyContract-{name:_<24}")
}

/// Returns a chat request with one message.
pub fn prompt(text: &str) -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": text}]})
}

pub async fn send(request: RequestBuilder) -> Answer {
    Answer::read(request.send().await.unwrap()).await
}

/// Polls until `look` returns a value, for work that continues after a response.
///
/// # Panics
/// After one minute.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let seen = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), seen).await.unwrap_or_else(|_| panic!("never seen: {what}"))
}

/// Statements that break a store and repair it.
pub struct Fault {
    /// A table that identifies the store's file.
    pub table: &'static str,
    /// Makes every query of client keys and admin tokens fail.
    pub breaks: &'static str,
    /// Repairs it.
    pub repairs: &'static str,
}

/// The fault of an SQL store.
pub const SQL_FAULT: Fault = Fault {
    table: "admin_tokens",
    breaks: "ALTER TABLE client_keys RENAME COLUMN hash TO broken;
        ALTER TABLE admin_tokens RENAME COLUMN hash TO broken;",
    repairs: "ALTER TABLE client_keys RENAME COLUMN broken TO hash;
        ALTER TABLE admin_tokens RENAME COLUMN broken TO hash;",
};

/// Runs statements in the config store's file, which is the one with `table`.
pub fn in_the_store(folder: &Path, table: &str, statements: &str) {
    let stores = databases_with(folder, table);
    assert_eq!(stores.len(), 1, "the files with a table {table}");
    stores[0].execute_batch(statements).unwrap();
}

/// Opens every database below a folder that has a table.
pub fn databases_with(folder: &Path, table: &str) -> Vec<Connection> {
    let has_table = |database: &Connection| {
        let holds = "SELECT count(*) FROM sqlite_master WHERE name = ?1";
        matches!(database.query_row(holds, [table], |row| row.get(0)), Ok(1))
    };
    databases_below(folder).into_iter().map(|(_, database)| database).filter(has_table).collect()
}

/// Opens every database below a folder.
pub fn databases_below(folder: &Path) -> Vec<(PathBuf, Connection)> {
    let is_database = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "db" || kind == "sqlite");
    let files = files_below(folder).into_iter().filter(is_database);
    files.filter_map(|path| Connection::open(&path).ok().map(|database| (path, database))).collect()
}

/// Lists every file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
