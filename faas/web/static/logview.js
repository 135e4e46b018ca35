/** Log lines with filters, followed live: what the explorer, a function and an invocation show. */

import * as calls from "./calls.js";
import * as format from "./format.js";
import * as parts from "./parts.js";
import { Problem } from "./api.js";
import { h, put, refill } from "./dom.js";
import { seenLines } from "./seenlines.js";

const TAIL = 300;
/** Lines that stay on the page; the oldest leave, so that a day of following does not fill the browser. */
const MOST = 2000;
const WAIT_MS = 20_000;
const LEVELS = ["", "debug", "info", "warning", "error", "critical"];
const STATUSES = ["", "ok", "error", "timeout", "oom", "init_error", "lost"];

/** Lines that were printed, without anything to filter. */
export function lines(rows) {
  return h("ol.lines", {}, rows.map((row) => line(row, { bare: true })));
}

/**
 * A view of lines. `fixed` are filters that cannot be changed here; `filters` says whether those that can are shown.
 */
export function logView(page, fixed = {}, { filters = true, span = "1d" } = {}) {
  const asked = { function: "", level: "", status: "", grep: "", where: "", invocation: "", root: "", until: "", ...known(page.query), ...fixed };
  let since = page.query.get("since") ?? span;
  let follows = true;
  let round = new AbortController();
  let seen = seenLines();
  const list = h("ol.lines", { tabindex: "0", "aria-label": "Log lines" });
  const state = h("p.faint.lines-state", { role: "status" });
  const host = h("div.lines-host", {}, parts.skeleton(8));

  async function start() {
    round.abort(); // a question that still waits holds one of the six connections of a browser
    round = new AbortController();
    const signal = AbortSignal.any([page.signal, round.signal]);
    try {
      const answer = await calls.logs({ ...fields(), tail: TAIL }, signal);
      seen = seenLines();
      shown({ ...answer, lines: seen.fresh(answer.lines) });
      if (follows && !asked.until) await follow(answer.next ?? answer.next_id, signal);
    } catch (error) {
      if (error.name !== "AbortError") refill(host, parts.problem(error, start));
    }
  }

  function fields() {
    const spanMs = format.SPANS[since]?.ms;
    const sinceMs = !fixed.invocation && spanMs ? Date.now() - spanMs : "";
    return { ...question(), since: sinceMs };
  }

  /** What is asked for besides the time; several conditions stand in one line, with `and` between them. */
  function question() {
    const until = asked.until ? new Date(asked.until).getTime() : "";
    return { ...asked, until, where: asked.where.split(/\s+and\s+/).filter(Boolean) };
  }

  async function follow(from, signal) {
    let after = from;
    while (!signal.aborted) {
      try {
        const answer = await calls.logs({ ...question(), after, live: "true", wait_ms: WAIT_MS }, signal);
        added(seen.fresh(answer.lines));
        after = answer.next ?? answer.next_id ?? after;
        refill(state);
      } catch (error) {
        if (!(error instanceof Problem) || error.status === 401 || error.status === 400) throw error;
        refill(state, `${error.message} Lines come again when it is back.`);
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    }
  }

  const made = (row) => line(row, { withFunction: !asked.function && !fixed.invocation });

  function shown(answer) {
    refill(list, answer.lines.map(made));
    refill(host, answer.lines.length ? [earlier(answer), list] : nothing());
    refill(state, answer.is_cut ? "Not all of this span was looked through: take a shorter one, or more filters." : "");
    atEnd();
  }

  /** A button for the lines before these, where there may be some. */
  function earlier(answer) {
    const first = answer.lines.find((row) => row.id)?.id;
    if (!first || (answer.lines.length < TAIL && !answer.is_cut)) return null;
    const button = parts.action("Earlier lines", () => parts.attempt(async () => {
      const before = await calls.logs({ ...fields(), tail: TAIL, before: first }, page.signal);
      const height = host.scrollHeight;
      list.prepend(...before.lines.map(made));
      button.replaceWith(earlier(before) ?? "");
      host.scrollTop += host.scrollHeight - height; // so that what is read stays where it is
    }));
    return button;
  }

  function nothing() {
    const isFiltered = ["level", "status", "grep", "where", "invocation", "root", "until"].some((name) => asked[name]);
    if (isFiltered) return parts.empty("No line fits.", "Take a longer span, or fewer filters.");
    return parts.empty("Nothing was printed in this time.", "What a handler prints comes here, while it runs.");
  }

  function added(rows) {
    if (!rows.length) return;
    const stays = host.scrollHeight - host.scrollTop - host.clientHeight < 60;
    if (!list.isConnected) refill(host, list);
    put(list, rows.map(made));
    while (list.children.length > MOST) list.firstElementChild.remove();
    if (stays) atEnd();
  }

  function atEnd() {
    host.scrollTop = host.scrollHeight;
  }

  function change(given) {
    Object.assign(asked, given);
    page.remember(Object.fromEntries(Object.entries({ ...asked, since }).filter(([name]) => !(name in fixed))));
    start();
  }

  function followed(event) {
    follows = event.target.checked;
    start();
  }

  const tools = h(
    "div.tools", {},
    parts.input("Holds (press /)", asked.grep, (grep) => change({ grep }), { search: true, type: "search", placeholder: "text" }),
    "function" in fixed ? null : parts.input("Function", asked.function, (text) => change({ function: text.trim() }), { placeholder: "any" }),
    parts.picker("Level", LEVELS.map((each) => [each, each || "any"]), asked.level, (level) => change({ level })),
    parts.picker("Status of the attempt", STATUSES.map((each) => [each, each.replace("_", " ") || "any"]), asked.status, (status) => change({ status })),
    parts.input("Where", asked.where, (where) => change({ where }), { placeholder: "size>9 and user=7" }),
    parts.spanPicker(since, (chosen) => {
      since = chosen;
      change({});
    }),
    h("label.check", {}, h("input", { type: "checkbox", checked: true, on: { change: followed } }), "Follow"),
  );

  const more = h(
    "details.more", { open: Boolean(asked.invocation || asked.root || asked.until) },
    h("summary", {}, "More filters"),
    h(
      "div.tools", {},
      parts.input("Invocation", asked.invocation, (text) => change({ invocation: text.trim() }), { placeholder: "its id" }),
      parts.input("Chain of", asked.root, (text) => change({ root: text.trim() }), { placeholder: "any id of it" }),
      parts.input("Until", asked.until, (until) => change({ until }), { type: "datetime-local" }),
    ),
  );

  start();
  return h("div.stack", {}, filters ? [tools, more] : null, h("div.card.lines-card", {}, host, state));
}

function known(query) {
  const names = ["function", "level", "status", "grep", "where", "invocation", "root", "until"];
  return Object.fromEntries(names.filter((name) => query.get(name)).map((name) => [name, query.get(name)]));
}

function line(row, { withFunction = false, bare = false } = {}) {
  const tone = ["error", "critical", "fatal"].includes(row.level) ? "bad" : row.level === "warning" || row.level === "warn" ? "warn" : "";
  return h(
    "li.line", { class: tone },
    h("time.line-at", { datetime: new Date(row.at_ms).toISOString(), title: format.stamp(row.at_ms) }, format.time(row.at_ms)),
    !bare && row.invocation_id ? parts.invocationLink(row.invocation_id, withFunction ? row.function : "↗") : null,
    row.level ? h("span.line-level", {}, row.level) : null,
    h("span.line-text", { title: format.said(row.text) === row.text ? null : row.text }, row.fields ? fieldsOf(row) : format.said(row.text)),
  );
}

/** What it says, then its fields; a line that is JSON says what its message is. */
function fieldsOf(row) {
  const text = row.text.startsWith("{") ? (row.fields.message ?? "") : format.said(row.text);
  const named = Object.entries(row.fields).filter(([name]) => !["level", "message"].includes(name));
  return [text, named.map(fieldShown)];
}

function fieldShown([name, value]) {
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return h("span.line-field", {}, h("span.faint", {}, `${name}=`), text);
}
