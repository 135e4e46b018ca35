/** How the platform is: the facts of `faas doctor`. */

import * as calls from "../calls.js";
import { h } from "../dom.js";
import * as parts from "../parts.js";

const WORST_FIRST = ["failed", "unknown", "warning", "ok"];

export default function health(page) {
  page.title("Health");
  let thorough = false;
  const found = parts.region(page, (signal) => calls.health(thorough, signal), show, { lines: 12, label: "Facts" });

  function show({ ok, facts }) {
    const sorted = [...facts].sort((one, other) => WORST_FIRST.indexOf(one.state) - WORST_FIRST.indexOf(other.state));
    return h(
      "div.stack", {},
      h("p.verdict", {}, parts.badge(ok ? "ok" : "failed"), ok ? " Nothing failed, and all could be established." : " Something failed or could not be established."),
      h("ul.card.fact-list", {}, sorted.map(fact)),
    );
  }

  async function all() {
    thorough = true;
    await found.reload();
  }

  found.reload();
  page.refresh(found.reload, { types: ["status"], atMostMs: 10_000 });
  return h("div.page", {}, h("div.head", {}, h("h1", {}, "Health"), parts.action("Look at everything", all)), found.element);
}

function fact({ name, state, text, hint }) {
  return h("li.fact", {}, h("span.fact-name", {}, name), parts.badge(state), h("span", {}, parts.coded(text), hint ? h("span.fact-hint", {}, parts.coded(hint)) : null));
}
