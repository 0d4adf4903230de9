"use strict";
(() => {
  const root = document.documentElement;
  const wanted = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : wanted.matches);
  const kept = (value) => {
    // Some browsers refuse storage to pages opened from disk; the choice then lasts for the page alone.
    try {
      if (value) localStorage.setItem("sparring-theme", value);
      return localStorage.getItem("sparring-theme");
    } catch {
      return null;
    }
  };
  const before = kept();
  if (before === "dark" || before === "light") root.dataset.theme = before;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      kept(root.dataset.theme);
      label();
    });
    wanted.addEventListener("change", label);
    label();
  });

  let printed = [], theme = null;
  addEventListener("beforeprint", () => {
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    printed = [...document.querySelectorAll("details:not([open])")];
    printed.forEach((node) => { node.open = true; });
  });
  addEventListener("afterprint", () => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    printed.forEach((node) => { node.open = false; });
  });
})();
