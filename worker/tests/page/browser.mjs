// The browser under test, watched: whatever breaks the page's content security policy, throws, logs an error, runs what
// somebody stored, or asks another origin is a failure. POOL_URL, POOL_ADMIN_PASSWORD and POOL_BROWSER (Chromium's
// program) say where things are; POOL_SHOTS is the folder for screenshots.

import assert from "node:assert/strict";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const { POOL_URL: url, POOL_ADMIN_PASSWORD: password, POOL_SHOTS: shots } = process.env;
/** What would call `ran` if any of it were taken for HTML. It has no slash and no comma, and fits a pool's name. */
export const HOSTILE = `"'><img src=x onerror=ran()><script>ran()`;
const DESKTOP = { width: 1280, height: 800 };

let browser;

export async function start() {
  browser = await chromium.launch({
    executablePath: process.env.POOL_BROWSER,
    headless: true,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });
}

export const stop = () => browser.close();

/**
 * A new window of a new user. `expected` are the refusals that belong to the case: statuses, and Chromium's names of errors.
 * @param {{expected?: any[], viewport?: object, locale?: string, colorScheme?: string, hasTouch?: boolean}} [options]
 */
export async function open({ expected = [], ...options } = {}) {
  const context = await browser.newContext({
    baseURL: url, viewport: DESKTOP, locale: "en-GB", timezoneId: "Europe/Berlin", reducedMotion: "reduce", ...options,
  });
  context.setDefaultTimeout(15_000);
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  const window = { context, problems: [], expected: [401, ...expected] };
  const note = (problem) => window.problems.push(problem);
  await context.exposeFunction("ran", () => note("something stored was run"));
  await context.exposeFunction("violated", (what) => note(`content security policy: ${what}`));
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      globalThis.violated(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`));
  });
  const page = await context.newPage();
  const isExpected = (text) => window.expected.some((what) => text.includes(typeof what === "number" ? `status of ${what} ` : what));
  page.on("console", (message) => {
    if (message.type() === "error" && !isExpected(message.text())) note(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => note(`page: ${error.stack}`));
  page.on("dialog", (dialog) => {
    note(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== url) note(`request: ${request.url()}`);
  });
  return Object.assign(window, { page });
}

/** Ends a window, which must have had no problems. */
export async function close({ context, problems }) {
  await context.close();
  assert.deepEqual(problems, []);
}

/** Opens a window, logs in and runs a case in it. */
export async function loggedIn(options, run) {
  const window = await open(options);
  try {
    await logIn(window.page);
    await run(window.page, window);
  } catch (error) {
    await shot(window.page, `failed-${Date.now()}`);
    throw new Error(`${error.message}\nproblems: ${JSON.stringify(window.problems, null, 2)}`, { cause: error });
  }
  await close(window);
}

export async function logIn(page) {
  if (page.url() === "about:blank") await page.goto("/");
  await page.getByLabel(/Admin password|管理密码/).fill(password);
  await page.keyboard.press("Enter");
  await page.getByRole("main").waitFor();
}

/** Types into fields by their labels. */
export async function fill(scope, values) {
  for (const [label, value] of Object.entries(values)) await scope.getByLabel(label, { exact: true }).fill(value);
}

/** Presses a button. */
export const press = (scope, name) => scope.getByRole("button", { name, exact: true }).click();

/** Waits until a text is seen. */
export const see = (scope, text, options) => scope.getByText(text, options).first().waitFor();

/** Makes a pool by the page, and gives its client key and id. */
export async function createPool(page, name, keys, more = {}) {
  await page.goto("/admin/#/new");
  await fill(page.getByRole("main"), { Name: name, "Gemini keys": keys.join("\n"), ...more });
  await press(page, "Create pool");
  const dialog = page.getByRole("dialog");
  const secret = await dialog.locator("code").textContent();
  await press(dialog, "Close");
  await page.getByRole("navigation", { name: "Sections of the pool" }).waitFor();
  return { secret, id: /pools\/([^/]+)/.exec(page.url())[1] };
}

/** Asks a pool's model something, as a client would. */
export async function chat(secret, text, model = "gemini-3.8-flash") {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: text }] }),
  });
}

export const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`), animations: "disabled" });
