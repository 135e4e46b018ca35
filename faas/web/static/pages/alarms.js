/** The alarms: what is watched, and how it stands. */

import * as calls from "../calls.js";
import { h, refill } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";

const FIRST = ["firing", "pending", "no_data", "resolved", "ok"];

export default function alarms(page) {
  page.title("Alarms");
  const list = table({
    label: "Alarms",
    key: (alarm) => `${alarm.name} ${alarm.function ?? ""}`,
    columns: [
      { title: "Alarm", cell: (alarm) => h("a", { href: `/alarms/${encodeURIComponent(alarm.name)}` }, alarm.name) },
      { title: "State", cell: (alarm) => [parts.badge(alarm.state), alarm.silenced_until_ms ? [" ", parts.badge("silenced")] : null] },
      { title: "Of", cell: (alarm) => (alarm.function ? parts.functionLink(alarm.function) : h("span.faint", {}, "all")) },
      { title: "Rule", wide: true, cell: (alarm) => h("code", {}, alarm.rule) },
      { title: "Seen", fill: true, cell: (alarm) => alarm.text || String(alarm.value ?? "–") },
      { title: "Since", number: true, wide: true, cell: (alarm) => parts.when(alarm.since_ms) },
    ],
    empty: () => parts.empty("Nothing is watched.", "Put an alarm into faas.yaml, as `alarms: {errors: error_rate > 5% for 5m}`, and deploy.", "faas deploy"),
  });
  const fault = h("div");
  const card = h("div.card", {}, fault, list.element);
  const found = parts.region(page, (signal) => calls.alarms(signal), ({ alarms: all, fault: wrong }) => {
    refill(fault, wrong ? h("p.problem", {}, parts.coded(wrong)) : null);
    list.update([...all].sort((one, other) => FIRST.indexOf(one.state) - FIRST.indexOf(other.state) || one.name.localeCompare(other.name)));
    return card;
  });
  found.reload();
  page.refresh(found.reload, { types: ["alarm", "status"], atMostMs: 5000 });
  return h("div.page", {}, h("div.head", {}, h("h1", {}, "Alarms")), found.element);
}
