// A pool's Gemini keys: searched, filtered, selected, changed together. What is selected is always seen: another search,
// filter or page begins with nothing selected, so that no batch reaches a key that is out of sight.

import { call, chunks, get, poolPath } from "./api.js";
import { h } from "./dom.js";
import { dateTime, fromNow, number, percent } from "./format.js";
import { addKeys } from "./import.js";
import { t } from "./text.js";
import { ask, attempt, badge, copyButton, dialog, field, numberInput, problem, row, say, select, table } from "./widgets.js";

const PAGE = 100;
const STATES = ["healthy", "cooling", "limited", "suspect", "invalid", "leaked", "suspended", "billing", "blocked", "disabled"];
/** States that last until a recheck succeeds. */
const RECHECKED = ["suspect", "invalid", "leaked", "suspended", "billing", "blocked"];
/** Counts of the keys are asked for less often than their states: they are long where there are many keys. */
const COUNTS_EVERY_MS = 60_000;
/** Keys in one request. */
const [MOST_CHECKED, MOST_EXPORTED] = [20, 500];
const KINDS = { healthy: "good", cooling: "rest", limited: "rest", suspect: "rest", disabled: "off", unknown: "off" };

/** @param {string} id the pool @param {{draw: () => void, refresh: () => Promise<any>}} app */
export function keys(id, app) {
  let [search, state] = ["", ""];
  /** The cursors of the pages before this one, and this one's. @type {string[]} */
  let cursors = [""];
  /** @type {any} */
  let list = null;
  /** @type {Map<string, any>} */
  let counts = new Map();
  let countedAt = 0;
  /** @type {Set<string>} */
  let selected = new Set();
  let typing = 0;

  const path = (rest) => poolPath(id, `/keys${rest}`);

  async function load() {
    const query = new URLSearchParams({ limit: String(PAGE), search, state, ...(cursors.at(-1) && { cursor: cursors.at(-1) }) });
    const isDue = Date.now() - countedAt >= COUNTS_EVERY_MS;
    const asked = [get(path(`?${query}`)), isDue ? get(poolPath(id, "/stats")) : null];
    const [page, stats] = await Promise.all(asked);
    if (stats) {
      counts = new Map(stats.keys.map((key) => [key.key, key]));
      countedAt = Date.now();
    }
    list = page;
    const shown = new Set(page.keys.map((key) => key.id));
    selected = new Set([...selected].filter((key) => shown.has(key)));
  }

  /** Shows other keys. */
  function look(change) {
    change();
    selected = new Set();
    app.draw();
    void app.refresh();
  }

  /** Does something to the selected keys, and shows what became of them. */
  async function changed(result) {
    const unchanged = result.unchanged ? ` ${t("keysUnchanged", { count: number(result.unchanged) })}` : "";
    say(t("keysChanged", { count: number(result.changed) }) + unchanged);
    await app.refresh();
  }

  const patch = (set, ids = [...selected]) => call("PATCH", path(""), { ids, set });

  const batch = {
    enable: () => attempt(async () => changed(await patch({ enabled: true }))),
    disable: async () => {
      let result;
      const act = async () => {
        result = await patch({ enabled: false });
      };
      const text = t("disableKeysAsk", { count: number(selected.size) });
      if (await ask(t("disableKeys"), text, t("disable"), act)) await changed(result);
    },
    weight: async () => {
      let result;
      const act = async (form) => {
        result = await patch({ weight: Number(new FormData(form).get("weight")) });
      };
      const input = numberInput("weight", 1, { max: 1_000, required: true });
      const body = [field(t("weight"), input, t("weightHint"))];
      const title = t("weightOf", { count: number(selected.size) });
      if (await dialog({ title, body, submit: t("save"), act })) await changed(result);
    },
    copy: () => copyKeys([...selected]),
    check: () => checkKeys([...selected]),
    reset: async () => {
      let result;
      const act = async () => {
        result = await call("POST", path("/reset"), { ids: [...selected] });
      };
      const text = t("resetKeysAsk", { count: number(selected.size) });
      if (await ask(t("resetKeys"), text, t("reset"), act)) await changed(result);
    },
    delete: async () => {
      let result;
      const act = async () => {
        result = await call("POST", path("/delete"), { ids: [...selected] });
      };
      const text = t("deleteKeysAsk", { count: number(selected.size) });
      if (await ask(t("deleteKeys"), text, t("delete"), act)) await changed(result);
    },
  };

  async function copyKeys(ids) {
    const found = [];
    const read = async () => {
      found.length = 0;
      for (const some of chunks(ids, MOST_EXPORTED)) {
        found.push(...(await call("POST", path("/export"), { ids: some })).keys);
      }
    };
    const text = t("copyKeysAsk", { count: number(ids.length) });
    if (!(await ask(t("copyKeys"), text, t("readKeys"), read))) return;
    // Browsers let a page copy only while a button is pressed, not after an answer of the service.
    const button = copyButton(found.map(({ key }) => key).join("\n"));
    button.classList.add("primary");
    const done = h("p", {}, t("keysRead", { count: number(found.length) }));
    await dialog({ title: t("copyKeys"), close: t("close"), body: [done, button] });
  }

  async function checkKeys(ids) {
    const bar = h("progress", { max: ids.length, value: 0, "aria-label": t("checkKeys") });
    const results = h("div", { role: "status" });
    const body = [h("p", {}, t("checkKeysText", { count: number(ids.length) })), bar, results];
    const shown = dialog({ title: t("checkKeys"), wide: true, close: t("close"), body });
    const rows = [];
    try {
      for (const some of chunks(ids, MOST_CHECKED)) {
        if (!bar.isConnected) break;
        for (const result of (await call("POST", path("/check"), { ids: some })).results) {
          const kind = { valid: "good", limited: "rest", error: "rest", unreachable: "rest" }[result.verdict] ?? "bad";
          rows.push(row(result.id, [
            [t("key"), h("code", {}, result.masked)],
            [t("verdict"), badge(kind, t(`verdict.${result.verdict}`))],
            [t("message"), result.message ?? "", "long"],
          ]));
        }
        bar.value = rows.length;
        results.replaceChildren(table(t("checkKeys"), [t("key"), t("verdict"), t("message")], rows));
      }
    } catch (error) {
      results.append(problem(error));
    }
    bar.hidden = true;
    await shown;
    await app.refresh();
  }

  async function edit(key) {
    const text = (name, value) => h("input", { type: "text", name, value, maxlength: 100, autocomplete: "off" });
    const body = [
      field(t("name"), text("name", key.name)),
      field(t("tag"), text("tag", key.tag), t("tagHint")),
      field(t("project"), text("project", key.project ?? ""), t("projectHint")),
      field(t("weight"), numberInput("weight", key.weight, { max: 1_000, required: true }), t("weightHint")),
    ];
    const act = async (form) => {
      const typed = Object.fromEntries(new FormData(form));
      const after = { ...typed, weight: Number(typed.weight) };
      const set = Object.entries(after).filter(([name, value]) => value !== (key[name] ?? ""));
      if (set.length > 0) await patch(Object.fromEntries(set), [key.id]);
    };
    if (await dialog({ title: t("editKey", { key: key.masked }), body, submit: t("save"), act })) await app.refresh();
  }

  function toolbar() {
    const type = (event) => {
      clearTimeout(typing);
      const text = event.target.value;
      // Not a request for every letter.
      typing = setTimeout(() => look(() => { [search, cursors] = [text.trim(), [""]]; }), 250);
    };
    const choose = (event) => look(() => { [state, cursors] = [event.target.value, [""]]; });
    const count = (name) => (list.states?.[name] ? ` (${number(list.states[name])})` : "");
    const options = [["", t("allStates")], ...STATES.map((name) => [name, t(`state.${name}`) + count(name)])];
    const add = async () => {
      if (!(await addKeys(id))) return;
      countedAt = 0;
      await app.refresh();
    };
    return h("div", { class: "toolbar" },
      h("input", { type: "search", id: "search", oninput: type, maxlength: 100, placeholder: t("searchKeys"), "aria-label": t("searchKeys") }),
      select(options, state, { id: "state", onchange: choose, "aria-label": t("state") }),
      h("button", { type: "button", class: "primary", onclick: add }, t("addKeys")));
  }

  function batchBar() {
    const none = selected.size === 0;
    const count = none ? t("noneSelected") : t("selected", { count: number(selected.size) });
    const buttons = Object.entries(batch).map(([name, onclick]) =>
      h("button", {
        type: "button", class: name === "delete" ? "danger" : null, disabled: none,
        title: none ? t("noneSelected") : null, onclick,
      }, t(name)));
    return h("div", { class: "toolbar", role: "group", "aria-label": t("selectedKeys") }, h("span", { role: "status" }, count), buttons);
  }

  function stateCell(key) {
    const failing = key.failing && t("failing", {
      failed: number(key.failing.failed), attempts: number(key.failing.attempts), outcome: t(`outcome.${key.failing.outcome}`),
    });
    const isRechecked = RECHECKED.includes(key.state);
    const end = key.until && (isRechecked ? t("rechecked", { time: fromNow(key.until) }) : fromNow(key.until));
    const why = [failing, key.reason && t(`reason.${key.reason}`), end].filter(Boolean).join(isRechecked ? " " : ", ");
    return [
      badge(failing ? "rest" : KINDS[key.state] ?? "bad", t(`state.${key.state}`)),
      why && [" ", h("span", { class: "faint" }, why)],
      key.models && h("div", { class: "faint" }, key.models.map(({ model }) => model).join(", ")),
      key.message && h("div", { class: "faint" }, key.message),
    ];
  }

  function keyRow(key) {
    const counted = counts.get(key.id) ?? { attempts: 0, successes: 0 };
    const chosen = selected.has(key.id);
    const choose = (event) => {
      if (event.target.checked) selected.add(key.id);
      else selected.delete(key.id);
      app.draw();
    };
    const name = [key.name, key.tag && `#${key.tag}`].filter(Boolean).join(" ");
    return row(key.id, [
      ["", h("input", { type: "checkbox", checked: chosen, onchange: choose, "aria-label": t("selectKey", { key: key.masked }) }), "choice"],
      [t("key"), [h("code", {}, key.masked), name && [" ", h("span", { class: "names" }, name)]], "name"],
      [t("state"), stateCell(key)],
      [t("weight"), number(key.weight), "number"],
      [t("attempts"), number(counted.attempts), "number"],
      [t("success"), percent(counted.successes, counted.attempts), "number"],
      [t("lastUsed"), counted.last_used ? dateTime(counted.last_used) : "–"],
      ["", h("button", { type: "button", "aria-label": `${t("edit")} ${key.masked}`, onclick: () => edit(key) }, t("edit"))],
    ], { class: chosen ? "selected" : null });
  }

  function keyTable() {
    const all = list.keys.length;
    const chooseAll = (event) => {
      selected = new Set(event.target.checked ? list.keys.map((key) => key.id) : []);
      app.draw();
    };
    const box = h("input", {
      type: "checkbox", id: "all", onchange: chooseAll,
      checked: selected.size === all, indeterminate: selected.size > 0 && selected.size < all,
    });
    const heads = ["key", "state", "weight", "attempts", "success", "lastUsed"].map((head) => t(head));
    return [
      h("label", { class: "tick" }, box, t("selectAll", { count: number(all) })),
      table(t("keys"), [h("span", { class: "hidden" }, t("select")), ...heads, h("span", { class: "hidden" }, t("edit"))], list.keys.map(keyRow)),
    ];
  }

  function pager() {
    const before = (cursors.length - 1) * PAGE;
    const range = t("range", { from: number(before + 1), to: number(before + list.keys.length), total: number(list.total) });
    const go = (text, isPossible, change) =>
      h("button", { type: "button", disabled: !isPossible, title: isPossible ? null : t("noMorePages"), onclick: () => look(change) }, text);
    return h("div", { class: "toolbar" },
      h("span", { role: "status" }, range),
      go(t("previous"), cursors.length > 1, () => cursors.pop()),
      go(t("next"), Boolean(list.next_cursor), () => cursors.push(list.next_cursor)));
  }

  function view() {
    if (!list) return h("p", { class: "faint" }, t("loading"));
    if (list.keys.length === 0) {
      const isEmpty = search === "" && state === "";
      return [toolbar(), h("p", { class: "empty", role: "status" }, t(isEmpty ? "noKeys" : "noKeysFound"))];
    }
    return [toolbar(), batchBar(), keyTable(), pager()];
  }

  return { load, view };
}
