// V8 profiler client: `node bench/profile.mjs PORT SECONDS` profiles through V8's inspector on
// that port, and prints the functions by self time. `bench/profile.py` starts it under load.

import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(import.meta.dirname, "../worker/package.json"));
const { WebSocket } = require("ws");

const [port, seconds] = process.argv.slice(2).map(Number);
const targets = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
const target = targets.find(({ id }) => id.includes("pool-service")) ?? targets[0];
const socket = new WebSocket(target.webSocketDebuggerUrl);
await new Promise((opened, failed) => socket.on("open", opened).on("error", failed));

let last = 0;
const waiting = new Map();
socket.on("message", (text) => {
  const { id, result, error } = JSON.parse(text);
  waiting.get(id)?.(error ?? result);
});
function ask(method, params = {}) {
  const id = ++last;
  socket.send(JSON.stringify({ id, method, params }));
  return new Promise((answered) => waiting.set(id, answered));
}

await ask("Profiler.enable");
await ask("Profiler.setSamplingInterval", { interval: 500 });
await ask("Profiler.start");
await new Promise((over) => setTimeout(over, seconds * 1000));
const { profile } = await ask("Profiler.stop");
socket.close();

const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame.functionName || callFrame.url || "?"]));
const times = new Map();
profile.samples.forEach((node, index) => {
  const name = names.get(node);
  times.set(name, (times.get(name) ?? 0) + profile.timeDeltas[index]);
});
times.delete("(idle)");
const total = [...times.values()].reduce((sum, time) => sum + time, 0);
for (const [name, time] of [...times].sort(([, a], [, b]) => b - a).slice(0, 40)) {
  console.log(`${((time / total) * 100).toFixed(1).padStart(5)} %  ${name.slice(0, 140)}`);
}
