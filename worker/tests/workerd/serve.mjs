// Runs the built Worker (worker/build) in workerd, for the contract suite, the SDK tests and the benchmarks.
//
// In: lines of JSON on stdin. One that names no `stop` is a deployment to be started, every member optional,
//   {"id": any, "bindings": {NAME: text}, "d1": bool, "kv": bool, "ledger": bool, "persist": null | folder,
//    "script": file, "log": file, "inspectorPort": number}
// where `persist` keeps the state in a folder, so that a second start finds it, `script` is another Worker's main
// module (the benchmarks run what they compare with in the same way), what the runtime logs is appended to `log` (else it
// goes to stderr), and on `inspectorPort` V8's inspector listens. {"stop": ID} ends the deployment of that id.
// Out: a line of JSON for each, {"id": ID, "url": "http://127.0.0.1:PORT"} once requests are answered or
// {"id": ID, "error": text}, and {"stopped": ID} once nothing of it runs. Each deployment has a runtime of its own; what
// they share is this launcher, which takes longer to load than a runtime to start.
// The end of stdin, SIGINT or SIGTERM ends them all, so none outlives whoever started it; SIGKILL would
// leave the runtimes that it started behind.
//
// The address is the Worker's own socket, not Miniflare's entry in front of it: that one keeps a
// client's disconnect from the Worker. Fetches of the Worker go straight out.

import { appendFileSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate } from "node:timers/promises";
import { Log, LogLevel, Miniflare } from "miniflare";

const root = join(import.meta.dirname, "../../..");
const built = join(root, "worker/build/index.js");

/** The date that users deploy with, so that the tests run the same runtime behaviour. */
function compatibilityDate() {
  const example = readFileSync(join(root, "wrangler.toml.example"), "utf8");
  const found = /^compatibility_date = "(.+)"$/m.exec(example);
  if (!found) throw new Error("wrangler.toml.example names no compatibility_date");
  return found[1];
}

/** Miniflare's own messages, where the runtime's go too: stdout carries answers and nothing else. */
class Messages extends Log {
  constructor(write) {
    super(LogLevel.ERROR);
    this.write = write;
  }
  log(message) {
    this.write(`${message}\n`);
  }
}

function options(wanted) {
  const { bindings = {}, d1 = false, kv = false, ledger = false, persist = null, script = built } = wanted;
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
        durableObjects: ledger ? { LEDGER: { className: "Ledger", useSQLite: true } } : {},
        // Miniflare would put a Worker of its own in front of every call that goes out.
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
    // Otherwise it asks a server of Cloudflare's for the `request.cf` to pretend.
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
    // What did not start has nothing to say about its end.
    await miniflare.dispose().catch(() => {});
    answer({ id: wanted.id, error: String(error) });
  }
}

async function stop(id) {
  // Miniflare closes the runtime's output unread. A turn of the event loop takes in what was logged until now, another
  // hands it through Miniflare's buffer.
  await setImmediate();
  await setImmediate();
  await deployments.get(id)?.dispose();
  deployments.delete(id);
  answer({ stopped: id });
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  // Not waited for: others start and end meanwhile.
  void ("stop" in request ? stop(request.stop) : start(request));
}
await Promise.all([...deployments.values()].map((miniflare) => miniflare.dispose()));
