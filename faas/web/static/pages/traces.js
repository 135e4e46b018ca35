/** What single events set off, from the first call to the last: the latest, the slowest, the costliest. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";

const ORDERS = [["latest", "Latest"], ["slowest", "Slowest"], ["costliest", "Costliest"]];

export const watches = () => ({ types: ["record", "status", "alarm"] });

export default function traces(page) {
  page.title("Traces");
  const asked = { order: page.query.get("order") ?? "latest", since: page.query.get("since") ?? "1d" };
  const list = table({
    label: "Traces",
    key: (trace) => trace.root_id,
    columns: [
      { title: "Began with", cell: (trace) => parts.invocationLink(trace.root_id) },
      { title: "Function", fill: true, cell: (trace) => [parts.functionLink(trace.function), trace.object ? [" ", parts.objectLink(trace.object)] : h("span.faint", {}, ` ${trace.trigger}`)] },
      { title: "Status", cell: (trace) => parts.badge(trace.status) },
      { title: "Invocations", number: true, wide: true, cell: (trace) => format.count(trace.count) },
      { title: "Duration", number: true, cell: (trace) => format.ms(trace.duration_ms) },
      { title: "Cost", number: true, wide: true, cell: (trace) => parts.money(trace.cost_pico, "", { short: true }) },
      { title: "Began", number: true, cell: (trace) => parts.when(trace.began_at_ms) },
    ],
    empty: () => parts.empty("Nothing set off anything else in this time.", "A trace is what an upload, a call or a due time set off: at least two invocations.", "faas trace --slowest"),
  });
  const card = h("div.card", {}, list.element);
  const found = parts.region(page, (signal) => calls.traces({ order: asked.order, since_ms: Date.now() - format.SPANS[asked.since].ms, limit: 100 }, signal), show, { lines: 12, label: "Traces" });

  function show(answer) {
    list.update(answer.traces);
    return card;
  }

  function change(given) {
    Object.assign(asked, given);
    page.remember(asked);
    found.reload();
  }

  found.reload();
  page.refresh(found.reload);
  return h(
    "div.page", {},
    h(
      "div.head", {},
      h("h1", {}, "Traces"),
      h("div.tools", {}, parts.picker("Order", ORDERS, asked.order, (order) => change({ order })), parts.spanPicker(asked.since, (since) => change({ since }))),
    ),
    found.element,
  );
}
