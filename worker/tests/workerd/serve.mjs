// Launcher of workerd: runs the built Worker (worker/build) for the contract suite, the SDK tests and
// the benchmarks.
//
// It reads commands from stdin, one JSON document per line. A deployment to start, all members optional:
//
//   {"id": any, "bindings": {NAME: text}, "d1": bool, "kv": bool, "objects": [class],
//    "persist": null | folder, "script": file, "log": file, "inspectorPort": number}
//
// `persist` is the folder of the state, for a later restart. `script` is the main module of another
// Worker (the benchmarks' baselines). The runtime's log is appended to `log`, or goes to stderr.
// `inspectorPort` is the port of V8's inspector. {"stop": ID} ends a deployment.
//
// It writes one line per command: {"id": ID, "url": "http://127.0.0.1:PORT"} once requests are served,
// or {"id": ID, "error": text}; {"stopped": ID} once the runtime has ended. Each deployment has its own
// runtime; they share this launcher, because Miniflare takes longer to load than a runtime to start.
// The end of stdin, SIGINT or SIGTERM ends all runtimes; SIGKILL would leave them running.
//
// The URL is the Worker's own socket, not Miniflare's entry Worker, which hides client disconnects.
// Fetches of the Worker go out directly.

import { appendFileSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate } from "node:timers/promises";
import { Log, LogLevel, Miniflare } from "miniflare";

const root = join(import.meta.dirname, "../../..");
const built = join(root, "worker/build/index.js");

/** Returns the compatibility date of the example that users deploy with. */
function compatibilityDate() {
  const example = readFileSync(join(root, "wrangler.toml.example"), "utf8");
  const found = /^compatibility_date = "(.+)"$/m.exec(example);
  if (!found) throw new Error("wrangler.toml.example names no compatibility_date");
  return found[1];
}

/** Sends Miniflare's messages to the runtime's log: stdout carries results only. */
class Messages extends Log {
  constructor(write) {
    super(LogLevel.ERROR);
    this.write = write;
  }
  log(message) {
    this.write(`${message}\n`);
  }
}

// Durable Object bindings of these classes: `Ledger` as `LEDGER`.
function durableObjects(classes) {
  const bound = classes.map((name) => [name.toUpperCase(), { className: name, useSQLite: true }]);
  return Object.fromEntries(bound);
}

function options(wanted) {
  const { bindings = {}, d1 = false, kv = false, objects = [], persist = null, script = built } = wanted;
  const write = (text) => (wanted.log ? appendFileSync(wanted.log, text) : process.stderr.write(text));
  const kept = (name) => (persist === null ? false : join(persist, name));
  return {
    workers: [
      {
        name: "pool-service",
        modules: true,
        scriptPath: script,
        modulesRoot: dirname(script),
        modulesRules: [
          { type: "CompiledWasm", include: ["**/*.wasm"] },
          { type: "ESModule", include: ["**/*.js"] },
        ],
        compatibilityDate: compatibilityDate(),
        bindings,
        d1Databases: d1 ? { DB: "pool-service" } : {},
        kvNamespaces: kv ? { API_TOKENS: "pool-service" } : {},
        durableObjects: durableObjects(objects),
        // Otherwise Miniflare puts its own Worker in front of every outgoing fetch.
        stripCfConnectingIp: false,
        unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
      },
    ],
    d1Persist: kept("d1"),
    kvPersist: kept("kv"),
    durableObjectsPersist: kept("durable-objects"),
    host: "127.0.0.1",
    port: 0,
    inspectorPort: wanted.inspectorPort,
    // Otherwise Miniflare downloads a sample of `request.cf` from Cloudflare.
    cf: false,
    log: new Messages(write),
    handleRuntimeStdio(...streams) {
      for (const stream of streams) stream.on("data", write);
    },
  };
}

const deployments = new Map();

const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function start(wanted) {
  const miniflare = new Miniflare(options(wanted));
  deployments.set(wanted.id, miniflare);
  try {
    const url = await miniflare.unsafeGetDirectURL("pool-service");
    answer({ id: wanted.id, url: url.origin });
  } catch (error) {
    deployments.delete(wanted.id);
    // Errors of disposing a deployment that did not start are irrelevant.
    await miniflare.dispose().catch(() => {});
    answer({ id: wanted.id, error: String(error) });
  }
}

async function stop(id) {
  // Miniflare closes the runtime's output unread. One turn of the event loop reads what was logged so
  // far, another passes it through Miniflare's buffer.
  await setImmediate();
  await setImmediate();
  await deployments.get(id)?.dispose();
  deployments.delete(id);
  answer({ stopped: id });
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  // Not awaited: deployments start and stop concurrently.
  void ("stop" in request ? stop(request.stop) : start(request));
}
await Promise.all([...deployments.values()].map((miniflare) => miniflare.dispose()));
