// The page itself: who is logged in, which page is shown, and the frame around it. In: the address after #. Out: the
// document. A page is `{key, title, view, load}`: `load` fetches what `view` shows, again and again.

import { ApiError, call, get, onSessionEnd } from "./api.js";
import { dashboard } from "./dashboard.js";
import { h, morph } from "./dom.js";
import { clock } from "./format.js";
import { logIn } from "./login.js";
import { Poll } from "./poll.js";
import { poolPage } from "./pool.js";
import { createPage } from "./pool_forms.js";
import { languageSwitch, themeSwitch } from "./settings.js";
import { t } from "./text.js";
import { ask, attempt, problem } from "./widgets.js";

const root = document.getElementById("app");
/** @type {Promise<void> | null} */
let loggingIn = null;
/** What the service says of itself, once somebody is logged in. @type {any} */
let service = null;
/** @type {any} */
let page = null;
/** @type {Poll | null} */
let poll = null;

const refresh = async () => poll?.now();

onSessionEnd(() => {
  loggingIn ??= logIn(service && "sessionEnded").then(() => {
    loggingIn = null;
    void refresh();
  });
});

/** Which page an address means. */
function pageOf(hash) {
  const [kind, id, section] = hash.replace(/^#\/?/, "").split("/").map((part) => decodeURIComponent(part));
  if (kind === "new") return createPage();
  if (kind === "pools" && id) return poolPage(id, section, { draw, refresh });
  return dashboard();
}

function open() {
  poll?.stop();
  try {
    page = pageOf(location.hash);
  } catch {
    page = dashboard();
  }
  const shown = page;
  const load = async () => {
    await loggingIn;
    await shown.load();
  };
  poll = page.load ? new Poll(load, draw) : null;
  draw();
  void refresh();
  scrollTo(0, 0);
}

/** Whether what is shown is what is so. */
function freshness() {
  if (!poll || (!poll.loadedAt && !poll.problem)) return null;
  if (poll.paused) return h("p", { class: "note", role: "status" }, t("paused"));
  if (!poll.problem) return h("p", { class: "faint" }, t("updated", { time: clock(poll.loadedAt) }));
  const since = poll.loadedAt ? t("stale", { time: clock(poll.loadedAt) }) : t("notLoaded");
  return h("div", { class: "stale" }, h("p", {}, since), problem(poll.problem));
}

function leave(path, method) {
  return async () => {
    await call(method, path);
    // Nothing that was shown stays in the page's memory.
    location.reload();
  };
}

function header() {
  return h("header", {},
    h("a", { class: "brand", href: "#/" }, h("img", { src: "icon.svg", alt: "", width: 24, height: 24 }), t("title")),
    h("nav", { "aria-label": t("navigation") },
      h("a", { href: "#/", "aria-current": page.key === "dashboard" ? "page" : null }, t("pools")),
      h("a", { href: "#/new", "aria-current": page.key === "new" ? "page" : null }, t("newPool"))),
    h("div", { class: "switches" },
      languageSwitch(draw), themeSwitch(draw),
      h("button", { type: "button", class: "plain", onclick: () => attempt(leave("session", "DELETE")) }, t("logOut"))));
}

function footer() {
  const everywhere = () =>
    ask(t("logOutEverywhere"), t("logOutEverywhereAsk"), t("logOutEverywhere"), leave("session/revoke-all", "POST"));
  return h("footer", { class: "faint" },
    h("span", {}, t("version", { version: service.service_version })),
    h("button", { type: "button", class: "plain", onclick: everywhere }, t("logOutEverywhere")));
}

function draw() {
  document.title = `${page.title()} · ${t("title")}`;
  const skip = (event) => {
    event.preventDefault();
    document.getElementById("main")?.focus();
  };
  const main = h("main", { id: "main", tabindex: -1, "data-key": page.key }, page.view(), freshness());
  const tree = h("div", { class: "shell" },
    h("a", { class: "skip", href: "#main", onclick: skip }, t("skip")), header(), main, footer());
  if (root.firstChild) morph(root.firstChild, tree);
  else root.append(tree);
}

/** Goes on once somebody is logged in. */
async function start() {
  try {
    service = await get("whoami");
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      await loggingIn;
      return start();
    }
      root.replaceChildren(h("main", { class: "alone" }, h("h1", {}, t("title")), problem(error),
      h("button", { type: "button", class: "primary", onclick: start }, t("tryAgain"))));
    return;
  }
  root.replaceChildren();
  open();
}

addEventListener("hashchange", () => {
  if (!service) return;
  open();
  // Whoever reads by ear or goes by keyboard begins at the new page's beginning.
  document.getElementById("main")?.focus();
});
void start();
