// A small chart of what a pool did, step by step. In: a window and its series. Out: an SVG element, and in words what it
// shows.

import { h } from "./dom.js";
import { clock, dateTime, number } from "./format.js";
import { t } from "./text.js";

const STEP_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const [WIDTH, HEIGHT] = [600, 120];

/**
 * @param {{since: string, until: string, step: "minute" | "hour" | "day"}} window
 * @param {{at: string, requests: {total: number, failed: number}}[]} series without the steps in which nothing was counted
 */
export function chart({ since, until, step }, series) {
  const [start, length] = [Date.parse(since), STEP_MS[step]];
  const steps = Math.max(1, Math.round((Date.parse(until) - start) / length));
  const most = Math.max(1, ...series.map((point) => point.requests.total));
  const wide = WIDTH / steps;
  const name = step === "minute" ? clock : dateTime;
  const bars = series.map((point) => {
    const x = Math.round((Date.parse(point.at) - start) / length) * wide;
    const [tall, failed] = [point.requests.total, point.requests.failed].map((count) => (count / most) * HEIGHT);
    const bar = (kind, y, height) =>
      h("rect", { class: kind, x: x.toFixed(2), y: y.toFixed(2), width: (wide * 0.8).toFixed(2), height: height.toFixed(2) });
    const text = `${name(point.at)}: ${number(point.requests.total)}, ${t("failures")} ${number(point.requests.failed)}`;
    return h("g", {}, h("title", {}, text), bar("requests", HEIGHT - tall, tall), bar("failures", HEIGHT - failed, failed));
  });
  const label = t(`chart.${step}`, { most: number(series.length === 0 ? 0 : most) });
  const svg = { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label };
  return h("figure", {},
    h("figcaption", {}, label),
    h("svg", svg, h("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), bars),
    h("div", { class: "ends faint" }, h("span", {}, dateTime(since)), h("span", {}, dateTime(until))));
}
