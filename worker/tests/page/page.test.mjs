// The page as people use it, in a real browser. POOL_KEYS is a file of Gemini keys by how the stand-in treats them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { HOSTILE, chat, close, createPool, fill, logIn, loggedIn, open, password, press, see, shot, start, stop, url } from "./browser.mjs";

const KEYS = JSON.parse(readFileSync(process.env.POOL_KEYS, "utf8"));
const GOOD = KEYS.good;
const key = (number) => `AIzaSyPage-${String(number).padStart(28, "0")}`;

before(start);
after(stop);

/** The row of a table that holds a text. */
const rowOf = (page, text) => page.getByRole("row").filter({ hasText: text });
/** The number in a tile. */
const tile = (page, label) => page.locator(".tile").filter({ has: page.locator("dt", { hasText: new RegExp(`^${label}$`) }) }).locator("dd");
/** Waits until a locator's text is this. */
async function says(locator, text) {
  await locator.filter({ hasText: text }).first().waitFor();
}
const section = (page, name) => page.getByRole("navigation", { name: "Sections of the pool" }).getByRole("link", { name }).click();

test("a wrong password is told, the right one opens the page, and logging out closes it", async () => {
  const window = await open();
  const { page } = window;
  await page.goto("/");
  assert.equal(new URL(page.url()).pathname, "/admin/");
  await page.getByLabel("Admin password").fill("wrong horse battery staple");
  await press(page, "Log in");
  await see(page, "Wrong password.");
  await logIn(page);
  await page.getByRole("heading", { level: 1, name: "Pools" }).waitFor();
  const cookies = await window.context.cookies();
  assert.ok(cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === "Strict");
  assert.deepEqual(await page.evaluate(() => [document.cookie, Object.keys(localStorage), Object.keys(sessionStorage)]), ["", [], []]);
  await press(page, "Log out");
  await page.getByLabel("Admin password").waitFor();
  assert.equal(await page.getByRole("main").count(), 0);
  await close(window);
});

test("a session that ends leads to the login, and on from there", async () => {
  await loggedIn({}, async (page) => {
    await page.goto("/admin/#/new");
    await page.getByLabel("Name", { exact: true }).fill("half typed");
    await page.getByLabel("Gemini keys").fill(key(1));
    await loggedIn({}, async (other) => {
      await press(other, "Log out everywhere");
      await press(other.getByRole("dialog"), "Log out everywhere");
      await other.getByLabel("Admin password").waitFor();
    });
    await press(page, "Create pool");
    await see(page, "Your session has ended.");
    await logIn(page);
    assert.equal(await page.getByLabel("Gemini keys").inputValue(), key(1), "nothing that was pasted is lost");
    await press(page, "Create pool");
    await see(page.getByRole("dialog"), "Pool “half typed” is ready");
  });
});

test("a pool is made of pasted keys, used, and counted without a reload", async () => {
  await loggedIn({}, async (page) => {
    await page.getByRole("link", { name: "New pool" }).first().click();
    const lines = [`# ours`, `${GOOD[0]},3,team-a,laptop`, "too-short", GOOD[1], GOOD[0], `${GOOD[2]},5000`];
    await fill(page.getByRole("main"), {
      Name: "counted", Description: "for the numbers", "Gemini keys": lines.join("\n"), Weight: "2", "Allowed models": "gemini-*",
    });
    await press(page, "Create pool");
    const dialog = page.getByRole("dialog");
    await see(dialog, "2 added, 1 duplicates, 2 invalid.");
    await see(dialog, "Line 3: too short for a Gemini key");
    await see(dialog, "Line 6: the weight is not a whole number from 0 to 1000");
    assert.equal(await dialog.getByLabel("Not added: fix and try again").inputValue(), `too-short\n${GOOD[2]},5000`);
    const secret = await dialog.locator("code").textContent();
    assert.match(secret, /^sk-pool/);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    // What is shown once is not closed by mistake.
    await press(dialog, "Copy");
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
    await press(dialog, "Close");
    await says(rowOf(page, "laptop").locator("td"), "#team-a");
    assert.equal(await page.getByText(secret).count(), 0);

    await page.getByRole("link", { name: "Pools", exact: true }).first().click();
    const row = rowOf(page, "counted");
    await says(row, "2 of 2 healthy");
    const cell = (name) => row.locator(`td[data-label="${name}"]`);
    assert.equal(await cell("Requests today").textContent(), "0");
    const total = Number(await tile(page, "Requests").evaluate((node) => node.firstChild.data));
    for (const text of ["one", "two", "three"]) assert.equal((await chat(secret, text)).status, 200);
    await says(cell("Requests today"), "3");
    await says(cell("Failed"), "0%");
    await says(cell("Attempts"), "3");
    await says(tile(page, "Requests"), String(total + 3));

    await row.getByRole("link").click();
    await page.getByRole("img", { name: "Requests per minute" }).waitFor();
    await says(rowOf(page, "gemini-3.8-flash").first(), "3");
    await page.getByLabel("Period").selectOption("all");
    await says(tile(page, "Failed"), "0%");
    await says(tile(page, "Attempts"), "3");
    await says(rowOf(page, "complete response"), "3");
  });
});

test("a pool is changed, switched off and on, and deleted", async () => {
  await loggedIn({ expected: [409] }, async (page) => {
    await createPool(page, "taken", []);
    const { secret } = await createPool(page, "before", [GOOD[0]]);
    await press(page, "Edit");
    const dialog = page.getByRole("dialog");
    await fill(dialog, { Name: "taken", Description: "changed" });
    await press(dialog, "Save");
    await see(dialog, /Request req_/);
    assert.equal(await dialog.getByLabel("Description").inputValue(), "changed");
    await fill(dialog, { Name: "after" });
    await press(dialog, "Fetch model list from Gemini");
    await press(dialog, "+ gemini-3.8-flash");
    await dialog.getByText("More settings").click();
    await fill(dialog, { Aliases: "gpt-4o = gemini-3.8-flash", "Fallback models": "* = gemini-2.5-flash, gemini-3.8-flash" });
    await dialog.getByLabel("Session affinity").check();
    await dialog.getByLabel("Pass-through").check();
    const translation = dialog.getByLabel("Request conversion");
    await translation.fill((await translation.inputValue()).replace('"strict_params": false', '"strict_params": true'));
    await press(dialog, "Save");
    await page.getByRole("heading", { level: 1, name: "after" }).waitFor();
    await section(page, "Overview");
    await see(page, "gpt-4o → gemini-3.8-flash");
    await see(page, "* → gemini-2.5-flash, gemini-3.8-flash");
    assert.equal((await chat(secret, "hello", "gpt-4o")).status, 200);
    assert.equal((await chat(secret, "hello", "gemini-2.5-pro")).status, 403);
    assert.equal((await fetch(`${url}/v1beta/models`, { headers: { "x-goog-api-key": secret } })).status, 200);

    await press(page, "Disable");
    await press(page.getByRole("dialog"), "Disable");
    await says(page.getByRole("heading", { level: 1 }), "off");
    assert.equal((await chat(secret, "hello")).status, 403);
    await press(page, "Enable");
    await says(page.getByRole("heading", { level: 1 }), /on$/);
    assert.equal((await chat(secret, "hello")).status, 200);

    await press(page, "Delete");
    await dialog.getByRole("textbox").fill("aft");
    await press(dialog, "Delete");
    assert.equal(await dialog.getByRole("textbox").evaluate((input) => input.validity.customError), true);
    await dialog.getByRole("textbox").fill("after");
    await press(dialog, "Delete");
    await see(page, "“after” is deleted.");
    await rowOf(page, "taken").waitFor();
    assert.equal(await page.getByRole("row").filter({ has: page.getByRole("link", { name: "after", exact: true }) }).count(), 0);
  });
});

test("keys are searched, filtered, selected and changed together", async () => {
  await loggedIn({}, async (page) => {
    const pasted = [`${GOOD[0]},1,team-a,first`, `${GOOD[1]},1,team-a,second`, `${KEYS.invalid},1,team-b,third`, `${GOOD[2]},1,team-b,fourth`];
    await createPool(page, "batch", pasted);
    const boxes = page.getByRole("row").getByRole("checkbox");
    const all = page.getByLabel(/^Select all/);
    const state = (box) => box.evaluate(({ checked, indeterminate }) => [checked, indeterminate]);
    await rowOf(page, "fourth").waitFor();
    assert.equal(await page.getByRole("button", { name: "Disable", exact: true }).last().isDisabled(), true);
    await see(page, "No keys are selected");
    await boxes.first().check();
    await see(page, "1 selected");
    assert.deepEqual(await state(all), [false, true]);
    await all.check();
    await see(page, "4 selected");
    assert.deepEqual(await state(all), [true, false]);

    // What is out of sight is not selected.
    await page.getByLabel("Search by name, tag or key").fill("team-b");
    await see(page, "1–2 of 2");
    await see(page, "No keys are selected");
    await all.check();
    const group = page.getByRole("group", { name: "Selected keys" });
    const dialog = page.getByRole("dialog");
    await press(group, "Disable");
    await press(dialog, "Disable");
    await see(page, "Keys changed: 2.");
    await says(rowOf(page, "third"), "disabled");
    await page.getByLabel("Search by name, tag or key").fill("");
    await see(page, "1–4 of 4");
    await page.getByLabel("State").selectOption("disabled");
    await see(page, "1–2 of 2");
    assert.equal(await boxes.count(), 2);
    await all.check();
    await press(group, "Enable");
    await see(page, "No matching keys.");
    await page.getByLabel("State").selectOption("");
    await see(page, "1–4 of 4");

    await boxes.nth(0).check();
    await boxes.nth(1).check();
    await press(group, "Weight");
    await dialog.getByLabel("Weight").fill("7");
    await press(dialog, "Save");
    await says(rowOf(page, "first").locator('td[data-label="Weight"]'), "7");
    await says(rowOf(page, "second").locator('td[data-label="Weight"]'), "7");
    await press(group, "Copy");
    await see(dialog, "The audit log records it.");
    await press(dialog, "Read keys");
    await press(dialog, "Copy");
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), GOOD.slice(0, 2).join("\n"));
    await press(dialog, "Close");

    await all.check();
    await press(group, "Check");
    await says(rowOf(dialog, "API key not valid"), "invalid");
    assert.equal(await dialog.getByText("valid", { exact: true }).count(), 3);
    await press(dialog, "Close");
    await says(rowOf(page, "third"), /suspect|invalid/);

    await page.getByRole("row").filter({ hasText: "fourth" }).getByRole("button", { name: /^Edit/ }).click();
    await fill(dialog, { Name: "renamed", Tag: "team-c" });
    await press(dialog, "Save");
    await says(rowOf(page, "renamed"), "#team-c");
    await rowOf(page, "third").getByRole("checkbox").check();
    if (await all.isChecked()) await all.uncheck();
    for (const box of await boxes.all()) await box.uncheck();
    await rowOf(page, "third").getByRole("checkbox").check();
    await press(group, "Delete");
    await see(dialog, "Keys to delete permanently: 1.");
    await press(dialog, "Delete");
    await see(page, "1–3 of 3");
    assert.equal(await rowOf(page, "third").count(), 0);
  });
});

test("keys are added, and what is refused stays to be mended", async () => {
  await loggedIn({ expected: ["net::ERR_FAILED"] }, async (page) => {
    await createPool(page, "grows", [GOOD[0]]);
    await press(page, "Add keys");
    const dialog = page.getByRole("dialog");
    const many = Array.from({ length: 1_100 }, (_, number) => key(number + 10));
    await dialog.getByLabel("Gemini keys").fill([GOOD[0], "short", ...many].join("\n"));
    await page.route("**/keys/import", (route) => route.abort(), { times: 1 });
    await press(dialog, "Add keys");
    await see(dialog, "The service cannot be reached.");
    assert.ok((await dialog.getByLabel("Gemini keys").inputValue()).startsWith(GOOD[0]), "nothing is lost");
    await press(dialog, "Add keys");
    await see(dialog, "1,100 added, 1 duplicates, 1 invalid.");
    // As the box numbers it now.
    await see(dialog, "Line 1: too short for a Gemini key");
    assert.equal(await dialog.getByLabel("Gemini keys").inputValue(), "short");
    await dialog.getByLabel("Gemini keys").fill(GOOD[1]);
    await press(dialog, "Add keys");
    await see(page, "1 added, 0 duplicates, 0 invalid.");
    await see(page, "1–100 of 1,102");
    const previous = page.getByRole("button", { name: "Previous" });
    assert.equal(await previous.isDisabled(), true);
    await press(page, "Next");
    await see(page, "101–200 of 1,102");
    await press(page, "Previous");
    await see(page, "1–100 of 1,102");
  });
});

test("client keys are made, changed, replaced and revoked", async () => {
  await loggedIn({ expected: [400] }, async (page) => {
    await createPool(page, "clients", [GOOD[0]]);
    await section(page, "Client keys");
    await says(rowOf(page, "first"), "never");
    await press(page, "New client key");
    const dialog = page.getByRole("dialog");
    await fill(dialog, {
      Name: "laptop", "Expires after (days)": "30", "requests / min": "60", "tokens / day": "5000",
      "Allowed models": "gemini-3.8-*", Networks: "nowhere",
    });
    await press(dialog, "Create");
    await see(dialog, "'nowhere' is not a network such as 192.0.2.0/24");
    await fill(dialog, { Networks: "127.0.0.0/8\n::1/128" });
    await press(dialog, "Create");
    const first = await dialog.locator("code").textContent();
    await press(dialog, "Close");
    for (const text of ["60 requests / min", "5,000 tokens / day", "gemini-3.8-*", "127.0.0.0/8"]) await says(rowOf(page, "laptop"), text);

    await press(page, `Edit laptop (…${first.slice(-4)})`);
    await fill(dialog, { Name: "desktop", "requests / min": "" });
    await dialog.getByLabel("never").check();
    await press(dialog, "Save");
    await says(rowOf(page, "desktop").locator('td[data-label="Expires"]'), "never");
    await says(rowOf(page, "desktop").locator('td[data-label="Limits"]'), /^5,000 tokens \/ day$/);

    await press(page, `Rotate desktop (…${first.slice(-4)})`);
    await fill(dialog, { "Grace period of the old key (hours)": "0" });
    await press(dialog, "Rotate");
    await see(dialog, "shown only once");
    const second = await dialog.locator("code").textContent();
    await press(dialog, "Close");
    assert.notEqual(first, second);
    assert.equal((await chat(first, "hello")).status, 401);

    await press(page, `Revoke desktop (…${second.slice(-4)})`);
    await press(dialog, "Revoke");
    await rowOf(page, second.slice(-4)).waitFor({ state: "detached" });
    assert.equal((await chat(second, "hello")).status, 401);
  });
});

test("what anybody typed is shown as text, wherever it is shown", async () => {
  await loggedIn({ expected: [400, 404, 409] }, async (page) => {
    const dialog = page.getByRole("dialog");
    await page.goto("/admin/#/new");
    const typed = { Name: HOSTILE, Description: `${HOSTILE}</script>`, "Gemini keys": `${GOOD[0]},1,${HOSTILE},${HOSTILE}\n${HOSTILE}`, "Allowed models": HOSTILE };
    await fill(page.getByRole("main"), typed);
    await press(page, "Create pool");
    await see(page, "allowed_models[0] is not a model id");
    await fill(page.getByRole("main"), { "Allowed models": "" });
    await press(page, "Create pool");
    await see(dialog, `Pool “${HOSTILE}” is ready`);
    await press(dialog, "Close");
    await says(rowOf(page, `${HOSTILE} #${HOSTILE}`), "healthy");
    await see(page, `${HOSTILE}</script>`);
    assert.ok((await page.title()).startsWith(HOSTILE));

    await page.getByLabel("Search by name, tag or key").fill(HOSTILE);
    await see(page, "1–1 of 1");
    await page.getByRole("button", { name: /^Edit AIza/ }).click();
    await fill(dialog, { Name: `${HOSTILE}2`, Tag: HOSTILE, "Google project": HOSTILE });
    await press(dialog, "Save");
    await rowOf(page, `${HOSTILE}2`).waitFor();

    await press(page, "Edit");
    await dialog.getByText("More settings").click();
    await fill(dialog, { "Fallback models": HOSTILE });
    await press(dialog, "Save");
    await see(dialog, HOSTILE);
    await fill(dialog, { "Fallback models": `${HOSTILE} = x` });
    await press(dialog, "Save");
    await see(dialog, "fallbacks: a list belongs to");
    await fill(dialog, { "Fallback models": "", Aliases: `${HOSTILE} = gemini-3.8-flash`, "Request conversion": HOSTILE });
    await press(dialog, "Save");
    await see(dialog, "The value is not a JSON object.");
    await fill(dialog, { "Request conversion": JSON.stringify({ [HOSTILE]: HOSTILE }) });
    await press(dialog, "Save");
    await see(dialog, /Request req_/);
    await fill(dialog, { "Request conversion": "{}" });
    await press(dialog, "Save");
    await dialog.waitFor({ state: "detached" });
    await section(page, "Overview");
    await see(page, `${HOSTILE} → gemini-3.8-flash`);

    await section(page, "Client keys");
    await press(page, "New client key");
    await fill(dialog, { Name: HOSTILE, "Allowed models": HOSTILE, Networks: "" });
    await press(dialog, "Create");
    await see(dialog, "is not a model id");
    await fill(dialog, { "Allowed models": "", Networks: HOSTILE.replaceAll(" ", "") });
    await press(dialog, "Create");
    await see(dialog, "is not a network such as");
    await fill(dialog, { Networks: "" });
    await press(dialog, "Create");
    await press(dialog, "Close");
    await rowOf(page, HOSTILE).waitFor();
    await page.getByRole("button", { name: `Revoke ${HOSTILE}` }).click();
    await see(dialog, HOSTILE);
    await press(dialog, "Cancel");

    await press(page, "Delete");
    await see(dialog, `Type “${HOSTILE}” to confirm`);
    await press(dialog, "Cancel");
    await page.goto(`/admin/#/pools/${encodeURIComponent(HOSTILE)}x`);
    await see(page, "no pool");
    await page.goto("/admin/#/");
    await rowOf(page, HOSTILE).waitFor();
    assert.equal(await page.locator("img[onerror], main script").count(), 0);
  });
});

test("a keyboard is enough to log in and to make a pool", async () => {
  const window = await open();
  const { page } = window;
  await page.goto("/admin/");
  await page.getByLabel("Admin password").waitFor();
  const type = async (...keys) => {
    for (const one of keys) await (one.length > 1 && /^[A-Z][A-Za-z]+(\+|$)/.test(one) ? page.keyboard.press(one) : page.keyboard.insertText(one));
  };
  /** Goes on by Tab until something of that name has the focus, which must be seen. */
  const tabTo = async (name) => {
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press("Tab");
      const [label, outline] = await page.evaluate(() => {
        const focused = document.activeElement;
        const text = focused.labels?.[0]?.textContent ?? focused.getAttribute("aria-label") ?? focused.textContent;
        return [text.trim(), getComputedStyle(focused).outlineStyle];
      });
      if (label === name) {
        assert.notEqual(outline, "none", `the focus on ${name} is not seen`);
        return;
      }
    }
    assert.fail(`Tab does not lead to ${name}`);
  };
  await page.keyboard.insertText(password);
  await type("Enter");
  await page.getByRole("heading", { level: 1, name: "Pools" }).waitFor();
  await page.evaluate(() => document.activeElement?.blur());
  await tabTo("Skip to the content");
  await type("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await tabTo("New pool");
  await type("Enter");
  await page.getByRole("heading", { level: 1, name: "New pool" }).waitFor();
  await tabTo("Name");
  await page.keyboard.insertText("by keyboard");
  await tabTo("Gemini keys");
  await page.keyboard.insertText(GOOD[0]);
  await tabTo("Create pool");
  await type("Enter");
  await see(page.getByRole("dialog"), "Pool “by keyboard” is ready");
  await tabTo("Close");
  await type("Enter");
  await page.getByRole("heading", { level: 1, name: "by keyboard" }).waitFor();
  await tabTo(`Select all 1 shown`);
  await type("Space");
  await see(page, "1 selected");
  await close(window);
});

test("when the service is away the page says so, and goes on by itself", async () => {
  await loggedIn({ expected: ["net::ERR_FAILED"] }, async (page) => {
    await see(page, "As of");
    // Coming back to a page asks at once, so that nobody has to wait for the next round.
    const comeBack = () => page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await page.route("**/admin/v1/**", (route) => route.abort());
    await comeBack();
    await see(page, "Update failed");
    await page.getByRole("heading", { level: 1, name: "Pools" }).waitFor();
    await page.unroute("**/admin/v1/**");
    await comeBack();
    await see(page, "As of");
    assert.equal(await page.getByText("Update failed").count(), 0);
  });
});

test("when nobody is there the page stops asking, so that the session can end", async () => {
  const window = await open();
  const { page } = window;
  await page.clock.install();
  await logIn(page);
  await see(page, "As of");
  await page.clock.fastForward("16:00");
  await see(page, "Paused because of inactivity.");
  let asked = 0;
  page.on("request", () => {
    asked += 1;
  });
  await page.clock.fastForward("05:00");
  assert.equal(asked, 0);
  await page.mouse.move(100, 100);
  await see(page, "As of");
  assert.ok(asked > 0);
  await close(window);
});

test("it is told in two languages, by day and by night, and remembered", async () => {
  await loggedIn({ colorScheme: "dark" }, async (page) => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await ground();
    await press(page, "Theme: auto");
    const light = await ground();
    assert.notEqual(light, dark);
    await press(page, "Theme: light");
    assert.equal(await ground(), dark);
    await press(page, "Theme: dark");
    await press(page, "Theme: auto");
    await press(page, "中文");
    await page.getByRole("heading", { level: 1, name: "密钥池" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { level: 1, name: "密钥池" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-CN");
    assert.equal(await ground(), light);
  });
  const window = await open({ locale: "zh-CN" });
  await window.page.goto("/");
  await window.page.getByLabel("管理密码").waitFor();
  await close(window);
});

const SIZES = { desktop: { viewport: { width: 1280, height: 800 } }, phone: { viewport: { width: 390, height: 844 }, hasTouch: true } };

for (const [size, device] of Object.entries(SIZES)) {
  for (const [look, locale, colorScheme] of [["light-en", "en-GB", "light"], ["dark-zh", "zh-CN", "dark"]]) {
    test(`screenshots: ${size} ${look}`, async () => {
      const window = await open({ ...device, locale, colorScheme });
      const { page } = window;
      const seen = async (name) => {
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${name} is ${overflow} pixels too wide`);
        await shot(page, `${name}-${size}-${look}`);
      };
      await page.goto("/");
      await page.locator("#password").waitFor();
      await seen("login");
      await logIn(page);
      const link = page.getByRole("link", { name: "counted" });
      await link.waitFor();
      await page.locator(".tiles").waitFor();
      await seen("dashboard");
      await page.goto("/admin/#/new");
      await page.locator("#keys").waitFor();
      await seen("new-pool");
      await page.goto("/admin/#/");
      await link.click();
      await page.locator("figure").waitFor();
      await seen("overview");
      await page.locator(".tabs a").nth(1).click();
      await page.locator("#all").check();
      await page.locator("tr.selected").first().waitFor();
      await seen("keys");
      await page.locator(".tabs a").nth(2).click();
      await page.locator("table").waitFor();
      await seen("client-keys");
      await page.locator(".toolbar button").click();
      await page.locator("dialog").waitFor();
      await seen("new-client-key");
      // A phone at its narrowest.
      if (size === "phone") {
        await page.keyboard.press("Escape");
        await page.setViewportSize({ width: 360, height: 740 });
        await seen("narrow");
      }
      await close(window);
    });
  }
}

test("a phone shows a pool with many faults within its width", async () => {
  const window = await open(SIZES.phone);
  const { page } = window;
  const states = { healthy: 168, suspect: 2, cooling: 21, limited: 19, billing: 4, blocked: 3, suspended: 1, invalid: 12, leaked: 2 };
  await page.route("**/admin/v1/pools", async (route) => {
    const response = await route.fetch();
    const list = await response.json();
    const keys = Object.values(states).reduce((sum, count) => sum + count);
    await route.fulfill({ response, json: { ...list, pools: list.pools.map((pool) => ({ ...pool, keys, enabled_keys: keys, states })) } });
  });
  await logIn(page);
  await page.getByText("12 invalid").first().waitFor();
  for (const width of [390, 360, 320]) {
    await page.setViewportSize({ width, height: 844 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels too wide at ${width}`);
    await shot(page, `faults-${width}`);
  }
  await close(window);
});

test("after too many wrong passwords the page says how long to wait, and then lets in", async () => {
  const window = await open({ expected: [429] });
  const { page } = window;
  await page.goto("/");
  const wait = page.getByRole("button", { name: /wait \d+ s/ });
  for (let tries = 0; tries < 8; tries += 1) {
    await page.getByLabel("Admin password").fill("wrong horse battery staple");
    const answered = page.waitForResponse("**/admin/v1/session");
    await press(page, "Log in");
    if ((await answered).status() === 429) break;
  }
  await see(page, "too many failed logins");
  assert.equal(await wait.isDisabled(), true);
  await page.getByRole("button", { name: "Log in", exact: true }).waitFor();
  await logIn(page);
  await page.getByRole("heading", { level: 1, name: "Pools" }).waitFor();
  await close(window);
});
