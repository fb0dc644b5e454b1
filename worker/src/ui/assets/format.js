// How numbers and times are written in the page's language. In: what the admin API tells. Out: texts.

import { locale, t } from "./text.js";

const made = new Map();

/** Formats are dear to make and are kept. @param {any} kind @param {object} options */
function format(kind, options) {
  const name = `${locale()} ${kind.name} ${JSON.stringify(options)}`;
  if (!made.has(name)) made.set(name, new kind(locale(), options));
  return made.get(name);
}

/** @param {number} value */
export const number = (value) => format(Intl.NumberFormat, {}).format(value);

/** @param {number} part @param {number} whole */
export const percent = (part, whole) =>
  whole === 0 ? "–" : format(Intl.NumberFormat, { style: "percent", maximumFractionDigits: 1 }).format(part / whole);

/** @param {string | Date} when */
export const dateTime = (when) =>
  format(Intl.DateTimeFormat, { dateStyle: "medium", timeStyle: "short" }).format(new Date(when));

/** @param {string | Date} when */
export const clock = (when) => format(Intl.DateTimeFormat, { timeStyle: "medium" }).format(new Date(when));

/** @param {number | undefined} milliseconds */
export function duration(milliseconds) {
  if (milliseconds === undefined) return "–";
  return milliseconds < 1_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`;
}

/** A time as seen from now: "in 5 minutes". @param {string} when */
export function fromNow(when) {
  const seconds = Math.round((Date.parse(when) - Date.now()) / 1_000);
  const units = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? units[3];
  return format(Intl.RelativeTimeFormat, { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

/** A duration that a person types in days as the API takes it. @param {string} days */
export const daysToSeconds = (days) => Math.round(Number(days) * 86_400);

/** Words of a list that a person typed with commas, blanks or lines between them. @param {string} text */
export const words = (text) => text.split(/[\s,;，；、]+/).filter((word) => word !== "");

/** A list for people. @param {string[]} list @param {string} [none] */
export const joined = (list, none = t("all")) => (list.length === 0 ? none : list.join(", "));
