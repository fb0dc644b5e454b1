// What a pool did: numbers, a chart, models, outcomes, and what went wrong lately.

import { get, poolPath } from "./api.js";
import { chart } from "./chart.js";
import { keyCounts, tiles } from "./counts.js";
import { h } from "./dom.js";
import { clock, dateTime, duration, joined, number, percent } from "./format.js";
import { t } from "./text.js";
import { row, select, table } from "./widgets.js";

/** What can be looked at: the query of the stats, by name. */
const SPANS = { hour: "?step=minute", day: "?step=hour", month: "?step=day", all: "" };
const EVENTS = 20;

/** @param {string} id @param {{refresh: () => Promise<any>}} app */
export function overview(id, app) {
  let span = "hour";
  /** @type {any} */
  let [stats, events] = [null, []];

  async function load() {
    const asked = span;
    const [counted, happened] = await Promise.all([
      get(poolPath(id, `/stats${SPANS[asked]}`)),
      get(`events?limit=${EVENTS}&pool=${encodeURIComponent(id)}`),
    ]);
    if (asked === span) [stats, events] = [counted, happened.events.reverse()];
  }

  function chooser() {
    const choose = (event) => {
      span = event.target.value;
      void app.refresh();
    };
    const options = Object.keys(SPANS).map((name) => [name, t(`span.${name}`)]);
    return h("div", { class: "toolbar" },
      h("label", { for: "span" }, t("period")), select(options, span, { id: "span", onchange: choose }));
  }

  function settings(pool) {
    const fact = (label, value) => [h("dt", {}, label), h("dd", {}, value)];
    const aliases = Object.entries(pool.aliases).map(([alias, model]) => `${alias} → ${model}`);
    const fallbacks = Object.entries(pool.fallbacks).map(([model, list]) => `${model} → ${list.join(", ")}`);
    return h("dl", { class: "facts" },
      fact(t("keys"), keyCounts(pool.states, pool.keys)),
      fact(t("allowedModels"), joined(pool.allowed_models)),
      aliases.length > 0 && fact(t("aliases"), joined(aliases)),
      fallbacks.length > 0 && fact(t("fallbacks"), joined(fallbacks)),
      fact(t("baseUrl"), h("code", {}, `${location.origin}/v1`)),
      fact(t("poolId"), h("code", {}, pool.id)),
      fact(t("created"), dateTime(pool.created_at)));
  }

  function models() {
    const heads = ["model", "requests", "failed", "attempts", "refused", "tokens", "half", "nearlyAll"].map((head) => t(head));
    const rows = stats.models.map((model) => row(model.model, [
      [t("model"), model.model, "name"],
      [t("requests"), number(model.requests.total), "number"],
      [t("failed"), percent(model.requests.failed, model.requests.total), "number"],
      [t("attempts"), number(model.attempts), "number"],
      [t("refused"), percent(model.failures, model.attempts), "number"],
      [t("tokens"), number(model.prompt_tokens + model.completion_tokens), "number"],
      [t("half"), duration(model.requests.latency?.p50_ms), "number"],
      [t("nearlyAll"), duration(model.requests.latency?.p95_ms), "number"],
    ]));
    return [h("h2", {}, t("models")), rows.length > 0 ? table(t("models"), heads, rows) : h("p", { class: "empty" }, t("nothingYet"))];
  }

  function clientKeys() {
    if (stats.client_keys.length === 0) return null;
    const heads = ["clientKey", "requests", "failed", "requestsToday"].map((head) => t(head));
    const rows = stats.client_keys.map(({ client_key: id, name, requests }) => row(id, [
      [t("clientKey"), name || h("code", {}, id), "name"],
      [t("requests"), number(requests.total), "number"],
      [t("failed"), percent(requests.failed, requests.total), "number"],
      [t("requestsToday"), number(requests.rates.rpd), "number"],
    ]));
    return [h("h2", {}, t("section.client-keys")), table(t("section.client-keys"), heads, rows)];
  }

  function requestOutcomes() {
    const counted = Object.entries(stats.requests.outcomes).sort(([, left], [, right]) => right - left);
    if (counted.length === 0) return null;
    const rows = counted.map(([outcome, count]) =>
      row(outcome, [[t("outcome"), t(`request.${outcome}`)], [t("requests"), number(count), "number"]]));
    return [h("h2", {}, t("requestOutcomes")), table(t("requestOutcomes"), [t("outcome"), t("requests")], rows)];
  }

  function outcomes() {
    if (stats.outcomes.length === 0) return null;
    const rows = stats.outcomes.map(({ outcome, attempts }) =>
      row(outcome, [[t("outcome"), t(`outcome.${outcome}`)], [t("attempts"), number(attempts), "number"]]));
    return [h("h2", {}, t("outcomes")), table(t("outcomes"), [t("outcome"), t("attempts")], rows)];
  }

  function failures() {
    if (events.length === 0) return null;
    const rows = events.map((event) => row(`${event.at} ${event.key} ${event.model}`, [
      [t("time"), `${dateTime(event.at)} (${clock(event.at)})`],
      [t("key"), h("code", {}, event.key)],
      [t("model"), event.model],
      [t("outcome"), t(`outcome.${event.verdict}`) + (event.count > 1 ? ` × ${number(event.count)}` : "")],
      [t("message"), event.message, "long"],
    ]));
    const heads = ["time", "key", "model", "outcome", "message"].map((head) => t(head));
    return [h("h2", {}, t("lately")), table(t("lately"), heads, rows)];
  }

  function view(pool) {
    if (!stats) return h("p", { class: "faint" }, t("loading"));
    return [
      settings(pool),
      h("h2", {}, t("traffic")),
      chooser(),
      tiles(stats, t(`span.${span}`)),
      stats.window && chart(stats.window, stats.series ?? []),
      models(), clientKeys(), requestOutcomes(), outcomes(), failures(),
    ];
  }

  return { load, view };
}
