/** A table of records: the attempts that ended, newest first. */

import * as format from "./format.js";
import * as parts from "./parts.js";
import { h } from "./dom.js";
import { table } from "./table.js";

/** The table; `withFunction` is false where all are of one. */
export function records({ withFunction = true, empty }) {
  return table({
    label: "Invocations",
    key: (record) => `${record.invocation_id}.${record.attempt}`,
    columns: [
      { title: "Invocation", cell: (record) => [parts.invocationLink(record.invocation_id), record.attempt > 1 ? h("span.faint", {}, ` attempt ${record.attempt}`) : null] },
      withFunction ? { title: "Function", cell: (record) => [parts.functionLink(record.function), h("span.faint", {}, ` @${record.revision}`)] } : null,
      { title: "Status", cell: (record) => parts.badge(record.status) },
      { title: "Trigger", wide: true, fill: true, cell: (record) => (record.object ? [record.trigger, " ", parts.objectLink(record.object)] : record.trigger) },
      { title: "Ended", number: true, cell: (record) => parts.when(record.ended_at_ms) },
      { title: "Waited", number: true, wide: true, cell: (record) => format.ms(record.queue_ms) },
      { title: "Cold start", number: true, wide: true, cell: (record) => (record.cold_start ? format.ms(record.init_ms) : h("span.faint", {}, "warm")) },
      { title: "Duration", number: true, cell: (record) => format.ms(record.duration_ms) },
      { title: "Memory", number: true, wide: true, cell: (record) => h("span", { title: `of ${record.memory_limit_mb} MB` }, `${record.memory_mb} MB`) },
      { title: "Cost", number: true, wide: true, cell: (record) => parts.money(record.cost_pico, record.currency, { short: true }) },
    ].filter(Boolean),
    empty,
  });
}
