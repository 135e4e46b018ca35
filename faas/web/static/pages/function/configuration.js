/** The configuration of a function, as its manifest would say it. */

import * as format from "../../format.js";
import { h } from "../../dom.js";
import * as parts from "../../parts.js";
import { triggerText } from "./figures.js";

export function configuration(described) {
  const { config } = described;
  const rest = Object.fromEntries(Object.entries(config).filter(([key]) => !SHOWN.has(key)));
  return h(
    "div.columns", {},
    parts.card(
      "Runs",
      parts.facts([
        ["Runtime", config.runtime],
        ["Handler", h("code", {}, config.handler)],
        ["Memory", `${config.memory_mb} MB`],
        ["Processors", String((config.cpu_milli ?? 1000) / 1000)],
        ["Timeout", format.ms(config.timeout_ms)],
        ["At once, at most", format.count(config.max_concurrency ?? 100)],
        ["Prewarmed", format.count(config.prewarm ?? 0)],
        ["Network", config.network ?? "none"],
        ["Deployed", parts.when(described.created_at_ms)],
        ["Artifact", h("code", { title: described.artifact }, described.artifact.slice(0, 12))],
      ]),
    ),
    h(
      "div.stack", {},
      parts.card("Triggers", plain(config.triggers.map((trigger) => [parts.badge(trigger.kind, "busy"), " ", h("code", {}, triggerText(trigger))]))),
      parts.card("Buckets", plain(Object.entries(config.buckets ?? {}).map(([bucket, access]) => [h("a", { href: `/buckets/${encodeURIComponent(bucket)}` }, bucket), ` ${access}`]))),
      parts.card("Environment", plain(Object.entries(config.env ?? {}).map(([name, value]) => [h("code", {}, name), " = ", h("code", {}, value)]))),
    ),
    parts.card("The rest", parts.block(format.pretty(rest), "The rest of the configuration")),
  );
}

const SHOWN = new Set(["runtime", "handler", "memory_mb", "cpu_milli", "timeout_ms", "max_concurrency", "prewarm", "network", "triggers", "buckets", "env"]);

function plain(items) {
  return items.length ? h("ul.items", {}, items.map((item) => h("li", {}, item))) : h("p.faint", {}, "None.");
}
