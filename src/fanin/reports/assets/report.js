// Tooltips on figures, sorting and filtering of tables. The page is whole without it.
"use strict";
for (const figure of document.querySelectorAll("figure.plot")) {
  const script = figure.querySelector("script");
  if (!script) continue;
  const points = JSON.parse(script.textContent);
  const svg = figure.querySelector("svg[role=img]");
  const canvas = figure.querySelector(".canvas");
  const view = svg.viewBox.baseVal;
  const make = (name, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const layer = make("g", { "aria-hidden": "true" });
  svg.append(layer);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  canvas.append(tip);
  let at = -1;

  const show = (i) => {
    at = Math.max(0, Math.min(points.x.length - 1, i));
    const x = points.x[at];
    layer.replaceChildren(make("path", { class: "cursor", d: `M${x} 12V${view.height - 40}` }));
    const title = document.createElement("b");
    title.textContent = points.labels[at];
    tip.replaceChildren(title);
    for (const row of points.rows) {
      if (!row.text[at]) continue;
      if (row.y[at] !== null) layer.append(make("circle", { class: `ring ${row.style}`, cx: x, cy: row.y[at], r: 4 }));
      const line = document.createElement("div");
      line.textContent = `${row.name}: ${row.text[at]}`;
      tip.append(line);
    }
    tip.hidden = false;
    const scale = svg.clientWidth / view.width;
    const left = x * scale + 12;
    const room = canvas.clientWidth;
    tip.style.left = `${left + tip.offsetWidth > room ? Math.max(0, x * scale - 12 - tip.offsetWidth) : left}px`;
  };
  const hide = () => { tip.hidden = true; layer.replaceChildren(); at = -1; };
  const nearest = (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) * view.width) / box.width;
    let best = 0;
    points.x.forEach((p, i) => { if (Math.abs(p - x) < Math.abs(points.x[best] - x)) best = i; });
    show(best);
  };
  svg.addEventListener("pointermove", nearest);
  svg.addEventListener("pointerdown", nearest);
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { show(at < 0 ? (step > 0 ? 0 : points.x.length - 1) : at + step); event.preventDefault(); }
    if (event.key === "Escape") hide();
  });
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => {
        const cell = row.cells[column];
        const number = parseFloat(cell.dataset.v);
        return cell.dataset.v === undefined ? cell.textContent : Number.isNaN(number) ? -Infinity : number;
      };
      const rows = [...body.rows].sort((a, b) => {
        const [p, q] = [value(a), value(b)];
        const order = typeof p === "number" && typeof q === "number" ? (p === q ? 0 : p - q)
          : String(p).localeCompare(String(q), undefined, { numeric: true });
        return up ? order : -order;
      });
      body.append(...rows);
    });
  });
  const tools = table.closest("section").querySelector(".tools");
  const search = tools.querySelector("input[type=search]");
  const only = tools.querySelector("input[type=checkbox]");
  const count = tools.querySelector(".count");
  tools.hidden = false;
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) || (only && only.checked && !row.dataset.found);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${body.rows.length}`;
  };
  search.addEventListener("input", filter);
  if (only) only.addEventListener("change", filter);
  filter();
}
