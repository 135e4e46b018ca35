/** A table whose rows change in place: what stays the same keeps its element, its focus and its place. */

import { h, refill } from "./dom.js";

/**
 * A table.
 *
 * A column is `{title, cell(row), number?, wide?, sort?}`: `number` aligns to the right, `wide` is left out on small
 * screens, `sort` is the name by which the list is asked for in its order. `sorted` is `{by, desc}` and `onSort` hears
 * the next one. `empty` is what stands where there are no rows.
 */
export function table({ label, columns, key, sorted, onSort, empty }) {
  const heads = columns.map((column) => head(column));
  const body = h("tbody");
  const grid = h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, heads)), body);
  const scroller = h("div.table-scroll", {}, grid);
  new ResizeObserver(() => reachable(scroller, label)).observe(grid);
  const element = h("div.table", {}, scroller);
  let byKey = new Map();

  function head(column) {
    const cell = h("th", { scope: "col", class: classes(column) });
    if (!column.sort) return column.title ? refill(cell, column.title) : refill(cell, h("span.hidden", {}, "Actions"));
    return refill(cell, h("button.sort", { type: "button", on: { click: () => turned(column) } }, column.title));
  }

  function turned(column) {
    const desc = sorted.by === column.sort ? !sorted.desc : column.sort !== "name";
    sorted = { by: column.sort, desc };
    marked();
    onSort(sorted);
  }

  function marked() {
    columns.forEach((column, place) => {
      const isBy = sorted && column.sort && column.sort === sorted.by;
      heads[place].toggleAttribute("data-sorted", Boolean(isBy));
      if (isBy) heads[place].setAttribute("aria-sort", sorted.desc ? "descending" : "ascending");
      else heads[place].removeAttribute("aria-sort");
    });
  }

  /** Show these rows. */
  function update(rows) {
    const next = new Map();
    const shown = rows.map((row) => {
      const name = String(key(row));
      const made = h("tr", {}, columns.map((column) => h("td", { class: classes(column), dataset: column.title ? { title: column.title } : {} }, column.cell(row))));
      const old = byKey.get(name);
      const kept = old && old.isEqualNode(made) ? old : made;
      next.set(name, kept);
      return { kept, old };
    });
    placed(shown);
    byKey = next;
    if (rows.length === 0 && empty) element.replaceChildren(empty());
    else if (!element.contains(scroller)) element.replaceChildren(scroller);
    return element;
  }

  function placed(shown) {
    const focus = focused();
    shown.forEach(({ kept }, place) => {
      if (body.children[place] !== kept) body.insertBefore(kept, body.children[place] ?? null);
    });
    while (body.children.length > shown.length) body.lastElementChild.remove();
    const changed = focus && shown.find(({ old }) => old === focus.row);
    if (changed && !changed.kept.contains(document.activeElement)) focusables(changed.kept)[focus.place]?.focus();
  }

  function focused() {
    const row = document.activeElement?.closest("tr");
    return row && body.contains(row) ? { row, place: focusables(row).indexOf(document.activeElement) } : null;
  }

  marked();
  return { element, update };
}

/** What scrolls must be reached by the keyboard; what does not is no stop on its way. */
function reachable(scroller, label) {
  const scrolls = scroller.scrollWidth > scroller.clientWidth;
  const given = scrolls ? { tabindex: "0", role: "region", "aria-label": `${label}, scrolls sideways` } : {};
  for (const name of ["tabindex", "role", "aria-label"]) {
    if (given[name]) scroller.setAttribute(name, given[name]);
    else scroller.removeAttribute(name);
  }
}

function classes(column) {
  return [column.number && "number", column.wide && "wide", column.fill && "fill"].filter(Boolean).join(" ");
}

function focusables(row) {
  return [...row.querySelectorAll("a, button, input, select")];
}
