// What the page's modules do without a browser: both languages say the same things, and keys are read as `poolctl` reads
// them. POOL_KEY_TEXTS is a file of texts with what the Rust parser makes of each.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readKeys } from "../../src/ui/assets/key_text.js";
import { TEXTS } from "../../src/ui/assets/text.js";

const folder = join(import.meta.dirname, "../../src/ui/assets");
const sources = readdirSync(folder).filter((name) => name.endsWith(".js") && name !== "text.js")
  .map((name) => readFileSync(join(folder, name), "utf8")).join("\n");
const { en, zh } = TEXTS;

test("both languages have the same texts with the same values in them", () => {
  assert.deepEqual(Object.keys(zh), Object.keys(en));
  const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [name, text] of Object.entries(en)) assert.deepEqual(values(zh[name]), values(text), name);
});

test("every text that is asked for is there, and every one that is there is asked for", () => {
  // A name with a value in it, as in t(`state.${state}`), stands for all that begin so.
  const fixed = [...sources.matchAll(/\bt\(\s*"([^"]+)"/g)].map(([, name]) => name);
  const families = [...sources.matchAll(/\bt\(\s*`([a-z]+\.)\$\{/g)].map(([, family]) => family);
  for (const name of fixed) assert.ok(name in en, name);
  const isUsed = (name) => families.some((family) => name.startsWith(family)) || sources.includes(`"${name}"`)
    // Names of properties that stand for texts: the batch's buttons.
    || new RegExp(`^\\s+${name}: (async )?\\(`, "m").test(sources);
  for (const name of Object.keys(en)) assert.ok(name === "lang" || isUsed(name), `nobody says ${name}`);
  for (const family of families) assert.ok(Object.keys(en).some((name) => name.startsWith(family)), family);
});

test("pasted keys are read as poolctl reads a key file", () => {
  const cases = JSON.parse(readFileSync(process.env.POOL_KEY_TEXTS, "utf8"));
  assert.ok(cases.length > 10);
  for (const { text, entries, duplicate_lines, malformed_lines } of cases) {
    const read = readKeys(text);
    const seen = read.entries.map(({ key, line, weight = 1, tag = "", name = "" }) => ({ key, line, weight, tag, name }));
    assert.deepEqual(seen, entries, text);
    assert.deepEqual(read.duplicateLines, duplicate_lines, text);
    assert.deepEqual(read.malformed.map(({ line }) => line), malformed_lines, text);
    for (const { reason } of read.malformed) assert.ok(reason in en, reason);
  }
});
