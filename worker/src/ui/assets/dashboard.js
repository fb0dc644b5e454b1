// All pools at a glance. In: stats, pools and health. Out: what goes through now, today and in all, pool by pool.

import { get } from "./api.js";
import { NO_REQUESTS, keyCounts, poolBadge, tiles } from "./counts.js";
import { h } from "./dom.js";
import { number, percent } from "./format.js";
import { t } from "./text.js";
import { row, table } from "./widgets.js";

const NOTHING = { requests: NO_REQUESTS, attempts: 0, failures: 0, prompt_tokens: 0, completion_tokens: 0 };

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
    const { requests, attempts, failures, prompt_tokens: prompt, completion_tokens: completion } = counted ?? NOTHING;
    const name = h("a", { href: `#/pools/${encodeURIComponent(pool.id)}` }, pool.name);
    return row(pool.id, [
      [t("pool"), name, "name"],
      [t("state"), poolBadge(pool)],
      [t("keys"), keyCounts(pool.states, pool.keys)],
      [t("requestsToday"), number(requests.rates.rpd), "number"],
      [t("requestsPerMinute"), number(requests.rates.rpm), "number"],
      [t("requests"), number(requests.total), "number"],
      [t("failed"), percent(requests.failed, requests.total), "number"],
      [t("attempts"), number(attempts), "number"],
      [t("refused"), percent(failures, attempts), "number"],
      [t("tokens"), number(prompt + completion), "number"],
    ]);
  }

  function poolTable() {
    const heads = ["pool", "state", "keys", "requestsToday", "requestsPerMinute", "requests", "failed", "attempts", "refused", "tokens"];
    const rows = pools.map(poolRow);
    if (rows.length === 0) {
      return h("p", { class: "empty" }, t("noPools"), " ", h("a", { href: "#/new" }, t("newPool")));
    }
    return table(t("pools"), heads.map((head) => t(head)), rows);
  }

  /** Their requests are in the totals, and in no row. */
  function deleted() {
    const gone = stats.pools.filter((counted) => counted.name === undefined);
    const requests = gone.reduce((sum, counted) => sum + counted.requests.total, 0);
    return requests > 0 && h("p", { class: "faint" }, t("deletedPools", { requests: number(requests) }));
  }

  function view() {
    if (!pools) return [h("h1", {}, t("pools")), h("p", { class: "faint" }, t("loading"))];
    return [
      h("div", { class: "title" }, h("h1", {}, t("pools")), h("a", { class: "button primary", href: "#/new" }, t("newPool"))),
      health && trouble(health),
      stats && tiles(stats),
      stats && stats.lost > 0 && h("p", { class: "note" }, t("lost", { count: number(stats.lost) })),
      stats && stats.lost_requests > 0 && h("p", { class: "note" }, t("lostRequests", { count: number(stats.lost_requests) })),
      poolTable(),
      stats && deleted(),
    ];
  }

  return { key: "dashboard", title: () => t("pools"), view, load };
}
