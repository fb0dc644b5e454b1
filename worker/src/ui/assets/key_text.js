// Reads pasted keys, by the same rules as `poolctl` reads a key file: one key a line, or several with commas between
// them, or `key,weight,tag,name`; blank lines and lines that start with # are passed over. Which of them a line with
// commas is follows from its second field. Every line becomes entries, duplicates, or a problem with its number.

const SHORTEST = 20;
const LONGEST = 512;
const HEAVIEST = 1_000;

/**
 * @typedef {{key: string, line: number, weight?: number, tag?: string, name?: string}} Entry
 * @typedef {{line: number, reason: string}} Problem `reason` names a text of `text.js`
 */

/**
 * @param {string} text
 * @returns {{entries: Entry[], duplicateLines: number[], malformed: Problem[]}}
 */
export function readKeys(text) {
  const [entries, duplicateLines, malformed] = [[], [], []];
  const seen = new Set();
  text.replace(/^\uFEFF+/, "").split("\n").forEach((content, index) => {
    const line = index + 1;
    const trimmed = content.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return;
    for (const read of readLine(trimmed)) {
      if ("reason" in read) {
        malformed.push({ line, reason: read.reason });
      } else if (seen.has(read.key)) {
        duplicateLines.push(line);
      } else {
        seen.add(read.key);
        entries.push({ ...read, line });
      }
    }
  });
  return { entries, duplicateLines, malformed };
}

/** @param {string} line */
function readLine(line) {
  const fields = line.split(",").map((field) => field.trim());
  const second = fields[1];
  const hasColumns = second !== undefined && ((second === "" && fields.length > 2) || /^[0-9.-]+$/.test(second));
  return hasColumns ? [readColumns(fields)] : fields.filter((field) => field !== "").map((key) => checked({ key }));
}

/** @param {string[]} fields */
function readColumns([key, weight, tag = "", name = "", ...more]) {
  if (more.length > 0) return { reason: "keyColumns" };
  if (weight !== "" && !(/^[0-9]+$/.test(weight) && Number(weight) <= HEAVIEST)) return { reason: "keyWeight" };
  return checked({ key, ...(weight === "" ? {} : { weight: Number(weight) }), tag, name });
}

/** @template {{key: string}} T @param {T} entry @returns {T | {reason: string}} */
function checked(entry) {
  if (!/^[!-~]*$/.test(entry.key)) return { reason: "keyCharacter" };
  if (entry.key.length < SHORTEST) return { reason: "keyShort" };
  if (entry.key.length > LONGEST) return { reason: "keyLong" };
  return entry;
}
