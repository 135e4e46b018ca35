/** One function: figures over time, what ran, revisions, configuration, and a form to call it. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h, refill } from "../dom.js";
import { logView } from "../logview.js";
import * as parts from "../parts.js";
import { records } from "../recordlist.js";
import { figures } from "./function/figures.js";
import { invokeForm } from "./function/invoke.js";
import { revisions } from "./function/revisions.js";
import { configuration } from "./function/configuration.js";

const TABS = { figures: "Figures", invocations: "Invocations", logs: "Logs", invoke: "Call it", revisions: "Revisions", configuration: "Configuration" };

export const watches = ({ name }) => ({ types: ["record", "status", "alarm"], function: name });

export default function oneFunction(page) {
  const { name } = page.params;
  const tab = page.query.get("tab") in TABS ? page.query.get("tab") : "figures";
  page.title(name);
  const places = h("div.tools");
  const revision = h("span");
  const found = parts.region(page, (signal) => calls.describe(name, signal), show, { lines: 10 });
  let body = null;

  function show(described) {
    refill(revision, h("span.faint", {}, ` @${described.revision}`));
    refill(places, placesOf(described.places));
    body ??= shownTab(page, tab, described);
    return body;
  }

  found.reload();
  page.refresh(found.reload, { types: ["record", "status"], fits: (event) => !event.nodes || name in event.functions });
  return h(
    "div.page", {},
    h(
      "div.head", {},
      h("div.head-text", {}, h("p.head-path", {}, h("a", { href: "/functions" }, "Functions"), " /"), h("h1", {}, name, revision)),
      places,
    ),
    h(
      "nav.tabs", { "aria-label": "Parts of this function" },
      Object.entries(TABS).map(([key, text]) =>
        h("a", { href: `/functions/${encodeURIComponent(name)}?tab=${key}`, "aria-current": key === tab ? "page" : null }, text),
      ),
    ),
    found.element,
  );
}

function placesOf(places) {
  const shown = ["running", "waiting", "retrying", "dead"].filter((place) => places[place]);
  const idle = !places.running && !places.waiting;
  return [
    idle ? parts.badge("idle") : null,
    shown.map((place) => h("a", { href: place === "dead" ? "/queues" : null }, parts.badge(`${format.compact(places[place])} ${place}`, parts.toneOf(place)))),
    h("span.faint", {}, `${format.count(places.done)} done`),
  ];
}

function shownTab(page, tab, described) {
  const name = described.name;
  const of = {
    figures: () => figures(page, described),
    invocations: () => recent(page, name),
    logs: () => logView(page, { function: name }),
    invoke: () => invokeForm(page, name),
    revisions: () => revisions(page, described),
    configuration: () => configuration(described),
  };
  return of[tab]();
}

function recent(page, name) {
  const list = records({ withFunction: false, empty: () => parts.empty("It has not run yet.", "Call it:", `faas invoke ${name} --data '{}'`) });
  const card = parts.cardWith("Newest invocations", h("a", { href: `/invocations?function=${encodeURIComponent(name)}` }, "All of them"), list.element);
  const found = parts.region(page, (signal) => calls.records({ function: name, limit: 50 }, signal), (answer) => {
    list.update(answer.records);
    return card;
  });
  found.reload();
  page.refresh(found.reload);
  return found.element;
}
