//! Operations of the admin API: bodies, parameters and responses.

use pool_shared::{
    AdminTokenCreate, AdminTokenCreated, AdminTokenList, AdminTokenRotate, AuditList, ClientKeyCreate,
    ClientKeyCreated, ClientKeyExport, ClientKeyImport, ClientKeyImportReport, ClientKeyList,
    ClientKeyRotate, ClientKeyUpdate, ClientKeyUpdated, EventList, ExportedKeys, HashedClientKeys, Health,
    KeyBatchResult, KeyCheck, KeyCheckReport, KeyDelete, KeyExport, KeyImport, KeyImportReport, KeyList,
    KeyReset, KeyUpdate, Login, LoginResponse, MasterKeyRotate, MasterKeyRotation, MasterKeyState, Migrate,
    MigrationStep, Pool, PoolCopied, PoolCopy, PoolCreate, PoolCreated, PoolLimits, PoolList, PoolModels,
    PoolStats, PoolUpdate, PoolUpdated, SessionCreate, SessionCreated, SessionsRevoked, Stats, StatsStep,
    WhoAmI, bounds,
};
use pool_worker::liveness::{PROBES, Probe};
use serde_json::{Value, json};

use crate::describe::{Described, any_object, any_text, delete, get, patch, post, states, text, time};
use crate::document::Operation;

/// Returns the probes, which need no token.
pub fn probes() -> Vec<Operation> {
    let summaries = ["Whether the service answers", "Whether the store answers and the secrets fit"];
    let one = |((path, _), (id, summary)): ((&'static str, Probe), (&str, &'static str))| {
        let mut operation = get(path, id, summary).operation;
        operation.tag = "probes";
        operation.security = json!([]);
        operation.answer = (200, "Yes.");
        operation.also = Some((503, "No."));
        operation.content = vec![("text/plain", any_text)];
        operation
    };
    PROBES.into_iter().zip(["healthz", "readyz"].into_iter().zip(summaries)).map(one).collect()
}

/// Returns all operations.
pub fn operations() -> Vec<Operation> {
    let described = [sessions(), service(), tokens(), pools(), client_keys(), keys()];
    described.into_iter().flatten().map(Described::complete).collect()
}

fn sessions() -> Vec<Described> {
    vec![
        post("/admin/v1/login", "login", "Exchange the password for a token")
            .takes::<Login>()
            .gives::<LoginResponse>("The token, which is shown this once.")
            .may_answer(401)
            .may_answer(403)
            .may_answer(429),
        post("/admin/v1/logout", "logout", "Revoke the presented token"),
        post("/admin/v1/session", "createSession", "Exchange the password for a browser's session")
            .details("Only from the service's own origin.")
            .takes::<SessionCreate>()
            .creates::<SessionCreated>("The session; its secret is in the cookie.")
            .cookie()
            .may_answer(401)
            .may_answer(403)
            .may_answer(429),
        delete("/admin/v1/session", "deleteSession", "End the browser's session")
            .details("A token is refused with 400: it has no session.")
            .cookie(),
        post("/admin/v1/session/revoke-all", "revokeSessions", "End every browser's session")
            .gives::<SessionsRevoked>("How many ended.")
            .cookie(),
        get("/admin/v1/whoami", "whoAmI", "Whose token it is, and what it may do")
            .gives::<WhoAmI>("The token."),
    ]
}

/// Returns the metrics for Prometheus, in its text format.
fn metrics() -> Described {
    let mut metrics = get("/metrics", "metrics", "Counts, key states and pending reports for Prometheus")
        .details("A token that is good for one pool gets that pool's.");
    metrics.operation.answer = (200, "Prometheus's text format.");
    metrics.operation.content = vec![("text/plain; version=0.0.4; charset=utf-8", any_text)];
    metrics
}

fn service() -> Vec<Described> {
    let mut document =
        get("/admin/v1/openapi.json", "getDocument", "This document").gives::<Value>("OpenAPI 3.1.");
    document.operation.content = vec![("application/json", any_object)];
    vec![
        document,
        get("/admin/v1/health", "health", "How the service is doing")
            .gives::<Health>("The service's parts; whatever their state, the status is 200."),
        metrics(),
        get("/admin/v1/stats", "stats", "Counts of all pools").gives::<Stats>("Counts, pool by pool."),
        post("/admin/v1/stats/reset", "resetStats", "Forget the counts of all pools"),
        get("/admin/v1/events", "listEvents", "What went wrong lately")
            .page()
            .query("pool", "Only this pool's, by its id or name.", text())
            .query(
                "after",
                "The cursor of another answer: only what came after it.",
                json!({"type": "string", "pattern": "^[0-9]{1,18}(-[0-9]{1,18})*$"}),
            )
            .gives::<EventList>(
                "The last ones, the oldest of them first; with `after` the first ones after that.",
            ),
        get("/admin/v1/audit", "listAudit", "Who changed what")
            .page()
            .cursor("`next_cursor` of the page before.")
            .details(
                "Equal actions of a token within a minute are one entry, which counts them and is final 90 seconds after \
                 its time.",
            )
            .query(
                "after",
                "An entry's id: only final entries after it, in their order. The last one's id leads to the next ones, so \
                 that none is missed or seen twice. Excludes `cursor`.",
                json!({"type": "string", "pattern": bounds::patterns::CURSOR}),
            )
            .query("since", "Nothing before this time.", time())
            .query("pool", "Only changes of this pool, by its id or name.", text())
            .query("actor", "Only changes by the token of this id.", text())
            .query("action", "Only changes of this kind, such as `pool.update`.", text())
            .gives::<AuditList>("The latest change first; with `after` the earliest first."),
        post("/admin/v1/migration", "migrate", "A step of copying everything to the other config store")
            .takes::<Migrate>()
            .gives::<MigrationStep>("What was done, and the cursor for the next step."),
        get("/admin/v1/master", "masterKeyState", "Which key client keys and tokens are hashed with")
            .gives::<MasterKeyState>("A fingerprint of it."),
        post("/admin/v1/master/rotate", "rotateMasterKey", "A step of going over to a new master key")
            .takes::<MasterKeyRotate>()
            .gives::<MasterKeyRotation>("What was done, and the cursor for the next step."),
    ]
}

fn tokens() -> Vec<Described> {
    vec![
        get("/admin/v1/tokens", "listTokens", "All admin tokens that still work")
            .gives::<AdminTokenList>("Oldest first."),
        post("/admin/v1/tokens", "createToken", "Make an admin token of no more rights than the own one")
            .takes::<AdminTokenCreate>()
            .creates::<AdminTokenCreated>("The token, whose secret is shown this once.")
            .may_answer(404),
        post(
            "/admin/v1/tokens/{id}/rotate",
            "rotateToken",
            "Put a new admin token in the place of one of no more rights than the own one",
        )
        .takes::<AdminTokenRotate>()
        .creates::<AdminTokenCreated>("The new token, whose secret is shown this once."),
        delete(
            "/admin/v1/tokens/{id}",
            "deleteToken",
            "Revoke an admin token of no more rights than the own one, and those that it made",
        )
        .query(
            "keep_children",
            "Whether the tokens that it made go on working.",
            json!({"type": "boolean"}),
        ),
    ]
}

fn pools() -> Vec<Described> {
    let step = json!({"type": "string", "enum": [StatsStep::Minute, StatsStep::Hour, StatsStep::Day]});
    vec![
        get("/admin/v1/pools", "listPools", "All pools").gives::<PoolList>("By name."),
        post("/admin/v1/pools", "createPool", "Make a pool, and its first client key")
            .takes::<PoolCreate>()
            .creates::<PoolCreated>("The pool and its client key, which is shown this once.")
            .may_answer(409),
        get("/admin/v1/pools/{pool}", "showPool", "One pool").gives::<Pool>("The pool."),
        patch("/admin/v1/pools/{pool}", "updatePool", "Change a pool")
            .takes::<PoolUpdate>()
            .gives::<PoolUpdated>("The pool as it is now, and which fields were changed.")
            .may_answer(409),
        delete("/admin/v1/pools/{pool}", "deletePool", "Delete a pool, its keys and its client keys"),
        post(
            "/admin/v1/pools/{pool}/copy",
            "copyPool",
            "Make a pool like this one, or copy further keys into it",
        )
        .details("Copying keys needs the scope `keys:export` as well.")
        .takes::<PoolCopy>()
        .creates::<PoolCopied>("The new pool, and the cursor for further keys.")
        .also(200, "Further keys were copied.")
        .may_answer(409),
        get("/admin/v1/pools/{pool}/models", "listPoolModels", "The models that a pool offers")
            .gives::<PoolModels>("In Google's order.")
            .may_answer(409),
        get("/admin/v1/pools/{pool}/limits", "poolLimits", "The limits of a pool's models, learnt and set")
            .page()
            .query("model", "Only those that were learnt of this model.", text())
            .gives::<PoolLimits>("Both kinds; set ones are changed with the pool."),
        get("/admin/v1/pools/{pool}/stats", "poolStats", "Counts of one pool")
            .query("since", "The beginning of the window.", time())
            .query("until", "The end of the window; now, where it is left out.", time())
            .query("step", "How finely the window is cut.", step)
            .gives::<PoolStats>("Counts, key by key and model by model."),
        post("/admin/v1/pools/{pool}/stats/reset", "resetPoolStats", "Forget the counts of one pool"),
    ]
}

fn client_keys() -> Vec<Described> {
    vec![
        get("/admin/v1/pools/{pool}/client-keys", "listClientKeys", "A pool's client keys")
            .gives::<ClientKeyList>("Oldest first."),
        post("/admin/v1/pools/{pool}/client-keys", "createClientKey", "Make a client key")
            .takes::<ClientKeyCreate>()
            .creates::<ClientKeyCreated>("The client key, whose secret is shown this once."),
        post(
            "/admin/v1/pools/{pool}/client-keys/import",
            "importClientKeys",
            "Take over client keys of another system",
        )
        .details("What begins like a secret of this service and is no client key refuses all of them.")
        .takes::<ClientKeyImport>()
        .gives::<ClientKeyImportReport>("How many are new."),
        post(
            "/admin/v1/pools/{pool}/client-keys/export",
            "exportClientKeys",
            "Client keys with their hashes",
        )
        .details("Each hash is of use only to a service that hashes with the same key.")
        .takes::<ClientKeyExport>()
        .gives::<HashedClientKeys>("All client keys of the pool."),
        post(
            "/admin/v1/pools/{pool}/client-keys/restore",
            "restoreClientKeys",
            "Add client keys by their hashes",
        )
        .details("Those that are there already, in any pool, stay as they are.")
        .takes::<HashedClientKeys>()
        .gives::<ClientKeyImportReport>("How many are new."),
        patch("/admin/v1/pools/{pool}/client-keys/{id}", "updateClientKey", "Change a client key")
            .takes::<ClientKeyUpdate>()
            .gives::<ClientKeyUpdated>("The client key as it is now, and which fields were changed."),
        delete("/admin/v1/pools/{pool}/client-keys/{id}", "deleteClientKey", "Revoke a client key"),
        post(
            "/admin/v1/pools/{pool}/client-keys/{id}/rotate",
            "rotateClientKey",
            "Put a new client key in place of another one",
        )
        .takes::<ClientKeyRotate>()
        .creates::<ClientKeyCreated>("The new client key, whose secret is shown this once."),
    ]
}

fn keys() -> Vec<Described> {
    vec![
        get("/admin/v1/pools/{pool}/keys", "listKeys", "A pool's keys")
            .page()
            .cursor("`next_cursor` of the page before.")
            .query(
                "search",
                "Only keys with this in their name, tag or masked form.",
                json!({"type": "string", "maxLength": bounds::KEY_TEXT}),
            )
            .query("enabled", "Only those that are on, or off.", json!({"type": "boolean"}))
            .query("tag", "Only those with this tag.", text())
            .query("state", "Only those in one of these states.", states())
            .gives::<KeyList>("In the order in which they were added."),
        patch("/admin/v1/pools/{pool}/keys", "updateKeys", "Change several keys")
            .takes::<KeyUpdate>()
            .gives::<KeyBatchResult>("What was changed."),
        post("/admin/v1/pools/{pool}/keys/import", "importKeys", "Add keys")
            .takes::<KeyImport>()
            .gives::<KeyImportReport>("What became of each."),
        post("/admin/v1/pools/{pool}/keys/check", "checkKeys", "Try keys now")
            .details("1 to 20, of both kinds together.")
            .takes::<KeyCheck>()
            .gives::<KeyCheckReport>("What Gemini said to each."),
        post("/admin/v1/pools/{pool}/keys/reset", "resetKeys", "Forget what was learnt of keys")
            .details(
                "Ends cooldowns, states and learnt limits of the keys and of their projects, for every model, in this \
                 instance at once and in all others within 30 s. Keys that are disabled stay so.",
            )
            .takes::<KeyReset>()
            .gives::<KeyBatchResult>("How many keys were reset."),
        post("/admin/v1/pools/{pool}/keys/export", "exportKeys", "Keys in clear")
            .takes::<KeyExport>()
            .gives::<ExportedKeys>("A page of them."),
        post("/admin/v1/pools/{pool}/keys/delete", "deleteKeys", "Remove several keys")
            .takes::<KeyDelete>()
            .gives::<KeyBatchResult>("What was removed."),
    ]
}
