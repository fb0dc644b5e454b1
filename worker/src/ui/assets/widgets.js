// Parts that several pages use: fields, dialogs, messages, copying, tables. In: texts and handlers. Out: elements.

import { ApiError } from "./api.js";
import { h } from "./dom.js";
import { t } from "./text.js";

let lastId = 0;

/**
 * An input with its label and, where there is one, a hint.
 * @param {string} label @param {any} input @param {string} [hint]
 */
export function field(label, input, hint) {
  const id = (input.id ||= `field-${++lastId}`);
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("small", { id: `${id}-hint` }, hint));
}

/** A box to tick, with its label. @param {string} label @param {object} properties */
export const tick = (label, properties) =>
  h("label", { class: "tick" }, h("input", { type: "checkbox", ...properties }), label);

/** @param {Error} error @returns {any[]} */
export function problemTexts(error) {
  const { hint = "", requestId = "", status } = error instanceof ApiError ? error : {};
  return [
    h("p", {}, status === 0 ? t("unreachable") : error.message),
    hint && h("p", {}, hint),
    requestId && h("p", { class: "faint" }, t("requestId", { id: requestId })),
  ].filter(Boolean);
}

/** A box that says what went wrong, read out at once. @param {Error | null} error */
export const problem = (error) =>
  h("div", { class: "problem", role: "alert", hidden: !error }, error ? problemTexts(error) : []);

/**
 * Says something at the foot of the page until it is dismissed, or for some seconds where nothing failed.
 * @param {any} content a text or an error
 */
export function say(content) {
  const failed = content instanceof Error;
  const message = h("div", { class: failed ? "message problem" : "message" });
  const dismiss = () => message.remove();
  message.append(
    h("div", {}, failed ? problemTexts(content) : h("p", {}, content)),
    h("button", { type: "button", class: "plain", "aria-label": t("dismiss"), onclick: dismiss }, "×"),
  );
  document.getElementById("messages")?.append(message);
  if (!failed) setTimeout(dismiss, 8_000);
}

/** Does something that a button asked for, and says what went wrong. @param {() => Promise<any>} work */
export async function attempt(work) {
  try {
    await work();
  } catch (error) {
    say(error);
  }
}

/**
 * Opens a dialog. With `submit` it has a button that runs `act`. While that fails, the dialog stays open, says why, and
 * keeps what was typed; it stays open too when `act` gives `true`. Escape closes it, but for a dialog that `keeps` what
 * is shown once, and one into which something was pasted.
 * @param {{title: string, body: any[], submit?: string, danger?: boolean, wide?: boolean, keeps?: boolean, close?: string,
 *   act?: (form: HTMLFormElement) => Promise<any>}} what
 * @returns {Promise<boolean>} whether `act` was done
 */
export function dialog({ title, body, submit, danger, wide, keeps, close = t("cancel"), act = async () => {} }) {
  return new Promise((resolve) => {
    let [done, busy, dismissed] = [false, false, false];
    const id = `dialog-${++lastId}`;
    const trouble = h("div", { class: "problem", role: "alert", hidden: true });
    const confirm = submit ? h("button", { type: "submit", class: danger ? "danger" : "primary" }, submit) : null;
    const run = async (event) => {
      event.preventDefault();
      if (busy || !confirm) return;
      confirm.disabled = busy = trouble.hidden = true;
      try {
        done = (await act(form)) !== true;
        if (done) box.close();
      } catch (error) {
        trouble.replaceChildren(...problemTexts(error));
        trouble.hidden = false;
        trouble.scrollIntoView({ block: "nearest" });
      }
      confirm.disabled = busy = false;
    };
    const leave = () => {
      dismissed = true;
      box.close();
    };
    const dismiss = h("button", { type: "button", onclick: leave }, close);
    const heading = h("h2", { id }, title);
    const actions = h("div", { class: "actions" }, dismiss, confirm);
    const form = h("form", { onsubmit: run, novalidate: !submit }, heading, body, trouble, actions);
    const box = h("dialog", { "aria-labelledby": id, class: wide ? "wide" : null }, form);
    const isHeld = () =>
      keeps || busy || [...form.querySelectorAll("textarea:not([readonly])")].some((area) => area.value !== area.defaultValue);
    box.oncancel = (event) => {
      if (isHeld()) event.preventDefault();
    };
    box.onclose = () => {
      // Browsers close it at a second Escape, whatever the page says to the first.
      if (!done && !dismissed && isHeld()) return box.showModal();
      box.remove();
      resolve(done);
    };
    document.body.append(box);
    box.showModal();
  });
}

/**
 * Asks before something that cannot be undone, or that others notice.
 * @param {string} title @param {any} text @param {string} submit @param {() => Promise<any>} act
 * @param {string} [typed] what has to be typed first
 */
export function ask(title, text, submit, act, typed) {
  const body = [h("p", {}, text)];
  if (typed !== undefined) {
    const input = h("input", { type: "text", autocomplete: "off", spellcheck: "false", required: true });
    input.oninput = () => input.setCustomValidity(input.value === typed ? "" : t("typeExactly", { text: typed }));
    input.oninput();
    body.push(field(t("typeToConfirm", { text: typed }), input));
  }
  return dialog({ title, body, submit, danger: true, act });
}

/**
 * A button that copies a text. Where the clipboard cannot be had, the text is shown instead.
 * @param {string} text @param {string} [label]
 */
export function copyButton(text, label = t("copy")) {
  const button = h("button", { type: "button" }, label);
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = t("copied");
      say(t("copied"));
    } catch {
      const area = h("textarea", { readonly: true, rows: 4, "aria-label": label, value: text });
      button.replaceWith(area);
      area.focus();
      area.select();
    }
  };
  return button;
}

/** Shows a secret for the only time. @param {string} title @param {string} secret @param {any[]} [more] */
export const showSecret = (title, secret, more = []) =>
  dialog({
    title,
    close: t("close"),
    keeps: true,
    body: [
      h("p", {}, t("shownOnce")),
      h("div", { class: "secret" }, h("code", {}, secret), copyButton(secret)),
      field(t("baseUrl"), h("input", { type: "text", readonly: true, value: `${location.origin}/v1` })),
      ...more,
    ],
  });

/**
 * A table that becomes a list of cards where the screen is narrow.
 * @param {string} label @param {any[]} heads @param {any[]} rows made by `row`
 */
export function table(label, heads, rows) {
  const head = h("tr", {}, heads.map((content) => h("th", { scope: "col" }, content)));
  return h("table", { "aria-label": label }, h("thead", {}, head), h("tbody", {}, rows));
}

/**
 * A row: its first cell is the heading. Each cell is `[label, content, class]`. The content has an element of its own: on
 * a phone a cell is a flex box of the label and the content, and badges beside text would be items of their own.
 * @param {string} key @param {any[][]} cells @param {object} [properties]
 */
export const row = (key, cells, properties = {}) =>
  h("tr", { "data-key": key, ...properties }, cells.map(([label, content, kind = null]) =>
    h("td", { "data-label": label, class: kind }, h("div", { class: "cell" }, content))));

/** @param {string} kind @param {string} text */
export const badge = (kind, text) => h("span", { class: `badge ${kind}` }, text);

/** A number with what it counts. @param {string} label @param {string} value @param {string} [more] */
export const tile = (label, value, more) =>
  h("div", { class: "tile" }, h("dt", {}, label), h("dd", {}, value, more && h("small", {}, more)));

/** A list to choose from. @param {[string, string][]} options value and text @param {string} chosen @param {object} properties */
export const select = (options, chosen, properties) =>
  h("select", properties, options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));

/** A number that may be left out. @param {string} name @param {number | undefined} value @param {object} [more] */
export const numberInput = (name, value, more = {}) =>
  h("input", { type: "number", name, min: 0, step: 1, value: value ?? "", ...more });
