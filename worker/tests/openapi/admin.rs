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
    let summaries = ["Liveness of the service", "Readiness: the store works and the secrets fit"];
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
            .gives::<LoginResponse>("The token, which is shown only once.")
            .may_answer(401)
            .may_answer(403)
            .may_answer(429),
        post("/admin/v1/logout", "logout", "Revoke the presented token"),
        post("/admin/v1/session", "createSession", "Exchange the password for a browser session")
            .details("Only from the service's own origin.")
            .takes::<SessionCreate>()
            .creates::<SessionCreated>("The session; its secret is in the cookie.")
            .cookie()
            .may_answer(401)
            .may_answer(403)
            .may_answer(429),
        delete("/admin/v1/session", "deleteSession", "End the browser session")
            .details("A token is rejected with 400, because it has no session.")
            .cookie(),
        post("/admin/v1/session/revoke-all", "revokeSessions", "End all browser sessions")
            .gives::<SessionsRevoked>("Number of ended sessions.")
            .cookie(),
        get("/admin/v1/whoami", "whoAmI", "Show the token and its scopes").gives::<WhoAmI>("The token."),
    ]
}

/// Returns the metrics for Prometheus, in its text format.
fn metrics() -> Described {
    let mut metrics = get("/metrics", "metrics", "Counts, key states and pending reports for Prometheus")
        .details("A token limited to one pool gets only that pool's.");
    metrics.operation.answer = (200, "Prometheus text format.");
    metrics.operation.content = vec![("text/plain; version=0.0.4; charset=utf-8", any_text)];
    metrics
}

fn service() -> Vec<Described> {
    let mut document =
        get("/admin/v1/openapi.json", "getDocument", "This document").gives::<Value>("OpenAPI 3.1.");
    document.operation.content = vec![("application/json", any_object)];
    vec![
        document,
        get("/admin/v1/health", "health", "Health of the service")
            .gives::<Health>("The state of each component; the status is always 200."),
        metrics(),
        get("/admin/v1/stats", "stats", "Counts of all pools").gives::<Stats>("Counts by pool."),
        post("/admin/v1/stats/reset", "resetStats", "Reset the counts of all pools"),
        get("/admin/v1/events", "listEvents", "Recent errors")
            .page()
            .query("pool", "Only events of this pool, by id or name.", text())
            .query(
                "after",
                "Cursor of an earlier response: only later events.",
                json!({"type": "string", "pattern": "^[0-9]{1,18}(-[0-9]{1,18})*$"}),
            )
            .gives::<EventList>(
                "The latest events, oldest first; with `after` the first ones after it.",
            ),
        get("/admin/v1/audit", "listAudit", "The audit log")
            .page()
            .cursor("`next_cursor` of the previous page.")
            .details(
                "Equal actions of a token within a minute are merged into one entry with a count, which is final 90 seconds after its time.",
            )
            .query(
                "after",
                "Id of an entry: only final entries after it, in order. Continue with the id of the last one, so that none is missed or repeated. Excludes `cursor`.",
                json!({"type": "string", "pattern": bounds::patterns::CURSOR}),
            )
            .query("since", "Only changes since this time.", time())
            .query("pool", "Only changes of this pool, by id or name.", text())
            .query("actor", "Only changes by the token with this id.", text())
            .query("action", "Only changes of this kind, such as `pool.update`.", text())
            .gives::<AuditList>("Latest first; with `after` earliest first."),
        post("/admin/v1/migration", "migrate", "Copy a page of the configuration to the other store")
            .takes::<Migrate>()
            .gives::<MigrationStep>("What was done, and the cursor of the next step."),
        get("/admin/v1/master", "masterKeyState", "The key that hashes client keys and tokens")
            .gives::<MasterKeyState>("Its fingerprint."),
        post("/admin/v1/master/rotate", "rotateMasterKey", "Rotate the master key, one page per request")
            .takes::<MasterKeyRotate>()
            .gives::<MasterKeyRotation>("What was done, and the cursor of the next step."),
    ]
}

fn tokens() -> Vec<Described> {
    vec![
        get("/admin/v1/tokens", "listTokens", "List the valid admin tokens")
            .gives::<AdminTokenList>("Oldest first."),
        post("/admin/v1/tokens", "createToken", "Create an admin token with at most the scopes of the presented one")
            .takes::<AdminTokenCreate>()
            .creates::<AdminTokenCreated>("The token, whose secret is shown only once.")
            .may_answer(404),
        post(
            "/admin/v1/tokens/{id}/rotate",
            "rotateToken",
            "Rotate an admin token with at most the scopes of the presented one",
        )
        .takes::<AdminTokenRotate>()
        .creates::<AdminTokenCreated>("The new token, whose secret is shown only once."),
        delete(
            "/admin/v1/tokens/{id}",
            "deleteToken",
            "Revoke an admin token with at most the scopes of the presented one, and the tokens that it created",
        )
        .query(
            "keep_children",
            "Keep the tokens that it created.",
            json!({"type": "boolean"}),
        ),
    ]
}

fn pools() -> Vec<Described> {
    let step = json!({"type": "string", "enum": [StatsStep::Minute, StatsStep::Hour, StatsStep::Day]});
    vec![
        get("/admin/v1/pools", "listPools", "All pools").gives::<PoolList>("By name."),
        post("/admin/v1/pools", "createPool", "Create a pool and its first client key")
            .takes::<PoolCreate>()
            .creates::<PoolCreated>("The pool and its client key, which is shown only once.")
            .may_answer(409),
        get("/admin/v1/pools/{pool}", "showPool", "One pool").gives::<Pool>("The pool."),
        patch("/admin/v1/pools/{pool}", "updatePool", "Change a pool")
            .takes::<PoolUpdate>()
            .gives::<PoolUpdated>("The updated pool and the changed fields.")
            .may_answer(409),
        delete("/admin/v1/pools/{pool}", "deletePool", "Delete a pool, its keys and its client keys"),
        post("/admin/v1/pools/{pool}/copy", "copyPool", "Copy a pool, or copy more keys into a copy")
            .details("Copying keys also requires the scope `keys:export`.")
            .takes::<PoolCopy>()
            .creates::<PoolCopied>("The new pool, and the cursor of the next keys.")
            .also(200, "More keys were copied.")
            .may_answer(409),
        get("/admin/v1/pools/{pool}/models", "listPoolModels", "List the models of a pool")
            .gives::<PoolModels>("In Google's order.")
            .may_answer(409),
        get(
            "/admin/v1/pools/{pool}/limits",
            "poolLimits",
            "List the model limits of a pool, observed and configured",
        )
        .page()
        .query("model", "Only observed limits of this model.", text())
        .gives::<PoolLimits>("Both kinds; configured limits are part of the pool."),
        get("/admin/v1/pools/{pool}/stats", "poolStats", "Counts of one pool")
            .query("since", "Start of the window.", time())
            .query("until", "End of the window; default: now.", time())
            .query("step", "Resolution of the window.", step)
            .gives::<PoolStats>("Counts by key and model."),
        post("/admin/v1/pools/{pool}/stats/reset", "resetPoolStats", "Reset the counts of one pool"),
    ]
}

fn client_keys() -> Vec<Described> {
    vec![
        get("/admin/v1/pools/{pool}/client-keys", "listClientKeys", "A pool's client keys")
            .gives::<ClientKeyList>("Oldest first."),
        post("/admin/v1/pools/{pool}/client-keys", "createClientKey", "Create a client key")
            .takes::<ClientKeyCreate>()
            .creates::<ClientKeyCreated>("The client key, whose secret is shown only once."),
        post(
            "/admin/v1/pools/{pool}/client-keys/import",
            "importClientKeys",
            "Import client keys of another system",
        )
        .details("A key that looks like another secret of this service rejects the whole import.")
        .takes::<ClientKeyImport>()
        .gives::<ClientKeyImportReport>("Number of added client keys."),
        post(
            "/admin/v1/pools/{pool}/client-keys/export",
            "exportClientKeys",
            "Client keys with their hashes",
        )
        .details("The hashes are valid only in a service with the same hash key.")
        .takes::<ClientKeyExport>()
        .gives::<HashedClientKeys>("All client keys of the pool."),
        post(
            "/admin/v1/pools/{pool}/client-keys/restore",
            "restoreClientKeys",
            "Restore client keys from their hashes",
        )
        .details("Existing client keys of any pool are unchanged.")
        .takes::<HashedClientKeys>()
        .gives::<ClientKeyImportReport>("Number of added client keys."),
        patch("/admin/v1/pools/{pool}/client-keys/{id}", "updateClientKey", "Change a client key")
            .takes::<ClientKeyUpdate>()
            .gives::<ClientKeyUpdated>("The updated client key and the changed fields."),
        delete("/admin/v1/pools/{pool}/client-keys/{id}", "deleteClientKey", "Revoke a client key"),
        post("/admin/v1/pools/{pool}/client-keys/{id}/rotate", "rotateClientKey", "Rotate a client key")
            .takes::<ClientKeyRotate>()
            .creates::<ClientKeyCreated>("The new client key, whose secret is shown only once."),
    ]
}

fn keys() -> Vec<Described> {
    vec![
        get("/admin/v1/pools/{pool}/keys", "listKeys", "A pool's keys")
            .page()
            .cursor("`next_cursor` of the previous page.")
            .query(
                "search",
                "Only keys whose name, tag or masked form contains this text.",
                json!({"type": "string", "maxLength": bounds::KEY_TEXT}),
            )
            .query("enabled", "Only enabled or only disabled keys.", json!({"type": "boolean"}))
            .query("tag", "Only keys with this tag.", text())
            .query("state", "Only keys in one of these states.", states())
            .gives::<KeyList>("In the order of their addition."),
        patch("/admin/v1/pools/{pool}/keys", "updateKeys", "Change several keys")
            .takes::<KeyUpdate>()
            .gives::<KeyBatchResult>("What was changed."),
        post("/admin/v1/pools/{pool}/keys/import", "importKeys", "Add keys")
            .takes::<KeyImport>()
            .gives::<KeyImportReport>("The result of each key."),
        post("/admin/v1/pools/{pool}/keys/check", "checkKeys", "Check keys")
            .details("1 to 20 stored keys and candidates in total.")
            .takes::<KeyCheck>()
            .gives::<KeyCheckReport>("The result of each key."),
        post("/admin/v1/pools/{pool}/keys/reset", "resetKeys", "Reset the observed state of keys")
            .details(
                "Clears cooldowns, states and observed limits of the keys and their projects, for every model, in this instance immediately and in all others within 30 s. Disabled keys stay disabled.",
            )
            .takes::<KeyReset>()
            .gives::<KeyBatchResult>("How many keys were reset."),
        post("/admin/v1/pools/{pool}/keys/export", "exportKeys", "Export keys in clear text")
            .takes::<KeyExport>()
            .gives::<ExportedKeys>("A page of keys."),
        post("/admin/v1/pools/{pool}/keys/delete", "deleteKeys", "Remove several keys")
            .takes::<KeyDelete>()
            .gives::<KeyBatchResult>("What was removed."),
    ]
}
