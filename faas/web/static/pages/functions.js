/** All functions: how busy each is, how well it goes, what it costs. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { spark } from "../charts.js";
import { h } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";

const LIMIT = 50;

export default function functions(page) {
  page.title("Functions");
  const asked = {
    since: page.query.get("since") ?? "1h",
    search: page.query.get("search") ?? "",
    sort: page.query.get("sort") ?? "rate",
    desc: page.query.get("desc") ?? "true",
    offset: Number(page.query.get("offset") ?? 0),
  };
  const pager = parts.pager({ limit: LIMIT, onGo: (offset) => change({ offset }) });
  const list = table({
    label: "Functions",
    key: (row) => row.name,
    columns: columns(() => format.SPANS[asked.since].ms),
    sorted: { by: asked.sort, desc: asked.desc === "true" },
    onSort: ({ by, desc }) => change({ sort: by, desc: String(desc), offset: 0 }),
    empty: () => nothing(asked.search),
  });
  const found = parts.region(page, load, show, { lines: 12, label: "Functions" });

  function load(signal) {
    return calls.overview({ ...asked, limit: LIMIT }, signal);
  }

  function show({ total, functions: rows }) {
    list.update(rows);
    pager.update(asked.offset, total);
    return whole;
  }

  function change(fields) {
    Object.assign(asked, fields);
    page.remember({ ...asked, offset: asked.offset || "", sort: asked.sort, search: asked.search });
    found.reload();
  }

  const whole = h("div.card", {}, list.element, pager.element);
  found.reload();
  page.refresh(found.reload, { types: ["status", "alarm"], atMostMs: 3000 });
  return h(
    "div.page", {},
    h(
      "div.head", {},
      h("h1", {}, "Functions"),
      h(
        "div.tools", {},
        parts.input("Search (press /)", asked.search, (search) => change({ search, offset: 0 }), { search: true, type: "search", placeholder: "part of a name" }),
        parts.spanPicker(asked.since, (since) => change({ since })),
      ),
    ),
    found.element,
  );
}

function columns(spanMs) {
  const of = (row, part) => format.share(part, row.count);
  return [
    { title: "Function", sort: "name", fill: true, cell: named },
    { title: "Calls", number: true, wide: true, cell: (row) => spark(row.spark, `${row.count} calls`) },
    { title: "Rate", sort: "rate", number: true, cell: (row) => h("span", { title: `${format.count(row.count)} calls` }, format.rate(row.count, spanMs())) },
    { title: "Errors", sort: "errors", number: true, cell: (row) => h(row.errors ? "span.text-bad" : "span.faint", { title: `${format.count(row.errors)} of ${format.count(row.count)}` }, of(row, row.errors)) },
    { title: "p50", sort: "p50", number: true, wide: true, cell: (row) => (row.count ? format.us(row.p50_us) : "–") },
    { title: "p99", sort: "p99", number: true, cell: (row) => (row.count ? format.us(row.p99_us) : "–") },
    { title: "Cold", sort: "cold", number: true, wide: true, cell: (row) => of(row, row.cold_starts) },
    { title: "Cost", sort: "cost", number: true, wide: true, cell: (row) => parts.money(row.cost_pico, "", { short: true }) },
    { title: "Now", number: true, wide: true, cell: now },
  ];
}

function named(row) {
  return [
    parts.functionLink(row.name),
    h("span.faint", {}, ` @${row.revision}`),
    row.alarms ? [" ", h("a", { href: "/alarms" }, parts.badge(`${row.alarms} alarm${row.alarms > 1 ? "s" : ""}`, "bad"))] : null,
  ];
}

function now(row) {
  if (!row.waiting && !row.running) return h("span.faint", {}, "idle");
  return [
    row.running ? parts.badge(`${format.compact(row.running)} run`, "busy") : null,
    row.waiting ? [" ", parts.badge(`${format.compact(row.waiting)} wait`, "warn")] : null,
  ];
}

function nothing(search) {
  if (search) return parts.empty("No function is called like that.", `Nothing holds “${search}”.`);
  return parts.empty(
    "No function is deployed yet.",
    "This makes a first one and deploys it:",
    "faas init hello && cd hello && faas deploy",
  );
}
