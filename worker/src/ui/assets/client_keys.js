// A pool's client keys: made, changed, replaced, revoked. A secret is shown once, when it is made.

import { call, get, poolPath } from "./api.js";
import { h } from "./dom.js";
import { dateTime, daysToSeconds, joined, number, words } from "./format.js";
import { t } from "./text.js";
import { ask, badge, dialog, field, numberInput, row, showSecret, table } from "./widgets.js";

const LIMITS = { requests_per_minute: "rpm", requests_per_day: "rpd", tokens_per_minute: "tpm", tokens_per_day: "tpd" };
const HOUR_S = 3_600;

/** The days after which a key ends; empty for never. */
const endField = () =>
  field(t("endsAfterDays"), numberInput("days", undefined, { min: "0.01", max: 3_650, step: "any" }), t("emptyForNever"));

/** What a client key may do. @param {any} key */
function ruleFields(key) {
  const models = h("textarea", { name: "models", rows: 2, class: "code", spellcheck: "false" }, (key.allowed_models ?? []).join("\n"));
  const networks = h("textarea", { name: "networks", rows: 2, class: "code", spellcheck: "false" }, (key.allowed_networks ?? []).join("\n"));
  return [
    h("fieldset", {},
      h("legend", {}, t("limits")),
      h("div", { class: "grid" }, Object.entries(LIMITS).map(([name, short]) =>
        field(t(short), numberInput(name, key.limits?.[name])))),
      h("small", {}, t("limitsHint"))),
    field(t("allowedModels"), models, t("modelsHint")),
    field(t("networks"), networks, t("networksHint")),
  ];
}

/** @param {FormData} data */
function rules(data) {
  const set = Object.keys(LIMITS).filter((name) => data.get(name) !== "");
  return {
    limits: Object.fromEntries(set.map((name) => [name, Number(data.get(name))])),
    allowed_models: words(String(data.get("models"))),
    allowed_networks: words(String(data.get("networks"))),
  };
}

/** When a key that is made or changed ends, if that was said. @param {FormData} data */
const end = (data) => (data.get("days") ? { expires_in_s: daysToSeconds(String(data.get("days"))) } : {});

const nameField = (value) =>
  field(t("name"), h("input", { type: "text", name: "name", value, maxlength: 100, autocomplete: "off" }));

/** @param {string} id the pool @param {{refresh: () => Promise<any>}} app */
export function clientKeys(id, app) {
  /** @type {any[] | null} */
  let list = null;

  async function load() {
    list = (await get(poolPath(id, "/client-keys"))).client_keys;
  }

  const path = (key) => poolPath(id, `/client-keys/${encodeURIComponent(key.id)}`);
  const named = (key) => `${key.name || key.id} (…${key.hint})`;

  async function create() {
    let made;
    const act = async (form) => {
      const data = new FormData(form);
      made = await call("POST", poolPath(id, "/client-keys"), { name: data.get("name"), ...end(data), ...rules(data) });
    };
    const body = [nameField(""), endField(), ...ruleFields({})];
    if (!(await dialog({ title: t("newClientKey"), wide: true, submit: t("create"), body, act }))) return;
    void app.refresh();
    await showSecret(t("newClientKey"), made.secret);
  }

  async function edit(key) {
    const never = h("input", { type: "checkbox", name: "never" });
    const until = key.expires_at ? t("endsAt", { time: dateTime(key.expires_at) }) : t("endsNever");
    const body = [
      nameField(key.name),
      h("p", {}, until),
      field(t("endsAfterDays"), numberInput("days", undefined, { min: "0.01", max: 3_650, step: "any" }), t("emptyForAsIs")),
      key.expires_at && h("label", { class: "tick" }, never, t("never")),
      ...ruleFields(key),
    ];
    const act = (form) => {
      const data = new FormData(form);
      const ends = data.has("never") ? { expires_in_s: 0 } : end(data);
      return call("PATCH", path(key), { name: data.get("name"), ...ends, ...rules(data) });
    };
    if (await dialog({ title: t("editClientKey", { key: named(key) }), wide: true, submit: t("save"), body, act })) await app.refresh();
  }

  async function rotate(key) {
    let made;
    const act = async (form) => {
      const data = new FormData(form);
      made = await call("POST", `${path(key)}/rotate`, { grace_s: Math.round(Number(data.get("grace")) * HOUR_S), ...end(data) });
    };
    const grace = numberInput("grace", 24, { max: 720, step: "any", required: true });
    const body = [h("p", {}, t("rotateText")), field(t("graceHours"), grace, t("graceHint")), endField()];
    if (!(await dialog({ title: t("rotateClientKey", { key: named(key) }), submit: t("rotate"), body, act }))) return;
    void app.refresh();
    await showSecret(t("newClientKey"), made.secret);
  }

  async function revoke(key) {
    const text = t("revokeAsk", { key: named(key) });
    if (await ask(t("revokeClientKey"), text, t("revoke"), () => call("DELETE", path(key)))) await app.refresh();
  }

  function keyRow(key) {
    const limits = Object.entries(LIMITS).filter(([name]) => key.limits?.[name] !== undefined)
      .map(([name, short]) => `${number(key.limits[name])} ${t(short)}`);
    const ended = key.expires_at && Date.parse(key.expires_at) <= Date.now();
    const button = (text, act, kind = null) =>
      h("button", { type: "button", class: kind, "aria-label": `${text} ${named(key)}`, onclick: () => act(key) }, text);
    return row(key.id, [
      [t("name"), [key.name || h("span", { class: "faint" }, t("unnamed")), key.weak && [" ", badge("rest", t("weak"))]], "name"],
      [t("clientKey"), h("code", {}, `…${key.hint}`)],
      [t("created"), dateTime(key.created_at)],
      [t("ends"), key.expires_at ? [dateTime(key.expires_at), ended && [" ", badge("bad", t("ended"))]] : t("never")],
      [t("lastUsed"), key.last_used_at ? dateTime(key.last_used_at) : "–"],
      [t("limits"), joined(limits, t("none"))],
      [t("models"), joined(key.allowed_models ?? [])],
      [t("networks"), joined(key.allowed_networks ?? [])],
      ["", h("div", { class: "buttons" },
        button(t("edit"), edit), button(t("rotate"), rotate), button(t("revoke"), revoke, "danger"))],
    ]);
  }

  function view() {
    const bar = h("div", { class: "toolbar" }, h("button", { type: "button", class: "primary", onclick: create }, t("newClientKey")));
    if (!list) return [bar, h("p", { class: "faint" }, t("loading"))];
    if (list.length === 0) return [bar, h("p", { class: "empty" }, t("noClientKeys"))];
    const heads = ["name", "clientKey", "created", "ends", "lastUsed", "limits", "models", "networks"].map((head) => t(head));
    return [bar, table(t("section.client-keys"), [...heads, h("span", { class: "hidden" }, t("actions"))], list.map(keyRow))];
  }

  return { load, view };
}
