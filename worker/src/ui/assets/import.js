// Adding keys to a pool. In: pasted text. Out: entries for the service, and a report line by line. Never here: a pasted
// line that is lost because it, or another one, was refused.

import { call, chunks, poolPath } from "./api.js";
import { h } from "./dom.js";
import { number } from "./format.js";
import { readKeys } from "./key_text.js";
import { t } from "./text.js";
import { dialog, field, numberInput, say } from "./widgets.js";

/** Keys in one request. */
export const MOST_KEYS = 1_000;

/**
 * @typedef {{added: number, duplicate: number, malformed: {line: number, reason: string}[]}} Report
 */

/** The fields to paste keys into. @param {boolean} required */
export const keyFields = (required) => [
  field(t("geminiKeys"), h("textarea", {
    id: "keys", name: "keys", rows: 8, required, autocomplete: "off", spellcheck: "false", class: "code",
    placeholder: "AIza…\nAIza…,3,tag,name",
  }), t("keysHint")),
  field(t("defaultWeight"), numberInput("weight", 1, { id: "weight", max: 1_000, required: true }), t("weightHint")),
];

/** What was pasted, as the service takes it. @param {FormData} data */
export function pastedKeys(data) {
  const { entries, duplicateLines, malformed } = readKeys(String(data.get("keys") ?? ""));
  const usual = Number(data.get("weight") ?? 1);
  return {
    entries: entries.map((entry) => ({ ...entry, weight: entry.weight ?? usual })),
    report: { added: 0, duplicate: duplicateLines.length, malformed: malformed.map(({ line, reason }) => ({ line, reason: t(reason) })) },
  };
}

/**
 * Sends entries, as many at a time as a request takes.
 * @param {string} id the pool
 * @param {object[]} entries
 * @param {Report} report is added to
 */
export async function sendKeys(id, entries, report) {
  for (const keys of chunks(entries, MOST_KEYS)) {
    addReport(report, await call("POST", poolPath(id, "/keys/import"), { keys }));
  }
}

/** @param {Report} report @param {Report} more */
export function addReport(report, more) {
  report.added += more.added;
  report.duplicate += more.duplicate;
  report.malformed = [...report.malformed, ...more.malformed].sort((a, b) => a.line - b.line);
}

/** A report in words. @param {Report} report */
export const reportTexts = ({ added, duplicate, malformed }) => [
  h("p", {}, t("imported", { added: number(added), duplicate: number(duplicate), malformed: number(malformed.length) })),
  malformed.length > 0 && h("ul", { class: "report" },
    malformed.map(({ line, reason }) => h("li", {}, t("lineProblem", { line: number(line), reason })))),
];

/** The lines of a text that a report names, to be mended. @param {string} text @param {Report} report */
export function refusedLines(text, { malformed }) {
  const lines = text.split("\n");
  return malformed.map(({ line }) => line).filter((line, index, all) => all.indexOf(line) === index)
    .map((line) => lines[line - 1]).join("\n");
}

/** A report whose lines are those of what [`refusedLines`] leaves. @param {Report} report @returns {Report} */
function renumbered(report) {
  const lines = [...new Set(report.malformed.map(({ line }) => line))];
  return { ...report, malformed: report.malformed.map(({ line, reason }) => ({ line: lines.indexOf(line) + 1, reason })) };
}

/** Asks for keys and adds them; what was refused stays in the box. @param {string} id the pool */
export async function addKeys(id) {
  let changed = false;
  const outcome = h("div", { role: "status" });
  await dialog({
    title: t("addKeys"),
    wide: true,
    submit: t("addKeys"),
    close: t("close"),
    body: [...keyFields(true), outcome],
    act: async (form) => {
      const area = form.elements.namedItem("keys");
      const { entries, report } = pastedKeys(new FormData(form));
      outcome.replaceChildren();
      await sendKeys(id, entries, report);
      changed = true;
      area.value = refusedLines(area.value, report);
      const texts = reportTexts(renumbered(report)).filter(Boolean);
      // All of it is there: nothing is left to be mended.
      if (area.value === "") return say(h("div", {}, texts));
      outcome.replaceChildren(...texts);
      return true;
    },
  });
  return changed;
}
