/** What is kept, for how long and how much room it takes; and setting for how long. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const SET_BY = {
  settings: (row) => [h("span.faint", {}, "settings "), row.setting ? h("code", {}, row.setting) : null],
  all: () => "set here",
  manifest: () => "its manifest",
  function: () => "set for the function",
};
const KINDS = ["logs", "records", "dead_letters", "revisions", "minutes", "hours"];
const NAMES = { minutes: "figures by the minute", hours: "figures by the hour" };
const TIMES = [[HOUR, "1 hour"], [DAY, "1 day"], [3 * DAY, "3 days"], [7 * DAY, "7 days"], [14 * DAY, "14 days"], [30 * DAY, "30 days"], [90 * DAY, "90 days"], [365 * DAY, "a year"], [0, "ever"]];

export default function kept(page) {
  page.title("What is kept");
  const kinds = table({
    label: "What is kept",
    key: (row) => row.kind,
    columns: [
      { title: "What", cell: (row) => word(row.kind) },
      { title: "Kept for", cell: (row) => (row.keep ? long(row.keep.keep_ms) : h("span.faint", {}, row.kind === "artifacts" ? "as long as a revision has it" : "–")) },
      { title: "By", fill: true, cell: (row) => (row.keep ? SET_BY[row.keep.origin](row) : "") },
      { title: "There are", number: true, cell: (row) => known(row.count, format.count) },
      { title: "Room", number: true, cell: (row) => known(row.bytes, format.bytes) },
      { title: "Removed so far", number: true, wide: true, cell: (row) => format.count(row.freed) },
      { title: "Room it gave back", number: true, wide: true, cell: (row) => (row.freed_bytes ? format.bytes(row.freed_bytes) : "–") },
    ],
  });
  const functions = table({
    label: "Functions that keep most",
    key: (row) => row.name,
    columns: [
      { title: "Function", fill: true, cell: (row) => parts.functionLink(row.name) },
      { title: "Logs", number: true, cell: (row) => known(row.kinds.logs?.bytes, format.bytes) },
      { title: "Logs for", number: true, wide: true, cell: (row) => own(row.keep.logs) },
      { title: "Records", number: true, cell: (row) => known(row.kinds.records?.bytes, format.bytes) },
      { title: "Records for", number: true, wide: true, cell: (row) => own(row.keep.records) },
      { title: "Code", number: true, cell: (row) => known(row.kinds.artifacts?.bytes, format.bytes) },
      { title: "Revisions", number: true, wide: true, cell: (row) => known(row.kinds.revisions?.count, format.count) },
    ],
    empty: () => parts.empty("Nothing is kept of any function yet.", ""),
  });
  const found = parts.region(page, (signal) => calls.kept(signal), show, { lines: 8, label: "What is kept" });

  function show(report) {
    kinds.update(Object.entries(report.kinds).map(([kind, each]) => ({ kind, ...each })));
    functions.update(report.functions);
    return h(
      "div.stack", {},
      h("div.card", {}, kinds.element),
      parts.card("Functions that keep most", functions.element),
      parts.card("Database", parts.facts([
        ["On the disk", format.bytes(report.database_bytes)],
        ["Of that free for what comes", format.bytes(report.database_free_bytes)],
        ["Last looked through", report.looked_at_ms ? parts.when(report.looked_at_ms) : "not yet"],
      ])),
    );
  }

  found.reload();
  page.refresh(found.reload, { types: ["status"], atMostMs: 10_000 });
  return h(
    "div.page", {},
    h("div.head", {}, h("h1", {}, "What is kept")),
    found.element,
    parts.card("Set for how long", setting(found.reload)),
    h("p.faint", {}, "What is set here counts above ", h("code", {}, "faas.toml"), " and the environment; what is set for a function counts above its manifest, and that above what is set for all."),
  );
}

/** A kind, a time and a function; outside of what is refreshed, so that nobody's choice goes away. */
function setting(reload) {
  const chosen = { kind: KINDS[0], time: String(14 * DAY) };
  const of = parts.input("Of", "", () => {}, { placeholder: "all functions" });
  const options = [...TIMES.map(([ms, text]) => [String(ms), text]), ["", "as the settings say"]];
  async function set() {
    // What stands there now, and not what was told of it a moment ago: an empty name would mean all functions.
    const name = of.querySelector("input").value.trim();
    const ms = chosen.time === "" ? null : Number(chosen.time);
    const asked = `${word(chosen.kind)} of ${name || "all functions"}`;
    const isSure = ms === 0 || (await parts.confirmed(`Keep ${asked} ${ms === null ? "as the settings say" : `for ${long(ms)}`}?`, "What is older is removed at the next look, for good.", "Set it"));
    if (isSure && (await parts.attempt(() => calls.keep(chosen.kind, ms, name), "It counts from the next look on."))) await reload();
  }
  return h(
    "div.tools", {},
    parts.picker("Keep", KINDS.map((kind) => [kind, word(kind)]), chosen.kind, (kind) => (chosen.kind = kind)),
    parts.picker("For", options, chosen.time, (time) => (chosen.time = time)),
    of,
    parts.action("Set", set),
  );
}

const word = (kind) => NAMES[kind] ?? kind.replaceAll("_", " ");
const known = (number, text) => (number === null || number === undefined ? "–" : text(number));
const own = (term) => (["function", "manifest"].includes(term?.origin) ? h("strong", {}, long(term.keep_ms)) : h("span.faint", {}, term ? long(term.keep_ms) : "–"));

function long(ms) {
  if (ms === 0) return "ever";
  const [size, unit] = ms % DAY === 0 ? [DAY, "day"] : ms % HOUR === 0 ? [HOUR, "hour"] : [60_000, "minute"];
  const number = Math.round(ms / size);
  return `${format.count(number)} ${unit}${number === 1 ? "" : "s"}`;
}
