//! Everything that one case plays with: a service, a stand-in for Gemini, an HTTP client, an admin.

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

/// A model that every world's Gemini has.
pub const MODEL: &str = EXAMPLE_MODEL;
/// One that embeds.
pub const EMBEDDING_MODEL: &str = "gemini-embedding-001";
/// Deadline of every request, its response included.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

/// One case's world.
pub struct World {
    // Dropped first, so that the service ends before what it talks to and writes into.
    host: Option<Host>,
    /// What answers for Gemini.
    pub gemini: FakeGemini,
    /// Where the service keeps its state.
    pub data: TempDir,
    client: Client,
    /// An admin token.
    pub token: String,
}

/// A pool as its callers know it.
pub struct Pool {
    pub id: String,
    pub client_key: String,
}

impl From<PoolCreated> for Pool {
    fn from(created: PoolCreated) -> Self {
        Self { id: created.pool.id.to_string(), client_key: created.client_key.expose().to_owned() }
    }
}

impl World {
    pub async fn start() -> Self {
        let gemini = FakeGemini::start(Scenario::default()).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let host = Host::start(gemini.url(), data.path()).await;
        let client = Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build().unwrap();
        let mut world = Self { host: Some(host), gemini, data, client, token: String::new() };
        world.token = world.log_in().await;
        world
    }

    /// Ends the service; its state stays.
    pub async fn stop_host(&mut self) {
        if let Some(host) = self.host.take() {
            host.stop().await;
        }
    }

    /// Starts the service again on what it left behind.
    pub async fn start_host(&mut self) {
        self.host = Some(Host::start(self.gemini.url(), self.data.path()).await);
    }

    /// Starts the service again under other master keys.
    pub async fn restart_with_master_key(&mut self, master_key: &str, previous: Option<&str>) {
        self.stop_host().await;
        let (gemini, data) = (self.gemini.url(), self.data.path());
        self.host = Some(Host::start_with_master_key(gemini, data, master_key, previous).await);
    }

    /// Starts the service again under another master key than that of its data; gives why it does not start, where
    /// it does not.
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

    /// Goes on with another deployment of the service.
    #[allow(dead_code, reason = "only one of the suites changes its deployment")]
    pub fn put_host(&mut self, host: Host) {
        self.host = Some(host);
    }

    /// Where the service is: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.host.as_ref().expect("the service was stopped").url()
    }

    /// The lines that a service which was stopped has logged, in which a text stands.
    pub fn logged(&self, text: &str) -> Vec<Value> {
        let files = files_below(self.data.path()).into_iter();
        let logs = files.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        let logs: String = logs.map(|path| fs::read_to_string(path).unwrap()).collect();
        let lines = logs.lines().filter(|line| line.contains(text));
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }

    /// A token of these scopes, good for one pool or for all.
    pub async fn scoped_token(&self, scopes: &[Scope], pool: Option<&Pool>) -> String {
        let body = json!({"name": "scoped", "scopes": scopes, "pool": pool.map(|pool| &pool.id)});
        let created: AdminTokenCreated = self.post("/tokens", &body).await.json(201);
        created.secret.expose().to_owned()
    }

    /// Opens a session as the service's own page does; gives its cookie.
    pub async fn open_session(&self) -> String {
        let request = self.as_own_page(self.request(Method::POST, "/admin/v1/session"), "");
        let answer = send(request.json(&json!({"password": ADMIN_PASSWORD}))).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let cookie = answer.header("set-cookie");
        assert!(cookie.ends_with("; Path=/; Max-Age=28800; HttpOnly; SameSite=Strict"), "{cookie}");
        assert!(cookie.starts_with("session=pses_"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// A request as a browser sends it for the service's own page.
    pub fn as_own_page(&self, request: RequestBuilder, cookie: &str) -> RequestBuilder {
        request.header("origin", self.url()).header("sec-fetch-site", "same-origin").header("cookie", cookie)
    }

    /// A request with nothing in it yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let host = self.host.as_ref().expect("the service was stopped");
        self.client.request(method, format!("{}{path}", host.url()))
    }

    // ---- the admin API ----

    /// A request of the admin API; `path` is what follows `/admin/v1`.
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

    /// Creates a pool whose keys are treated as told, in this order and all of the same weight.
    pub async fn pool(&self, keys: &[(&str, Behaviour)]) -> Pool {
        let weighted: Vec<_> = keys.iter().map(|(name, behaviour)| (*name, *behaviour, 1)).collect();
        self.weighted_pool("prod", &weighted).await
    }

    /// Creates a pool that always tries `first` before `reserve`.
    pub async fn pool_with_reserve(&self, first: Behaviour, reserve: Behaviour) -> Pool {
        self.weighted_pool("prod", &[("first", first, 1), ("reserve", reserve, 0)]).await
    }

    /// Creates a pool of keys with their weights. A key is named in the service as here.
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

    /// From now on Gemini answers this key with more than any test waits for.
    pub fn answer_without_end(&self, key: &str) {
        let words = "word ".repeat(10_000);
        let endless = Scenario {
            between_frames_ms: 20,
            answer: GeminiAnswer { frames: 10_000, text: Some(words), thought_tokens: 0 },
            ..Scenario::default()
        };
        self.gemini.set_scenario(endless.key(KeySpec::new(gemini_key(key), Behaviour::Ok))).unwrap();
    }

    /// All keys of a pool that has at most 1,000.
    pub async fn keys(&self, pool: &Pool) -> Vec<Key> {
        let list: KeyList = self.get(&format!("/pools/{}/keys?limit=1000", pool.id)).await.json(200);
        list.keys
    }

    pub async fn pool_stats(&self, pool: &Pool) -> PoolStats {
        self.get(&format!("/pools/{}/stats", pool.id)).await.json(200)
    }

    // ---- the data plane ----

    /// A POST as a client of the pool sends it.
    pub fn call(&self, pool: &Pool, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).bearer_auth(&pool.client_key).json(body)
    }

    pub async fn chat(&self, pool: &Pool, text: &str) -> Answer {
        send(self.call(pool, "/v1/chat/completions", &prompt(text))).await
    }

    pub async fn embed(&self, pool: &Pool, body: &Value) -> Answer {
        send(self.call(pool, "/v1/embeddings", body)).await
    }

    /// Opens a stream that says what it cost.
    pub async fn stream(&self, pool: &Pool, text: &str) -> Events {
        let mut body = prompt(text);
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        Events::new(self.call(pool, "/v1/chat/completions", &body).send().await.unwrap())
    }

    /// What Gemini was asked to generate or embed with a key.
    pub fn tally(&self, key: &str) -> pool_fake_gemini::Tally {
        self.gemini.counts().key(&gemini_key(key))
    }
}

/// The Gemini key that a name stands for.
pub fn gemini_key(name: &str) -> String {
    format!("AIzaSyContract-{name:_<24}")
}

/// A chat request of one message.
pub fn prompt(text: &str) -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": text}]})
}

pub async fn send(request: RequestBuilder) -> Answer {
    Answer::read(request.send().await.unwrap()).await
}

/// Looks again and again until there is something to see: what a service does behind an answer takes
/// a moment. Fails after a time that only a fault can take.
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

/// What breaks a store and repairs it.
pub struct Fault {
    /// A table that only the file in question has.
    pub table: &'static str,
    /// Breaks every question about callers and admins that goes to that file.
    pub breaks: &'static str,
    /// Repairs it.
    pub repairs: &'static str,
}

/// The fault of a store that is SQL.
pub const SQL_FAULT: Fault = Fault {
    table: "admin_tokens",
    breaks: "ALTER TABLE client_keys RENAME COLUMN hash TO broken;
        ALTER TABLE admin_tokens RENAME COLUMN hash TO broken;",
    repairs: "ALTER TABLE client_keys RENAME COLUMN broken TO hash;
        ALTER TABLE admin_tokens RENAME COLUMN broken TO hash;",
};

/// Runs statements in the file that holds the config, whatever the host calls it: the one with `table`.
pub fn in_the_store(folder: &Path, table: &str, statements: &str) {
    let stores = databases_with(folder, table);
    assert_eq!(stores.len(), 1, "the files with a table {table}");
    stores[0].execute_batch(statements).unwrap();
}

/// Every database below a folder that has a table.
pub fn databases_with(folder: &Path, table: &str) -> Vec<Connection> {
    let has_table = |database: &Connection| {
        let holds = "SELECT count(*) FROM sqlite_master WHERE name = ?1";
        matches!(database.query_row(holds, [table], |row| row.get(0)), Ok(1))
    };
    databases_below(folder).into_iter().map(|(_, database)| database).filter(has_table).collect()
}

/// Every database below a folder.
pub fn databases_below(folder: &Path) -> Vec<(PathBuf, Connection)> {
    let is_database = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "db" || kind == "sqlite");
    let files = files_below(folder).into_iter().filter(is_database);
    files.filter_map(|path| Connection::open(&path).ok().map(|database| (path, database))).collect()
}

/// Every file in a folder and in those below it.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
