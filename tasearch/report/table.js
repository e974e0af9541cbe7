"use strict";
(() => {
  const table = document.getElementById("ranking");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const first = Number(table.dataset.first);
  const more = document.getElementById("more");
  let all = false;

  function fold() {
    [...body.rows].forEach((row, index) => { row.hidden = !all && index >= first; });
  }

  // What is missing stands last in either direction.
  function compare(a, b, column, sign) {
    const [left, right] = [a, b].map((row) => row.cells[column].dataset.value);
    if (left === "" || right === "") return (left === "") - (right === "");
    const difference = Number(left) - Number(right);
    return sign * (Number.isNaN(difference) ? left.localeCompare(right, "en", { numeric: true }) : difference);
  }

  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const ascending = before ? before === "descending" : head.dataset.order !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => compare(a, b, column, ascending ? 1 : -1));
      body.append(...rows);
      fold();
    });
  });
  if (more) {
    more.hidden = false;
    more.addEventListener("click", () => { all = true; more.hidden = true; fold(); });
  }
  fold();
})();
