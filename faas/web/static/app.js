/** The frame around every page: navigation, search, theme, the state of live events; and which page is shown. */

import * as api from "./api.js";
import * as calls from "./calls.js";
import * as live from "./live.js";
import * as parts from "./parts.js";
import * as router from "./router.js";
import { h, refill, svg } from "./dom.js";

const page = (name) => () => import(`./pages/${name}.js`);

const ROUTES = [
  router.route("/", page("functions"), "functions"),
  router.route("/functions", page("functions"), "functions"),
  router.route("/functions/:name", page("function"), "functions"),
  router.route("/invocations", page("invocations"), "invocations"),
  router.route("/invocations/:id", page("invocation"), "invocations"),
  router.route("/traces", page("traces"), "traces"),
  router.route("/logs", page("logs"), "logs"),
  router.route("/buckets", page("buckets"), "buckets"),
  router.route("/buckets/:name", page("bucket"), "buckets"),
  router.route("/queues", page("queues"), "queues"),
  router.route("/alarms", page("alarms"), "alarms"),
  router.route("/alarms/:name", page("alarm"), "alarms"),
  router.route("/bill", page("bill"), "bill"),
  router.route("/nodes", page("nodes"), "nodes"),
  router.route("/health", page("health"), "health"),
  router.route("/kept", page("kept"), "kept"),
  router.route("/login", page("login"), ""),
];

const PLACES = [
  ["See", [["functions", "Functions"], ["invocations", "Invocations"], ["traces", "Traces"], ["logs", "Logs"], ["alarms", "Alarms"]]],
  ["Work", [["buckets", "Buckets"], ["queues", "Queues"]]],
  ["Platform", [["nodes", "Nodes"], ["health", "Health"], ["kept", "What is kept"], ["bill", "Bill"]]],
];

const ALARMS_MS = 30_000;
const ANEW = "loaded anew";
const firing = h("span.place-count", {});
const main = h("main", { id: "main", tabindex: "-1" });
const links = new Map();
const liveState = h("span.live", { role: "status" });
let leaving = new AbortController();

function frame() {
  const nav = h(
    "nav.places", { id: "places", "aria-label": "Places" },
    PLACES.map(([group, places]) =>
      h("div.places-group", {}, h("p.places-head", { id: `group-${group}` }, group), h("ul", { "aria-labelledby": `group-${group}` }, places.map(place))),
    ),
    h("div.places-foot", {}, themeButton(), h("button.quiet", { type: "button", on: { click: logOut } }, "Log out")),
  );
  const menu = h("button.menu", { type: "button", "aria-expanded": "false", "aria-controls": "places", on: { click: () => folded(nav, menu) } }, "Menu");
  const head = h("header.top", {}, h("a.brand", { href: "/functions" }, mark(), "faas"), liveState, menu);
  refill(document.getElementById("frame"), h("div.side", {}, head, nav), main);
}

function place([name, text]) {
  const link = h("a.place", { href: `/${name}` }, text, name === "alarms" ? firing : null);
  links.set(name, link);
  return h("li", {}, link);
}

function mark() {
  return svg("svg.mark", { viewBox: "0 0 32 32", width: 20, height: 20, "aria-hidden": "true" }, svg("rect", { width: 32, height: 32, rx: 7 }), svg("path", { d: "M18 5 8 18h7l-1 9 10-13h-7z" }));
}

function folded(nav, menu, open = menu.getAttribute("aria-expanded") !== "true") {
  menu.setAttribute("aria-expanded", String(open));
  nav.classList.toggle("open", open);
}

const THEMES = { system: "light", light: "dark", dark: "system" };

function themeButton() {
  const now = () => document.documentElement.dataset.theme ?? "system";
  const button = h("button.quiet", { type: "button", on: { click: turn } });
  const say = () => refill(button, `Theme: ${now()}`);
  function turn() {
    const next = THEMES[now()];
    if (next === "system") {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem("theme");
    } else {
      document.documentElement.dataset.theme = next;
      localStorage.setItem("theme", next);
    }
    say();
    dispatchEvent(new Event("theme"));
  }
  say();
  return button;
}

async function logOut() {
  await parts.attempt(() => calls.logOut());
  live.close();
  router.go("/login");
}

/** What a page is given: its parameters, a signal of its end, and ways to be told of what happens. */
function context(params) {
  const { signal } = leaving;
  return {
    params,
    signal,
    query: new URLSearchParams(location.search),
    title,
    go: router.go,
    remember: router.remember,
    on: (type, listener) => live.on(type, listener, signal),
    refresh: (reload, options) => refresh(reload, signal, options),
  };
}

/**
 * Ask again when something happened, at most every `atMostMs`; while no events come, every ten times that. `types` are
 * the events that matter, and `fits` says of one whether it does.
 */
function refresh(reload, signal, { types = ["record"], atMostMs = 2000, fits = () => true } = {}) {
  let timer = 0;
  let last = Date.now();
  const soon = (event) => {
    if (timer || (event && !fits(event))) return;
    timer = setTimeout(run, Math.max(50, last + atMostMs - Date.now()));
  };
  async function run() {
    last = Date.now();
    await reload();
    timer = 0;
  }
  for (const type of [...types, "missed"]) live.on(type, soon, signal);
  const slowly = setInterval(() => !document.hidden && live.state !== "open" && soon(), atMostMs * 2);
  const shown = () => !document.hidden && soon();
  document.addEventListener("visibilitychange", shown, { signal });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    clearInterval(slowly);
  });
}

function title(text) {
  document.title = `${text} · faas`;
}

// What every page hears of. Records come one by one, many a second on a busy platform: pages that need them say so.
const QUIET = () => ({ types: ["status", "alarm"] });

let shownAt = "";

async function show() {
  const found = router.match(ROUTES, location.pathname);
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  marked(found?.route.place);
  const moved = shownAt && shownAt !== location.pathname;
  const wasTab = Boolean(document.activeElement?.closest(".tabs"));
  shownAt = location.pathname;
  const given = context(found?.params ?? {});
  try {
    const { default: make, watches = QUIET } = found ? await loaded(found.route) : { default: nowhere };
    if (signal.aborted) return;
    if (found?.route.place !== "") live.open(watches(given.params));
    document.body.classList.toggle("bare", found?.route.place === "");
    refill(main, make(given));
  } catch (error) {
    console.error(error);
    refill(main, parts.problem(error, show));
  }
  if (moved) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  } else if (wasTab) {
    main.querySelector(".tabs [aria-current]")?.focus();
  }
}

/** The module of a page. One that is not there is of a platform before an upgrade: then all of the page is loaded anew. */
async function loaded(route) {
  try {
    const module = await route.load();
    sessionStorage.removeItem(ANEW);
    return module;
  } catch (error) {
    if (sessionStorage.getItem(ANEW)) throw error;
    sessionStorage.setItem(ANEW, "1");
    location.reload();
    return new Promise(() => {});
  }
}

function nowhere({ title }) {
  title("Not found");
  return h("div.page", {}, h("h1", {}, "Not found"), parts.empty("No page has this address.", "The menu has all of them."));
}

function marked(name) {
  for (const [each, link] of links) {
    if (each === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const menu = document.querySelector(".menu");
  if (menu) folded(document.getElementById("places"), menu, false);
}

const LIVE = {
  open: ["live-open", "Live"],
  opening: ["live-opening", "Connecting"],
  away: ["live-away", "Not live"],
};

function liveShown(state) {
  const [tone, text] = LIVE[state];
  liveState.className = `live ${tone}`;
  liveState.title = state === "away" ? "No events come. What is shown is asked for again every few seconds." : "";
  refill(liveState, h("span.live-dot", { "aria-hidden": "true" }), text);
}

/** Say beside the name of their page how many alarms fire. */
async function countAlarms() {
  if (document.hidden || document.body.classList.contains("bare")) return;
  try {
    const { total } = await calls.firing();
    refill(firing, total ? parts.badge(`${total} firing`, "bad") : null);
  } catch {
    refill(firing); // what is wrong is said on the page that asks for it
  }
}

function keys(event) {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
  const isWriting = event.target.closest("input, textarea, select, dialog");
  if (event.key === "/" && !isWriting) {
    const search = main.querySelector("[data-search]");
    event.preventDefault();
    if (search) search.focus();
    else router.go("/functions");
  } else if (event.key === "Escape") {
    const menu = document.querySelector(".menu");
    folded(document.getElementById("places"), menu, false);
    if (isWriting?.matches("[data-search]")) isWriting.blur();
  }
}

frame();
liveShown(live.state);
live.on("state", liveShown);
document.addEventListener("keydown", keys);
api.onLoggedOut(() => {
  live.close();
  if (location.pathname !== "/login") router.go(`/login?to=${encodeURIComponent(location.pathname + location.search)}`);
});
router.follow(show, (path) => router.match(ROUTES, path) !== null);
live.on("alarm", countAlarms);
live.on("state", countAlarms);
setInterval(countAlarms, ALARMS_MS);
