/** What is kept, and how much room it takes. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";

/** What says for how long, or how much, of each kind is kept. */
const SET_BY = {
  records: ["keep_records_days"],
  logs: ["keep_logs_days", "keep_logs_mb"],
  dead_letters: ["keep_dead_letters_days"],
  undelivered: ["keep_dead_letters_days"],
  revisions: ["keep_revisions_days", "keep_revisions"],
};

export default function kept(page) {
  page.title("What is kept");
  const list = table({
    label: "What is kept",
    key: (row) => row.kind,
    columns: [
      { title: "What", cell: (row) => row.kind.replaceAll("_", " ") },
      { title: "Set by", fill: true, cell: (row) => settings(row.kind) },
      { title: "There are", number: true, cell: (row) => format.count(row.count) },
      { title: "Room", number: true, cell: (row) => (row.bytes ? format.bytes(row.bytes) : "–") },
      { title: "Removed so far", number: true, wide: true, cell: (row) => format.count(row.freed) },
      { title: "Room it gave back", number: true, wide: true, cell: (row) => (row.freed_bytes ? format.bytes(row.freed_bytes) : "–") },
    ],
  });
  const found = parts.region(page, (signal) => calls.status(signal), show, { lines: 8, label: "What is kept" });

  function show({ kept: keeping }) {
    list.update(Object.entries(keeping.kinds).map(([kind, each]) => ({ kind, ...each })));
    return h(
      "div.stack", {},
      h("div.card", {}, list.element),
      parts.card("Database", parts.facts([
        ["On the disk", format.bytes(keeping.database_bytes)],
        ["Of that free for what comes", format.bytes(keeping.database_free_bytes)],
        ["Last looked through", keeping.looked_at_ms ? parts.when(keeping.looked_at_ms) : "not yet"],
      ])),
    );
  }

  found.reload();
  page.refresh(found.reload, { types: ["status"], atMostMs: 10_000 });
  return h(
    "div.page", {},
    h("div.head", {}, h("h1", {}, "What is kept")),
    h("p.faint", {}, "The settings stand in ", h("code", {}, "faas.toml"), " of the data directory, or in the environment, before ", h("code", {}, "faas up"), "."),
    found.element,
  );
}

function settings(kind) {
  if (kind === "artifacts") return h("span.faint", {}, "kept while a revision has it");
  return (SET_BY[kind] ?? []).map((name, place) => [place ? ", " : "", h("code", {}, name)]);
}
