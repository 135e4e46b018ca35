/** One bucket: its objects by folder, uploads, and what they set off. */

import * as calls from "../calls.js";
import * as format from "../format.js";
import { h, refill } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";
import { browse } from "./bucket/browsing.js";
import { isPicture, picture } from "./bucket/pictures.js";
import { runs } from "./bucket/runs.js";

export const watches = () => ({ types: ["record", "status", "alarm"] });

export default function bucket(page) {
  const { name } = page.params;
  const prefix = page.query.get("prefix") ?? "";
  page.title(name);
  let after = "";
  const pipeline = runs(page, name, () => found.reload());
  const list = objectTable(name, drop);
  const more = h("div.pager");
  const card = h("div.card", {}, list.element, more);
  const found = parts.region(page, (signal) => browse(name, prefix, "", signal), show, { lines: 10, label: "Objects" });
  let shown = [];

  function show(answer) {
    shown = answer.entries;
    return placed(answer.next);
  }

  function placed(next) {
    after = next;
    list.update(shown);
    refill(more, next ? parts.action("Show more", showMore) : null);
    return card;
  }

  async function showMore() {
    await parts.attempt(async () => {
      const answer = await browse(name, prefix, after, page.signal);
      shown = [...shown, ...answer.entries];
      placed(answer.next);
    });
  }

  async function drop(entry) {
    if (!(await parts.confirmed("Delete this object?", `${name}/${entry.key} cannot be had back.`, "Delete"))) return;
    await parts.attempt(() => calls.removeObject(name, entry.key), "It is deleted.");
    await found.reload();
  }

  found.reload();
  page.refresh(found.reload, { types: ["record"], atMostMs: 3000 });
  return h(
    "div.page", {},
    h(
      "div.head", {},
      h("div.head-text", {}, h("p.head-path", {}, h("a", { href: "/buckets" }, "Buckets"), " /"), h("h1", {}, path(name, prefix))),
      parts.input("In folder (press /)", prefix, (text) => page.go(`/buckets/${encodeURIComponent(name)}${text ? `?prefix=${encodeURIComponent(text)}` : ""}`), { search: true, placeholder: "in/" }),
    ),
    pipeline.dropZone(prefix),
    pipeline.element,
    found.element,
  );
}

function path(name, prefix) {
  const home = `/buckets/${encodeURIComponent(name)}`;
  const folders = prefix.split("/").filter(Boolean);
  if (!folders.length) return name;
  return [
    h("a", { href: home }, name),
    folders.map((folder, place) => [
      h("span.faint", {}, " / "),
      place === folders.length - 1 ? folder : h("a", { href: `${home}?prefix=${encodeURIComponent(`${folders.slice(0, place + 1).join("/")}/`)}` }, folder),
    ]),
  ];
}

function objectTable(name, drop) {
  return table({
    label: "Objects",
    key: (entry) => entry.key,
    columns: [
      { title: "Name", fill: true, cell: (entry) => named(name, entry) },
      { title: "Size", number: true, cell: (entry) => (entry.isFolder ? "" : format.bytes(entry.size_bytes)) },
      { title: "Changed", number: true, wide: true, cell: (entry) => (entry.isFolder ? "" : parts.when(entry.modified_ms)) },
      { title: "", number: true, cell: (entry) => (entry.isFolder ? "" : buttons(name, entry, drop)) },
    ],
    empty: () => parts.empty("Nothing is here.", "Drop a file above, or copy some:", `faas cp FILE ${name}:`),
  });
}

function named(name, entry) {
  if (entry.isFolder) return h("a.object", { href: `/buckets/${encodeURIComponent(name)}?prefix=${encodeURIComponent(entry.key)}` }, h("span.object-kind", { "aria-hidden": "true" }, "▸"), `${entry.name}/`);
  return h("span.object", {}, isPicture(entry.key) ? picture(name, entry.key) : h("span.object-kind", { "aria-hidden": "true" }, "·"), h("span", {}, entry.name));
}

function buttons(name, entry, drop) {
  return h(
    "div.row-actions", {},
    h("a.button", { href: calls.objectAddress(name, entry.key), download: entry.name, "aria-label": `Download ${entry.name}` }, "Download"),
    parts.action("Delete", () => drop(entry), { label: `Delete ${entry.name}` }),
  );
}
