/** What one event set off: a row for each invocation, with its waits, its cold start and its handler on one time line. */

import * as format from "./format.js";
import * as parts from "./parts.js";
import { h } from "./dom.js";

/** A trace of the API as rows; `current` is the invocation whose page this is. */
export function waterfall(trace, { current, now = Date.now() } = {}) {
  const began = Number(trace.began_at_ms);
  const ended = Math.max(Number(trace.ended_at_ms ?? 0), ...trace.invocations.map((each) => endOf(each, now)), began + 1);
  const scale = { began, span: ended - began };
  return h(
    "div.waterfall", {},
    h("div.waterfall-head", {}, legend(), h("span.faint", {}, format.ms(scale.span), " from the first acceptance to the end")),
    h("ol.waterfall-rows", {}, trace.invocations.map((each) => row(each, scale, current, now))),
    trace.is_cut ? h("p.faint", {}, "There is more of it than is shown.") : null,
  );
}

function endOf(invocation, now) {
  const last = invocation.attempts.at(-1);
  return isOpen(invocation) ? now : Number(last?.ended_at_ms ?? invocation.accepted_at_ms ?? 0);
}

const isOpen = (invocation) => !["done", "dead"].includes(invocation.state);

function row(invocation, scale, current, now) {
  const spans = invocation.attempts.flatMap((attempt, place) => phases(attempt, invocation.attempts[place - 1]?.ended_at_ms));
  if (isOpen(invocation)) spans.push(open(invocation, now));
  const last = invocation.attempts.at(-1);
  const isCurrent = invocation.id === current;
  return h(
    "li.waterfall-row", { class: isCurrent ? "current" : "" },
    h(
      "div.waterfall-name", { style: { "--depth": String(Math.min(invocation.depth, 8)) } },
      h("a", { href: `/invocations/${encodeURIComponent(invocation.id)}`, "aria-current": isCurrent ? "true" : null }, invocation.function ?? format.brief(invocation.id)),
      invocation.attempts.length > 1 ? h("span.faint", {}, ` ${invocation.attempts.length} attempts`) : null,
      invocation.object ? h("span.waterfall-object.mono", { title: invocation.object }, invocation.object) : h("span.waterfall-object", {}, invocation.trigger ?? "not recorded yet"),
    ),
    h("div.waterfall-track", { "aria-hidden": "true" }, spans.map((span) => bar(span, scale))),
    last?.error ? h("p.waterfall-error", {}, `${last.error.type}: ${last.error.message}`) : null,
    h("div.waterfall-figures", {}, last ? [parts.badge(last.status), h("span", { title: said(spans) }, format.us(last.duration_us))] : parts.badge(invocation.state)),
    h("span.hidden", {}, said(spans)),
  );
}

/**
 * The phases of an attempt, one after the other, counted back from its end: `{kind, name, from, to}` in Unix ms. What a
 * later attempt waited is told from the acceptance on, but `after` is when the one before it ended.
 */
export function phases(attempt, after = 0) {
  const end = Number(attempt.ended_at_ms);
  const run = end - attempt.duration_us / 1000;
  const init = run - attempt.init_ms;
  const wait = Math.max(init - attempt.queue_ms, after);
  const found = [];
  if (wait < init) found.push({ kind: "wait", name: "wait", from: wait, to: init });
  found.push(...steps(attempt, init, run));
  found.push({ kind: attempt.status === "ok" ? "run" : "fail", name: "handler", from: run, to: end });
  return found;
}

function steps(attempt, from, to) {
  const known = (attempt.steps ?? []).filter((step) => step.ms > 0);
  if (!known.length) return attempt.init_ms ? [{ kind: "init", name: "cold start", from, to }] : [];
  let at = from;
  return known.map((step) => {
    const start = at;
    at = Math.min(to, start + step.ms);
    return { kind: "init", name: step.name.replaceAll("_", " "), from: start, to: at };
  });
}

function open(invocation, now) {
  const from = Number(invocation.attempts.at(-1)?.ended_at_ms ?? invocation.accepted_at_ms ?? now);
  return { kind: invocation.state === "running" ? "run open" : "wait open", name: invocation.state, from, to: now };
}

function bar(span, scale) {
  const left = Math.max(0, (100 * (span.from - scale.began)) / scale.span);
  const width = Math.max(0.3, Math.min(100 - left, (100 * (span.to - span.from)) / scale.span));
  return h("span.bar", {
    class: span.kind, title: `${span.name}: ${format.ms(span.to - span.from)}`,
    style: { left: `${left.toFixed(3)}%`, width: `${width.toFixed(3)}%` },
  });
}

function said(spans) {
  return spans.map((span) => `${span.name} ${format.ms(span.to - span.from)}`).join(", ");
}

function legend() {
  const item = (kind, text) => h("span.legend-item", {}, h(`span.legend-mark.bar-${kind}`), text);
  return h("div.legend", {}, item("wait", "waiting"), item("init", "cold start"), item("run", "handler"), item("fail", "failed"));
}
