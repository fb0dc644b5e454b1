// The two choices that a browser remembers: language, and light or dark.

import { h } from "./dom.js";
import { language, setLanguage, t } from "./text.js";

const THEMES = ["auto", "light", "dark"];
const theme = () => document.documentElement.dataset.theme ?? "auto";

/** @param {string} chosen */
function setTheme(chosen) {
  if (chosen === "auto") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("theme");
  } else {
    document.documentElement.dataset.theme = chosen;
    localStorage.setItem("theme", chosen);
  }
}

/** @param {() => void} changed draws the page anew */
export function languageSwitch(changed) {
  const other = language() === "en" ? "zh" : "en";
  const choose = () => {
    setLanguage(other);
    changed();
  };
  return h("button", { type: "button", class: "plain", lang: other, onclick: choose }, other === "zh" ? "中文" : "English");
}

/** @param {() => void} changed draws the page anew */
export function themeSwitch(changed) {
  const choose = () => {
    setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
    changed();
  };
  return h("button", { type: "button", class: "plain theme", onclick: choose }, t(`theme.${theme()}`));
}
