/** The buckets, and who uses them. */

import * as calls from "../calls.js";
import { h } from "../dom.js";
import * as parts from "../parts.js";
import { table } from "../table.js";

export default function buckets(page) {
  page.title("Buckets");
  const list = table({
    label: "Buckets",
    key: (bucket) => bucket.name,
    columns: [
      { title: "Bucket", cell: (bucket) => h("a", { href: `/buckets/${encodeURIComponent(bucket.name)}` }, bucket.name) },
      { title: "Uploads run", cell: (bucket) => links(bucket.triggers) },
      { title: "Used by", cell: (bucket) => links(Object.keys(bucket.functions), bucket.functions) },
      { title: "Folder", wide: true, cell: (bucket) => h("span.mono", {}, bucket.path ?? "in the data directory") },
    ],
    empty: () => parts.empty("There is no bucket.", "Declare one in faas.yaml, as `buckets: {photos: {}}`, and deploy.", "faas deploy"),
  });
  const card = h("div.card", {}, list.element);
  const found = parts.region(page, (signal) => calls.buckets(signal), ({ buckets: all }) => {
    list.update(all);
    return card;
  });
  found.reload();
  return h("div.page", {}, h("div.head", {}, h("h1", {}, "Buckets")), found.element);
}

function links(names, access = {}) {
  if (!names.length) return h("span.faint", {}, "–");
  return names.map((name, place) => [place ? ", " : "", parts.functionLink(name), access[name] ? h("span.faint", {}, ` ${access[name]}s`) : null]);
}
