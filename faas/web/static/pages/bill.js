/** The bill: what ran costs, by function, trigger, day, tag or event; what it would cost elsewhere; budgets. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";
import { budgets } from "./bill/budgets.js";

const BY = [["function", "Function"], ["trigger", "Trigger"], ["day", "Day"], ["tag", "Tag"], ["root", "Event"]];
const SINCE = [["month", "This month"], ["last", "Last 30 days"], ["all", "Everything"]];
const LIMIT = 100;
const ELSEWHERE = [["", "nothing"], ["aws-lambda", "AWS Lambda"], ["alibaba-fc", "Alibaba FC"]];

export default function bill(page) {
  page.title("Bill");
  const asked = {
    by: page.query.get("by") ?? "function",
    since: page.query.get("since") ?? "month",
    tag: page.query.get("tag") ?? "",
    as: page.query.get("as") ?? "",
  };
  const found = parts.region(page, load, (answer) => statement(answer, asked), { lines: 8, label: "Bill" });
  const tag = h("div");

  function load(signal) {
    const of = asked.by === "tag" ? asked.tag : "";
    return calls.bill({ by: asked.by, since_ms: sinceMs(asked.since), tag: of, as: asked.as }, signal);
  }

  function change(given) {
    Object.assign(asked, given);
    page.remember(asked);
    tag.hidden = asked.by !== "tag";
    found.reload();
  }

  tag.hidden = asked.by !== "tag";
  tag.append(parts.input("Key of the tag", asked.tag, (text) => change({ tag: text.trim() }), { placeholder: "all together" }));
  found.reload();
  return h(
    "div.page", {},
    h(
      "div.head", {},
      h("h1", {}, "Bill"),
      h(
        "div.tools", {},
        parts.picker("By", BY, asked.by, (by) => change({ by })),
        tag,
        parts.picker("Since", SINCE, asked.since, (since) => change({ since })),
        parts.picker("Compare with", ELSEWHERE, asked.as, (as) => change({ as })),
        h("button", { type: "button", on: { click: () => print() } }, "Print"),
      ),
    ),
    found.element,
    budgets(page),
    h("p.faint", {}, "Handlers are billed for the time they run, rounded up to 1 ms. Waiting and starting cost nothing. As a file: ", h("code", {}, "faas bill --csv"), "."),
  );
}

function sinceMs(since) {
  const now = new Date();
  if (since === "month") return Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1);
  return since === "last" ? Date.now() - format.SPANS["30d"].ms : "";
}

function statement(answer, asked) {
  const list = lines(answer);
  const all = ordered(answer);
  const pager = parts.pager({ limit: LIMIT, onGo: show });

  function show(offset) {
    list.update(all.slice(offset, offset + LIMIT));
    pager.update(offset, all.length);
  }

  show(0);
  return h(
    "div.card", {},
    list.element,
    pager.element,
    answer.lines.length ? total(answer) : null,
    answer.next ? h("p.faint", {}, `These are the newest ${answer.lines.length}. All of them: `, h("code", {}, "faas bill --by root")) : null,
    all.length > LIMIT ? h("p.faint", {}, "Print prints what is shown. All lines as a statement: ", h("code", {}, `faas bill --by ${asked.by} --html`)) : null,
    answer.compared ? compared(answer.compared) : null,
  );
}

/** What cost most comes first; days and events stay in the order of time. */
function ordered({ by, lines: all }) {
  if (by === "day" || by === "root") return all;
  const cost = (line) => BigInt(line.cost_pico);
  return [...all].sort((one, other) => (cost(one) < cost(other) ? 1 : cost(one) > cost(other) ? -1 : 0));
}

function lines(answer) {
  const whole = Number(answer.total.cost_pico) || 1;
  return table({
    label: "Bill",
    key: (line) => line.name,
    columns: [
      { title: BY.find(([key]) => key === answer.by)?.[1] ?? "Name", fill: true, cell: (line) => named(answer.by, line) },
      { title: "Share", wide: true, cell: (line) => h("meter.share", { min: "0", max: "1", value: Number(line.cost_pico) / whole, "aria-label": `share ${format.share(Number(line.cost_pico), whole)}` }) },
      { title: "Calls", number: true, cell: (line) => format.count(line.count) },
      { title: "Billed", number: true, wide: true, cell: (line) => h("span", { title: `${format.count(line.billed_ms)} ms` }, format.ms(line.billed_ms)) },
      { title: `Cost in ${answer.currency}`, number: true, cell: (line) => format.money(line.cost_pico) },
      answer.compared ? { title: `There, in ${answer.compared.currency}`, number: true, cell: (line) => format.money(line.there_pico) } : null,
    ].filter(Boolean),
    empty: () => parts.empty("Nothing was billed in this time.", "What runs is billed by the millisecond.", "faas invoke hello --data '{}'"),
  });
}

function named(by, line) {
  if (by === "function") return parts.functionLink(line.name);
  if (by !== "root") return line.name || h("span.faint", {}, "none");
  return [parts.invocationLink(line.name), " ", line.function ?? "", line.object ? [" ", parts.objectLink(line.object)] : null];
}

function total({ total: all, currency, compared: there }) {
  return h(
    "div.total", {},
    h("span", {}, "Total"),
    h("span.faint", {}, `${format.count(all.count)} calls, ${format.count(all.billed_ms)} ms`),
    h("strong", {}, format.money(all.cost_pico, currency)),
    there ? h("strong", {}, `there ${format.money(all.there_pico, there.currency)}`) : null,
  );
}

function compared(there) {
  return h(
    "div.compared", {},
    h("p", {}, h("strong", {}, there.title), ` ${there.region}, ${there.architecture}; list prices of ${there.dated}.`),
    h("p.faint", {}, `Counted: ${there.counts.join("; ")}. Left out: ${there.leaves_out.join("; ")}.`),
    there.unknown ? h("p.faint", {}, `${format.count(there.unknown)} calls are not compared: their memory is not known.`) : null,
  );
}
