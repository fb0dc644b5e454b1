// Draws docs/page.png and docs/page-phone.png: the page with three pools, some of whose keys have faults.
//
//   cargo build --locked -p pool-worker --bin pool-server --example fake_gemini
//   .ci/npm.sh && POOL_BROWSER="$(.ci/chromium.sh)" node worker/tests/page/pictures.mjs

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const PROGRAMS = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"), "debug");
const PASSWORD = "only for these pictures";
const MODEL = "gemini-3.8-flash";
const TEXT = "Summarise the notes of the last meeting in five short points. ".repeat(6);

const keys = (count) => Array.from({ length: count }, (_, at) => ({ name: `member-${at + 1}` }));
const POOLS = [
  {
    name: "production", description: "The product's own traffic", requests: 106,
    keys: [
      { name: "laptop", tag: "team-a", weight: 3 }, { name: "old-project", behaviour: "leaked" }, { name: "team-b", tag: "team-a" },
      { name: "batch", tag: "team-b" }, { name: "trial", behaviour: "exhausted_day" }, { name: "paid-reserve", tag: "paid", weight: 0 },
    ],
  },
  { name: "research", requests: 27, keys: keys(4) },
  { name: "staging", requests: 27, keys: keys(2) },
];

for (const [number, pool] of POOLS.entries()) {
  for (const [at, key] of pool.keys.entries()) key.key = `AIzaSyPicture-${pool.name}-${String(1000 + 37 * (10 * number + at)).padStart(16, "0")}`;
}

/** Starts a program, and gives the URL that it prints first. */
async function start(program, args, env) {
  const child = spawn(join(PROGRAMS, program), args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "ignore"] });
  const url = await new Promise((resolve, reject) => {
    child.stdout.on("data", (text) => {
      const [url] = /http:\S+/.exec(text) ?? [];
      if (url) resolve(url);
    });
    child.on("error", reject).on("exit", () => reject(new Error(`${program} has ended`)));
  });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  return { url, stop: () => (child.kill(), ended) };
}

async function admin(url, path, token, body) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(`${url}/admin/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
  return response.json();
}

async function ask(url, secret, times) {
  for (let sent = 0; sent < times; sent += 1) {
    await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
      body: JSON.stringify({ model: MODEL, messages: [{ role: "user", content: TEXT }] }),
    });
  }
}

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const untilNextMinute = () => wait(60_000 - (Date.now() % 60_000));

async function fill(url) {
  const { token } = await admin(url, "login", null, { password: PASSWORD });
  const secrets = [];
  for (const { name, description = "", keys } of POOLS) {
    const imported = keys.map(({ behaviour: _, ...key }) => key);
    secrets.push((await admin(url, "pools", token, { name, description, import: { keys: imported } })).client_key);
  }
  // A whole minute, and the beginning of the next one: rates are of whole minutes.
  await untilNextMinute();
  for (const [at, { requests }] of POOLS.entries()) await ask(url, secrets[at], requests);
  await untilNextMinute();
  await ask(url, secrets[0], 12);
  // Reports go to the ledger within a second.
  await wait(2_500);
}

async function draw(url) {
  const browser = await chromium.launch({ executablePath: process.env.POOL_BROWSER, args: ["--no-sandbox", "--disable-gpu"] });
  const open = async (width, height) => {
    const options = { viewport: { width, height }, locale: "en-GB", timezoneId: "UTC", reducedMotion: "reduce" };
    const page = await (await browser.newContext(options)).newPage();
    await page.goto(url);
    await page.getByLabel("Admin password").fill(PASSWORD);
    await page.keyboard.press("Enter");
    await page.locator(".tiles").waitFor();
    return page;
  };
  const shot = (page, name) => page.screenshot({ path: join(ROOT, "docs", name), animations: "disabled" });
  try {
    await shot(await open(1280, 800), "page.png");
    const phone = await open(390, 844);
    await phone.getByRole("link", { name: "production" }).click();
    await phone.locator(".tabs a").nth(1).click();
    await phone.getByText("laptop").waitFor();
    await shot(phone, "page-phone.png");
  } finally {
    await browser.close();
  }
}

const folder = await mkdtemp(join(tmpdir(), "pictures-"));
const running = [];
try {
  const all = POOLS.flatMap((pool) => pool.keys);
  const scenario = all.map(({ key, behaviour = "ok" }) => `[[keys]]\nkey = "${key}"\nbehaviour = "${behaviour}"\n`).join("\n");
  await writeFile(join(folder, "scenario.toml"), scenario);
  const gemini = await start("examples/fake_gemini", ["--port", "0", "--scenario", join(folder, "scenario.toml")], {});
  running.push(gemini);
  const service = await start("pool-server", [], {
    PORT: "0", HOST: "127.0.0.1", DATA_DIR: join(folder, "data"), GEMINI_BASE_URL: gemini.url, ADMIN_PASSWORD: PASSWORD, MASTER_KEY: "",
  });
  running.push(service);
  await fill(service.url);
  await draw(service.url);
} finally {
  for (const program of running.reverse()) await program.stop();
  await rm(folder, { recursive: true, force: true });
}
