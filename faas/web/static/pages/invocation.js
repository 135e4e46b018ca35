/** One invocation: when it waited, started and ran, what it returned and printed, and what it set off. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h, refill } from "../dom.js";
import { logView } from "../logview.js";
import * as parts from "../parts.js";
import { phases, waterfall } from "../waterfall.js";
import { pictures } from "./bucket/pictures.js";
import { failure, resultOf } from "./function/invoke.js";

export const watches = () => ({ types: ["record", "status", "alarm"] });

export default function invocation(page) {
  const { id } = page.params;
  page.title(format.brief(id));
  const side = h("div.actions");
  const details = h("div.stack");
  const state = parts.region(page, (signal) => calls.invocation(id, signal), show, { lines: 10, label: "Invocation" });
  const lineage = parts.region(page, (signal) => calls.trace(id, signal), shownTrace, { lines: 3, label: "Trace" });
  let isOpen = true;
  let root = id;
  const concerns = (record) => record.invocation_id === id || record.root_id === root;

  function show(found) {
    isOpen = !found.settled;
    refill(side, actions(found, state.reload, page));
    const made = h("div.stack", {}, h("div.columns", {}, outcome(found), attempts(found)), event(found));
    if (!details.firstChild?.isEqualNode(made)) refill(details, made);
    return summary(found);
  }

  function shownTrace(trace) {
    root = trace.root_id;
    isOpen ||= trace.ended_at_ms === null;
    return h(
      "div", {},
      waterfall(trace, { current: id }),
      pictures(trace),
      parts.facts([["Invocations", format.count(trace.count)], ["Billed", format.ms(trace.billed_ms)], ["Cost of the whole", parts.money(trace.cost_pico, trace.currency)]]),
    );
  }

  async function reload() {
    await Promise.all([state.reload(), lineage.reload()]);
  }

  reload();
  page.refresh(reload, { types: ["record", "status"], atMostMs: 1000, fits: (event) => (event.nodes ? isOpen : concerns(event)) });
  return h(
    "div.page", {},
    h(
      "div.head", {},
      h("div.head-text", {}, h("p.head-path", {}, h("a", { href: "/invocations" }, "Invocations"), " /"), h("h1.mono-title", {}, id)),
      side,
    ),
    state.element,
    parts.card("What it set off", lineage.element),
    details,
    h("section", { "aria-label": "Log" }, h("h2.section-title", {}, "Log"), logView(page, { invocation: id }, { filters: false })),
  );
}

function summary(found) {
  const last = found.records.at(-1);
  const total = format.sum(found.records.map((record) => record.cost_pico));
  return parts.card(
    null,
    parts.facts([
      ["State", parts.badge(found.status), found.why ? h("p.faint", {}, found.why) : null],
      ["Function", found.function ? [parts.functionLink(found.function), h("span.faint", {}, ` @${found.revision}`)] : "–"],
      ["Trigger", found.trigger ?? "–", found.mode ? h("span.faint", {}, ` ${found.mode}`) : null],
      found.object ? ["Object", parts.objectLink(found.object)] : null,
      ["Accepted", last ? parts.when(last.accepted_at_ms) : "–"],
      found.running_since_ms ? ["Running since", parts.when(found.running_since_ms)] : null,
      found.due_at_ms ? ["Due", parts.when(found.due_at_ms)] : null,
      ["Attempts", format.count(found.attempts)],
      last ? ["Cost", parts.money(total, last.currency)] : null,
      found.parent_id ? ["Follows from", parts.invocationLink(found.parent_id)] : null,
    ]),
  );
}

function actions(found, reload, page) {
  const { invocation_id: id, status } = found;
  const again = async () => {
    let retried = null;
    const went = await parts.attempt(async () => {
      retried = await calls.retryDead(id);
    }, "Its event is sent again.");
    if (went) page.go(`/invocations/${retried.retried_as}`);
  };
  const moved = (call, said) => async () => {
    await parts.attempt(() => call(id), said);
    await reload();
  };
  return [
    status === "dead" ? parts.action("Send its event again", again, { tone: "primary" }) : null,
    ["retrying", "scheduled"].includes(status) ? parts.action("Run it now", moved(calls.runNow, "It is due now.")) : null,
    ["retrying", "scheduled", "waiting"].includes(status) ? parts.action("Take it back", moved(calls.cancel, "It will not run."), { tone: "danger" }) : null,
  ];
}

function outcome(found) {
  const last = found.records.at(-1);
  if (last?.error) return parts.card("It failed", failure(last.error));
  if (found.result_kept) return parts.card("Result", resultOf(found));
  const why = !found.settled ? "It has not ended." : "Results of calls that somebody waited for are not kept, and others for a set time only.";
  return parts.card("Result", h("p.faint", {}, why));
}

function event(found) {
  if (found.event === undefined) return null;
  return parts.card("Event", parts.block(format.pretty(found.event), "Event"));
}

function attempts(found) {
  if (!found.records.length) return parts.card("Attempts", h("p.faint", {}, "None has ended."));
  return parts.card("Attempts", h("ol.stack", {}, found.records.map((record, place) => attempt(record, found.records[place - 1]))));
}

function attempt(record, before) {
  const measured = { ...record, duration_us: record.duration_ms * 1000 };
  return h(
    "li.attempt", {},
    h("p", {}, h("strong", {}, `Attempt ${record.attempt} `), parts.badge(record.status), h("span.faint", {}, " ended "), parts.when(record.ended_at_ms)),
    h("ul.phases", {}, phases(measured, before?.ended_at_ms).map((phase) => h("li", {}, h(`span.legend-mark.bar-${phase.kind}`), phase.name, h("span.number", {}, format.ms(phase.to - phase.from))))),
    h("p.faint", {}, `billed ${format.ms(record.billed_ms)} · ${record.memory_mb} of ${record.memory_limit_mb} MB · ${record.cost_decimal} ${record.currency} · on ${record.node}`),
  );
}
