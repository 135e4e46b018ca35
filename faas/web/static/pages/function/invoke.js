/** A form that calls a function with an event, and what came of it. */

import * as calls from "../../calls.js";
import * as format from "../../format.js";
import { h, refill } from "../../dom.js";
import { lines } from "../../logview.js";
import * as parts from "../../parts.js";

const KEPT = "event of ";

/** The form. The event is kept in this tab of the browser, so that a reload does not lose it. */
export function invokeForm(page, name) {
  const text = h("textarea", {
    id: "event", rows: "12", spellcheck: "false", value: sessionStorage.getItem(KEPT + name) ?? "{}", "aria-describedby": "event-fault",
    on: { input: check, keydown: keys },
  });
  const fault = h("p.fault", { id: "event-fault", role: "status" });
  const outcome = h("div.stack", { "aria-live": "polite" }, parts.card(null, parts.empty("Nothing was called yet.", "What it returns, prints and costs is shown here.")));
  const isAsync = h("input", { type: "checkbox", id: "is-async" });
  const button = h("button.primary", { type: "submit" }, "Call");
  const form = h(
    "form.stack", { on: { submit } },
    h("label.field", {}, h("span.hidden", {}, "Event (JSON)"), text),
    fault,
    h(
      "div.actions", {},
      button,
      h("button", { type: "button", on: { click: tidy } }, "Tidy up"),
      h("label.check", {}, isAsync, "Do not wait for the result"),
    ),
  );

  function check() {
    sessionStorage.setItem(KEPT + name, text.value);
    const found = text.value.trim() ? faultOf(text.value) : null;
    refill(fault, found);
    text.setAttribute("aria-invalid", String(Boolean(found)));
    return !found;
  }

  function keys(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  }

  function tidy() {
    if (check() && text.value.trim()) text.value = JSON.stringify(JSON.parse(text.value), null, 2);
  }

  async function submit(event) {
    event.preventDefault();
    if (!check()) {
      text.focus();
      return;
    }
    button.disabled = true;
    refill(outcome, parts.skeleton(4));
    try {
      const answer = await calls.invoke(name, text.value.trim() || "{}", { isAsync: isAsync.checked, signal: page.signal });
      refill(outcome, isAsync.checked ? accepted(answer) : report(answer));
    } catch (error) {
      if (error.name !== "AbortError") refill(outcome, parts.problem(error));
    } finally {
      button.disabled = false;
    }
  }

  return h("div.columns", {}, parts.cardWith("Event (JSON)", h("span", {}, "Ctrl+Enter calls"), form), outcome);
}

/** What is wrong with a text as JSON, or null. */
export function faultOf(text) {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return `This is not JSON: ${error.message}. Text needs quotes.`;
  }
}

function accepted({ invocation_id: id }) {
  return parts.card("Accepted", h("p", {}, "It will run. What becomes of it: ", parts.invocationLink(id)));
}

function report(answer) {
  const failed = answer.error;
  return [
    parts.cardWith(
      failed ? "It failed" : "Result", [parts.badge(answer.status), parts.invocationLink(answer.invocation_id)],
      failed ? failure(failed) : resultOf(answer),
    ),
    parts.card("What it printed", answer.logs.length ? lines(answer.logs) : h("p.faint", {}, "Nothing.")),
    parts.card(
      "Report",
      parts.facts([
        ["Duration", format.ms(answer.duration_ms)],
        ["Billed", format.ms(answer.billed_ms)],
        ["Cost", parts.money(answer.cost_pico, answer.currency)],
        ["Waited", format.ms(answer.queue_ms)],
        ["Cold start", answer.cold_start ? format.ms(answer.init_ms) : "warm"],
        ["Memory", `${answer.memory_mb} of ${answer.memory_limit_mb} MB`],
      ]),
    ),
  ];
}

/** An error of a handler with its frames. */
export function failure(error) {
  return h(
    "div.stack", {},
    h("p.text-bad", {}, `${error.type}: ${error.message}`),
    error.stack?.length ? parts.block(error.stack.join("\n"), "Where it was raised") : null,
  );
}

/** What a handler returned, as JSON or as the base64 of its bytes. */
export function resultOf(answer) {
  return parts.block(answer.result_is_base64 ? answer.result : format.pretty(answer.result), answer.result_is_base64 ? "Result in base64" : "Result");
}
