// Runs before anything is drawn, so that a chosen theme does not flash. It is no module, which would run later.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden; then the system's theme is used.
  }
})();
