// All pools at a glance. In: stats, pools and health. Out: what goes through now, today and in all, pool by pool.

import { get } from "./api.js";
import { keyCounts, poolBadge, tiles } from "./counts.js";
import { h } from "./dom.js";
import { number, percent } from "./format.js";
import { t } from "./text.js";
import { row, table } from "./widgets.js";

const NOTHING = { requests: 0, successes: 0, prompt_tokens: 0, completion_tokens: 0 };
const QUIET = { rpm: 0, rpm_now: 0, tpm: 0, tpm_now: 0, rpd: 0, tpd: 0 };

/** What is wrong with the service. @param {any} health */
function trouble(health) {
  const parts = ["store", "ledger", "encryption"].map((name) => [name, health[name]]).filter(([, part]) => part && part.status !== "ok");
  if (health.status === "ok") return null;
  return h("div", { class: "note", role: "status" },
    h("strong", {}, t(`health.${health.status}`)),
    parts.map(([name, part]) => h("p", {}, `${t(name)} (${part.kind}): ${part.message ?? part.status}`)));
}

export function dashboard() {
  /** @type {any} */
  let [stats, pools, health] = [null, null, null];

  async function load() {
    const asked = await Promise.allSettled([get("stats"), get("pools"), get("health")]);
    const [newStats, newPools, newHealth] = asked.map((answer) => (answer.status === "fulfilled" ? answer.value : null));
    [stats, pools, health] = [newStats ?? stats, newPools?.pools ?? pools, newHealth ?? health];
    // What did answer is shown all the same.
    const failed = asked.find((answer) => answer.status === "rejected");
    if (failed) throw failed.reason;
  }

  function poolRow(pool) {
    const counted = stats?.pools.find((counted) => counted.pool === pool.id);
    const [total, rates] = [counted ?? NOTHING, counted?.activity.rates ?? QUIET];
    const name = h("a", { href: `#/pools/${encodeURIComponent(pool.id)}` }, pool.name);
    return row(pool.id, [
      [t("pool"), name, "name"],
      [t("state"), poolBadge(pool)],
      [t("keys"), keyCounts(pool.states, pool.keys)],
      [t("requestsToday"), number(rates.rpd), "number"],
      [t("requestsPerMinute"), number(rates.rpm), "number"],
      [t("success"), percent(total.successes, total.requests), "number"],
      [t("requests"), number(total.requests), "number"],
      [t("tokens"), number(total.prompt_tokens + total.completion_tokens), "number"],
    ]);
  }

  function poolTable() {
    const heads = ["pool", "state", "keys", "requestsToday", "requestsPerMinute", "success", "requests", "tokens"];
    const rows = pools.map(poolRow);
    if (rows.length === 0) {
      return h("p", { class: "empty" }, t("noPools"), " ", h("a", { href: "#/new" }, t("newPool")));
    }
    return table(t("pools"), heads.map((head) => t(head)), rows);
  }

  /** Their requests are in the totals, and in no row. */
  function deleted() {
    const gone = stats.pools.filter((counted) => counted.name === undefined);
    const requests = gone.reduce((sum, counted) => sum + counted.requests, 0);
    return requests > 0 && h("p", { class: "faint" }, t("deletedPools", { requests: number(requests) }));
  }

  function view() {
    if (!pools) return [h("h1", {}, t("pools")), h("p", { class: "faint" }, t("loading"))];
    return [
      h("div", { class: "title" }, h("h1", {}, t("pools")), h("a", { class: "button primary", href: "#/new" }, t("newPool"))),
      health && trouble(health),
      stats && tiles(stats.total, stats.activity.rates),
      stats && stats.lost > 0 && h("p", { class: "note" }, t("lost", { count: number(stats.lost) })),
      poolTable(),
      stats && deleted(),
    ];
  }

  return { key: "dashboard", title: () => t("pools"), view, load };
}
