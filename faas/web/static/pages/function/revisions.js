/** The revisions of a function, and what changed between two of them. */

import * as calls from "../../calls.js";
import * as format from "../../format.js";
import { h, refill } from "../../dom.js";
import * as parts from "../../parts.js";
import { table } from "../../table.js";

export function revisions(page, described) {
  const list = table({
    label: "Revisions",
    key: (revision) => revision.number,
    columns: [
      { title: "Revision", cell: (revision) => [`@${revision.number} `, revision.current ? parts.badge("current") : null] },
      { title: "Deployed", cell: (revision) => parts.when(revision.created_at_ms) },
      { title: "Artifact", wide: true, cell: (revision) => h("code", { title: revision.artifact }, revision.artifact.slice(0, 12)) },
    ],
  });
  list.update(described.revisions);
  return h("div.stack", {}, parts.card("Revisions", list.element), compared(page, described));
}

function compared(page, { name, revisions: all }) {
  if (all.length < 2) {
    return parts.card("What changed", parts.empty("There is one revision.", "After the next deploy that changes something, two can be compared here.", "faas deploy"));
  }
  const options = all.map(({ number }) => [String(number), `@${number}`]);
  let [to, from] = [String(all[0].number), String(all[1].number)];
  const found = parts.region(page, (signal) => calls.difference(name, from, to, signal), differed, { label: "Difference" });
  const again = () => found.reload();
  found.reload();
  return parts.cardWith(
    "What changed",
    [
      parts.picker("From", options, from, (value) => ((from = value), again())),
      parts.picker("To", options, to, (value) => ((to = value), again())),
    ],
    found.element,
  );
}

function differed(answer) {
  const config = answer.config ?? [];
  const files = answer.files ?? [];
  if (!config.length && !files.length) return h("p.faint", {}, "Nothing: their code and their configuration are the same.");
  return h(
    "div.stack", {},
    config.length ? [h("h3", {}, "Configuration"), h("ul.changes", {}, config.map(changed))] : null,
    files.length ? [h("h3", {}, "Files"), h("ul.changes", {}, files.map(fileChanged))] : null,
    answer.is_cut ? h("p.faint", {}, "More files differ than are shown.") : null,
  );
}

function changed({ name, before, after }) {
  return h("li", {}, h("code", {}, name), h("span.removed.mono", {}, written(before)), h("span.added.mono", {}, written(after)));
}

const TONES = { added: "good", removed: "bad", changed: "busy" };

function fileChanged({ path, change, before, after }) {
  const size = (file) => (file ? format.bytes(file.size_bytes) : "–");
  return h("li", {}, h("code", {}, path), parts.badge(change, TONES[change]), h("span.faint", {}, `${size(before)} → ${size(after)}`));
}

const written = (value) => (value === undefined || value === null ? "–" : typeof value === "string" ? value : format.pretty(value));
