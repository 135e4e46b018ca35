/** One alarm: how it stands, what it did before, silence and test. */

import * as calls from "../calls.js";
import { h, refill } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";

const HOUR = 3_600_000;
const SILENCES = [[HOUR, "1 hour"], [8 * HOUR, "8 hours"], [24 * HOUR, "1 day"], [7 * 24 * HOUR, "1 week"]];

export default function alarm(page) {
  const { name } = page.params;
  page.title(name);
  const side = h("div.tools");
  const state = parts.region(page, load, show, { lines: 4, label: "State" });
  const past = table({
    label: "History",
    key: (change) => `${change.at_ms} ${change.function} ${change.was} ${change.became}`,
    columns: [
      { title: "When", cell: (change) => parts.when(change.at_ms) },
      { title: "Of", wide: true, cell: (change) => (change.function ? parts.functionLink(change.function) : h("span.faint", {}, "all")) },
      { title: "Became", cell: (change) => (change.was === change.became ? h("span.faint", {}, "no change") : [parts.badge(change.was), " → ", parts.badge(change.became)]) },
      { title: "What was seen", fill: true, cell: (change) => change.text },
    ],
    empty: () => parts.empty("Its state has not changed yet.", ""),
  });
  const history = parts.region(page, (signal) => calls.alarmHistory(name, signal), (answer) => past.update(answer.events), { lines: 3, label: "History" });

  async function load(signal) {
    const { alarms } = await calls.alarms(signal);
    return alarms.filter((each) => each.name === name);
  }

  function show(found) {
    refill(side, found.length ? tools(name, reload) : null);
    if (!found.length) return parts.empty("No alarm is called like that.", "A deploy may have dropped it; its history is below.");
    return h("div.stack", {}, found.map(described));
  }

  async function reload() {
    await Promise.all([state.reload(), history.reload()]);
  }

  reload();
  page.refresh(reload, { types: ["alarm", "status"], atMostMs: 5000 });
  return h(
    "div.page", {},
    h("div.head", {}, h("div.head-text", {}, h("p.head-path", {}, h("a", { href: "/alarms" }, "Alarms"), " /"), h("h1", {}, name)), side),
    state.element,
    parts.card("History", history.element),
  );
}

function described(found) {
  return parts.card(
    null,
    parts.facts([
      ["State", parts.badge(found.state)],
      ["Since", parts.when(found.since_ms)],
      ["Of", found.function ? parts.functionLink(found.function) : "all functions"],
      ["Rule", h("code", {}, found.rule)],
      ["Seen", found.text || String(found.value ?? "–")],
      ["Tells", told(found.notify)],
      found.silenced_until_ms ? ["Silent until", parts.when(found.silenced_until_ms)] : null,
    ]),
  );
}

function told(notify) {
  const of = { function: (to) => to.function, bucket: (to) => `bucket ${to.bucket}/${to.prefix ?? ""}`, url: (to) => to.url, log: () => "the log" };
  return notify.map((to) => of[to.kind]?.(to) ?? to.kind).join(", ");
}

function tools(name, reload) {
  const done = (call, text) => async () => {
    await parts.attempt(call, text);
    await reload();
  };
  return [
    parts.picker("Silence for", [["", "…"], ...SILENCES.map(([ms, text]) => [String(ms), text])], "", (ms) => ms && done(() => calls.silence(name, Number(ms)), "It stays silent.")()),
    parts.action("Silence off", done(() => calls.unsilence(name), "It speaks again.")),
    parts.action("Test it", done(() => calls.testAlarm(name), "A message of the test is on its way.")),
  ];
}
