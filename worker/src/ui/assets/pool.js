// One pool: its state, what can be done with it, and one of three sections below.

import { call, get, poolPath } from "./api.js";
import { clientKeys } from "./client_keys.js";
import { poolBadge } from "./counts.js";
import { h } from "./dom.js";
import { keys } from "./keys.js";
import { overview } from "./overview.js";
import { editPool } from "./pool_forms.js";
import { t } from "./text.js";
import { ask, attempt, say } from "./widgets.js";

const SECTIONS = { overview, keys, "client-keys": clientKeys };

/**
 * @param {string} id
 * @param {string | undefined} asked the section
 * @param {{draw: () => void, refresh: () => Promise<any>}} app
 */
export function poolPage(id, asked, app) {
  const name = asked && asked in SECTIONS ? asked : "overview";
  const section = SECTIONS[name](id, app);
  /** @type {any} */
  let pool = null;

  async function load() {
    const [shown] = await Promise.all([get(poolPath(id)), section.load()]);
    pool = shown;
  }

  async function toggle() {
    const change = () => call("PATCH", poolPath(id), { enabled: !pool.enabled });
    if (pool.enabled) await ask(t("disablePool"), t("disablePoolAsk", { name: pool.name }), t("disable"), change);
    else await attempt(change);
    await app.refresh();
  }

  async function remove() {
    const text = t("deletePoolAsk", { name: pool.name, keys: pool.keys });
    if (await ask(t("deletePool"), text, t("delete"), () => call("DELETE", poolPath(id)), pool.name)) {
      say(t("deleted", { name: pool.name }));
      location.hash = "#/";
    }
  }

  async function edit() {
    if (await editPool(pool)) await app.refresh();
  }

  const button = (text, onclick, kind = null) => h("button", { type: "button", class: kind, onclick }, text);

  function view() {
    const back = h("p", {}, h("a", { href: "#/" }, `← ${t("pools")}`));
    if (!pool) return [back, h("h1", {}, t("pool")), h("p", { class: "faint" }, t("loading"))];
    const tabs = Object.keys(SECTIONS).map((tab) =>
      h("a", { href: `#/pools/${encodeURIComponent(id)}/${tab}`, "aria-current": tab === name ? "page" : null }, t(`section.${tab}`)));
    return [
      back,
      h("div", { class: "title" },
        h("h1", {}, pool.name, " ", poolBadge(pool)),
        h("div", { class: "buttons" },
          button(t("edit"), edit),
          button(pool.enabled ? t("disable") : t("enable"), toggle),
          button(t("delete"), remove, "danger"))),
      pool.description && h("p", { class: "description" }, pool.description),
      h("nav", { class: "tabs", "aria-label": t("sections") }, tabs),
      section.view(pool),
    ];
  }

  return { key: `pool ${id} ${name}`, title: () => pool?.name ?? t("pool"), view, load };
}
