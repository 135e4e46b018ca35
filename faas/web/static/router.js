/** Which page an address is: patterns of paths, the history, and links that stay inside the page. */

/** A route from `/functions/:name` and what loads its module. */
export function route(pattern, load, place) {
  const names = [];
  const source = pattern.replace(/:(\w+)/g, (_, name) => {
    names.push(name);
    return "([^/]+)";
  });
  return { regex: new RegExp(`^${source}/?$`), names, load, place };
}

/** The route that takes a path, with its parameters; null when none does. */
export function match(routes, path) {
  for (const each of routes) {
    const found = each.regex.exec(path);
    if (!found) continue;
    try {
      const values = found.slice(1).map(decodeURIComponent);
      return { route: each, params: Object.fromEntries(each.names.map((name, at) => [name, values[at]])) };
    } catch {
      return null; // a percent sign that starts nothing
    }
  }
  return null;
}

/** Go to an address of this page. */
export function go(address, { replace = false } = {}) {
  if (address !== location.pathname + location.search) {
    history[replace ? "replaceState" : "pushState"]({}, "", address);
  }
  dispatchEvent(new Event("went"));
}

/** Change the query of the address without showing the page anew. */
export function remember(fields) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  history.replaceState({}, "", location.pathname + (text ? `?${text}` : ""));
}

/** Call `show` now and whenever the address changes, by a link, by `go`, or back and forth. */
export function follow(show, isMine) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || link.target || link.hasAttribute("download") || event.defaultPrevented) return;
    const to = new URL(link.href);
    if (to.origin !== location.origin || to.hash || !isMine(to.pathname)) return;
    event.preventDefault();
    go(to.pathname + to.search);
  });
  let at = "";
  const shown = () => {
    at = location.pathname + location.search;
    show();
  };
  // A link to a place on the page, as the one that skips the menu, changes the hash alone.
  addEventListener("popstate", () => at !== location.pathname + location.search && shown());
  addEventListener("went", shown);
  shown();
}
