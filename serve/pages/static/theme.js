// Before anything is drawn: the theme that was chosen here before; without one the system's.
(() => {
  "use strict";
  try {
    const chosen = localStorage.getItem("hashwarden-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch { /* a browser that keeps nothing has the system's theme */ }
})();
