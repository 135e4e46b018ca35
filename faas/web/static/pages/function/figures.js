/** A function's figures over time. */

import * as calls from "../../calls.js";
import { chart, filled } from "../../charts.js";
import * as format from "../../format.js";
import { h, refill } from "../../dom.js";
import * as parts from "../../parts.js";

const NONE = { p50: 0, p90: 0, p99: 0 };

/** The charts, and the sums of the span above them. */
export function figures(page, { name, config }) {
  let since = page.query.get("since") in format.SPANS ? page.query.get("since") : "1h";
  const charts = CHARTS.map((each) => ({ ...each, drawn: chart(each, page.signal) }));
  const sums = h("div");
  const body = h(
    "div.stack", {},
    parts.cardWith("This span", parts.spanPicker(since, change), sums),
    h("div.columns", {}, charts.map((each) => h("div.card", {}, each.drawn.element))),
    triggers(config),
  );
  const found = parts.region(page, load, show, { lines: 12, label: "Figures" });

  function load(signal) {
    const { every, ms } = format.SPANS[since];
    return calls.stats({ function: name, since: Date.now() - ms, every, by: "all" }, signal);
  }

  function show(answer) {
    const points = answer.series[0]?.points ?? [];
    refill(sums, summed(points, answer.functions[0]));
    for (const each of charts) {
      const { at, series } = filled(points, answer.since_ms, answer.until_ms, answer.every_ms, each.picks);
      each.drawn.update(at, series);
    }
    return body;
  }

  function change(chosen) {
    since = chosen;
    page.remember({ since });
    found.reload();
  }

  found.reload();
  page.refresh(found.reload, { atMostMs: 3000 });
  return found.element;
}

const unless = (point, value) => (point.count ? value : null);
const CHARTS = [
  {
    title: "Calls", show: format.compact, isWhole: true,
    names: [{ name: "all", colour: "chart-1", kind: "bars" }, { name: "failed", colour: "chart-bad", kind: "bars" }],
    picks: [{ pick: (point) => point.count, otherwise: 0 }, { pick: (point) => point.errors, otherwise: 0 }],
  },
  {
    title: "Duration", show: format.us,
    names: [{ name: "p50", colour: "chart-1" }, { name: "p90", colour: "chart-3" }, { name: "p99", colour: "chart-2" }],
    picks: ["p50", "p90", "p99"].map((of) => ({ pick: (point) => unless(point, point.duration_us[of]), otherwise: null })),
  },
  {
    title: "Waiting", show: format.ms,
    names: [{ name: "p50", colour: "chart-1" }, { name: "p99", colour: "chart-2" }],
    picks: ["p50", "p99"].map((of) => ({ pick: (point) => unless(point, (point.queue_ms ?? NONE)[of]), otherwise: null })),
  },
  {
    title: "Cold starts", show: format.compact, isWhole: true,
    names: [{ name: "attempts that waited for one", colour: "chart-4", kind: "bars" }],
    picks: [{ pick: (point) => point.cold_starts, otherwise: 0 }],
  },
  {
    title: "Cost", show: (value) => format.moneyShort(value),
    names: [{ name: "of the calls", colour: "chart-3", kind: "bars" }],
    picks: [{ pick: (point) => Number(point.cost_pico), otherwise: 0 }],
  },
  {
    title: "Time to start, of cold ones", show: format.ms,
    names: [{ name: "p50", colour: "chart-1" }, { name: "p99", colour: "chart-2" }],
    picks: ["p50", "p99"].map((of) => ({ pick: (point) => (point.cold_starts ? point.init_ms[of] : null), otherwise: null })),
  },
];

function summed(points, whole) {
  const add = (of) => points.reduce((total, point) => total + point[of], 0);
  const all = add("count");
  return parts.facts([
    ["Calls", format.count(all)],
    ["Failed", h(add("errors") ? "span.text-bad" : "span", {}, format.count(add("errors"))), h("span.faint", {}, ` ${format.share(add("errors"), all)}`)],
    ["Duration p50", all && whole ? format.ms(whole.duration_ms.p50) : "–"],
    ["Duration p99", all && whole ? format.ms(whole.duration_ms.p99) : "–"],
    ["Cold starts", format.count(add("cold_starts")), h("span.faint", {}, ` ${format.share(add("cold_starts"), all)}`)],
    ["Billed", format.ms(add("billed_ms"))],
    ["Cost", parts.money(format.sum(points.map((point) => point.cost_pico)))],
  ]);
}

function triggers(config) {
  const rows = config.triggers.map((trigger) => h("li", {}, parts.badge(trigger.kind, "busy"), " ", h("span.mono", {}, triggerText(trigger))));
  return parts.card("Triggers", rows.length ? h("ul.items", {}, rows) : h("p.faint", {}, "None: it runs when it is called by its name."));
}

/** A trigger in a line. */
export function triggerText(trigger) {
  if (trigger.kind === "http") return `${trigger.methods?.length ? trigger.methods.join(" ") : "any method"} ${trigger.path}`;
  if (trigger.kind === "timer") return trigger.cron ? `${trigger.cron} (${trigger.timezone ?? "UTC"})` : `every ${format.ms(trigger.every_ms)}`;
  const suffix = trigger.suffix?.length ? ` ending with ${trigger.suffix.join(", ")}` : "";
  return `${trigger.bucket}/${trigger.prefix ?? ""}*${suffix}`;
}
