/** What waits and what failed for good: queues, dead letters, and records that could not be delivered. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";
import { failure } from "./function/invoke.js";

export default function queues(page) {
  page.title("Queues");
  const waiting = queueList(page);
  const dead = letterList(page, DEAD);
  const undelivered = letterList(page, UNDELIVERED);
  return h(
    "div.page", {},
    h("div.head", {}, h("h1", {}, "Queues")),
    parts.card("Work now", waiting),
    parts.card("Dead letters", dead),
    parts.card("Undelivered", undelivered),
  );
}

function queueList(page) {
  const number = (title, of) => ({ title, number: true, cell: (row) => h(row[of] ? "span" : "span.faint", {}, format.count(row[of])) });
  const list = table({
    label: "Queues",
    key: (row) => row.name,
    columns: [
      { title: "Function", fill: true, cell: (row) => parts.functionLink(row.name) },
      number("Waiting", "waiting"), number("Running", "running"), number("Retrying", "retrying"), number("Dead", "dead"),
      { title: "Done", number: true, wide: true, cell: (row) => format.count(row.done) },
      { title: "Accepted", number: true, wide: true, cell: (row) => format.count(row.accepted) },
    ],
    empty: () => parts.empty("Nothing waits or runs.", "Queues are shown while they hold something. What failed for good is below."),
  });
  const found = parts.region(page, (signal) => calls.status(signal), ({ functions }) => list.update(busy(functions)), { lines: 4, label: "Work now" });
  found.reload();
  page.refresh(found.reload, { types: ["status"], atMostMs: 2000 });
  return found.element;
}

function busy(functions) {
  const rows = Object.entries(functions).map(([name, places]) => ({ name, ...places }));
  const work = (row) => row.waiting + row.running + row.retrying;
  return rows.filter((row) => work(row) || row.dead).sort((one, other) => work(other) - work(one) || other.dead - one.dead).slice(0, 200);
}

const MOST = 200;

const DEAD = {
  label: "Dead letters",
  command: "faas dlq ls --limit 1000",
  one: "Dead letter",
  load: (signal) => calls.deadLetters({ limit: MOST }, signal),
  rows: (answer) => answer.dead_letters,
  look: calls.deadLetter,
  retry: calls.retryDead,
  drop: calls.dropDead,
  retryText: "Send again",
  dropText: "Its event is forgotten; its records and logs stay.",
  columns: [
    { title: "Status", cell: (letter) => parts.badge(letter.status) },
    { title: "Error", fill: true, wide: true, cell: (letter) => (letter.error ? `${letter.error.type}: ${letter.error.message}` : "–") },
    { title: "Died", number: true, wide: true, cell: (letter) => parts.when(letter.died_at_ms) },
  ],
  empty: () => parts.empty("No invocation failed for good.", "One that does, with nobody waiting for it, is kept here with its event."),
};

const UNDELIVERED = {
  label: "Undelivered",
  command: "faas undelivered ls --limit 1000",
  one: "Undelivered record",
  load: (signal) => calls.undelivered({ limit: MOST }, signal),
  rows: (answer) => answer.undelivered,
  look: calls.undeliveredOne,
  retry: calls.retryUndelivered,
  drop: calls.dropUndelivered,
  retryText: "Deliver again",
  dropText: "The record is delivered no more.",
  columns: [
    { title: "To", cell: (record) => h("span.mono", {}, record.destination) },
    { title: "Reason", fill: true, wide: true, cell: (record) => record.reason },
    { title: "Given up", number: true, wide: true, cell: (record) => parts.when(record.given_up_at_ms) },
  ],
  empty: () => parts.empty("All records were delivered.", "One whose destination took it at no attempt is kept here."),
};

function letterList(page, kind) {
  const list = table({
    label: kind.label,
    key: (letter) => letter.invocation_id,
    columns: [
      { title: "Invocation", cell: (letter) => parts.invocationLink(letter.invocation_id) },
      { title: "Function", cell: (letter) => [parts.functionLink(letter.function), h("span.faint", {}, ` @${letter.revision}`)] },
      ...kind.columns,
      { title: "", number: true, cell: buttons },
    ],
    empty: kind.empty,
  });
  const cut = h("p.faint", {}, `The newest ${MOST} are shown. `, h("code", {}, kind.command), " lists more.");
  const shown = h("div", {}, list.element, cut);
  const found = parts.region(page, kind.load, show, { lines: 3, label: kind.label });

  function show(answer) {
    list.update(kind.rows(answer));
    cut.hidden = kind.rows(answer).length < MOST;
    return shown;
  }

  function buttons(letter) {
    const id = letter.invocation_id;
    return h(
      "div.row-actions", {},
      parts.action("Look", () => parts.attempt(() => look(page, kind, id)), { label: `Look at ${id}` }),
      letter.retried_as ? parts.invocationLink(letter.retried_as, "sent again") : parts.action(kind.retryText, () => retry(id), { label: `${kind.retryText}: ${id}` }),
      parts.action("Drop", () => drop(id), { label: `Drop ${id}` }),
    );
  }

  async function retry(id) {
    await parts.attempt(() => kind.retry(id), "It is on its way.");
    await found.reload();
  }

  async function drop(id) {
    if (!(await parts.confirmed("Drop it?", kind.dropText, "Drop"))) return;
    await parts.attempt(() => kind.drop(id), "It is dropped.");
    await found.reload();
  }

  found.reload();
  page.refresh(found.reload, { types: ["status"], atMostMs: 5000 });
  return found.element;
}

async function look(page, kind, id) {
  const letter = await kind.look(id, page.signal);
  const error = letter.error ?? (letter.reason ? { type: "Undelivered", message: letter.reason } : null);
  parts.shown(`${kind.one} ${format.brief(id)}`, [
    error ? failure(error) : null,
    h("h3", {}, "Event"),
    parts.block(format.pretty(letter.event), "Event"),
    letter.result !== undefined && letter.result !== null ? [h("h3", {}, "Result"), parts.block(format.pretty(letter.result), "Result")] : null,
    h("p", {}, parts.invocationLink(id, "Its page")),
  ]);
}
