/** The nodes and their sandboxes. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h, refill } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";

const STATES = ["busy", "idle", "prewarmed", "starting"];

export default function nodes(page) {
  page.title("Nodes");
  const sums = h("div");
  const list = table({
    label: "Nodes",
    key: (node) => node.name,
    columns: [
      { title: "Node", cell: (node) => [h("strong", {}, node.name), h("span.faint", {}, ` process ${node.pid}`)] },
      { title: "Host", wide: true, cell: (node) => node.host },
      { title: "Engine", wide: true, cell: (node) => [node.engine, node.engine === "process" ? [" ", parts.badge("isolates nothing", "warn")] : null] },
      { title: "Memory of sandboxes", cell: memory },
      { title: "Sandboxes", cell: sandboxes },
    ],
    empty: () => parts.empty("No node's lease holds.", "Functions cannot run. What `faas doctor` says of it:", "faas doctor"),
  });
  const card = h("div.stack", {}, parts.card("Now", sums), h("div.card", {}, list.element));
  const found = parts.region(page, (signal) => calls.status(signal), show, { lines: 6, label: "Nodes" });

  function show(status) {
    const total = (of) => Object.values(status.functions).reduce((all, places) => all + places[of], 0);
    refill(sums, parts.facts([
      ["Running", format.count(total("running"))],
      ["Waiting", format.count(total("waiting"))],
      ["Retrying", format.count(total("retrying"))],
      ["Nodes", format.count(status.nodes.length)],
      ["Drift", h(status.drift ? "span.text-bad" : "span", { title: "Of functions at work: accepted less what is in a place, always 0" }, format.count(status.drift))],
      ["Version", status.version],
    ]));
    list.update(status.nodes);
    return card;
  }

  found.reload();
  page.refresh(found.reload, { types: ["status"], atMostMs: 1000 });
  return h("div.page", {}, h("div.head", {}, h("h1", {}, "Nodes")), found.element);
}

function memory(node) {
  const part = node.memory_mb ? node.memory_used_mb / node.memory_mb : 0;
  return h("span.meter-box", {}, h("meter", { min: "0", max: "1", value: part, "aria-label": "Memory in use" }), `${format.count(node.memory_used_mb)} of ${format.count(node.memory_mb)} MB`);
}

function sandboxes(node) {
  const states = Object.entries(node.sandboxes).filter(([, number]) => number);
  states.sort(([one], [other]) => STATES.indexOf(one) - STATES.indexOf(other));
  if (!states.length) return h("span.faint", {}, "none");
  return states.map(([state, number]) => [parts.badge(`${number} ${state}`, state === "busy" ? "busy" : "plain"), " "]);
}
