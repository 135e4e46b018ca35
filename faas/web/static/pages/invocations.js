/** What ran: every attempt, with filters. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h, refill } from "../dom.js";
import * as parts from "../parts.js";
import { records } from "../recordlist.js";

const LIMIT = 100;
const STATUSES = ["", "ok", "error", "timeout", "oom", "init_error", "lost", "rejected"];
const ORDERS = [["ended", "Newest"], ["duration", "Longest handler"], ["queue", "Longest wait"], ["init", "Longest cold start"]];

export const watches = () => ({ types: ["record", "status", "alarm"] });

export default function invocations(page) {
  page.title("Invocations");
  const asked = {
    function: page.query.get("function") ?? "",
    status: page.query.get("status") ?? "",
    since: page.query.get("since") ?? "1d",
    order: page.query.get("order") ?? "ended",
  };
  let earlier = [];
  let next = null;
  const list = records({ empty: () => nothing(asked) });
  const more = h("div.pager", {});
  const whole = h("div.card", {}, list.element, more);
  const found = parts.region(page, load, show, { lines: 14, label: "Invocations" });

  function fields() {
    return { function: asked.function, status: asked.status, order: asked.order, limit: LIMIT, since_ms: Date.now() - format.SPANS[asked.since].ms };
  }

  function load(signal) {
    return calls.records(fields(), signal);
  }

  function show(answer) {
    if (!earlier.length) next = answer.next;
    const newest = new Set(answer.records.map(name));
    list.update([...answer.records, ...earlier.filter((record) => !newest.has(name(record)))]);
    refill(more, next ? parts.action("Show earlier ones", showMore) : null);
    return whole;
  }

  async function showMore() {
    await parts.attempt(async () => {
      const answer = await calls.records({ ...fields(), before: next }, page.signal);
      earlier = [...earlier, ...answer.records];
      next = answer.next;
      await found.reload();
    });
  }

  function change(given) {
    Object.assign(asked, given);
    earlier = [];
    page.remember(asked);
    found.reload();
  }

  found.reload();
  page.refresh(found.reload);
  return h(
    "div.page", {},
    h(
      "div.head", {},
      h("h1", {}, "Invocations"),
      h(
        "div.tools", {},
        parts.input("Function (press /)", asked.function, (text) => change({ function: text.trim() }), { search: true, type: "search", placeholder: "its whole name" }),
        parts.picker("Status", STATUSES.map((each) => [each, each.replace("_", " ") || "any"]), asked.status, (status) => change({ status })),
        parts.spanPicker(asked.since, (since) => change({ since })),
        parts.picker("Order", ORDERS, asked.order, (order) => change({ order })),
      ),
    ),
    found.element,
  );
}

const name = (record) => `${record.invocation_id}.${record.attempt}`;

function nothing(asked) {
  if (asked.function || asked.status) return parts.empty("Nothing ran that fits.", "Take a longer span, or fewer filters.");
  return parts.empty("Nothing ran in this time.", "Call a function:", "faas invoke hello --data '{}'");
}
