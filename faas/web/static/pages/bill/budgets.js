/** The budgets: what is spent of each in its period, and lifting one that stops calls. */

import * as calls from "../../calls.js";
import { isMissing } from "../../api.js";
import * as format from "../../format.js";
import { h } from "../../dom.js";
import * as parts from "../../parts.js";
import { table } from "../../table.js";

const TONES = { under: "good", reached: "warn", stopped: "bad", lifted: "busy" };

export function budgets(page) {
  let currency = "";
  const list = table({
    label: "Budgets",
    key: (budget) => `${budget.function} ${budget.per} ${budget.then}`,
    columns: [
      { title: "Function", fill: true, cell: (budget) => (budget.function === "*" ? "all together" : parts.functionLink(budget.function)) },
      { title: "State", cell: (budget) => parts.badge(budget.state, TONES[budget.state]) },
      { title: "Then", cell: (budget) => budget.then },
      { title: "Period", wide: true, cell: (budget) => `${budget.per} ${budget.period}` },
      { title: "Spent", wide: true, cell: (budget) => h("meter", { min: "0", max: "1", high: "0.9", value: Number(budget.spent_pico) / (Number(budget.amount_pico) || 1), "aria-label": format.share(Number(budget.spent_pico), Number(budget.amount_pico)) }) },
      { title: "", number: true, cell: (budget) => `${format.money(budget.spent_pico)} of ${format.money(budget.amount_pico, currency)}` },
      { title: "", number: true, cell: (budget) => (budget.state === "stopped" ? h("div.row-actions", {}, parts.action("Let it run on", () => lift(budget.function))) : "") },
    ],
  });
  const card = parts.card("Budgets", list.element);
  const none = h("div");
  const found = parts.region(page, load, show, { lines: 2, label: "Budgets" });

  async function load(signal) {
    try {
      return await calls.budgets(signal);
    } catch (error) {
      if (isMissing(error)) return { budgets: [] };
      throw error;
    }
  }

  function show(answer) {
    currency = answer.currency;
    list.update(answer.budgets);
    return answer.budgets.length ? card : none;
  }

  async function lift(name) {
    if (!(await parts.confirmed("Let it run on?", `The budget of ${name === "*" ? "all functions" : name} stops nothing for the rest of its period.`, "Let it run on"))) return;
    await parts.attempt(() => calls.liftBudget(name), "It runs on until the period is over.");
    await found.reload();
  }

  found.reload();
  return found.element;
}
