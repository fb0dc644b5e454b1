// Making and changing pools. In: what a person types. Out: requests that name only what differs, so that two people who
// change different things at once both get what they want.

import { ApiError, call, get, poolPath } from "./api.js";
import { h } from "./dom.js";
import { words } from "./format.js";
import { MOST_KEYS, addReport, keyFields, pastedKeys, refusedLines, reportTexts, sendKeys } from "./import.js";
import { t } from "./text.js";
import { dialog, field, problem, problemTexts, showSecret, tick } from "./widgets.js";

const textInput = (name, value = "", more = {}) => h("input", { type: "text", name, id: name, value, autocomplete: "off", ...more });
const area = (name, text, more = {}) => h("textarea", { name, rows: 3, spellcheck: "false", class: "code", ...more }, text);

/** The fields that making and changing have in common. */
const nameFields = (pool = { name: "", description: "" }) => [
  field(t("name"), textInput("name", pool.name, { required: true, maxlength: 64 })),
  field(t("description"), textInput("description", pool.description, { maxlength: 1_000 })),
];

export function createPage() {
  let busy = false;
  const form = h("form", { "data-key": "form" });
  const trouble = h("div", { class: "problem", role: "alert", hidden: true });
  const submit = h("button", { type: "submit", class: "primary" });

  form.onsubmit = async (event) => {
    event.preventDefault();
    if (busy) return;
    submit.disabled = busy = trouble.hidden = true;
    try {
      await create(form);
    } catch (error) {
      trouble.replaceChildren(...problemTexts(error));
      trouble.hidden = false;
      trouble.scrollIntoView({ block: "nearest" });
    }
    submit.disabled = busy = false;
  };

  /** The same elements every time, so that a change of the language loses nothing that was typed. */
  function view() {
    const typed = new FormData(form);
    const fields = [
      ...nameFields(),
      ...keyFields(false),
      field(t("allowedModels"), area("models", "", { id: "models" }), t("modelsHint")),
    ];
    submit.textContent = t("createPool");
    form.replaceChildren(...fields, trouble, h("div", { class: "actions start" }, submit));
    for (const [name, value] of typed) form.elements.namedItem(name).value = value;
    return [h("h1", {}, t("newPool")), form];
  }

  return { key: "new", title: () => t("newPool"), view };
}

/** @param {HTMLFormElement} form */
async function create(form) {
  const data = new FormData(form);
  const { entries, report } = pastedKeys(data);
  const made = await call("POST", "pools", {
    name: data.get("name"),
    description: data.get("description"),
    allowed_models: words(String(data.get("models"))),
    import: { keys: entries.slice(0, MOST_KEYS) },
  });
  addReport(report, made.import);
  let trouble = null;
  try {
    await sendKeys(made.pool.id, entries.slice(MOST_KEYS), report);
  } catch (error) {
    // The pool is there, and its client key is shown only now; the rest of the keys can be added again.
    trouble = error;
  }
  const rest = trouble ? String(data.get("keys")) : refusedLines(String(data.get("keys")), report);
  const refused = rest && field(t("refusedLines"), h("textarea", { readonly: true, rows: 4, class: "code", value: rest }));
  await showSecret(t("poolCreated", { name: made.pool.name }), made.client_key,
    [h("div", { role: "status" }, reportTexts(report)), trouble && problem(trouble), refused]);
  location.hash = `#/pools/${encodeURIComponent(made.pool.id)}/keys`;
}

/** `name = value` by line. @param {Record<string, any>} map */
const lines = (map) => Object.entries(map).map(([name, value]) => `${name} = ${[value].flat().join(", ")}`).join("\n");

/** @param {string} text @returns {[string, string][]} */
function pairs(text) {
  const present = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  return present.map((line) => {
    const at = line.lastIndexOf("=");
    if (at < 1) throw new ApiError({ status: 400, message: t("notAPair", { line }) });
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  });
}

/** @param {string} text */
function settings(text) {
  try {
    const read = JSON.parse(text);
    if (read !== null && typeof read === "object" && !Array.isArray(read)) return read;
  } catch {
    // Said below.
  }
  throw new ApiError({ status: 400, message: t("notAnObject") });
}

const differs = (one, other) => JSON.stringify(one) !== JSON.stringify(other);

/** The fields of `after` that are not as in `before`; what is no longer there goes back to its default. */
function difference(before, after) {
  const changed = Object.entries(after).filter(([name, value]) => differs(value, before[name]));
  const gone = Object.keys(before).filter((name) => !(name in after)).map((name) => [name, null]);
  return Object.fromEntries([...changed, ...gone]);
}

/** Changes a pool. @param {any} pool @returns {Promise<boolean>} whether it was changed */
export function editPool(pool) {
  const models = area("models", pool.allowed_models.join("\n"));
  const offered = h("div", { class: "offered", role: "status" });
  const add = (model) => {
    if (!words(models.value).includes(model)) models.value = `${models.value.trimEnd()}\n${model}`.trim();
  };
  const offer = h("button", { type: "button" }, t("askGemini"));
  offer.onclick = async () => {
    offer.disabled = true;
    try {
      const list = (await get(poolPath(pool.id, "/models"))).models;
      offered.replaceChildren(...list.map(({ id }) => h("button", { type: "button", class: "plain", onclick: () => add(id) }, `+ ${id}`)));
    } catch (error) {
      offered.replaceChildren(problem(error));
    }
    offer.disabled = false;
  };
  const body = [
    ...nameFields(pool),
    field(t("allowedModels"), models, t("modelsHint")), offer, offered,
    h("details", {},
      h("summary", {}, t("more")),
      tick(t("sticky"), { name: "sticky", checked: pool.sticky }),
      tick(t("passThrough"), { name: "pass_through", checked: pool.pass_through }),
      field(t("aliases"), area("aliases", lines(pool.aliases)), t("aliasesHint")),
      field(t("fallbacks"), area("fallbacks", lines(pool.fallbacks)), t("fallbacksHint")),
      field(t("translation"), area("translation", JSON.stringify(pool.translation, null, 2), { rows: 8 }), t("translationHint"))),
  ];
  const act = async (form) => {
    const data = new FormData(form);
    const text = (name) => String(data.get(name));
    const { name, description, allowed_models, sticky, pass_through, aliases, fallbacks } = pool;
    const change = difference({ name, description, allowed_models, sticky, pass_through, aliases, fallbacks }, {
      name: text("name").trim(),
      description: text("description"),
      allowed_models: words(text("models")),
      sticky: data.has("sticky"),
      pass_through: data.has("pass_through"),
      aliases: Object.fromEntries(pairs(text("aliases"))),
      fallbacks: Object.fromEntries(pairs(text("fallbacks")).map(([model, list]) => [model, words(list)])),
    });
    const translation = difference(pool.translation, settings(text("translation")));
    if (Object.keys(translation).length > 0) change.translation = translation;
    if (Object.keys(change).length > 0) await call("PATCH", poolPath(pool.id), change);
  };
  return dialog({ title: t("editPool", { name: pool.name }), wide: true, submit: t("save"), body, act });
}
