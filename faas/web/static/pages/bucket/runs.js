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
    const began = Date.now();
    try {
      await api.upload(calls.objectAddress(bucket, key), file, (part) => {
        bar.value = part;
        refill(state, `${Math.round(part * 100)} %`);
      }, page.signal);
    } catch (error) {
      if (error.name !== "AbortError") refill(body, parts.problem(error));
      return;
    }
    refill(state, "uploaded");
    watch(page, bucket, key, began, body, state).catch((error) => error.name !== "AbortError" && refill(body, parts.problem(error)));
  };
}

async function watch(page, bucket, key, began, body, state) {
  if (!(await isAwaited(bucket, page.signal))) {
    refill(body, h("p.faint", {}, "No function is run by uploads to this bucket."));
    return;
  }
  refill(body, h("p.faint", {}, "Waiting for a function that takes it …"));
  const until = Date.now() + WATCHED_MS;
  while (Date.now() < until && !page.signal.aborted) {
    const record = await rootOf(`${bucket}/${key}`, began, page.signal);
    if (record && (await grown(page, record, body, state))) return;
    await later(page.signal);
  }
  refill(state, "nothing took it");
}

async function isAwaited(bucket, signal) {
  const { buckets } = await calls.buckets(signal);
  return buckets.some((each) => each.name === bucket && each.triggers.length > 0);
}

/** The first record of what an upload set off. Clocks of browser and platform may differ by some minutes. */
async function rootOf(object, began, signal) {
  const { records } = await calls.records({ since_ms: began - 300_000, limit: 200 }, signal);
  return records.find((record) => record.object === object && record.depth === 0 && record.ended_at_ms >= began - 300_000);
}

/** Show how far it is; true when all of it has ended. */
async function grown(page, record, body, state) {
  const root = record.root_id ?? record.invocation_id;
  const trace = await calls.trace(root, page.signal);
  placed(body, [waterfall(trace), pictures(trace)].filter(Boolean));
  const failed = trace.invocations.some((each) => each.attempts.at(-1)?.status !== "ok" && each.attempts.length);
  const ended = trace.ended_at_ms !== null;
  refill(state, ended ? [parts.badge(failed ? "error" : "done"), " ", parts.money(trace.cost_pico, trace.currency)] : parts.badge("running"));
  return ended;
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
