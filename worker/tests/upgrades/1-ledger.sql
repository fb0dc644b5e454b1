-- What the version of 2026-11-23 19:28 (commit 24d4ae2) had stored, under the master key of the tests, after it had made
-- two pools and answered seven calls: its ledger.
CREATE TABLE ledger_log (
        chunk INTEGER PRIMARY KEY,
        reports INTEGER NOT NULL,
        lines TEXT NOT NULL
    );
INSERT INTO "ledger_log" VALUES(1,3,'{"at":"2026-11-23T22:29:51.954Z","report":{"writer":"86fbfa0351a6ecb7","sequence":1,"counts":{},"lost":0,"known":0}}
{"at":"2026-11-23T22:29:52.485Z","report":{"writer":"86fbfa0351a6ecb7","sequence":2,"counts":{},"moved":["pool-924b54868d5ca95b"],"lost":0,"known":1}}
{"at":"2026-11-23T22:29:52.945Z","report":{"writer":"86fbfa0351a6ecb7","sequence":3,"counts":{"pool-3bdc7f8737ceb830":[[1795472940,"key-10a45606c21d7fc1","gemini-3.5-flash","ok",[6,6,18,0,0,1795472992500,{"1":5,"8":1},{"1":5,"8":1}]],[1795472940,"key-10a45606c21d7fc1","gemini-embedding-001","ok",[1,1,0,0,0,1795472992502,{"8":1},{"8":1}]],[1795472940,"key-3169425e1591ba63","gemini-3.5-flash","key",[1,0,0,0,0,1795472992493,{},{}]]]},"events":[{"at":"2026-11-23T22:29:52.493Z","pool":"pool-3bdc7f8737ceb830","key":"key-3169425e1591ba63","model":"gemini-3.5-flash","verdict":"key","message":"API key not valid. Please pass a valid API key.","count":1}],"learnt":[{"id":"pool-3bdc7f8737ceb830|key-3169425e1591ba63||standing","until":"2026-11-30T22:29:52.494Z","body":{"pool":"pool-3bdc7f8737ceb830","learnt":{"subject":{"key":"key-3169425e1591ba63"},"at":"2026-11-23T22:29:52.494Z","fact":{"standing":{"condition":"suspect","message":"API key not valid. Please pass a valid API key.","next_check":"2026-11-23T22:39:52.494Z","checks":0}}}}},{"id":"pool-3bdc7f8737ceb830|p-1|gemini-3.5-flash|spent 86fbfa0351a6ecb7 1","until":"2026-11-23T22:31:52.945Z","body":{"pool":"pool-3bdc7f8737ceb830","learnt":{"subject":{"project":"p-1"},"model":"gemini-3.5-flash","at":"2026-11-23T22:29:52.945Z","fact":{"spent":{"requests":6,"tokens":84}}}}},{"id":"pool-3bdc7f8737ceb830|p-1|gemini-embedding-001|spent 86fbfa0351a6ecb7 2","until":"2026-11-23T22:31:52.945Z","body":{"pool":"pool-3bdc7f8737ceb830","learnt":{"subject":{"project":"p-1"},"model":"gemini-embedding-001","at":"2026-11-23T22:29:52.945Z","fact":{"spent":{"requests":1,"tokens":23}}}}}],"lost":0,"known":2}}
');
CREATE TABLE ledger_pages (
        level INTEGER NOT NULL,
        page INTEGER NOT NULL,
        pool TEXT NOT NULL,
        part INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (level, page, pool, part)
    ) WITHOUT ROWID;
CREATE TABLE ledger_state (
        name TEXT PRIMARY KEY,
        folds INTEGER NOT NULL,
        body TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "ledger_state" VALUES('state',0,'{}');
