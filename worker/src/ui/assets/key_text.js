// Reads pasted keys, by the same rules as `poolctl` reads a key file (`shared/src/key_file.rs`, `key_text.rs`,
// `key_json.rs`): one key a line, or several with separators, or columns, or JSON; what stands around a key is no part of
// it. Every line becomes entries, duplicates, or a problem with its number. `worker/tests/page.rs` compares the two.

const SHORTEST = 20;
const LONGEST = 512;
const HEAVIEST = 1_000;
const MAX_NAMES = 3;
const MAX_TEXT = 16 * 1024;

const AROUND = "\"'`\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u00ab\u00bb\uff02\uff07[](){}<>";
const AFTER = ",;\uff0c\uff1b\u3001\\";
const SEPARATORS = ",;\t|\uff0c\uff1b\u3001";
const SPACE = /[\s\u200b-\u200f\u2060\ufeff]/;
const SAYS_SOMETHING = /[\p{Alphabetic}\p{N}]/u;
const OWN_SECRET = /^(sk-pool-|padm_|pses_)/;
const KEY_COLUMN = /^(keys?|api_key|apikey|gemini_key|gemini_api_key|google_api_key|keystring)$/;
const USUAL = ["key", "weight", "tag", "name"];

const isSpace = (/** @type {string} */ character) => SPACE.test(character);
const isAround = (/** @type {string} */ character) => AROUND.includes(character);
const isMasked = (/** @type {string} */ text) => /[\u2026\u2022\u25cf\u22ef]|\.\.\.|\*\*\*/.test(text);

/**
 * @typedef {{key: string, line: number, weight?: number, tag?: string, name?: string, project?: string}} Entry
 * @typedef {{line: number, reason: string}} Problem `reason` names a text of `text.js`
 */

/**
 * @param {string} pasted
 * @returns {{entries: Entry[], duplicateLines: number[], malformed: Problem[]}}
 */
export function readKeys(pasted) {
  const text = pasted.replace(/^\uFEFF+/, "");
  const [entries, duplicateLines, malformed] = [[], [], []];
  const seen = new Set();
  for (const found of findKeys(text)) {
    if ("reason" in found) {
      malformed.push(found);
    } else if (seen.has(found.key)) {
      duplicateLines.push(found.line);
    } else {
      seen.add(found.key);
      entries.push(found);
    }
  }
  return { entries, duplicateLines, malformed };
}

/** @param {string} text @returns {(Entry | Problem)[]} */
function findKeys(text) {
  if (text.includes("-----BEGIN ")) return [{ line: 1, reason: "keyPem" }];
  return /^[[{]/.test(trimStart(text, isSpace)) ? readJson(text) : readLines(text);
}

/** @param {string} text */
function readLines(text) {
  const found = [];
  let [header, isFirst] = [null, true];
  text.split(/\r\n|\n|\r/).forEach((content, index) => {
    const trimmed = trim(content, isSpace);
    if (saysNothing(trimmed)) return;
    if (isFirst) {
      isFirst = false;
      header = headerOf(trimmed);
      if (header) return;
    }
    for (const read of readLine(trimmed, header)) found.push({ ...read, line: index + 1 });
  });
  return found;
}

/** Blank lines, comments, fences of code, brackets alone, and `name:` or `name = [` before a list. @param {string} line */
function saysNothing(line) {
  if (/^(#|\/\/|```)/.test(line) || !(SAYS_SOMETHING.test(line) || isMasked(line))) return true;
  const opening = line.replace(/[[({|> ]+$/, "");
  const name = opening.replace(/[ =:]+$/, "");
  return ((opening.length < line.length && /[=:]$/.test(opening)) || line.endsWith(":")) && /^[A-Za-z0-9_.\-"' $]*$/.test(name);
}

/** The columns that a line names. @param {string} line */
function headerOf(line) {
  const fields = splitFields(line, separatorOf(line));
  const columns = fields.map((field) => {
    const name = trim(field, (character) => isSpace(character) || "\"'`".includes(character)).toLowerCase().replace(/[ -]/g, "_");
    if (KEY_COLUMN.test(name)) return "key";
    return ["weight", "tag", "name", "project"].includes(name) ? name : "";
  });
  return columns.includes("key") && fields.every((field) => [...field].length < 20 && !/[=:]/.test(field)) ? columns : null;
}

/** @param {string} whole @param {string[] | null} header */
function readLine(whole, header) {
  const line = withoutListMark(whole);
  const array = /=\((.*)$/s.exec(line)?.[1].replace(/[; ]+$/, "");
  if (array?.endsWith(")")) return array.slice(0, -1).split(/\s+/).filter(Boolean).map((key) => checked(key));
  const fields = splitFields(line, separatorOf(line));
  if (header && header.length > 1) return [readColumns(fields, header)];
  const second = fields[1];
  const hasColumns = second !== undefined && ((second === "" && fields.length > 2) || /^[0-9.-]+$/.test(second));
  if (hasColumns) return [readColumns(fields, USUAL)];
  const parts = fields.flatMap((field) => splitAt(field, SEPARATORS));
  return parts.filter((part) => SAYS_SOMETHING.test(part) || isMasked(part)).map((key) => checked(key));
}

/** @param {string} line */
function withoutListMark(line) {
  for (;;) {
    const marked = /^(?:[-*+\u2022>]|[0-9]+[.)])(?=[\s\u200b-\u200f\u2060\ufeff])/.exec(line);
    if (!marked) return line;
    line = trimStart(line.slice(marked[0].length), isSpace);
  }
}

/** What separates the fields of a line: whichever comes first. @param {string} line */
const separatorOf = (line) => [...line.replace(/^\|+|\|+$/g, "")].find((character) => SEPARATORS.includes(character)) ?? ",";

/** The fields of a line, by the rules of CSV. @param {string} line @param {string} separator */
function splitFields(line, separator) {
  const fields = [];
  let rest = separator === "|" ? line.replace(/^\|+|\|+$/g, "") : line;
  for (;;) {
    const [field, after] = quotedField(rest, separator) ?? plainField(rest, separator);
    fields.push(field);
    if (after === null) return fields;
    rest = after;
  }
}

/** @param {string} rest @param {string} separator @returns {[string, string | null]} */
function plainField(rest, separator) {
  const at = rest.indexOf(separator);
  return at < 0 ? [trim(rest, isSpace), null] : [trim(rest.slice(0, at), isSpace), rest.slice(at + 1)];
}

/** @param {string} rest @param {string} separator @returns {[string, string | null] | null} */
function quotedField(rest, separator) {
  const quoted = /^"((?:[^"]|"")*)"/.exec(trimStart(rest, isSpace));
  if (!quoted) return null;
  const after = trimStart(trimStart(rest, isSpace).slice(quoted[0].length), (character) => character !== separator && isSpace(character));
  const field = quoted[1].replaceAll('""', '"');
  if (after === "") return [field, null];
  return after.startsWith(separator) ? [field, after.slice(1)] : null;
}

/** @param {string[]} fields @param {string[]} columns */
function readColumns(fields, columns) {
  if (fields.length > columns.length) return { reason: "keyColumns" };
  const get = (/** @type {string} */ column) => fields[columns.indexOf(column)] ?? "";
  const weight = get("weight");
  if (weight !== "" && !isWeight(weight)) return { reason: "keyWeight" };
  const labels = { tag: get("tag"), name: get("name"), project: get("project") };
  return checked(get("key"), { ...(weight === "" ? {} : { weight: Number(weight) }), ...labels });
}

const isWeight = (/** @type {string} */ text) => /^\s*\+?[0-9]+\s*$/.test(text) && Number(text) <= HEAVIEST;

/** @param {string} text @param {object} more */
function checked(text, more = {}) {
  if (new TextEncoder().encode(text).length > MAX_TEXT) return { reason: "keyLong" };
  const key = valueOf(text);
  if (isMasked(key)) return { reason: "keyMasked" };
  if (!/^[A-Za-z0-9._-]*$/.test(key)) return { reason: "keyCharacter" };
  if (OWN_SECRET.test(key)) return { reason: "keyOwn" };
  if (key.length < SHORTEST) return { reason: "keyShort" };
  if (key.length > LONGEST) return { reason: "keyLong" };
  return { key, ...more };
}

/** What a text holds beside the name of a variable, quotes and a comment. @param {string} text */
function valueOf(text) {
  let value = bare(text);
  for (let names = 0; names < MAX_NAMES; names += 1) {
    const inner = assigned(value);
    if (inner === null) break;
    value = bare(inner);
  }
  return /^bearer /i.test(value) ? bare(value.slice(7)) : value;
}

/** The value of `…key=VALUE`, `NAME=value`, `name: value`. @param {string} text */
function assigned(text) {
  const keyAt = text.toLowerCase().indexOf("key=");
  if (keyAt >= 0) {
    const value = trimStart(text.slice(keyAt + 4), (character) => isSpace(character) || isAround(character));
    if (!/:[/]{2}|[?]/.test(text)) return value.replace(/^=+/, "");
    return splitAt(value, (character) => "&#\"'`)>".includes(character) || isSpace(character))[0];
  }
  const at = text.search(/[=:\uff1a]/);
  if (at < 1 || !/^[\p{Alphabetic}\p{N}_.\-$\s\u200b-\u200f\u2060\ufeff"'`\u201c-\u201f\u2018-\u201a\u00ab\u00bb\uff02\uff07[\](){}<>]+$/u.test(text.slice(0, at))) return null;
  // Two keys with a sign between them: the first one would be lost.
  const name = bare(text.slice(0, at));
  if (name.length >= 20 && /^(AIza|AQ\.)/.test(name)) return null;
  return text.slice(at).replace(/^[=:>\uff1a]+/, "");
}

/** Without a comment behind it, and without what stands around it. @param {string} whole */
function bare(whole) {
  let text = whole.replace(/(?<=[\s\u200b-\u200f\u2060\ufeff])(#|\/\/)[^]*$/, "");
  for (;;) {
    let shorter = trim(trimEnd(trim(text, isSpace), (character) => AFTER.includes(character)), isAround);
    if (shorter.length >= 4 && shorter.startsWith("**") && shorter.endsWith("**") && !isMasked(shorter)) shorter = shorter.slice(2, -2);
    if (shorter.length === text.length) return shorter;
    text = shorter;
  }
}

/** Every key of a text that begins like JSON, or a refusal of all of it. @param {string} text */
function readJson(text) {
  let documents;
  try {
    documents = [JSON.parse(text)];
  } catch {
    try {
      documents = text.split(/\r?\n/).filter((line) => line.trim() !== "").map((line) => JSON.parse(line));
    } catch {
      return [{ line: 1, reason: "keyJson" }];
    }
  }
  if (documents.some(holdsCredentials)) return [{ line: 1, reason: "keyServiceAccount" }];
  const [found, next] = [[], new Map()];
  let last = 0;
  const lineOf = (/** @type {string} */ key) => {
    const quoted = JSON.stringify(key);
    const from = next.get(quoted) ?? 0;
    const ahead = text.indexOf(quoted, Math.max(from, last));
    const at = ahead < 0 ? text.indexOf(quoted, from) : ahead;
    if (at >= 0) {
      next.set(quoted, at + 1);
      last = at;
    }
    // One that is written with escapes is not found; it stands near the last one.
    return text.slice(0, last).split("\n").length;
  };
  const push = (/** @type {string} */ key, /** @type {any} */ { weight, tag, name, project }) => {
    const line = lineOf(key);
    const label = (/** @type {unknown} */ value) => (typeof value === "string" ? value : "");
    const hasWeight = weight !== undefined && weight !== null;
    if (hasWeight && !isWeight(String(weight))) return found.push({ line, reason: "keyWeight" });
    const labels = { tag: label(tag), name: label(name), project: label(project) };
    return found.push({ ...checked(key, { ...(hasWeight ? { weight: Number(weight) } : {}), ...labels }), line });
  };
  const read = (/** @type {any} */ value, /** @type {boolean} */ stringsAreKeys) => {
    if (Array.isArray(value)) {
      for (const item of value) typeof item === "string" ? stringsAreKeys && push(item, {}) : read(item, stringsAreKeys);
    } else if (value && typeof value === "object") {
      for (const [name, member] of Object.entries(value)) {
        const isKey = /key/i.test(name) && !/(ids?|names?)$/i.test(name);
        if (typeof member === "string") isKey && push(member, value);
        else read(member, isKey);
      }
    }
  };
  for (const value of documents) read(value, true);
  return found.length > 0 ? found : [{ line: 1, reason: "keyJsonNone" }];
}

/** Whether a document holds other credentials of Google. @param {any} value @returns {boolean} */
function holdsCredentials(value) {
  if (!value || typeof value !== "object") return false;
  const isOne = !Array.isArray(value) && ["private_key", "client_secret", "refresh_token"].some((name) => name in value);
  return isOne || Object.values(value).some(holdsCredentials);
}

/** @param {string} text @param {string | ((character: string) => boolean)} separators */
function splitAt(text, separators) {
  const isOne = typeof separators === "string" ? (/** @type {string} */ character) => separators.includes(character) : separators;
  const parts = [""];
  for (const character of text) isOne(character) ? parts.push("") : parts.push(parts.pop() + character);
  return parts;
}

/** @param {string} text @param {(character: string) => boolean} matches */
function trimStart(text, matches) {
  let start = 0;
  while (start < text.length && matches(text[start])) start += 1;
  return text.slice(start);
}

/** @param {string} text @param {(character: string) => boolean} matches */
function trimEnd(text, matches) {
  let end = text.length;
  while (end > 0 && matches(text[end - 1])) end -= 1;
  return text.slice(0, end);
}

/** @param {string} text @param {(character: string) => boolean} matches */
const trim = (text, matches) => trimEnd(trimStart(text, matches), matches);
