// Logging in. In: the password, which goes to the service and nowhere else. Out: a session in a cookie. It lies over the
// page, so that whoever's session ended goes on where he was, with what he had typed.

import { ApiError, call } from "./api.js";
import { h } from "./dom.js";
import { languageSwitch, themeSwitch } from "./settings.js";
import { t } from "./text.js";
import { problemTexts } from "./widgets.js";

/** What a refused login says. @param {Error} error */
function refusal(error) {
  if (error instanceof ApiError && error.status === 401) return [h("p", {}, t("wrongPassword"))];
  return problemTexts(error);
}

/**
 * Asks for the password until it is right.
 * @param {string} [note] why it is asked for
 * @returns {Promise<void>}
 */
export function logIn(note) {
  return new Promise((resolve) => {
    let [waiting, done] = [0, false];
    const password = h("input", { type: "password", id: "password", autocomplete: "current-password", required: true });
    // Password managers look for it.
    const user = h("input", { type: "text", autocomplete: "username", value: "admin", hidden: true, readonly: true });
    const trouble = h("div", { class: "problem", role: "alert", hidden: true });
    const submit = h("button", { type: "submit", class: "primary" });

    const enable = () => {
      submit.disabled = waiting > 0;
      submit.textContent = waiting > 0 ? t("logInIn", { seconds: waiting }) : t("logIn");
    };
    const count = (seconds) => {
      waiting = seconds;
      enable();
      if (waiting > 0) setTimeout(() => count(waiting - 1), 1_000);
    };
    const run = async (event) => {
      event.preventDefault();
      if (submit.disabled) return;
      submit.disabled = true;
      try {
        await call("POST", "session", { password: password.value });
        done = true;
        box.close();
      } catch (error) {
        trouble.replaceChildren(...refusal(error));
        trouble.hidden = false;
        password.select();
        count(error instanceof ApiError && error.status === 429 ? error.retryAfter : 0);
      }
    };
    const draw = () => {
      const label = h("label", { for: "password" }, t("password"));
      form.replaceChildren(
        h("img", { src: "icon.svg", alt: "", width: 40, height: 40 }),
        h("h1", { id: "login" }, t("title")),
        note ? h("p", { class: "note", role: "status" }, t(note)) : "",
        user, h("div", { class: "field" }, label, password), trouble, submit,
        h("div", { class: "switches" }, languageSwitch(draw), themeSwitch(draw)),
      );
      enable();
      if (box.open) password.focus();
    };
    const form = h("form", { onsubmit: run });
    const box = h("dialog", { class: "login", "aria-labelledby": "login" }, form);
    box.oncancel = (event) => event.preventDefault();
    box.onclose = () => {
      // Browsers close it all the same at a second Escape.
      if (!done) return box.showModal();
      box.remove();
      resolve();
    };
    draw();
    document.body.append(box);
    box.showModal();
    password.focus();
  });
}
