/** Parts that pages share: states of loading, notices, dialogs, badges, pickers, moments that stay right. */

import * as format from "./format.js";
import { h, put, refill } from "./dom.js";
import { Problem, isMissing } from "./api.js";

/** Grey lines of about the height of what will come, so that nothing jumps. */
export function skeleton(lines = 5) {
  return h("div.skeleton", { "aria-hidden": "true" }, Array.from({ length: lines }, () => h("div.skeleton-line")));
}

/** What stands where there is nothing, and what to do next. `command` is shown as something to copy. */
export function empty(title, text, command) {
  return h("div.empty", {}, h("p.empty-title", {}, title), text && h("p", {}, text), command && copyable(command));
}

/** A command with a button that copies it. */
export function copyable(text) {
  const button = h("button.quiet", { type: "button", "aria-label": `Copy ${text}`, on: { click: copy } }, "Copy");
  async function copy() {
    await navigator.clipboard.writeText(text);
    refill(button, "Copied");
    setTimeout(() => refill(button, "Copy"), 1500);
  }
  return h("div.copyable", {}, h("code", {}, text), navigator.clipboard && button);
}

/** A text of the platform in which `commands` stand between backticks. */
export function coded(text = "") {
  return text.split("`").map((part, place) => (place % 2 ? h("code", {}, part) : part));
}

/** An error as a person reads it: what, where, what to do; `again` is called by a button. */
export function problem(error, again) {
  if (error instanceof Problem && isMissing(error)) {
    return h(
      "div.empty", {},
      h("p.empty-title", {}, "This platform does not offer this."),
      h("p", {}, `It has no ${error.where}. A newer version may; see the CHANGELOG.`),
    );
  }
  const known = error instanceof Problem;
  return h(
    "div.problem", { role: "alert" },
    h("p.problem-title", {}, known ? coded(error.message) : "This page made a mistake."),
    h("p", {}, known ? coded(error.hint) : String(error)),
    known && h("p.faint", {}, h("code", {}, error.where), error.status ? ` answered ${error.status}` : ""),
    again && h("button", { type: "button", on: { click: again } }, "Try again"),
  );
}

/**
 * A place that is filled by asking: `load(signal)` gives data and `show(data)` an element, the same one again where it
 * only changed it. Until the first answer there is a skeleton; an error later leaves what stood and says so above it.
 */
export function region(page, load, show, { lines = 5, label } = {}) {
  const notice = h("div", { "aria-live": "polite" });
  const content = h("div.region-content", { "aria-busy": "true" }, skeleton(lines));
  const element = h("section.region", label ? { "aria-label": label } : {}, notice, content);
  let current = null;
  let running = false;
  let again = false;

  async function reload() {
    if (running) {
      again = true; // what is asked for while an answer is due may differ from it
      return;
    }
    running = true;
    try {
      const data = await load(page.signal);
      if (!page.signal.aborted) shown(show(data));
    } catch (error) {
      if (!page.signal.aborted && error.name !== "AbortError") failed(error);
    } finally {
      running = false;
      content.removeAttribute("aria-busy");
    }
    if (again && !page.signal.aborted) {
      again = false;
      await reload();
    }
  }

  function shown(made) {
    // What looks the same stays, with whatever is selected or has the focus in it.
    if (made !== current && !current?.isEqualNode(made)) {
      content.replaceChildren(made);
      current = made;
    }
    notice.replaceChildren();
  }

  function failed(error) {
    if (!(error instanceof Problem)) console.error(error);
    if (current) refill(notice, problem(error, reload));
    else content.replaceChildren(problem(error, reload));
  }

  return { element, reload };
}

/** A short word with a colour: how something is. The word says it too, so the colour is no riddle. */
export function badge(word, tone = toneOf(word)) {
  return h(`span.badge.${tone}`, {}, String(word).replaceAll("_", " "));
}

const TONES = {
  good: ["ok", "done", "resolved", "current", "Success"],
  bad: ["error", "timeout", "oom", "init_error", "lost", "dead", "failed", "firing", "RetriesExhausted"],
  warn: ["rejected", "retrying", "warning", "pending", "unknown", "no_data"],
  busy: ["running", "waiting", "scheduled"],
};

/** The colour of a status, a place, a state of an alarm, or a severity. */
export function toneOf(word) {
  return Object.keys(TONES).find((tone) => TONES[tone].includes(word)) ?? "plain";
}

/** A moment as how long ago it was, kept right by a clock; its title has it in full. */
export function when(atMs) {
  if (!atMs) return "–";
  const at = new Date(Number(atMs));
  return h("time", { datetime: at.toISOString(), title: format.moment(at), dataset: { at: atMs } }, format.ago(atMs));
}

setInterval(() => {
  for (const each of document.querySelectorAll("time[data-at]")) {
    const text = format.ago(Number(each.dataset.at));
    if (each.textContent !== text) each.textContent = text;
  }
}, 1000);

/** An exact amount; the short form is shown where `short` says so, and the title is always exact. */
export function money(pico, currency, { short = false } = {}) {
  const exact = format.money(pico, currency);
  return h("span.money", { title: exact }, short ? format.moneyShort(pico) : exact);
}

/** A link to an invocation by its id. */
export function invocationLink(id, text = format.brief(id)) {
  return h("a.mono", { href: `/invocations/${encodeURIComponent(id)}`, title: id }, text);
}

/** A link to a function. */
export function functionLink(name) {
  return h("a", { href: `/functions/${encodeURIComponent(name)}` }, name);
}

/** An object, as `bucket/key`, that leads to where it is. */
export function objectLink(named) {
  const [bucket, ...rest] = named.split("/");
  const folder = rest.slice(0, -1).map((each) => `${each}/`).join("");
  const query = folder ? `?prefix=${encodeURIComponent(folder)}` : "";
  return h("a.mono", { href: `/buckets/${encodeURIComponent(bucket)}${query}` }, named);
}

/** Figures side by side: pairs of a name and what it is. */
export function facts(pairs) {
  return h(
    "dl.facts", {},
    pairs.filter(Boolean).map(([name, ...value]) => h("div", {}, h("dt", {}, name), put(h("dd"), value))),
  );
}

/** A headed part of a page. `side` stands at the right of its head. */
export function card(title, ...children) {
  return h("section.card", {}, title && h("div.card-head", {}, h("h2", {}, title)), children);
}

/** A card whose head has something at its right. */
export function cardWith(title, side, ...children) {
  return h("section.card", {}, h("div.card-head", {}, h("h2", {}, title), h("div.card-side", {}, side)), children);
}

/** A choice of spans that remembers itself in the address. */
export function spanPicker(value, onChange) {
  return picker("Span", Object.entries(format.SPANS).map(([key, span]) => [key, span.text]), value, onChange);
}

/** A labelled choice. */
export function picker(label, options, value, onChange) {
  return h(
    "label.field", {},
    h("span.field-name", {}, label),
    h(
      "select", { on: { change: (event) => onChange(event.target.value) } },
      options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)),
    ),
  );
}

/** A labelled line to write in; `onChange` hears it soon after the last key. */
export function input(label, value, onChange, { type = "text", placeholder, search = false, id } = {}) {
  let timer = 0;
  let told = value ?? "";
  const tell = (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (event.target.value !== told) onChange((told = event.target.value));
    }, event.type === "input" ? 300 : 0);
  };
  return h(
    "label.field", {},
    h("span.field-name", {}, label),
    h("input", {
      type, value: value ?? "", placeholder, id, autocomplete: "off", spellcheck: "false",
      dataset: search ? { search: "" } : {}, on: { input: tell, change: tell },
    }),
  );
}

/** Buttons of the pages of a list, hidden while there is one page. They stay the same ones, and so keep the focus. */
export function pager({ limit, onGo }) {
  let at = 0;
  const button = (text, by) => h("button", { type: "button", on: { click: () => onGo(Math.max(0, at + by)) } }, text);
  const [back, on] = [button("Previous", -limit), button("Next", limit)];
  const place = h("span");
  const element = h("nav.pager", { "aria-label": "Pages of the list" }, back, place, on);

  /** Show where in how many the list is. */
  function update(offset, total) {
    at = offset;
    element.hidden = total <= limit;
    refill(place, total ? `${format.count(offset + 1)}–${format.count(Math.min(offset + limit, total))} of ${format.count(total)}` : "0");
    const focused = document.activeElement;
    back.disabled = offset <= 0;
    on.disabled = offset + limit >= total;
    // A button that can do no more loses the focus, which goes to the other one.
    if (focused?.disabled && element.contains(focused)) (focused === on ? back : on).focus();
  }

  update(0, 0);
  return { element, update };
}

/** Ask before something that cannot be taken back. Resolves to whether the person wants it. */
export function confirmed(title, text, verb) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog", { "aria-labelledby": "dialog-title", on: { close: done } },
      h(
        "form", { method: "dialog" },
        h("h2", { id: "dialog-title" }, title),
        h("p", {}, text),
        h(
          "div.actions", {},
          h("button", { value: "no" }, "Cancel"),
          h("button.danger", { value: "yes" }, verb),
        ),
      ),
    );
    function done() {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    }
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Say what was done, or what went wrong, in a corner for some seconds; screen readers read it out. */
export function toast(content, tone = "good") {
  const host = document.getElementById("toasts");
  const shown = h(`div.toast.${tone}`, {}, content, h("button.quiet", { type: "button", "aria-label": "Close", on: { click: () => shown.remove() } }, "×"));
  host.append(shown);
  setTimeout(() => shown.remove(), tone === "bad" ? 12_000 : 5000);
}

/** Run something that a person asked for; an error is told, and nothing else happens. Gives whether it went well. */
export async function attempt(action, said) {
  try {
    await action();
    if (said) toast(said);
    return true;
  } catch (error) {
    if (error.name === "AbortError") return false;
    toast(h("span", {}, h("strong", {}, coded(error.message)), " ", coded(error.hint)), "bad");
    return false;
  }
}

/** A button that does something and cannot be pressed twice meanwhile. */
export function action(text, run, { tone, label } = {}) {
  const button = h(`button${tone ? `.${tone}` : ""}`, { type: "button", "aria-label": label, on: { click: pressed } }, text);
  async function pressed() {
    button.disabled = true;
    try {
      await run();
    } finally {
      button.disabled = false;
    }
  }
  return button;
}

/** JSON or any other text, as it is, in a box that scrolls. */
export function block(text, label) {
  return h("pre.block", { tabindex: "0", role: "region", "aria-label": label }, text);
}

/** Show something over the page until Esc or a button closes it. */
export function shown(title, content) {
  const dialog = h(
    "dialog.large", { "aria-labelledby": "shown-title", on: { close: () => dialog.remove(), click: left } },
    h("div.dialog-head", {}, h("h2", { id: "shown-title" }, title), h("button.quiet", { type: "button", on: { click: () => dialog.close() } }, "Close")),
    h("div.stack", {}, content),
  );
  // A link leads to another page, on which this is not open.
  function left(event) {
    if (event.target.closest("a[href]")) dialog.close();
  }
  document.body.append(dialog);
  dialog.showModal();
}
