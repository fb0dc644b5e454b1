// Runs the built Worker (worker/build) in workerd, for the contract suite and the SDK tests.
//
// In: one line of JSON on stdin, every member optional,
//   {"bindings": {NAME: text}, "d1": bool, "kv": bool, "ledger": bool, "persist": null | folder}
// where `persist` keeps the state in a folder, so that a second start finds it.
// Out: one line of JSON on stdout, {"url": "http://127.0.0.1:PORT"}, once requests are answered.
// The end of stdin, SIGINT or SIGTERM ends it, so it never outlives whoever started it; SIGKILL would
// leave the runtime that it started behind.
//
// The address is the Worker's own socket, not Miniflare's entry in front of it: that one keeps a
// client's disconnect from the Worker. Fetches of the Worker go straight out.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Log, LogLevel, Miniflare } from "miniflare";

const root = join(import.meta.dirname, "../../..");
const build = join(root, "worker/build");

/** The date that users deploy with, so that the tests run the same runtime behaviour. */
function compatibilityDate() {
  const example = readFileSync(join(root, "wrangler.toml.example"), "utf8");
  const found = /^compatibility_date = "(.+)"$/m.exec(example);
  if (!found) throw new Error("wrangler.toml.example names no compatibility_date");
  return found[1];
}

function options({ bindings = {}, d1 = false, kv = false, ledger = false, persist = null }) {
  const kept = (name) => (persist === null ? false : join(persist, name));
  return {
    workers: [
      {
        name: "pool-service",
        modules: true,
        scriptPath: join(build, "index.js"),
        modulesRoot: build,
        modulesRules: [{ type: "CompiledWasm", include: ["**/*.wasm"] }],
        compatibilityDate: compatibilityDate(),
        bindings,
        d1Databases: d1 ? { DB: "pool-service" } : {},
        kvNamespaces: kv ? { API_TOKENS: "pool-service" } : {},
        durableObjects: ledger ? { LEDGER: { className: "Ledger", useSQLite: true } } : {},
        unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
      },
    ],
    d1Persist: kept("d1"),
    kvPersist: kept("kv"),
    durableObjectsPersist: kept("durable-objects"),
    host: "127.0.0.1",
    port: 0,
    // Otherwise it asks a server of Cloudflare's for the `request.cf` to pretend.
    cf: false,
    log: new Log(LogLevel.ERROR),
    // stdout carries one line and nothing else: what the Worker logs goes to stderr.
    handleRuntimeStdio(stdout, stderr) {
      stdout.pipe(process.stderr);
      stderr.pipe(process.stderr);
    },
  };
}

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const first = await input.next();
if (first.done) process.exit(0);

const miniflare = new Miniflare(options(JSON.parse(first.value)));
const url = await miniflare.unsafeGetDirectURL("pool-service");
process.stdout.write(`${JSON.stringify({ url: url.origin })}\n`);

while (!(await input.next()).done);
await miniflare.dispose();
