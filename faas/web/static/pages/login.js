/** Logging in: by the token, or by the one-time code of a link that `faas open` made. */

import * as calls from "../calls.js";
import { h, refill } from "../dom.js";
import * as parts from "../parts.js";

export default function login(page) {
  page.title("Log in");
  const told = h("div", { "aria-live": "polite" });
  const token = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, spellcheck: "false" });
  const button = h("button.primary", { type: "submit" }, "Log in");
  const form = h(
    "form.card.login", { on: { submit } },
    h("h1", {}, "faas"),
    h("label.field", {}, h("span.field-name", {}, "Token of the platform"), token),
    button,
    told,
    h("p.faint", {}, "It is in the file ", h("code", {}, "token"), " of the data directory. ", h("code", {}, "faas open"), " logs this browser in without it."),
  );

  async function submit(event) {
    event.preventDefault();
    await entered(() => calls.logIn(token.value.trim()));
  }

  async function entered(enter) {
    button.disabled = true;
    try {
      await enter();
      page.go(wanted(page.query.get("to")), { replace: true });
    } catch (error) {
      refill(told, parts.problem(error));
      token.focus();
    } finally {
      button.disabled = false;
    }
  }

  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) {
    history.replaceState({}, "", location.pathname + location.search); // so that no history and no screenshot holds it
    entered(() => calls.logInByCode(code));
  }
  return form;
}

/** Where to go afterwards: an address of this page, and no other site's. */
function wanted(to) {
  return to?.startsWith("/") && !to.startsWith("//") && !to.startsWith("/\\") ? to : "/functions";
}
