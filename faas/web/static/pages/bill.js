/** The bill: what ran costs, by function, trigger, day, tag or event. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";

const BY = [["function", "Function"], ["trigger", "Trigger"], ["day", "Day"], ["tag", "Tag"], ["root", "Event"]];
const SINCE = [["month", "This month"], ["last", "Last 30 days"], ["all", "Everything"]];

export default function bill(page) {
  page.title("Bill");
  const asked = { by: page.query.get("by") ?? "function", since: page.query.get("since") ?? "month" };
  const found = parts.region(page, load, show, { lines: 8, label: "Bill" });

  function load(signal) {
    return calls.bill({ by: asked.by, since_ms: sinceMs(asked.since) }, signal);
  }

  function show(answer) {
    const list = lines(answer);
    list.update(answer.lines);
    return h("div.card", {}, list.element, answer.lines.length ? total(answer) : null);
  }

  function change(given) {
    Object.assign(asked, given);
    page.remember(asked);
    found.reload();
  }

  found.reload();
  return h(
    "div.page", {},
    h(
      "div.head", {},
      h("h1", {}, "Bill"),
      h(
        "div.tools", {},
        parts.picker("By", BY, asked.by, (by) => change({ by })),
        parts.picker("Since", SINCE, asked.since, (since) => change({ since })),
        h("button", { type: "button", on: { click: () => print() } }, "Print"),
      ),
    ),
    found.element,
    h("p.faint", {}, "Handlers are billed for the time they run, rounded up to 1 ms. Waiting and starting cost nothing. ", "As a file: ", h("code", {}, "faas bill --csv")),
  );
}

function sinceMs(since) {
  const now = new Date();
  if (since === "month") return Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1);
  return since === "last" ? Date.now() - format.SPANS["30d"].ms : "";
}

function lines(answer) {
  const whole = Number(answer.total.cost_pico) || 1;
  return table({
    label: "Bill",
    key: (line) => line.name,
    columns: [
      { title: BY.find(([key]) => key === answer.by)?.[1] ?? "Name", fill: true, cell: (line) => named(answer.by, line.name) },
      { title: "Share", wide: true, cell: (line) => h("meter.share", { min: "0", max: "1", value: Number(line.cost_pico) / whole, "aria-label": format.share(Number(line.cost_pico), whole) }) },
      { title: "Calls", number: true, cell: (line) => format.count(line.count) },
      { title: "Billed", number: true, wide: true, cell: (line) => h("span", { title: `${format.count(line.billed_ms)} ms` }, format.ms(line.billed_ms)) },
      { title: answer.currency, number: true, cell: (line) => format.money(line.cost_pico) },
    ],
    empty: () => parts.empty("Nothing was billed in this time.", "What runs is billed by the millisecond.", "faas invoke hello --data '{}'"),
  });
}

function named(by, name) {
  if (by === "function") return parts.functionLink(name);
  return by === "root" ? parts.invocationLink(name) : name || "(none)";
}

function total({ total: all, currency }) {
  return h(
    "div.total", {},
    h("span", {}, "Total"),
    h("span.faint", {}, `${format.count(all.count)} calls, ${format.count(all.billed_ms)} ms`),
    h("strong", {}, format.money(all.cost_pico, currency)),
  );
}
