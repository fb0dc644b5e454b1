// order-functions.mjs WASM OUT: gives each function of a module a name that begins with its place in an order in which
// like stands beside like. `wasm-opt --reorder-functions-by-name` then puts them there.
//
// The compiler leaves functions in the order in which it came to them. gzip finds again only what it has seen within
// the last 32 KB, so the dozens of copies of a generic function, and functions that do alike, are worth a tenth of the
// bundle when they stand together. What runs is the same.
//
// The order is greedy: of the functions left, the next one is that of which the greatest part was seen in the last
// window. "Seen" is counted in runs of a few bytes, by their hashes; two runs with one hash cost a little order and
// nothing else. The same module always gives the same order.

import { readFileSync, writeFileSync } from "node:fs";

/** How many bytes back gzip looks, less what a function itself takes up. */
const WINDOW = 28_000;
/** The length of a run. */
const RUN = 6;
/** How many hashes there are. */
const HASHES = 1 << 22;
/** A run that stands in more functions than this says nothing about any two of them. */
const COMMON = 400;
/** Very small functions are no better neighbours than others. */
const HANDICAP = 4;

const SECTION = { custom: 0, import: 2, code: 10 };
const FUNCTION_NAMES = 1;

/** Reads what a module is made of. */
class Reader {
  constructor(bytes, at = 0, end = bytes.length) {
    Object.assign(this, { bytes, at, end });
  }
  byte() {
    return this.bytes[this.at++];
  }
  number() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }
  /** The next bytes, with their length in front. */
  part() {
    const length = this.number();
    const part = new Reader(this.bytes, this.at, this.at + length);
    this.at += length;
    return part;
  }
  text() {
    const { bytes, at, end } = this.part();
    return Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString();
  }
  limits() {
    const flags = this.byte();
    this.number();
    if (flags & 1) this.number();
  }
}

/** How many of the imports are functions: they are numbered first. */
function importedFunctions(section) {
  let functions = 0;
  for (let left = section.number(); left > 0; left--) {
    section.text();
    section.text();
    const kind = section.byte();
    if (kind === 0) functions++;
    if (kind === 0) section.number();
    else if (kind === 1) section.byte(), section.limits();
    else if (kind === 2) section.limits();
    else if (kind === 3) section.at += 2;
    else if (kind === 4) section.byte(), section.number();
    else throw new Error(`an import of the unknown kind ${kind}`);
  }
  return functions;
}

function functionNames(section) {
  const names = new Map();
  while (section.at < section.end) {
    const kind = section.byte();
    const part = section.part();
    if (kind !== FUNCTION_NAMES) continue;
    for (let left = part.number(); left > 0; left--) names.set(part.number(), part.text());
  }
  return names;
}

function parse(bytes) {
  const module = { bodies: [], imported: 0, names: new Map(), kept: [] };
  const reader = new Reader(bytes, 8);
  while (reader.at < reader.end) {
    const from = reader.at;
    const kind = reader.byte();
    const section = reader.part();
    if (kind === SECTION.import) module.imported = importedFunctions(section);
    if (kind === SECTION.code) {
      for (let left = section.number(); left > 0; left--) module.bodies.push(section.part());
    }
    if (kind === SECTION.custom && section.text() === "name") module.names = functionNames(section);
    else module.kept.push(bytes.subarray(from, reader.at));
  }
  return module;
}

/** The hashes of the runs in each function that stand in others too, and for each hash the functions that have it. */
function runsOf(bytes, bodies) {
  const seen = new Int32Array(HASHES).fill(-1);
  const count = new Uint32Array(HASHES);
  const all = bodies.map(({ at, end }, number) => {
    const runs = [];
    for (let from = at; from + RUN <= end; from++) {
      let hash = 0x811c9dc5;
      for (let byte = 0; byte < RUN; byte++) hash = Math.imul(hash ^ bytes[from + byte], 0x01000193);
      hash = (hash ^ (hash >>> 15)) & (HASHES - 1);
      if (seen[hash] !== number) {
        seen[hash] = number;
        count[hash]++;
        runs.push(hash);
      }
    }
    return runs;
  });
  const runs = all.map((hashes) => hashes.filter((hash) => count[hash] > 1 && count[hash] <= COMMON));
  const holders = new Map();
  runs.forEach((hashes, number) => {
    for (const hash of hashes) {
      const held = holders.get(hash);
      if (held) held.push(number);
      else holders.set(hash, [number]);
    }
  });
  return { runs, holders };
}

function order(bytes, bodies) {
  const { runs, holders } = runsOf(bytes, bodies);
  const length = (number) => bodies[number].end - bodies[number].at;
  const score = new Int32Array(bodies.length);
  const inWindow = new Uint16Array(HASHES);
  const turn = (number, from, to, step) => {
    for (const hash of runs[number]) {
      inWindow[hash] += step;
      if (inWindow[hash] === to && inWindow[hash] - step === from) {
        for (const holder of holders.get(hash)) score[holder] += step;
      }
    }
  };
  const left = bodies.map((_, number) => number);
  const placed = [];
  let [oldest, held] = [0, 0];
  while (left.length > 0) {
    let [best, place] = [-1, 0];
    for (let at = 0; at < left.length; at++) {
      const part = score[left[at]] / (length(left[at]) + HANDICAP);
      if (part > best) [best, place] = [part, at];
    }
    const next = left[place];
    left.splice(place, 1);
    placed.push(next);
    turn(next, 0, 1, 1);
    held += length(next);
    while (held > WINDOW && oldest < placed.length - 1) {
      turn(placed[oldest], 1, 0, -1);
      held -= length(placed[oldest++]);
    }
  }
  return placed;
}

function number(value) {
  const bytes = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value > 0);
  return Buffer.from(bytes);
}

const withLength = (part) => Buffer.concat([number(part.length), part]);
const text = (value) => withLength(Buffer.from(value));

/** The section that names the functions. */
function nameSection(names) {
  const entries = [...names].sort(([one], [other]) => one - other);
  const parts = entries.flatMap(([index, name]) => [number(index), text(name)]);
  const functions = Buffer.concat([number(entries.length), ...parts]);
  const content = Buffer.concat([text("name"), Buffer.from([FUNCTION_NAMES]), withLength(functions)]);
  return Buffer.concat([Buffer.from([SECTION.custom]), withLength(content)]);
}

const [, , from, to] = process.argv;
const bytes = readFileSync(from);
const { bodies, imported, names, kept } = parse(bytes);
order(bytes, bodies).forEach((body, place) => {
  const index = imported + body;
  names.set(index, `${String(place).padStart(6, "0")} ${names.get(index) ?? ""}`);
});
writeFileSync(to, Buffer.concat([bytes.subarray(0, 8), ...kept, nameSection(names)]));
