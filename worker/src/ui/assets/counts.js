// The numbers and states of a pool, or of all of them, as several pages show them.

import { h } from "./dom.js";
import { number, percent } from "./format.js";
import { t } from "./text.js";
import { badge, tile } from "./widgets.js";

/** What a pool has that nothing was counted for. */
export const NO_REQUESTS = { total: 0, succeeded: 0, failed: 0, outcomes: {}, rates: { rpm: 0, rpm_now: 0, rpd: 0 } };

/**
 * The numbers of a pool, or of all: requests of clients first, then the attempts that were made for them.
 * @param {any} stats requests, total and activity
 * @param {string} [span] of what time the counters are
 */
export const tiles = ({ requests, total, activity: { rates } }, span = t("inAll")) =>
  h("dl", { class: "tiles" },
    tile(t("requestsToday"), number(requests.rates.rpd)),
    tile(t("requestsPerMinute"), number(requests.rates.rpm), t("now", { count: number(requests.rates.rpm_now) })),
    tile(t("requests"), number(requests.total), span),
    tile(t("failed"), percent(requests.failed, requests.total), span),
    tile(t("attemptsPerMinute"), number(rates.rpm), t("now", { count: number(rates.rpm_now) })),
    tile(t("attempts"), number(total.attempts), span),
    tile(t("refused"), percent(total.failures, total.attempts), span),
    tile(t("tokensPerMinute"), number(rates.tpm), t("now", { count: number(rates.tpm_now) })),
    tile(t("tokensToday"), number(rates.tpd)),
    tile(t("promptTokens"), number(total.prompt_tokens), span),
    tile(t("answerTokens"), number(total.completion_tokens), span));

/** Whether a pool is on. @param {any} pool */
export const poolBadge = (pool) => (pool.enabled ? badge("good", t("on")) : badge("off", t("off")));

/** How a pool's keys stand. @param {Record<string, number>} states @param {number} keys */
export function keyCounts(states, keys) {
  const known = Object.keys(states ?? {}).length > 0;
  if (!known && keys > 0) return [t("keysUnknown", { total: number(keys) })];
  const { healthy = 0, ...others } = states ?? {};
  const rest = Object.entries(others).map(([state, count]) => badge(state, `${number(count)} ${t(`state.${state}`)}`));
  return [t("keysUsable", { usable: number(healthy), total: number(keys) }), " ", rest];
}
