-- What the version of 2026-11-23 19:28 (commit 24d4ae2) had stored, under the master key of the tests, after it had made
-- two pools and answered seven calls: its config. The end of the token is set to 2100.
CREATE TABLE admin_tokens (
        hash TEXT PRIMARY KEY,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "admin_tokens" VALUES('9ad219766c262f1dd7a786c3ed3d73871ac01106d17660efb071fb11609fca5a','tok-95a09dedc09eb1e6','laptop',1795472992459,4102444800000);
CREATE TABLE client_keys (
        hash TEXT PRIMARY KEY,
        id TEXT NOT NULL,
        pool_id TEXT NOT NULL,
        name TEXT NOT NULL,
        hint TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "client_keys" VALUES('37a72afce1531eac5f5fa196acdab8f82c9031bb7de8a026f155137b0d60264b','ck-606677938c97f37e','pool-924b54868d5ca95b','first','AiV7',1795472992482);
INSERT INTO "client_keys" VALUES('ea1657065f1b01ec30aeb94b587df6211379b3f01900f312e83926b268bebac7','ck-6c9f72d6b72f5576','pool-3bdc7f8737ceb830','first','7QGx',1795472992469);
CREATE TABLE keys (
        pool_id TEXT NOT NULL,
        digest TEXT NOT NULL,
        id TEXT NOT NULL,
        sealed TEXT NOT NULL,
        masked TEXT NOT NULL,
        name TEXT NOT NULL,
        tag TEXT NOT NULL,
        project TEXT NOT NULL,
        limits TEXT NOT NULL,
        weight INTEGER NOT NULL,
        enabled INTEGER NOT NULL,
        position INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (pool_id, digest)
    ) WITHOUT ROWID;
INSERT INTO "keys" VALUES('pool-3bdc7f8737ceb830','401ea79b6964710aa9055a642ce6f284c38d40f5fd710697375547be30333845','key-10a45606c21d7fc1','v1.HUoAKAK6O/J0kTeECepYlXlKKUr4HhljEEMUfl9ynLCnn7gVCRRD9f9oTnFkLr5asG+ZRVaD4tamcwZPgXf/crwWKg','AIza…____','good','paid','p-1','{"requests_per_minute":1000}',3,1,1795472992469000,1795472992469,1795472992469);
INSERT INTO "keys" VALUES('pool-3bdc7f8737ceb830','495cf90b8ce24502e60488c877f9cb12472988218a7b55e67ed04dd8a1f9f68d','key-3169425e1591ba63','v1.yFgkvIAfEJW4P2finq0PYVtx9ZnwompyrPDVbr2FuYEOhzgIhMGxiiMBgv7yppnRPow0RYxCA7WeD/kaLQ0e7nkkgw','AIza…____','bad','','','{}',1,1,1795472992469001,1795472992469,1795472992469);
CREATE TABLE pools (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        description TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        allowed_models TEXT NOT NULL,
        settings TEXT NOT NULL,
        data_key TEXT NOT NULL,
        version INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "pools" VALUES('pool-3bdc7f8737ceb830','prod','from an earlier version',1,'[]','{"aliases":{},"fallbacks":{},"sticky":false}','v1.jdO7lySa9Ir1EaPPS8CCP6JhqKzFeuC1ykBb9dAebqujHu+411vNwUk4MWLo8MKUR6oFTsu6114JgCfq',1,1795472992469,1795472992469);
INSERT INTO "pools" VALUES('pool-924b54868d5ca95b','off','',0,'[]','{"aliases":{},"fallbacks":{},"sticky":false}','v1.SGVfLqoS5JQHa4nPBgAk62E8SWx1cGOgz6YceZo7UwJGdHalN9K+qLCJKqGawPzHe3+UX+8atk1cl8fB',2,1795472992482,1795472992484);
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO "schema_version" VALUES(1);
CREATE INDEX client_keys_by_pool ON client_keys (pool_id, id);
