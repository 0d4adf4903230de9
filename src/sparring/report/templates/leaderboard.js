"use strict";
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.sortable").forEach((table) => {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const key = (row, column) => {
      const cell = row.cells[column];
      const text = cell ? cell.dataset.sort ?? cell.textContent.trim() : "";
      return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    };
    const compare = (a, b) => {
      if (a === "" || b === "") return 0;
      return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    };
    heads.forEach((head, column) => {
      const button = head.querySelector("button.sort");
      if (!button) return;
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        heads.forEach((other) => { if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].filter((row) => !row.classList.contains("last"));
        // Empty cells stay below filled ones, and runs without a ranked figure below all, whatever the order.
        rows.sort((one, other) => {
          const [a, b] = [key(one, column), key(other, column)];
          if ((a === "") !== (b === "")) return a === "" ? 1 : -1;
          return down ? compare(b, a) : compare(a, b);
        });
        body.prepend(...rows);
      });
    });
  });
});
