// The numbers and states of a pool, or of all of them, as several pages show them.

import { h } from "./dom.js";
import { number, percent } from "./format.js";
import { t } from "./text.js";
import { badge, tile } from "./widgets.js";

/**
 * The numbers of a pool, or of all.
 * @param {any} total counters
 * @param {any} rates
 * @param {string} [span] of what time the counters are
 */
export const tiles = (total, rates, span = t("inAll")) =>
  h("dl", { class: "tiles" },
    tile(t("requestsToday"), number(rates.rpd)),
    tile(t("requestsPerMinute"), number(rates.rpm), t("now", { count: number(rates.rpm_now) })),
    tile(t("tokensPerMinute"), number(rates.tpm), t("now", { count: number(rates.tpm_now) })),
    tile(t("tokensToday"), number(rates.tpd)),
    tile(t("requests"), number(total.requests), span),
    tile(t("success"), percent(total.successes, total.requests), span),
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
