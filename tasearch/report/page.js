"use strict";
(() => {
  const held = JSON.parse(document.getElementById("figure-data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const config = { displaylogo: false, displayModeBar: false, responsive: true };
  const PRINTED_WIDTH = 680;
  const chosen = {};
  let printing = false;

  // A copy of a figure; in the dark every colour of ours gives way to its counterpart.
  function painted(value, isDark) {
    if (typeof value === "string") return (isDark && held.dark[value]) || value;
    if (Array.isArray(value)) return value.map((item) => painted(item, isDark));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, painted(item, isDark)]));
  }

  function draw(name) {
    const figure = painted(held.figures[name], dark.matches && !printing);
    const menu = (figure.layout.updatemenus || [])[0];
    delete figure.layout.updatemenus;
    if (menu) {
      const [traces, axes] = menu.buttons[chosen[name] || 0].args;
      for (const [key, rows] of Object.entries(traces)) rows.forEach((row, i) => { figure.data[i][key] = row; });
      for (const [path, item] of Object.entries(axes)) {
        const keys = path.split(".");
        const last = keys.pop();
        keys.reduce((part, key) => part[key], figure.layout)[last] = item;
      }
    }
    if (printing) figure.layout.width = PRINTED_WIDTH;
    return Plotly.react(`figure-${name}`, figure.data, figure.layout, config);
  }

  function offer(name) {
    const menu = (held.figures[name].layout.updatemenus || [])[0];
    const place = document.getElementById(`switch-${name}`);
    if (!menu || !place) return;
    const buttons = menu.buttons.map((choice, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = choice.label;
      button.setAttribute("aria-pressed", String(index === 0));
      button.addEventListener("click", () => {
        chosen[name] = index;
        buttons.forEach((other, i) => other.setAttribute("aria-pressed", String(i === index)));
        draw(name);
      });
      place.append(button);
      return button;
    });
    place.hidden = false;
  }

  const names = Object.keys(held.figures);
  names.forEach((name) => { draw(name); offer(name); });
  const drawAll = () => names.forEach(draw);
  dark.addEventListener("change", drawAll);
  window.addEventListener("beforeprint", () => { printing = true; drawAll(); });
  window.addEventListener("afterprint", () => { printing = false; drawAll(); });
})();
