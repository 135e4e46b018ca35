/** Uploads, and what each one sets off: the trace grows beside it, with the pictures that come out. */

import * as api from "../../api.js";
import * as calls from "../../calls.js";
import * as format from "../../format.js";
import { h, refill } from "../../dom.js";
import * as parts from "../../parts.js";
import { waterfall } from "../../waterfall.js";
import { pictures } from "./pictures.js";

const AT_ONCE = 3;
const WATCHED_MS = 120_000;
/** For so long after the last change more may come: what wrote an object has ended before the next function begins. */
const QUIET_MS = 10_000;
const LOOK_MS = 700;

/** Uploads into a bucket. `changed` is called when an object has come in. */
export function runs(page, bucket, changed) {
  const element = h("div.stack", { "aria-live": "polite" });
  const waiting = [];
  let busy = 0;

  function take(files, prefix) {
    for (const file of files) waiting.push(run(page, bucket, prefix + file.name, file, element));
    next();
  }

  async function next() {
    while (busy < AT_ONCE && waiting.length) {
      busy += 1;
      waiting.shift()().then(changed).finally(() => {
        busy -= 1;
        next();
      });
    }
  }

  return { element, dropZone: (prefix) => dropZone(page, prefix, take) };
}

/** A place to drop files, which is a button too; files may be dropped anywhere on the page. */
function dropZone(page, prefix, take) {
  const input = h("input.hidden", { type: "file", multiple: true, tabindex: "-1", "aria-hidden": "true", id: "files", on: { change: chosen } });
  const button = h("button.primary", { type: "button", on: { click: () => input.click() } }, "Upload files");
  const zone = h("div.drop", {}, button, h("span.faint", {}, "or drop them here", prefix ? [", into ", h("code", {}, prefix)] : ""), input);
  const { signal } = page;

  function chosen() {
    take(input.files, prefix);
    input.value = "";
  }

  const over = (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    zone.classList.add("over");
  };
  addEventListener("dragenter", over, { signal });
  addEventListener("dragover", over, { signal });
  addEventListener("dragleave", (event) => !event.relatedTarget && zone.classList.remove("over"), { signal });
  addEventListener("drop", (event) => {
    zone.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files, prefix);
  }, { signal });
  return zone;
}

/** One upload: a card at once, and a function that sends it and then watches what it sets off. */
function run(page, bucket, key, file, host) {
  const bar = h("progress", { max: "1", value: 0, "aria-label": `Upload of ${file.name}` });
  const state = h("span.faint", {}, "waits");
  const body = h("div.run-body", {}, bar);
  host.prepend(
    h("section.card.run", { "aria-label": `Upload of ${file.name}` }, h("div.card-head", {}, h("h2", {}, h("span.mono", {}, key)), h("div.card-side", {}, format.bytes(file.size), state)), body),
  );

  return async () => {
    let written = null;
    try {
      written = await api.upload(calls.objectAddress(bucket, key), file, (part) => {
        bar.value = part;
        refill(state, `${Math.round(part * 100)} %`);
      }, page.signal);
    } catch (error) {
      if (error.name !== "AbortError") refill(body, parts.problem(error));
      return;
    }
    refill(state, "uploaded");
    watch(page, bucket, written, body, state).catch((error) => error.name !== "AbortError" && refill(body, parts.problem(error)));
  };
}

async function watch(page, bucket, written, body, state) {
  const functions = await waitingFor(bucket, page.signal);
  if (!functions.length) {
    refill(body, h("p.faint", {}, "No function is run by uploads to this bucket."));
    return;
  }
  refill(body, h("p.faint", {}, "Waiting for a function that takes it …"));
  const until = Date.now() + WATCHED_MS;
  let root = null;
  let known = { count: 0 };
  let changed = Date.now();
  while (Date.now() < until && !page.signal.aborted) {
    root ??= await rootOf(bucket, written, functions, page.signal);
    if (root) {
      const trace = await calls.trace(root, page.signal);
      if (trace.count !== known.count || trace.ended_at_ms === null) changed = Date.now();
      known = trace;
      grown(trace, body, state);
      if (Date.now() - changed > QUIET_MS) return;
    }
    await later(page.signal);
  }
  if (!root) refill(state, "nothing took it");
}

/** The functions that uploads to a bucket run. */
async function waitingFor(bucket, signal) {
  const { buckets } = await calls.buckets(signal);
  return buckets.find((each) => each.name === bucket)?.triggers ?? [];
}

/** The invocation that an upload set off, once an attempt of it has ended. Moments are the platform's, not this clock's. */
async function rootOf(bucket, written, functions, signal) {
  for (const name of functions) {
    const { records } = await calls.records({ function: name, since_ms: written.modified_ms, limit: 100 }, signal);
    const fits = (record) => record.object === `${bucket}/${written.key}` && record.accepted_at_ms >= written.modified_ms;
    const found = records.find((record) => fits(record) && !record.root_id);
    if (found) return found.invocation_id;
  }
  return null;
}

/** Show how far it is. */
function grown(trace, body, state) {
  placed(body, [waterfall(trace), pictures(trace)].filter(Boolean));
  const failed = trace.invocations.some((each) => each.attempts.at(-1)?.status !== "ok" && each.attempts.length);
  const ended = trace.ended_at_ms !== null;
  refill(state, ended ? [parts.badge(failed ? "error" : "done"), " ", parts.money(trace.cost_pico, trace.currency)] : parts.badge("running"));
}

/** What looks the same stays, so that pictures do not flicker. */
function placed(body, made) {
  made.forEach((each, place) => {
    const old = body.children[place];
    if (!old) body.append(each);
    else if (!old.isEqualNode(each)) old.replaceWith(each);
  });
}

function later(signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, LOOK_MS);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("left", "AbortError"));
    });
  });
}
